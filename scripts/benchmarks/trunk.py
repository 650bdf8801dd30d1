"""A tunnel over a trunk beside one over UDP: three nodes in one process, in processor time for the same bytes.

All three share one core, so that the ratio says how much of the work of a transfer TLS and the server add.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from dataclasses import replace

from pilotdht.config.config import Config
from pilotdht.config.dht import DhtConfig
from pilotdht.config.trunk import TrunkConfig
from pilotdht.node.node import Node
from pilotdht.tunnel.stream import Stream
from pilotdht.wire.endpoint import Endpoint
from scripts.benchmarks.report import Row, better

LOOPBACK = Endpoint("127.0.0.1", 0)
PORT = 3000
CHUNK = b"x" * 262_144
JOINED_WITHIN_S = 20.0
ROOMY = {"client_bytes_per_s": 1e10, "client_burst_bytes": 1e9, "total_bytes_per_s": 1e10, "total_burst_bytes": 1e9}


def rows(quick: bool) -> list[Row]:
    """Return the figures of tunnels over trunks."""
    return asyncio.run(_measured(10_000_000 if quick else 100_000_000, repeats=1 if quick else 3))


async def _measured(size: int, *, repeats: int) -> list[Row]:
    direct = await _transfers(TrunkConfig(mode="off"), size, repeats)
    through = await _transfers(TrunkConfig(mode="always"), size, repeats)
    return [
        Row(
            name=f"{size // 1_000_000} MB over a trunk, processor time of all three",
            value=through,
            unit="s",
            baseline_name="the same tunnel over UDP, both ends",
            baseline_value=direct,
            ratio=better(through, direct, lower_is_better=True),
        ),
        Row(
            name="over a trunk, one core for all three",
            value=size / through / 1e6,
            unit="MB/s",
            baseline_name="over UDP, one core for both ends",
            baseline_value=size / direct / 1e6,
            ratio=better(size / through, size / direct, lower_is_better=False),
        ),
    ]


async def _transfers(trunk: TrunkConfig, size: int, repeats: int) -> float:
    """Return the processor seconds of a transfer to a node that is, or is not, on a trunk."""
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(await _server())
        base = Config(listen=LOOPBACK, bootstrap=(str(server.endpoints[0]),), dht=DhtConfig(mode="client"))
        one = await stack.enter_async_context(Node(replace(base, hostname="one", trunk=TrunkConfig(mode="off"))))
        other = await stack.enter_async_context(Node(replace(base, hostname="other", trunk=trunk)))
        async with asyncio.timeout(JOINED_WITHIN_S):
            while not (other.info().is_joined and (trunk.mode == "off" or other.info().trunk is not None)):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        await one.handshake(other.did, "benchmark")
        await other.approve(one.did)
        other.rooms.tunnels.listen(PORT, _sink)
        return statistics.median([await _transfer(one, other, size) for _ in range(repeats)])


async def _server() -> Node:
    """Return a server that serves trunks at the number of its UDP port, where nodes look for them."""
    with contextlib.closing(await asyncio.start_server(_refuse, LOOPBACK.host, 0)) as probe:
        port = int(probe.sockets[0].getsockname()[1])
    place = Endpoint(LOOPBACK.host, port)
    return Node(Config(hostname="server", listen=place, trunk=TrunkConfig(listen=place, **ROOMY)))


async def _refuse(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _transfer(one: Node, other: Node, size: int) -> float:
    async with await one.dial(other.did, PORT) as stream:
        await asyncio.sleep(0.5)
        began = time.process_time()
        for _ in range(size // len(CHUNK)):
            await stream.write(CHUNK)
        await stream.write_eof()
        await stream.read()
        return time.process_time() - began


async def _sink(stream: Stream) -> None:
    size = 0
    async for chunk in stream:
        size += len(chunk)
    await stream.write(b"%d" % size)
