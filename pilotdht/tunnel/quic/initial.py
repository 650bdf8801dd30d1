"""The first datagram of a connection, read without any cryptography.

Source: RFC 9000, sections 14.1, 17.2 and 17.2.2.
"""

from __future__ import annotations

from aioquic._buffer import Buffer
from aioquic.quic.packet import QuicProtocolVersion

from pilotdht.errors import BadMessage
from pilotdht.values import dataclass

MIN_INITIAL_DATAGRAM_BYTES = 1200
MIN_CHOSEN_ID_BYTES = 8
MAX_ID_BYTES = 20
MAX_TOKEN_BYTES = 256

_LONG_INITIAL_MASK, _LONG_INITIAL = 0xF0, 0xC0


@dataclass(frozen=True, slots=True)
class Initial:
    """What the header of an Initial packet says."""

    destination_id: bytes
    """Chosen by the client, or by our Retry."""

    source_id: bytes
    """Where the client wants the answer."""

    token: bytes
    """From our Retry, or empty."""


def initial_untrusted(datagram: bytes) -> Initial:
    """Read the header of a client's first datagram.

    Raises:
        BadMessage: reason ``unknown_link`` (not an Initial), ``version``, ``initial_size`` or ``initial_form``.
    """
    if datagram[0] & _LONG_INITIAL_MASK != _LONG_INITIAL:
        if datagram[0] & 0x80 and datagram[1:5] != b"\0\0\0\1":
            raise BadMessage("version")
        raise BadMessage("unknown_link")
    if datagram[1:5] != QuicProtocolVersion.VERSION_1.to_bytes(4, "big"):
        raise BadMessage("version")
    if len(datagram) < MIN_INITIAL_DATAGRAM_BYTES:
        raise BadMessage("initial_size")
    try:
        buffer = Buffer(data=datagram)
        buffer.seek(5)
        destination_id = buffer.pull_bytes(buffer.pull_uint8())
        source_id = buffer.pull_bytes(buffer.pull_uint8())
        token = buffer.pull_bytes(buffer.pull_uint_var())
    except ValueError as error:
        raise BadMessage("initial_form") from error
    if not MIN_CHOSEN_ID_BYTES <= len(destination_id) <= MAX_ID_BYTES or len(source_id) > MAX_ID_BYTES:
        raise BadMessage("initial_form")
    if len(token) > MAX_TOKEN_BYTES:
        raise BadMessage("token")
    return Initial(destination_id, source_id, token)
