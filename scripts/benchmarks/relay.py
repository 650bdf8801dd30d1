"""A tunnel through a relay beside a direct one: three nodes in one process, in processor time for the same bytes.

All three share one core, so that the ratio says how much of the work of a transfer the relay adds.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from dataclasses import replace

from pilotdht.config.config import Config
from pilotdht.config.dht import DhtConfig
from pilotdht.config.relay import RelayConfig
from pilotdht.net.switchboard import is_relayed
from pilotdht.node.node import Node
from pilotdht.tunnel.link import Link
from pilotdht.tunnel.stream import Stream
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from scripts.benchmarks.report import Row, better

LOOPBACK = Endpoint("127.0.0.1", 0)
PORT = 3000
CHUNK = b"x" * 262_144
ATTACHED_WITHIN_S = 20.0
ROOMY = RelayConfig(client_bytes_per_s=1e10, client_burst_bytes=1e9, total_bytes_per_s=1e10, total_burst_bytes=1e9)


def rows(quick: bool) -> list[Row]:
    """Return the figures of relayed tunnels."""
    return asyncio.run(_measured(10_000_000 if quick else 100_000_000, repeats=1 if quick else 3))


async def _measured(size: int, *, repeats: int) -> list[Row]:
    async with contextlib.AsyncExitStack() as stack:
        relay = await stack.enter_async_context(Node(Config(hostname="relay", listen=LOOPBACK, relay=ROOMY)))
        base = Config(listen=LOOPBACK, bootstrap=(str(relay.endpoints[0]),), dht=DhtConfig(mode="client"))
        one = await stack.enter_async_context(Node(replace(base, hostname="one")))
        other = await stack.enter_async_context(Node(replace(base, hostname="other")))
        await one.handshake(other.did, "benchmark")
        await other.approve(one.did)
        other.rooms.tunnels.listen(PORT, _sink)
        async with asyncio.timeout(ATTACHED_WITHIN_S):
            while not other.rooms.traversal.introducers:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.1)
        server = Contact(relay.public_key, relay.endpoints[0])
        relayed = await one.rooms.traversal.roads.call(other.public_key, [server])
        if relayed is None:
            raise RuntimeError("the relay gave no channel")
        returning = await _way_back(one, other, relayed)
        for node in (one, other):
            node.rooms.tunnels.watch_roads(_Stay())
        direct_s, relayed_s = [], []
        for _ in range(repeats):
            direct_s.append(await _transfer(one, other, (other.endpoints[0], one.endpoints[0]), size))
            relayed_s.append(await _transfer(one, other, (relayed, returning), size))
    direct, through = statistics.median(direct_s), statistics.median(relayed_s)
    return [
        Row(
            name=f"{size // 1_000_000} MB through a relay, processor time of all three",
            value=through,
            unit="s",
            baseline_name="the same tunnel, direct, both ends",
            baseline_value=direct,
            ratio=better(through, direct, lower_is_better=True),
        ),
        Row(
            name="through a relay, one core for all three",
            value=size / through / 1e6,
            unit="MB/s",
            baseline_name="direct, one core for both ends",
            baseline_value=size / direct / 1e6,
            ratio=better(size / through, size / direct, lower_is_better=False),
        ),
    ]


class _Stay:
    """Leaves links where they are."""

    def astray(self, link: Link, endpoint: Endpoint) -> None:
        """Do nothing."""

    def in_doubt(self, link: Link) -> None:
        """Do nothing."""


def _links(one: Node, other: Node) -> tuple[Link, Link]:
    """Return both ends of the tunnel between two nodes."""
    link, back = one.rooms.tunnels.link_to(other.public_key), other.rooms.tunnels.link_to(one.public_key)
    if link is None or back is None:
        raise RuntimeError("the tunnel has ended")
    return link, back


async def _way_back(one: Node, other: Node, relayed: Endpoint) -> Endpoint:
    """Return what the other node calls the channel: it hears the first one through it, and proves it."""
    async with await one.dial(other.did, PORT), asyncio.timeout(ATTACHED_WITHIN_S):
        while True:
            _links(one, other)[0].move(relayed)
            await asyncio.sleep(0.2)
            for endpoint in other.rooms.traversal.roads.roads_to(one.public_key):
                if is_relayed(endpoint):
                    return endpoint


async def _transfer(one: Node, other: Node, roads: tuple[Endpoint, Endpoint], size: int) -> float:
    """Return the processor seconds of a transfer along a road, there and back."""
    async with await one.dial(other.did, PORT) as stream:
        for link, road in zip(_links(one, other), roads, strict=True):
            link.move(road)
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
