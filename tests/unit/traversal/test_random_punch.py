"""Meeting by chance: who does what, and within which bounds."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from pilotdht.config.roads import RoadConfig
from pilotdht.net.datagrams import PUNCH
from pilotdht.net.switchboard import is_relayed, is_virtual
from pilotdht.traversal.random_punch import RandomPunch, opens_many, probes_many, punch_token
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.traversal_messages import NatMapping
from simulations.engine.virtual_loop import run_virtually
from simulations.world.network import MemoryNetwork
from tests.support.net_nodes import CALM, NetNode, key_pair, virtual_node

PEER = key_pair(9).public_key
THERE = Endpoint("45.1.2.3", 4000)
SMALL = RoadConfig(random_sockets=8, random_probes=64, random_wait_s=1.0)


def punch_of(node: NetNode, network: MemoryNetwork, config: RoadConfig = SMALL) -> RandomPunch:
    """Return what tries for a node."""
    return RandomPunch(
        node.keys.public_key,
        socket=node.socket,
        network=network,
        listen=node.socket.local_endpoints[0],
        config=config,
        random=Random(1),
    )


class Wall:
    """Lets nothing through, and writes down what was sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[Endpoint, Endpoint]] = []

    def __call__(self, source: Endpoint, target: Endpoint) -> bool:
        """Take in one datagram."""
        self.sent.append((source, target))
        return False


@pytest.mark.parametrize(
    ("own", "theirs", "roles"),
    [
        (NatMapping.ADDRESS_AND_PORT_DEPENDENT, NatMapping.ENDPOINT_INDEPENDENT, (True, False)),
        (NatMapping.ENDPOINT_INDEPENDENT, NatMapping.ADDRESS_DEPENDENT, (False, True)),
        (NatMapping.NONE, NatMapping.ADDRESS_AND_PORT_DEPENDENT, (False, True)),
        (NatMapping.ADDRESS_AND_PORT_DEPENDENT, NatMapping.ADDRESS_AND_PORT_DEPENDENT, (False, False)),
        (NatMapping.UNKNOWN, NatMapping.ADDRESS_AND_PORT_DEPENDENT, (False, False)),
        (NatMapping.ENDPOINT_INDEPENDENT, NatMapping.NONE, (False, False)),
    ],
)
def test_each_side_knows_its_part(own: NatMapping, theirs: NatMapping, roles: tuple[bool, bool]) -> None:
    """Where both are random it would take 170,000 datagrams: nobody begins."""
    assert roles == (opens_many(own, theirs), probes_many(own, theirs))


def test_both_sides_write_the_same_token() -> None:
    """And another one for another pair."""
    one, other, third = (key_pair(number).public_key for number in (1, 2, 3))
    assert punch_token(one, other) == punch_token(other, one)
    assert punch_token(one, other) != punch_token(one, third)


def test_probes_go_to_different_ports_of_one_address_at_a_bounded_rate() -> None:
    """Private endpoints, and others than the first address, are left alone."""

    async def main() -> None:
        network = MemoryNetwork(seed=1, conditions=CALM)
        async with virtual_node(network, 1) as node:
            network.allows = wall = Wall()
            began = network.loop.time()
            offered = [Endpoint("192.168.1.1", 4), THERE, Endpoint("45.9.9.9", 5)]
            await punch_of(node, network).probe_many(PEER, offered, lambda: False)
            assert {THERE.host} == {target.host for _, target in wall.sent}
            assert SMALL.random_probes == len({target.port for _, target in wall.sent}) == len(wall.sent)
            assert network.loop.time() - began >= 0.9 * SMALL.random_probes / SMALL.random_probes_per_s

    run_virtually(main())


def test_probing_ends_as_soon_as_the_two_have_met() -> None:
    """The rest of the budget is not spent."""

    async def main() -> None:
        network = MemoryNetwork(seed=1, conditions=CALM)
        async with virtual_node(network, 1) as node:
            network.allows = wall = Wall()
            await punch_of(node, network).probe_many(PEER, [THERE], lambda: len(wall.sent) >= 20)
            assert 20 <= len(wall.sent) < SMALL.random_probes

    run_virtually(main())


