"""Words over a stream: a length, then so many bytes."""

from __future__ import annotations

from pilotdht.services.query.words import LENGTH_BYTES, MAX_FRAME_BYTES, length_untrusted
from pilotdht.tunnel.byte_stream import ByteStream


async def read_frame(stream: ByteStream, *, most_bytes: int = MAX_FRAME_BYTES) -> bytes:
    """Return the next frame without its length; the caller bounds the time.

    Raises:
        BadMessage: it is empty or too long.
        LinkClosed: the stream ended.
    """
    size = length_untrusted(await stream.read_exactly(LENGTH_BYTES), most_bytes=most_bytes)
    return await stream.read_exactly(size)
