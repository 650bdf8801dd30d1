"""Contacts that were given up, in case they are not dead but on the other side of a cut. Pure.

A node whose peers die one by one has nobody to look for. One that lost many contacts within minutes may have been cut
off from a part of the mesh, and when the cut heals nobody tells it: each side is whole and content. So given-up
contacts are kept for a while and one of them is asked now and then, often when many were lost together.
"""

from __future__ import annotations

from collections import OrderedDict
from random import Random

from pilotdht.config.dht import DhtConfig
from pilotdht.identity.ids import NodeId
from pilotdht.wire.contact import Contact


class LostContacts:
    """Contacts given up lately, oldest first."""

    def __init__(self, config: DhtConfig) -> None:
        self._capacity = config.lost_contacts_kept
        self._keep_s = config.lost_contact_keep_s
        self._window_s = config.split_window_s
        self._share = config.split_share
        self._lost: OrderedDict[NodeId, tuple[Contact, float]] = OrderedDict()
        self._suspected_at_s: float | None = None

    def __len__(self) -> int:
        """Return how many are kept."""
        return len(self._lost)

    def add(self, contact: Contact, *, table_size: int, now: float) -> None:
        """Keep a contact that was just given up, and judge whether many were lost together.

        Args:
            contact: whom.
            table_size: contacts that are left.
            now: loop time.
        """
        self._lost.pop(contact.node_id, None)
        self._lost[contact.node_id] = (contact, now)
        while self._lost and (
            len(self._lost) > self._capacity or now - next(iter(self._lost.values()))[1] > self._keep_s
        ):
            self._lost.popitem(last=False)
        recent = 0
        for _, lost_at_s in reversed(self._lost.values()):
            if now - lost_at_s > self._window_s:
                break
            recent += 1
        if recent >= max(2, self._share * (table_size + recent)):
            self._suspected_at_s = now

    def remove(self, node_id: NodeId) -> bool:
        """Forget a contact that answered; return whether it was kept."""
        is_kept = self._lost.pop(node_id, None) is not None
        if not self._lost:
            self._suspected_at_s = None
        return is_kept

    def is_split_suspected(self, *, now: float) -> bool:
        """Return whether so many were lost together that a part of the mesh may be cut off."""
        return self._suspected_at_s is not None and now - self._suspected_at_s <= self._keep_s

    def any(self, random: Random) -> Contact | None:
        """Return one of them at random; absent when there is none."""
        if not self._lost:
            return None
        return list(self._lost.values())[random.randrange(len(self._lost))][0]

    def all(self) -> list[Contact]:
        """Return all of them, last lost first: those are the likeliest to live."""
        return [contact for contact, _ in reversed(self._lost.values())]
