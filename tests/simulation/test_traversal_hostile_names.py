"""Peers and servers that lie to whole nodes: what victims get of it is bounded, and honest ones find each other."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from pilotdht.config.relay import RelayConfig
from pilotdht.config.roads import RoadConfig
from pilotdht.errors import Overloaded
from pilotdht.node.node import Node
from pilotdht.services.ports import WellKnownPort
from pilotdht.traversal import knocking
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.traversal_messages import KnockFor, Meet, NatMapping, Ring, SendKnocks
from simulations.engine.virtual_loop import run_virtually
from simulations.world.network import MemoryNetwork
from tests.support.nat_mesh import NatMesh
from tests.support.net_nodes import CALM
from tests.support.nodes import befriend
from tests.support.relay_nodes import RelayNode, reached, virtual_relay_node
from tests.support.traversal_liars import Spot

pytestmark = [pytest.mark.simulation, pytest.mark.timeout(180)]

SETTLED_S = 30.0
VICTIM = "99.1.1.1"
PACKET_BYTES = 240
"""More than any packet of those that are sent unasked has."""
SENT_TWICE = 2


def victims(network: MemoryNetwork, count: int = 8) -> list[Spot]:
    """Return endpoints of one host that never sends anything."""
    return [Spot(network, Endpoint(VICTIM, 4000 + number), None) for number in range(count)]


def bytes_at(spots: list[Spot]) -> int:
    """Return what they got in all."""
    return sum(sum(spot.got.values()) for spot in spots)


def seen_by(asked: Node, asking: Node) -> Contact:
    """Return a node as another one sees it."""
    return Contact(asked.public_key, asked.rooms.socket.local_endpoints[0])


async def asked_to_meet(liar: Node, node: Node, spots: list[Spot], seconds: int) -> None:
    """Have a liar say for a while, ten times a second, that it is at these endpoints."""
    message = Meet(tuple(spot.endpoint for spot in spots), NatMapping.ENDPOINT_INDEPENDENT)
    for _ in range(10 * seconds):
        liar.rooms.socket.rpc.tell(seen_by(node, liar), message)
        await asyncio.sleep(0.1)


def test_liars_with_links_cannot_aim_a_node_at_a_victim() -> None:
    """Five strangers for a minute: the victim gets the first burst and then a packet a second, whoever asks."""

    async def main() -> None:
        async with NatMesh() as mesh:
            node = await mesh.add("node", "public")
            liars = [await mesh.add(f"liar-{number}", "public") for number in range(5)]
            for liar in liars:
                await liar.connect(node.did)
            spots = victims(mesh.world.network)
            async with asyncio.TaskGroup() as group:
                for liar in liars:
                    group.create_task(asked_to_meet(liar, node, spots, 60))
            config = RoadConfig()
            tries = config.host_try_burst + 61 * config.tries_per_host_s
            assert 0 < bytes_at(spots) <= tries * SENT_TWICE * PACKET_BYTES

    run_virtually(main())


def test_trusted_peer_is_heeded_but_has_its_bounds_too() -> None:
    """Eight endpoints, four packets each, once a second: it is known who did it, and can be revoked."""

    async def main() -> None:
        async with NatMesh() as mesh:
            node, liar = await mesh.add("node", "public"), await mesh.add("liar", "public")
            await befriend(liar, node)
            await liar.connect(node.did)
            spots = victims(mesh.world.network)
            await asked_to_meet(liar, node, spots, 20)
            await asyncio.sleep(5)
            assert 0 < bytes_at(spots) <= 21 * len(spots) * 4 * PACKET_BYTES

    run_virtually(main())


def test_liars_do_not_keep_an_honest_stranger_from_a_direct_road() -> None:
    """What they use up is that of the host which they name, not that of all others."""

    async def main() -> None:
        async with NatMesh() as mesh:
            node, liar = await mesh.add("node", "port_restricted"), await mesh.add("liar", "public")
            home = await mesh.add("home", "port_restricted")
            await asyncio.sleep(SETTLED_S)
            await liar.connect(node.did)
            spots = victims(mesh.world.network)
            (link,) = [one for one in liar.connections() if one.address == node.address]
            message = Meet(tuple(spot.endpoint for spot in spots), NatMapping.ENDPOINT_INDEPENDENT)
            for _ in range(200):
                liar.rooms.socket.rpc.tell(Contact(node.public_key, link.endpoint), message)
                await asyncio.sleep(0.1)
            assert bytes_at(spots) > 0
            await home.connect("node")
            await asyncio.sleep(2)
            assert [None] == [one.relay for one in home.connections() if one.address == node.address]

    run_virtually(main())


def test_servers_cannot_have_nodes_knock_much_at_a_victim() -> None:
    """Whoever asks: the burst, and five small pings a second, each sent twice."""

    async def main() -> None:
        async with NatMesh() as mesh:
            node, *liars = mesh.servers
            spots = victims(mesh.world.network, 1)
            knocked = Contact(liars[0].public_key, spots[0].endpoint)
            for _ in range(300):
                for liar in liars:
                    liar.rooms.socket.rpc.tell(seen_by(node, liar), KnockFor(knocked))
                await asyncio.sleep(0.1)
            pings = knocking.KNOCK_BURST + 31 * knocking.KNOCKS_PER_S
            assert 0 < bytes_at(spots) <= pings * SENT_TWICE * PACKET_BYTES

    run_virtually(main())


def test_nobody_is_knocked_for_where_it_does_not_receive() -> None:
    """A request in a victim's name is not passed on, however often it comes."""

    async def main() -> None:
        async with NatMesh() as mesh:
            node = mesh.servers[0]
            spots = victims(mesh.world.network, 1)
            sent = bytes_at(spots)
            liar = mesh.servers[1]
            for _ in range(50):
                liar.rooms.socket.rpc.tell(Contact(node.public_key, spots[0].endpoint), SendKnocks())
                await asyncio.sleep(0.1)
            arrived = bytes_at(spots)  # what the liar sent there itself
            await asyncio.sleep(10)
            assert sent < arrived == bytes_at(spots)

    run_virtually(main())


