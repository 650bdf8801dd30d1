"""Sends what is sealed: the way out that requests and replies share."""

from __future__ import annotations

from collections.abc import Callable

from pilotdht.errors import BadMessage
from pilotdht.net.datagrams import MAX_DATAGRAM_BYTES, Transmit
from pilotdht.wire.contact import Contact
from pilotdht.wire.message import Flags
from pilotdht.wire.seal import SEAL_OVERHEAD_BYTES, Sealer

PADDED_BYTES = MAX_DATAGRAM_BYTES - SEAL_OVERHEAD_BYTES
"""Longest plaintext; a request of this size leaves room for the longest reply."""

LEAST_BYTES = 160 - SEAL_OVERHEAD_BYTES
"""Plaintext of the shortest request: a reply without content fits in it, IPv6 endpoint and fresh tokens included."""


class SealedSender:
    """Seals plaintexts and hands them to the socket."""

    def __init__(self, sealer: Sealer, *, unix_time: Callable[[], float]) -> None:
        self.transmit: Transmit | None = None
        """Where datagrams go; absent while the node is not open."""
        self.flags = Flags.NONE
        """What we say of ourselves in each message."""
        self._sealer = sealer
        self._unix_time = unix_time

    def send(self, contact: Contact, plaintext: bytes, nonce: bytes) -> int:
        """Seal and send; return the size of the datagram, 0 when the contact's key is unusable or nothing is open."""
        if self.transmit is None:
            return 0
        try:
            datagram = self._sealer.seal(contact.public_key, plaintext, nonce=nonce, unix_time=self._unix_time())
        except BadMessage:
            return 0
        self.transmit(datagram, contact.endpoint)
        return len(datagram)
