"""Hostile peers beside a whole node that relays: any message, from any endpoint, and what each endpoint got of it.

An endpoint is a *spot*. At the liars' own spots they read what arrives: tokens, channel ids, calls. The victims' spots
are only named as the source of datagrams; what arrives there is counted, and nobody of the liars sees it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from pilotdht.errors import BadMessage
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import KeyPair
from pilotdht.net.datagrams import RELAYED
from pilotdht.net.doors import Batch
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.envelope import Envelope, envelope_untrusted
from pilotdht.wire.message import Message
from pilotdht.wire.seal import SEALED, Sealer
from pilotdht.wire.traversal_messages import Called, Ring
from simulations.world.network import MemoryNetwork
from tests.support.net_nodes import SALT, key_pair

KEPT = 64
"""Channel ids and calls that the liars remember."""


class Spot:
    """One endpoint of the network that the liars send from, and what came to it from whom."""

    def __init__(self, network: MemoryNetwork, endpoint: Endpoint, heard: Callable[[Spot, Batch], None] | None) -> None:
        self.endpoint = endpoint
        self.sent: dict[Endpoint, int] = {}
        self.got: dict[Endpoint, int] = {}
        self._heard = heard
        self._socket = network.bind(endpoint, self._receive)

    def send(self, datagram: bytes, target: Endpoint) -> None:
        """Send one datagram, as from here."""
        self.sent[target] = self.sent.get(target, 0) + len(datagram)
        self._socket.send(datagram, target)

    def excess(self) -> dict[Endpoint, int]:
        """Return who has sent more bytes here than it got from here."""
        return {
            source: size - self.sent.get(source, 0)
            for source, size in self.got.items()
            if size > self.sent.get(source, 0)
        }

    def _receive(self, batch: Batch) -> None:
        for datagram, source in batch:
            self.got[source] = self.got.get(source, 0) + len(datagram)
        if self._heard is not None:
            self._heard(self, batch)


class Liars:
    """Some keys, and what they know together."""

    def __init__(self, network: MemoryNetwork, seeds: Sequence[int], *, unix_time: Callable[[], float]) -> None:
        self.keys: list[KeyPair] = [key_pair(seed) for seed in seeds]
        self.tokens: dict[tuple[PublicKey, Endpoint, Endpoint], bytes] = {}
        """By key, spot, and who gave it."""
        self.channel_ids: list[bytes] = []
        self.calls: list[tuple[KeyPair, Spot, Endpoint, bytes]] = []
        """Calls that were passed on to them and not answered yet: whose, where, by whom, request id."""
        self._network = network
        self._unix_time = unix_time
        self._sealers = {keys.public_key: Sealer(keys, salt=SALT, capacity=64) for keys in self.keys}
        self._peers: dict[Endpoint, PublicKey] = {}

    def own_spot(self, endpoint: Endpoint) -> Spot:
        """Return a spot where they read what arrives."""
        return Spot(self._network, endpoint, self._read)

    def victim(self, endpoint: Endpoint) -> Spot:
        """Return a spot where somebody else reads what arrives."""
        return Spot(self._network, endpoint, None)

    def say(
        self, keys: KeyPair, spot: Spot, to: Contact, message: Message, *, token: bytes = b"", size_bytes: int = 0,
        request_id: bytes = b"", observed: Endpoint | None = None,
    ) -> None:  # fmt: skip
        """Send a sealed message, as from a spot."""
        self._peers[to.endpoint] = to.public_key
        envelope = Envelope(message, request_id or os.urandom(8), token=token, observed=observed)
        plaintext = envelope.encoded(size_bytes=size_bytes)
        sealer = self._sealers[keys.public_key]
        spot.send(sealer.seal(to.public_key, plaintext, nonce=os.urandom(12), unix_time=self._unix_time()), to.endpoint)

    def token_for(self, keys: KeyPair, spot: Spot, to: Contact) -> bytes:
        """Return the token that they were given for a key at a spot, or none."""
        return self.tokens.get((keys.public_key, spot.endpoint, to.endpoint), b"")

    def frame(self, channel_id: bytes, content: bytes) -> bytes:
        """Return a frame of a channel."""
        return bytes((RELAYED,)) + channel_id + content

    def _read(self, spot: Spot, batch: Batch) -> None:
        for datagram, source in batch:
            if datagram[0] == RELAYED and len(datagram) > 9:
                self._learn(datagram[1:9])
            elif datagram[0] == SEALED:
                for keys in self.keys:
                    self._open(keys, spot, datagram, source)

    def _open(self, keys: KeyPair, spot: Spot, datagram: bytes, source: Endpoint) -> None:
        try:
            _, plaintext = self._sealers[keys.public_key].open_untrusted(datagram, unix_time=self._unix_time())
            envelope = envelope_untrusted(plaintext)
        except BadMessage:
            return  # sealed for another of them
        if envelope.token and envelope.observed is not None:
            self.tokens[keys.public_key, spot.endpoint, source] = envelope.token
        message = envelope.message
        if isinstance(message, Called) and message.channel_id:
            self._learn(message.channel_id)
        elif isinstance(message, Ring):
            self._learn(message.channel_id)
            self.calls = [*self.calls[-KEPT:], (keys, spot, source, envelope.request_id)]

    def _learn(self, channel_id: bytes) -> None:
        if channel_id not in self.channel_ids:
            self.channel_ids = [*self.channel_ids[-KEPT:], channel_id]