def test_one_try_at_a_time_with_a_pause_between() -> None:
    """Routers keep state for each port."""

    async def main() -> None:
        network = MemoryNetwork(seed=1, conditions=CALM)
        async with virtual_node(network, 1) as node:
            network.allows = Wall()
            punch = punch_of(node, network)
            trying = asyncio.ensure_future(punch.probe_many(PEER, [THERE], lambda: False))
            await asyncio.sleep(0.05)
            assert not punch.is_free(network.loop.time())
            await trying
            assert not punch.is_free(network.loop.time() + SMALL.random_pause_s - 1)
            assert punch.is_free(network.loop.time() + SMALL.random_pause_s)

    run_virtually(main())


def test_socket_that_is_hit_becomes_a_road_and_the_others_are_closed() -> None:
    """Datagrams go both ways through it, from the one that hit it alone."""

    async def main() -> None:
        network = MemoryNetwork(seed=1, conditions=CALM)
        async with virtual_node(network, 1) as node, virtual_node(network, 2) as other:
            received: list[tuple[bytes, Endpoint]] = []
            node.socket.set_quic_handler(received.extend)
            network.allows = wall = Wall()
            punch = punch_of(node, network)
            opening = asyncio.ensure_future(punch.open_many(other.keys.public_key, [THERE]))
            await asyncio.sleep(0.2)
            doors = [source for source, _ in wall.sent]
            assert SMALL.random_sockets == len(set(doors))
            network.allows = None
            token = punch_token(node.keys.public_key, other.keys.public_key)
            other.socket.send(bytes((PUNCH,)) + bytes(8), doors[2])  # another pair's
            other.socket.send(bytes((PUNCH,)) + token, doors[3])
            endpoint = await opening
            assert endpoint is not None
            assert is_virtual(endpoint)
            assert not is_relayed(endpoint)
            there = other.socket.local_endpoints[0]
            assert there == punch.remote_of(endpoint)

            heard: list[tuple[bytes, Endpoint]] = []
            other.socket.set_quic_handler(heard.extend)
            node.socket.send(b"\x40there", endpoint)
            other.socket.send(b"\x40here", doors[3])
            other.socket.send(b"\x40closed", doors[4])
            await asyncio.sleep(0.2)
            assert [(b"\x40there", doors[3])] == heard
            assert [(b"\x40here", endpoint)] == received
            await punch.close(endpoint)
            await punch.close(endpoint)
            node.socket.send(b"\x40late", endpoint)
            await asyncio.sleep(0.2)
            assert 1 == len(heard)

    run_virtually(main())


def test_sockets_that_nobody_hits_are_closed() -> None:
    """And the try has failed, in a bounded time."""

    async def main() -> None:
        network = MemoryNetwork(seed=1, conditions=CALM)
        async with virtual_node(network, 1) as node:
            network.allows = wall = Wall()
            began = network.loop.time()
            assert await punch_of(node, network).open_many(PEER, [THERE]) is None
            assert network.loop.time() - began < SMALL.random_wait_s + 1
            assert SMALL.random_sockets == len({source for source, _ in wall.sent})
            assert await punch_of(node, network).open_many(PEER, [Endpoint("10.0.0.9", 1)]) is None

    run_virtually(main())


def test_try_that_is_cut_short_leaves_no_socket_open() -> None:
    """A node that closes meanwhile frees all ports of its host."""

    async def main() -> None:
        network = MemoryNetwork(seed=1, conditions=CALM)
        async with virtual_node(network, 1) as node:
            network.allows = wall = Wall()
            trying = asyncio.ensure_future(punch_of(node, network).open_many(PEER, [THERE]))
            await asyncio.sleep(0.2)
            doors = list(dict.fromkeys(source for source, _ in wall.sent))
            assert SMALL.random_sockets == len(doors)
            trying.cancel()
            await asyncio.wait([trying])
            for door in doors:  # a port that is still held could not be bound
                await (await network.open(door, lambda _batch: None)).close()

    run_virtually(main())
