"""Stateless Retry: a sender proves that it receives at its address before anything is remembered about it.

The token is a keyed hash over what it stands for, with the time in front; it is bound to the endpoint, to the id of
the client's first datagram and to the id the client must use next, and lives for a few seconds.

Source: RFC 9000, sections 8.1.2 to 8.1.4 and 17.2.5.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable

from aioquic.quic.packet import QuicProtocolVersion, encode_quic_retry

from pilotdht.errors import BadMessage
from pilotdht.tunnel.quic.initial import Initial
from pilotdht.tunnel.quic.settings import CONNECTION_ID_BYTES
from pilotdht.wire.endpoint import Endpoint

TOKEN_LIFETIME_S = 10.0
"""Clients send it back at once."""

_TIME_BYTES = 8
_MAC_BYTES = 16


class RetryTokens:
    """Makes and checks the tokens of one node's life.

    Args:
        token_bytes: source of unpredictable bytes.
    """

    def __init__(self, token_bytes: Callable[[int], bytes]) -> None:
        self._token_bytes = token_bytes
        self._key = token_bytes(32)

    def answer(self, initial: Initial, endpoint: Endpoint, now: float) -> bytes:
        """Return the Retry packet for a client's first datagram."""
        new_id = self._token_bytes(CONNECTION_ID_BYTES)
        issued = int(now * 1000).to_bytes(_TIME_BYTES, "big")
        original_id = initial.destination_id
        token = issued + self._mac(issued, original_id, new_id, endpoint) + original_id
        packet: bytes = encode_quic_retry(
            version=QuicProtocolVersion.VERSION_1,
            source_cid=new_id,
            destination_cid=initial.source_id,
            original_destination_cid=original_id,
            retry_token=token,
        )
        return packet

    def original_id_untrusted(self, initial: Initial, endpoint: Endpoint, now: float) -> bytes:
        """Return the destination id of the client's very first datagram.

        Raises:
            BadMessage: the token is not ours, is too old, or belongs to another address or id.
        """
        token = initial.token
        issued, mac, original_id = token[:_TIME_BYTES], token[_TIME_BYTES : _TIME_BYTES + _MAC_BYTES], token[24:]
        expected = self._mac(issued, original_id, initial.destination_id, endpoint)
        if len(mac) != _MAC_BYTES or not hmac.compare_digest(mac, expected):
            raise BadMessage("token")
        if now - int.from_bytes(issued, "big") / 1000 > TOKEN_LIFETIME_S:
            raise BadMessage("token")
        return original_id

    def _mac(self, issued: bytes, original_id: bytes, new_id: bytes, endpoint: Endpoint) -> bytes:
        parts = (issued, bytes((len(original_id),)), original_id, bytes((len(new_id),)), new_id, str(endpoint).encode())
        return hmac.digest(self._key, b"".join(parts), "sha256")[:_MAC_BYTES]
