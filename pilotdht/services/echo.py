"""Port 7: send back what arrives (RFC 862, on a stream), and measure round trips with it.

The stream's own back-pressure bounds memory: one chunk is held at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pilotdht.errors import LinkClosed, TimedOut
from pilotdht.tunnel.byte_stream import ByteStream

IDLE_TIMEOUT_S = 120.0
"""An echo stream without traffic for so long is closed: it holds a handler."""

PROBE_BYTES = 64
"""Size of one probe; as other tools' pings."""


async def echo(stream: ByteStream) -> None:
    """Send back what arrives until the peer ends its direction or falls silent."""
    while True:
        try:
            async with asyncio.timeout(IDLE_TIMEOUT_S):
                chunk = await stream.read()
                if not chunk:
                    return
                await stream.write(chunk)
        except TimeoutError:
            raise TimedOut(f"no traffic for {IDLE_TIMEOUT_S:g} s") from None


async def measure(stream: ByteStream, *, token_bytes: Callable[[int], bytes], timeout_s: float) -> float:
    """Return the seconds that one probe takes to come back.

    Raises:
        TimedOut: it did not come back in time.
        LinkClosed: the link ended, or something else came back.
    """
    loop = asyncio.get_running_loop()
    probe = token_bytes(PROBE_BYTES)
    begun = loop.time()
    try:
        async with asyncio.timeout(timeout_s):
            await stream.write(probe)
            answer = await stream.read_exactly(PROBE_BYTES)
    except TimeoutError as error:
        raise TimedOut(f"no echo within {timeout_s:g} s") from error
    if answer != probe:
        raise LinkClosed("the peer sent back other bytes than it got")
    return loop.time() - begun