@pytest.mark.parametrize("which", [0, 1, 2])
def test_introducer_that_gives_channels_and_forwards_nothing_does_not_cut_a_node_off(which: int) -> None:
    """Whichever of the three it is: another one's channel is used, before the caller loses patience."""

    async def main() -> None:
        async with NatMesh(servers=5) as mesh:
            one, other = await mesh.add("one", "symmetric"), await mesh.add("other", "symmetric")
            await asyncio.sleep(SETTLED_S)
            liar = other.rooms.traversal.introducers[which].public_key
            for server in mesh.servers:
                if server.public_key == liar:
                    server.rooms.socket.set_relayed_handler(lambda _batch: None)
            loop = asyncio.get_running_loop()
            began = loop.time()
            await one.connect("other")
            assert loop.time() - began < 2.0
            await befriend(one, other)
            async with await one.dial(other.did, WellKnownPort.ECHO) as stream:
                await stream.write(b"heard")
                assert b"heard" == await stream.read_exactly(5)

    run_virtually(main())


def test_introducer_that_rings_without_a_caller_takes_its_own_share_of_channels_only() -> None:
    """A thousand calls of nobody: the node is called through the others all the same, and forgets the liar's soon."""

    async def main() -> None:
        async with NatMesh(servers=5) as mesh:
            one, other = await mesh.add("one", "symmetric"), await mesh.add("other", "symmetric")
            await asyncio.sleep(SETTLED_S)
            liar = next(
                server
                for server in mesh.servers
                if server.public_key == other.rooms.traversal.introducers[0].public_key
            )
            attached = liar.rooms.traversal.relay_use().attached
            assert attached > 0
            outside = Contact(other.public_key, liar_view(liar, other))
            for number in range(1000):
                caller = mesh.servers[number % 5].public_key
                liar.rooms.socket.rpc.tell(outside, Ring(caller, number.to_bytes(8, "big")))
                if number % 20 == 0:
                    await asyncio.sleep(0.05)
            await asyncio.sleep(0.5)
            limit = other.config.relay.max_open
            held = other.rooms.traversal.relay_use().own_channels
            assert 0 < held <= limit // 2
            await one.connect("other")
            await asyncio.sleep(130)
            assert other.rooms.traversal.relay_use().own_channels <= 6

    run_virtually(main())


def liar_view(server: Node, node: Node) -> Endpoint:
    """Return where a server hears a node that is attached to it."""
    road = server.rooms.traversal.road(node.public_key, ())
    assert road is not None
    return road


def test_slow_clients_hold_no_more_than_their_share_and_for_no_longer_than_their_time() -> None:
    """Eight of one network attach, call, and never send a frame: others find room, and all channels end."""

    async def main() -> None:
        relay = RelayConfig(max_attached=6, attached_per_prefix=4, max_channels=6, channels_per_prefix=3)
        network = MemoryNetwork(seed=1, conditions=CALM)
        async with AsyncExitStack() as stack:

            async def node(seed: int, host: str) -> RelayNode:
                return await stack.enter_async_context(virtual_relay_node(network, seed, host=host, relay=relay))

            server, target, honest = await node(1, "203.0.1.1"), await node(2, "203.0.2.1"), await node(3, "203.0.3.1")
            await target.attach(server)
            slow = [await node(10 + number, f"198.51.100.{number + 1}") for number in range(8)]
            refused = 0
            for one in slow:
                await one.attach(server)
                try:
                    await one.client.call(server.contact, target.keys.public_key)
                except Overloaded:
                    refused += 1
            assert (5, 3, 5) == (len(server.server.attached), len(server.server.channels), refused)
            await reached(honest, server, target)
            await asyncio.sleep(130)
            assert 0 == len(server.server.channels)
            assert 0 == len(target.client)

    run_virtually(main())
