"""What this node knows of peers that answered it: round-trip time and address token. Bounded, least recently used goes.

Invariant: an entry is made or moved to another endpoint only by an answer to a request of ours from that endpoint, so
nothing that arrives unasked changes what is kept here.
"""

from __future__ import annotations

from collections import OrderedDict

from pilotdht.identity.ids import PublicKey
from pilotdht.net.rtt import RoundTripEstimate
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint


class KnownPeer:
    """One peer at one endpoint."""

    __slots__ = ("address_token", "endpoint", "estimate")

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        """Where it answered."""
        self.estimate = RoundTripEstimate()
        """How long its answers take."""
        self.address_token = b""
        """What it gave us to show that we receive where we say; empty until it did."""


class KnownPeers:
    """The peers that answered most recently."""

    def __init__(self, *, capacity: int) -> None:
        self._capacity = capacity
        self._peers: OrderedDict[PublicKey, KnownPeer] = OrderedDict()

    def find(self, contact: Contact) -> KnownPeer | None:
        """Return what is known of a contact; absent when it never answered from that endpoint."""
        peer = self._peers.get(contact.public_key)
        return peer if peer is not None and peer.endpoint == contact.endpoint else None

    def answered(self, contact: Contact) -> KnownPeer:
        """Return the entry of a contact that just answered; made anew when it answered from elsewhere before."""
        peer = self._peers.get(contact.public_key)
        if peer is None or peer.endpoint != contact.endpoint:
            peer = self._peers[contact.public_key] = KnownPeer(contact.endpoint)
            if len(self._peers) > self._capacity:
                self._peers.popitem(last=False)
        self._peers.move_to_end(contact.public_key)
        return peer

    def __len__(self) -> int:
        """Return how many peers are known."""
        return len(self._peers)
