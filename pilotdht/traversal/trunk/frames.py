"""What goes over a trunk once both ends have proven themselves: datagrams with their endpoints. Pure.

::

    length u16 | size of endpoint u8 (6 or 18) | packed endpoint | datagram

Towards the server the endpoint says where the datagram goes, towards the client where it came from. A frame of length
zero says that its sender is there; nothing else is ever sent. Whatever else arrives ends the connection: on a byte
stream nothing after a malformed frame means anything.
"""

from __future__ import annotations

from collections.abc import Iterable

from pilotdht.errors import BadMessage
from pilotdht.net.datagrams import HELLO, HELLO_REPLY, QUIC_BIT, RELAYED
from pilotdht.wire.endpoint import PACKED_IPV4_BYTES, PACKED_IPV6_BYTES, Endpoint, unpack_endpoint_untrusted
from pilotdht.wire.seal import SEALED

MAX_CARRIED_BYTES = 1472
"""Longest datagram that is carried: what fits into one Ethernet frame over IPv4. Others would be cut into fragments."""

MAX_FRAME_BYTES = 1 + PACKED_IPV6_BYTES + MAX_CARRIED_BYTES
"""Largest length of a frame, its own two bytes not counted."""

HEARTBEAT = b"\0\0"
"""The empty frame."""

OVERHEAD_BYTES = 200
"""What each datagram counts besides its own bytes: a short one costs as much work as this many bytes."""

_LENGTH_BYTES = 2
_OUR_KINDS = frozenset((SEALED, HELLO, HELLO_REPLY, RELAYED))


def is_ours(datagram: bytes) -> bool:
    """Return whether a datagram is of a kind that nodes send each other, judged by its first byte."""
    return bool(datagram) and (datagram[0] & QUIC_BIT != 0 or datagram[0] in _OUR_KINDS)


def encode_frames(datagrams: Iterable[tuple[bytes, Endpoint]]) -> bytes:
    """Return the frames that carry datagrams, none longer than :data:`MAX_CARRIED_BYTES`."""
    pieces: list[bytes] = []
    for datagram, endpoint in datagrams:
        packed = endpoint.packed()
        size = len(packed)
        pieces += ((1 + size + len(datagram)).to_bytes(_LENGTH_BYTES, "big"), bytes((size,)), packed, datagram)
    return b"".join(pieces)


class FrameReader:
    """Cuts a byte stream into frames, whatever pieces it arrives in."""

    def __init__(self) -> None:
        self._rest = b""

    def take_untrusted(self, data: bytes) -> tuple[list[tuple[bytes, Endpoint]], int]:
        """Take in bytes; return the datagrams that are complete now, and how many empty frames came with them.

        Raises:
            BadMessage: a frame is malformed; nothing may be taken in afterwards.
        """
        data = self._rest + data if self._rest else data
        found: list[tuple[bytes, Endpoint]] = []
        at, end, empty = 0, len(data), 0
        while end - at >= _LENGTH_BYTES:
            length = data[at] << 8 | data[at + 1]
            if length > MAX_FRAME_BYTES:
                raise BadMessage("frame_oversized")
            stop = at + _LENGTH_BYTES + length
            if stop > end:
                break
            if length:
                found.append(_frame_untrusted(data[at + _LENGTH_BYTES : stop]))
            else:
                empty += 1
            at = stop
        self._rest = data[at:]
        return found, empty

    @property
    def is_torn(self) -> bool:
        """Whether a frame has begun that is not complete."""
        return bool(self._rest)


def _frame_untrusted(frame: bytes) -> tuple[bytes, Endpoint]:
    size = frame[0]
    if size not in (PACKED_IPV4_BYTES, PACKED_IPV6_BYTES) or len(frame) <= 1 + size:
        raise BadMessage("frame_form")
    if len(frame) - 1 - size > MAX_CARRIED_BYTES:
        raise BadMessage("frame_oversized")
    return frame[1 + size :], unpack_endpoint_untrusted(frame[1 : 1 + size])
