"""Items of gossip, read once: the same fact arrives from a dozen members, and is decoded and verified the first time.

Remembered is what was found good, by its exact bytes, for all nodes of this process; whoever sends garbage pays with a
signature check each time, and :class:`ItemReader` bounds how many it gets.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from pilotdht.errors import BadMessage
from pilotdht.wire.membership import (
    ItemType,
    SignedFact,
    SignedSuspicion,
    signed_fact_untrusted,
    signed_suspicion_untrusted,
)

READ_ITEMS_KEPT = 8192
"""Items remembered: 1.5 kB each."""

_FACT = bytes([ItemType.FACT])
_SUSPICION = bytes([ItemType.SUSPICION])


class ItemReader:
    """Reads facts and suspicions; remembers those that were good."""

    def __init__(self, capacity: int = READ_ITEMS_KEPT) -> None:
        """Make one that remembers up to ``capacity`` items."""
        self._capacity = capacity
        self._read: OrderedDict[bytes, SignedFact | SignedSuspicion] = OrderedDict()

    def set_capacity(self, capacity: int) -> None:
        """Remember up to so many from now on: a process with thousands of members needs more."""
        self._capacity = capacity
        while len(self._read) > capacity:
            self._read.popitem(last=False)

    def known(self, item: bytes) -> SignedFact | SignedSuspicion | None:
        """Return what an item says that was read before; absent when it is not remembered."""
        return self._read.get(item)

    def read_untrusted(self, item: bytes, admit: Callable[[], bool]) -> SignedFact | SignedSuspicion | None:
        """Return what an item says.

        Args:
            item: a fact or suspicion with its type byte.
            admit: asked before an item is verified for the first time, which is what costs.

        Returns:
            What it says; absent when it is of another type.

        Raises:
            BadMessage: malformed, wrongly signed, or not admitted.
        """
        known = self._read.get(item)
        if known is not None:
            return known
        kind = item[:1]
        if kind not in (_FACT, _SUSPICION):
            return None
        if not admit():
            raise BadMessage("rate")
        read = signed_fact_untrusted(item) if kind == _FACT else signed_suspicion_untrusted(item)
        self._read[item] = read
        if len(self._read) > self._capacity:
            self._read.popitem(last=False)
        return read


item_reader = ItemReader()
"""For all nodes of this process."""
