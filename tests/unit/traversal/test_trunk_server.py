"""A server of trunks and its clients under a virtual clock: who is served, what passes, and what nobody gets."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from pilotdht.config.trunk import TrunkConfig
from pilotdht.net.datagrams import HELLO
from pilotdht.net.doors import Batch
from pilotdht.net.hello import HELLO_BYTES
from pilotdht.traversal.trunk.frames import HEARTBEAT, encode_frames
from pilotdht.wire.endpoint import Endpoint
from simulations.engine.virtual_loop import run_virtually
from simulations.world.world import virtual_doors
from tests.support.trunk_streams import PLACE, SERVER, TrunkWorld, opened, refused, trunk_world

QUIC = b"\x40 a packet"
DNS = Endpoint("192.0.2.53", 53)
"""Somebody who is no node."""


async def bystander(world: TrunkWorld, endpoint: Endpoint) -> list[bytes]:
    """Open a plain UDP socket somewhere; return what it gets, as it comes."""
    got: list[bytes] = []

    def receive(batch: Batch) -> None:
        got.extend(datagram for datagram, _ in batch)

    await virtual_doors(world.network, seed=1, node=77).network.open(endpoint, receive)
    return got


def test_client_reaches_a_node_of_the_mesh_and_is_answered() -> None:
    """Its datagram waits for one greeting, the second one does not; the peer sees it at a port of the server."""

    async def main() -> None:
        async with trunk_world() as world, world.node(5) as peer:
            client = world.client(2)
            trunk = await opened(client)
            assert SERVER == replace_port(trunk.remote, SERVER.port)
            riding = asyncio.ensure_future(trunk.run())
            seen: list[tuple[bytes, Endpoint]] = []
            peer.socket.set_quic_handler(seen.extend)
            assert trunk.carry([QUIC, QUIC + b"2"], peer.endpoint)
            await asyncio.sleep(0.1)
            assert [QUIC, QUIC + b"2"] == [datagram for datagram, _ in seen]
            (at,) = {endpoint for _, endpoint in seen}
            assert SERVER.host == at.host
            assert 1 == world.counts.greetings
            peer.socket.send(b"\x41 back", at)
            await asyncio.sleep(0.1)
            assert [(b"\x41 back", peer.endpoint)] == client.received
            trunk.carry([QUIC], peer.endpoint)
            await asyncio.sleep(0.1)
            assert (3, 1) == (len(seen), world.counts.greetings)
            assert {"in": 1, "out": 3} == world.counts.datagrams
            assert {} == world.counts_of_drops
            riding.cancel()

    run_virtually(main())


def replace_port(endpoint: Endpoint, port: int) -> Endpoint:
    """Return another port of a host."""
    return Endpoint(endpoint.host, port)


def test_strangers_reach_a_client_with_what_nodes_send_alone() -> None:
    """Whoever sends there is let in, with other things he is not."""

    async def main() -> None:
        async with trunk_world() as world, world.node(5) as peer:
            client = world.client(2)
            trunk = await opened(client)
            riding = asyncio.ensure_future(trunk.run())
            assert world.server is not None
            (port,) = [allocation.port for allocation in world.server.allocations]
            for datagram in (QUIC, b"\x24punch", b"\x00\x01dns"):
                peer.socket.send(datagram, Endpoint(SERVER.host, port))
            await asyncio.sleep(0.1)
            assert [(QUIC, peer.endpoint)] == client.received
            assert {"kind": 2} == world.counts_of_drops
            riding.cancel()

    run_virtually(main())


def test_two_clients_of_two_servers_meet() -> None:
    """Each server greets the other's client, whose answer must not wait for the other greeting."""

    async def main() -> None:
        async with trunk_world() as one_world:
            one, other = one_world.client(2), one_world.client(3)
            one_trunk, other_trunk = await opened(one), await opened(other)
            riding = [asyncio.ensure_future(trunk.run()) for trunk in (one_trunk, other_trunk)]
            assert one_world.server is not None
            one_world.own_hosts.clear()  # the server does not know its own address: both sides are strangers to it
            first, second = (allocation for allocation in one_world.server.allocations)
            async with one.node, other.node:
                for client, trunk in ((one, one_trunk), (other, other_trunk)):
                    client.node.socket.detour = trunk
                    client.receive = client.node.socket.receive_detoured
                got: list[tuple[bytes, Endpoint]] = []
                other.node.socket.set_quic_handler(got.extend)
                assert one_trunk.carry([QUIC], Endpoint(SERVER.host, second.port))
                await asyncio.sleep(0.5)
                assert [(QUIC, Endpoint(SERVER.host, first.port))] == got
            for task in riding:
                task.cancel()

    run_virtually(main())


