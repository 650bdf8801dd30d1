"""Tunnels over real sockets of the loopback interface."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from pilotdht.config.tunnel import TunnelConfig
from pilotdht.errors import LinkClosed, Unreachable
from pilotdht.net.socket import UdpNetwork
from pilotdht.tasks import TaskScope
from pilotdht.tunnel.stream import Stream
from pilotdht.wire.endpoint import Endpoint
from tests.support.tunnel_nodes import ECHO_PORT, TunnelNode, read_all, real_node, serve_echo

pytestmark = pytest.mark.integration


@asynccontextmanager
async def offloading_node(number: int, *, config: TunnelConfig | None = None) -> AsyncIterator[TunnelNode]:
    """A node on the socket that nodes really use, with segmentation offload where the kernel has it."""
    nodes: list[TunnelNode] = []
    socket = await UdpNetwork().open(Endpoint("127.0.0.1", 0), lambda batch: nodes[0].tunnels.datagrams_received(batch))
    async with TaskScope(f"node-{number}") as scope:
        [endpoint] = socket.local_endpoints
        nodes.append(TunnelNode(number, endpoint, socket.send_train, scope, config or TunnelConfig()))
        try:
            yield nodes[0]
        finally:
            await nodes[0].tunnels.close_all()
            await socket.close()


async def _echo(node: TunnelNode, peer: TunnelNode, content: bytes) -> bytes:
    async with await node.tunnels.open_stream(peer.key, [peer.endpoint], ECHO_PORT) as stream:

        async def write() -> None:
            await stream.write(content)
            await stream.write_eof()

        async with asyncio.TaskGroup() as group:
            group.create_task(write())
            return await read_all(stream)


@pytest.mark.asyncio
async def test_stream_to_echo_port_returns_the_same_bytes() -> None:
    """What is written to an echo port comes back, both keys proved."""
    async with real_node(1) as one, real_node(2) as two:
        serve_echo(two)
        sent = bytes(range(256)) * 20_000

        assert sent == await _echo(one, two, sent)
        accepted = two.tunnels.link_to(one.key)
        assert accepted is not None
        assert one.key == accepted.peer_key


@pytest.mark.asyncio
@pytest.mark.parametrize("size", [1350, 8900])
async def test_bulk_over_offloading_sockets_arrives_unchanged(size: int) -> None:
    """Trains of datagrams through segmentation offload, both directions at once, key changes on the way."""
    config = TunnelConfig(max_datagram_bytes=size, key_update_packets=500)
    async with offloading_node(1, config=config) as one, offloading_node(2, config=config) as two:
        serve_echo(one, two)
        content = random.Random(1).randbytes(8_000_000)
        digest = hashlib.sha256(content).digest()
        link = await one.tunnels.dial(two.key, [two.endpoint])
        await link.ping()
        async with asyncio.TaskGroup() as group:
            echoes = [group.create_task(_echo(a, b, content)) for a, b in ((one, two), (two, one))]

        assert [digest, digest] == [hashlib.sha256(echo.result()).digest() for echo in echoes]
        assert [link] == list(one.tunnels.links())
        assert link.connection.key_changes >= 1
        assert 0 == one.metrics.dropped["internal"] + two.metrics.dropped["internal"]


@pytest.mark.asyncio
async def test_thousand_requests_at_once_are_answered() -> None:
    """Each on a stream of its own."""
    async with offloading_node(1) as one, offloading_node(2) as two:
        serve_echo(two)
        async with asyncio.TaskGroup() as group:
            echoes = [group.create_task(_echo(one, two, b"%d" % number)) for number in range(1000)]

        assert [b"%d" % number for number in range(1000)] == [echo.result() for echo in echoes]


@pytest.mark.asyncio
async def test_mesh_of_ten_nodes_has_one_link_a_pair() -> None:
    """Everybody asks everybody at once, from both sides."""
    async with asyncio.timeout(30):
        await _mesh([], 10)


async def _mesh(nodes: list[TunnelNode], more: int) -> None:
    if more:
        async with offloading_node(len(nodes), config=TunnelConfig(drain_s=0.2, housekeeping_s=0.1)) as node:
            await _mesh([*nodes, node], more - 1)
        return
    serve_echo(*nodes)
    async with asyncio.TaskGroup() as group:
        echoes = [group.create_task(_echo(a, b, b"hello")) for a in nodes for b in nodes if a is not b]
    assert {b"hello"} == {echo.result() for echo in echoes}
    for node in nodes:
        peers = {link.peer_key for link in node.tunnels.links()}
        assert {other.key for other in nodes if other is not node} == peers


@pytest.mark.asyncio
async def test_node_that_stops_leaves_no_task_and_its_peer_is_told() -> None:
    """Closing ends streams on both sides, and nothing runs on."""
    before = len(asyncio.all_tasks())
    async with offloading_node(1, config=TunnelConfig(handshake_timeout_s=1)) as one:
        async with offloading_node(2) as two:
            two.tunnels.listen(9, _wait_for_ever)
            stream = await one.tunnels.open_stream(two.key, [two.endpoint], 9)
        with pytest.raises(LinkClosed):
            await stream.read()
        with pytest.raises(Unreachable):
            await one.tunnels.dial(two.key, [two.endpoint])
    assert before == len(asyncio.all_tasks())


async def _wait_for_ever(stream: Stream) -> None:
    await asyncio.get_running_loop().create_future()
