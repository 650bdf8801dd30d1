"""In which order members are probed: round robin over a shuffled list, shuffled anew at each turn. Pure.

A newcomer is inserted at random, so that the order stays unpredictable. One observer probes each member at least once
in ``2 n - 1`` probes of the round. Members that are to be probed before others get every second probe at most: whoever
gives reasons to hasten probes must not keep anybody from being probed.

Source: SWIM (2002), section 4.3.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from pilotdht.identity.ids import NodeId

_MOST_URGENT = 64


class ProbeOrder:
    """Whom to probe next."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._order: list[NodeId] = []
        self._present: set[NodeId] = set()
        self._next = 0
        self._urgent: dict[NodeId, None] = {}
        self._was_urgent = False

    def __len__(self) -> int:
        """Return how many members are in the round."""
        return len(self._order)

    def add(self, member: NodeId) -> None:
        """Take in a newcomer; one that is in already stays where it is."""
        if member in self._present:  # it was gone, and came back before its place in the round was looked at
            return
        self._present.add(member)
        place = self._random.randint(0, len(self._order))
        self._order.insert(place, member)
        if place < self._next:  # among those that had their turn
            self._next += 1

    def hasten(self, member: NodeId) -> None:
        """Probe a member before others: there is a sign that it may be gone. At most 64 wait."""
        if len(self._urgent) < _MOST_URGENT:
            self._urgent[member] = None

    def next(self, is_wanted: Callable[[NodeId], bool]) -> NodeId | None:
        """Return the next member to probe; those that are not wanted any more drop out of the round.

        Returns:
            A member, or nothing when none is left.
        """
        if not self._was_urgent:
            while self._urgent:
                member = next(iter(self._urgent))
                del self._urgent[member]
                if is_wanted(member):
                    self._was_urgent = True
                    return member
        self._was_urgent = False
        while self._order:
            if self._next >= len(self._order):
                self._next = 0
                self._random.shuffle(self._order)
            member = self._order[self._next]
            if is_wanted(member):
                self._next += 1
                return member
            self._present.discard(member)
            self._order[self._next] = self._order[-1]
            self._order.pop()
        return None