def test_nothing_but_greetings_reaches_who_is_no_node() -> None:
    """A server cannot be used to attack anybody: a flood to somebody else leaves as two small greetings a try."""

    async def main() -> None:
        async with trunk_world() as world:
            got = await bystander(world, DNS)
            trunk = await opened(world.client(2))
            riding = asyncio.ensure_future(trunk.run())
            for _ in range(50):
                trunk.carry([QUIC * 50] * 10, DNS)
                await asyncio.sleep(0.1)
            await asyncio.sleep(2)
            assert {HELLO_BYTES} == {len(datagram) for datagram in got}
            assert {HELLO} == {datagram[0] for datagram in got}
            assert len(got) <= 8
            assert 0 == world.counts.datagrams["out"]
            assert 500 == sum(world.counts_of_drops.values())
            assert {"crowded", "no_node", "silent"} == set(world.counts_of_drops)
            riding.cancel()

    run_virtually(main())


def test_scan_of_the_internet_ends_at_the_budget() -> None:
    """A thousand endpoints at once cost as many greetings as the bounds have it, and what is no node's kind none."""

    async def main() -> None:
        async with trunk_world() as world:
            trunk = await opened(world.client(2))
            riding = asyncio.ensure_future(trunk.run())
            for number in range(1000):
                trunk.carry([QUIC], Endpoint(f"192.0.{number // 250}.{number % 250 + 1}", 9))
                trunk.carry([b"\x00dns"], DNS)
            await asyncio.sleep(0.1)
            assert world.config.greetings_pending == world.counts.greetings
            assert 1000 == world.counts.dropped["kind"]
            assert 1000 - world.config.greetings_pending == world.counts.dropped["crowded"]
            riding.cancel()

    run_virtually(main())


def test_private_network_of_a_public_server_is_out_of_reach() -> None:
    """Not even a greeting goes there, nor to other ports of the server."""

    async def main() -> None:
        async with trunk_world() as world:
            places = [Endpoint("10.0.0.1", 53), Endpoint("127.0.0.1", 53), Endpoint(SERVER.host, 53)]
            trunk = await opened(world.client(2))
            riding = asyncio.ensure_future(trunk.run())
            ((own, _),) = world.streams.opened
            own.write(encode_frames((QUIC, place) for place in places))
            await asyncio.sleep(2)
            assert ({"reach": 3}, 0) == (world.counts_of_drops, world.counts.greetings)
            riding.cancel()

    run_virtually(main())


def test_flood_of_one_client_is_cut_to_its_rate() -> None:
    """The rest is dropped and counted, nothing is queued."""

    async def main() -> None:
        config = TrunkConfig(client_bytes_per_s=100_000, client_burst_bytes=100_000)
        async with trunk_world(config=config) as world, world.node(5) as peer:
            seen: list[tuple[bytes, Endpoint]] = []
            peer.socket.set_quic_handler(seen.extend)
            trunk = await opened(world.client(2))
            riding = asyncio.ensure_future(trunk.run())
            trunk.carry([QUIC], peer.endpoint)
            await asyncio.sleep(0.1)
            for _ in range(10):
                trunk.carry([b"@" * 1000] * 100, peer.endpoint)
                await asyncio.sleep(0.1)
            assert 155 <= len(seen) <= 160
            assert 1000 == world.counts.dropped["client_rate"] + len(seen) - 1
            riding.cancel()

    run_virtually(main())


def test_slow_connection_of_a_client_loses_datagrams() -> None:
    """Nothing piles up for it at the server, nor at the client for the server."""

    async def main() -> None:
        async with trunk_world() as world, world.node(5) as peer:
            client = world.client(2)
            trunk = await opened(client)
            riding = asyncio.ensure_future(trunk.run())
            assert world.server is not None
            (allocation,) = world.server.allocations
            ((own, theirs),) = world.streams.opened
            theirs.backlog_bytes = own.backlog_bytes = world.config.backlog_bytes + 1
            peer.socket.send(QUIC, Endpoint(SERVER.host, allocation.port))
            trunk.carry([QUIC, QUIC], peer.endpoint)
            await asyncio.sleep(0.1)
            assert ({"backlog": 1}, []) == (world.counts_of_drops, client.received)
            assert {"backlog": 2, "oversized": 0} == client.counts.own_dropped
            trunk.carry([b"@" * 2000], peer.endpoint)
            assert 1 == client.counts.own_dropped["oversized"]
            riding.cancel()

    run_virtually(main())


# What ends a trunk


@pytest.mark.parametrize("data", [b"\xff\xff", b"\x00\x01\x06", b"\x00\x08\x06" + bytes(6) + b"@"])
def test_malformed_frame_ends_the_connection(data: bytes) -> None:
    """Nothing after it is read; socket and place are free."""

    async def main() -> None:
        async with trunk_world() as world:
            trunk = await opened(world.client(2))
            running = asyncio.ensure_future(trunk.run())
            ((own, _),) = world.streams.opened
            own.write(data + encode_frames([(QUIC, DNS)]))
            assert "closed" == await running
            assert ({"malformed": 1}, 0) == (world.counts_of_ends, world.counts.greetings)
            assert world.server is not None
            assert (0, 0) == world.server.places_taken

    run_virtually(main())


