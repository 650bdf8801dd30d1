"""A tunnel through a relay on real sockets: bytes arrive, over the quota it slows down and does not break."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from pilotdht.config.relay import RelayConfig
from pilotdht.config.tunnel import TunnelConfig
from pilotdht.tasks import TaskScope
from tests.support.relay_nodes import RelayNode, real_relay_node
from tests.support.tunnel_nodes import ECHO_PORT, TunnelNode, read_all, serve_echo

pytestmark = [pytest.mark.integration, pytest.mark.asyncio]


@asynccontextmanager
async def tunnels_of(node: RelayNode, number: int) -> AsyncIterator[TunnelNode]:
    """Open tunnels on the socket of a node."""
    async with TaskScope(f"tunnels-{number}") as scope:
        tunnels = TunnelNode(number, node.endpoint, node.socket.send_train, scope, TunnelConfig())
        node.socket.set_quic_handler(tunnels.tunnels.datagrams_received)
        yield tunnels
        await tunnels.tunnels.close_all()


ROOMY = RelayConfig(client_bytes_per_s=1e9, client_burst_bytes=1e9, total_bytes_per_s=1e9, total_burst_bytes=1e9)
TIGHT = RelayConfig(client_bytes_per_s=400_000, client_burst_bytes=65_536)


@pytest.mark.parametrize(("size", "relay"), [(4_000_000, ROOMY), (600_000, TIGHT)], ids=["roomy", "tight"])
async def test_stream_through_a_relay_returns_the_same_bytes(size: int, relay: RelayConfig) -> None:
    """Neither end notices the relay; the tight one drops what is over its rate."""
    async with (
        real_relay_node(1) as one,
        real_relay_node(2, relay=relay) as server,
        real_relay_node(3) as two,
        tunnels_of(one, 1) as caller,
        tunnels_of(two, 3) as called,
        asyncio.timeout(30),
    ):
        await two.attach(server)
        serve_echo(called)
        endpoint = await one.client.call(server.contact, two.keys.public_key)
        content = random.Random(1).randbytes(size)
        stream = await caller.tunnels.open_stream(called.key, [endpoint], ECHO_PORT)
        async with asyncio.TaskGroup() as group:
            echoed = group.create_task(read_all(stream))
            await stream.write(content)
            await stream.write_eof()
        assert hashlib.sha256(content).digest() == hashlib.sha256(echoed.result()).digest()
        link = caller.tunnels.link_to(called.key)
        assert link is not None
        assert endpoint == link.endpoint
        assert server.counts.bytes > 2 * size
        assert (server.counts.dropped["client_rate"] > 0) == (relay is TIGHT)
