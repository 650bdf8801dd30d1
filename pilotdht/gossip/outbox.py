"""News that this member still has to pass on: each a limited number of times, the least told first. Pure.

Every item has a subject; a newer item takes the place of an older one with the same subject. Among items told equally
often the newest goes first. What was told often enough is forgotten: the share of members that random gossip misses is
``e^-R`` for ``R`` transmissions a member, and comparing repairs it.

Source: SWIM (2002), section 4.1; memberlist, `queue.go`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator

_HEADER_BYTES = 3
"""What an item takes besides its own bytes: the codec's header."""

_LEAST_ITEM_BYTES = 64
"""No item is shorter: with less room than that nothing is looked for."""

_MOST_MISFITS = 16
"""Items looked at in vain before a datagram goes out with room left: thousands wait when many join at once."""


def transmissions(members: int, factor: int) -> int:
    """Return how often a member passes on one item in a group of so many."""
    return factor * max(1, math.ceil(math.log10(members + 1)))


class Outbox:
    """Items to pass on."""

    def __init__(self, *, limit: Callable[[], int], capacity: int) -> None:
        """Make an empty one.

        Args:
            limit: how often an item is passed on, for the group's present size.
            capacity: most items; when full, the most told goes.
        """
        self._limit = limit
        self._capacity = capacity
        self._told: dict[Hashable, int] = {}
        self._by_count: list[dict[Hashable, bytes]] = []
        self.dropped = 0
        """Items forgotten for want of room."""

    def __len__(self) -> int:
        """Return how many items wait to be passed on."""
        return len(self._told)

    def __contains__(self, subject: Hashable) -> bool:
        """Return whether an item with this subject waits."""
        return subject in self._told

    def add(self, subject: Hashable, item: bytes) -> None:
        """Pass on an item, in place of an older one with the same subject."""
        self.discard(subject)
        if len(self._told) >= self._capacity:
            self.dropped += 1
            self.discard(next(iter(next(level for level in reversed(self._by_count) if level))))
        self._put(subject, item, 0)

    def discard(self, subject: Hashable) -> None:
        """Do not pass on the item with this subject any more."""
        count = self._told.pop(subject, None)
        if count is not None:
            del self._by_count[count][subject]

    def take(self, budget_bytes: int, *, most: int = 64) -> list[bytes]:
        """Return items that fit together into so many bytes, and count them as told once more."""
        taken: list[tuple[Hashable, bytes, int]] = []
        misfits = 0
        for subject, item, count in self._in_order():
            if len(taken) >= most or misfits >= _MOST_MISFITS or budget_bytes < _LEAST_ITEM_BYTES + _HEADER_BYTES:
                break
            if len(item) + _HEADER_BYTES <= budget_bytes:
                budget_bytes -= len(item) + _HEADER_BYTES
                taken.append((subject, item, count))
            else:
                misfits += 1
        limit = self._limit()
        for subject, item, count in reversed(taken):  # the newest stays the newest among its equals
            self.discard(subject)
            if count + 1 < limit:
                self._put(subject, item, count + 1)
        return [item for _, item, _ in taken]

    def _in_order(self) -> Iterator[tuple[Hashable, bytes, int]]:
        for count, level in enumerate(self._by_count):
            for subject in reversed(level):
                yield subject, level[subject], count

    def _put(self, subject: Hashable, item: bytes, count: int) -> None:
        while len(self._by_count) <= count:
            self._by_count.append({})
        self._by_count[count][subject] = item
        self._told[subject] = count
