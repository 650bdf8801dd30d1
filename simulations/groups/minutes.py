"""Who read which messages, in which order: what a group's messages promise, counted."""

from __future__ import annotations

from itertools import pairwise

from pilotdht.gossip.values import Event
from pilotdht.identity.ids import PublicKey


class Minutes:
    """What every member read."""

    def __init__(self) -> None:
        self._read: dict[int, dict[PublicKey, list[int]]] = {}

    def heard(self, number: int, event: Event) -> None:
        """Note that a member read an event."""
        self._read.setdefault(number, {}).setdefault(event.sender, []).append(event.sequence)

    def share(self, numbers: list[int], sent: dict[PublicKey, int]) -> float:
        """Return the share of all messages that these members read.

        Args:
            numbers: the members.
            sent: how many messages each sender sent; they count from 1.
        """
        wanted = len(numbers) * sum(sent.values())
        read = sum(
            len({sequence for sequence in self._read.get(number, {}).get(sender, []) if sequence <= count})
            for number in numbers
            for sender, count in sent.items()
        )
        return read / wanted if wanted else 1.0

    def faults(self) -> int:
        """Return how many messages somebody read twice, or not in their sender's order."""
        return sum(
            sum(1 for one, following in pairwise(sequences) if following <= one)
            for senders in self._read.values()
            for sequences in senders.values()
        )
