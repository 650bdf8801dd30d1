"""A set of contacts that finds the nearest to any point in microseconds, however many there are. Pure.

An attacker prepares such sets once and answers from them for ever; a scan for each request would make the attacker, not
the network, the limit of a run.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from random import Random

from pilotdht.identity.ids import NODE_ID_BITS
from pilotdht.wire.contact import Contact


class ContactSet:
    """Contacts by node id."""

    def __init__(self) -> None:
        """Make an empty one."""
        self._points: list[int] = []
        self._contacts: dict[int, Contact] = {}

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._points)

    def __contains__(self, contact: Contact) -> bool:
        """Return whether the owner of that key is among them."""
        return contact.point in self._contacts

    def add(self, contact: Contact) -> None:
        """Take one in; the newest endpoint of a key counts."""
        if contact.point not in self._contacts:
            insort(self._points, contact.point)
        self._contacts[contact.point] = contact

    def add_all(self, contacts: list[Contact]) -> None:
        """Take many in at once."""
        self._contacts.update((contact.point, contact) for contact in contacts)
        self._points = sorted(self._contacts)

    def draw(self, random: Random) -> Contact | None:
        """Return one at random; absent when there is none."""
        return self._contacts[random.choice(self._points)] if self._points else None

    def nearest(self, target: bytes, limit: int) -> list[Contact]:
        """Return up to ``limit`` contacts closest to a 20-byte point by XOR, nearest first."""
        point = int.from_bytes(target, "big")
        points = self._points
        low, high = 0, len(points)
        for free_bits in range(NODE_ID_BITS - 1, -1, -1):
            # All ids with one more leading bit of the target stand side by side, and are nearer than all others.
            start = point >> free_bits << free_bits
            narrower = bisect_left(points, start, low, high)
            end = bisect_left(points, start + (1 << free_bits), low, high)
            if end - narrower < limit:
                break
            low, high = narrower, end
        nearest = sorted(points[low:high], key=point.__xor__)[:limit]
        return [self._contacts[one] for one in nearest]
