"""Port 1000 and any port like it: one message and its answer on one stream.

The opener writes the message and ends its direction; the other side writes the answer, which may be empty, and ends
its own. A clean end therefore says: it was handled. A reset says that it was not.
"""

from __future__ import annotations

import asyncio

from pilotdht.errors import Overloaded, TimedOut
from pilotdht.tunnel.byte_stream import ByteStream

MAX_MESSAGE_BYTES = 16 * 2**20
"""Longest message or answer taken whole; longer ones are read from the stream piece by piece."""


async def exchange(stream: ByteStream, message: bytes, *, timeout_s: float) -> bytes:
    """Send a message and return its answer.

    Raises:
        TimedOut: no whole answer in time.
        LinkClosed: the peer did not handle it.
        Overloaded: the answer is longer than 16 MiB.
    """
    try:
        async with asyncio.timeout(timeout_s):
            await stream.write(message)
            await stream.write_eof()
            return await read_whole(stream)
    except TimeoutError as error:
        raise TimedOut(f"no answer within {timeout_s:g} s") from error


async def read_whole(stream: ByteStream, *, most_bytes: int = MAX_MESSAGE_BYTES) -> bytes:
    """Return everything until the peer ends its direction.

    Raises:
        Overloaded: it is longer than ``most_bytes``.
        LinkClosed: the stream broke.
    """
    parts: list[bytes] = []
    size = 0
    while part := await stream.read():
        size += len(part)
        if size > most_bytes:
            raise Overloaded(f"the message is longer than {most_bytes} bytes", hint="read it from the stream instead")
        parts.append(part)
    return b"".join(parts)
