"""Moments at which something is due, for many things and one timer. Pure.

Setting and forgetting cost a push on a heap; entries that no longer count are thrown out when they are most of it.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from typing import Generic, TypeVar

KeyT = TypeVar("KeyT", bound=Hashable)

_DEAD_ENTRIES_TOLERATED = 64


class Deadlines(Generic[KeyT]):
    """One moment for each of some keys."""

    __slots__ = ("_heap", "_numbers", "_sequence")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, KeyT]] = []
        self._numbers: dict[KeyT, int] = {}
        self._sequence = 0

    def __len__(self) -> int:
        """Return how many keys have a moment."""
        return len(self._numbers)

    def __contains__(self, key: KeyT) -> bool:
        """Return whether a key has a moment."""
        return key in self._numbers

    def set(self, key: KeyT, when: float) -> None:
        """Let ``key`` be due at ``when``, whenever it was due before."""
        self._sequence = number = self._sequence + 1
        self._numbers[key] = number
        heapq.heappush(self._heap, (when, number, key))
        if len(self._heap) > 2 * len(self._numbers) + _DEAD_ENTRIES_TOLERATED:
            self._heap = [entry for entry in self._heap if self._numbers.get(entry[2]) == entry[1]]
            heapq.heapify(self._heap)

    def discard(self, key: KeyT) -> None:
        """Let ``key`` be never due; one without a moment is fine."""
        self._numbers.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        self._heap.clear()
        self._numbers.clear()

    def first(self) -> float | None:
        """Return the earliest moment; absent when there is none."""
        heap = self._heap
        while heap and self._numbers.get(heap[0][2]) != heap[0][1]:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def due(self, now: float) -> list[KeyT]:
        """Return the keys whose moment has come, earliest first; they have none any more."""
        keys: list[KeyT] = []
        while True:
            when = self.first()
            if when is None or when > now:
                return keys
            key = heapq.heappop(self._heap)[2]
            del self._numbers[key]
            keys.append(key)