def test_malformed_frame_of_a_server_ends_the_trunk() -> None:
    """The client trusts it no more than it trusts others."""

    async def main() -> None:
        async with trunk_world() as world:
            trunk = await opened(world.client(2))
            running = asyncio.ensure_future(trunk.run())
            ((_, theirs),) = world.streams.opened
            theirs.write(b"\xff\xff")
            assert "malformed" == await running
            assert not trunk.carry([QUIC], DNS)

    run_virtually(main())


def test_client_that_says_nothing_is_forgotten() -> None:
    """A torn frame keeps no place; keepalives keep one for hours."""

    async def main() -> None:
        async with trunk_world() as world:
            alive = await opened(world.client(2))
            riding = asyncio.ensure_future(alive.run())
            await opened(world.client(3))
            _, (mute, _) = world.streams.opened
            mute.write(encode_frames([(QUIC, DNS)])[:5])
            await asyncio.sleep(2 * world.config.idle_s)
            assert {"idle": 1} == world.counts_of_ends
            assert mute.is_over
            await asyncio.sleep(3600)
            assert not riding.done()
            ((own, _), _) = world.streams.opened
            assert own.written.endswith(HEARTBEAT)
            riding.cancel()

    run_virtually(main())


def test_client_that_comes_back_gets_its_socket_back() -> None:
    """Peers see it at the same port; the old connection is closed."""

    async def main() -> None:
        async with trunk_world(config=TrunkConfig(max_trunks=1)) as world, world.node(5) as peer:
            client = world.client(2)
            before = await opened(client)
            old = asyncio.ensure_future(before.run())
            assert world.server is not None
            (allocation,) = world.server.allocations
            port = allocation.port
            again = await opened(client)
            riding = asyncio.ensure_future(again.run())
            assert "closed" == await old
            assert [port] == [one.port for one in world.server.allocations]
            peer.socket.send(QUIC, Endpoint(SERVER.host, port))
            await asyncio.sleep(1)
            assert [(QUIC, peer.endpoint)] == client.received
            assert ({"replaced": 1}, (0, 1)) == (world.counts_of_ends, world.server.places_taken)
            riding.cancel()

    run_virtually(main())


def test_server_that_vanishes_is_missed_soon() -> None:
    """Twice the silence after something was sent, without any word of TCP."""

    async def main() -> None:
        async with trunk_world() as world:
            trunk = await opened(world.client(2))
            running = asyncio.ensure_future(trunk.run())
            await asyncio.sleep(1)
            begun = asyncio.get_running_loop().time()
            world.streams.vanish(SERVER.host)
            trunk.carry([QUIC], DNS)
            assert "silent" == await running
            assert asyncio.get_running_loop().time() - begun < 2 * world.config.silence_s + 2

    run_virtually(main())


def test_stopped_server_leaves_nothing_open() -> None:
    """Clients are told, sockets are closed."""

    async def main() -> None:
        async with trunk_world() as world:
            trunk = await opened(world.client(2))
            running = asyncio.ensure_future(trunk.run())
            assert world.server is not None
            await world.server.stop()
            assert "closed" == await running
            assert {"stopped": 1} == world.counts_of_ends
            assert "unreachable" == await refused(world.client(3))

    run_virtually(main())


def test_port_of_the_web_that_is_not_to_be_had_is_replaced() -> None:
    """By the TCP port with the number of the UDP port."""

    async def main() -> None:
        async with trunk_world() as world:
            assert world.server is not None
            await world.server.stop()
            world.streams.refused_ports.append(443)
            await world.server.start(Endpoint("::", 443), udp=SERVER)
            assert [SERVER] == list(world.streams.ports)

    run_virtually(main())


def test_first_place_that_proves_itself_wins() -> None:
    """A silent one costs a quarter of a second, one that refuses nothing; the others are given up."""

    async def main() -> None:
        async with trunk_world() as world:
            client = world.client(2)
            loop = asyncio.get_running_loop()
            world.streams.ports[Endpoint("203.0.9.1", 443)] = (lambda incoming: None, b"silent")
            gone = replace(PLACE, host="203.0.8.1")
            begun = loop.time()
            trunk, failures = await client.opener.race([gone, replace(PLACE, host="203.0.9.1"), PLACE, PLACE])
            assert trunk is not None
            assert ["unreachable"] == [failure.result for _, failure in failures]
            assert world.config.stagger_s < loop.time() - begun < world.config.stagger_s + 0.3
            trunk.close()
            nobody, failures = await client.opener.race([gone, gone])
            assert (None, 2) == (nobody, len(failures))

    run_virtually(main())
