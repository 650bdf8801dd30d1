"""Whole nodes behind simulated NATs reach each other: by a server at once, directly soon after where NATs allow."""

from __future__ import annotations

import asyncio

import pytest

from pilotdht.net.switchboard import is_relayed
from pilotdht.node.node import Node
from pilotdht.services.ports import WellKnownPort
from pilotdht.tunnel.link import Link
from simulations.engine.virtual_loop import run_virtually
from tests.support.nat_mesh import NatMesh
from tests.support.nodes import befriend

pytestmark = [pytest.mark.simulation, pytest.mark.timeout(120)]

SETTLED_S = 30.0
"""A node behind a NAT knows by then that it is, and is attached to servers."""


def link_of(one: Node, other: Node) -> Link:
    """Return the link between two nodes."""
    link = one.rooms.tunnels.link_to(other.public_key)
    assert link is not None
    assert link.endpoint is not None
    return link


async def echoed(one: Node, other: Node, data: bytes) -> bytes:
    """Send data to the echo of another node and return what comes back."""
    async with await one.dial(other.did, WellKnownPort.ECHO) as stream:
        reading = asyncio.ensure_future(stream.read_exactly(len(data)))
        await stream.write(data)
        return await reading


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("public", "port_restricted"),
        ("port_restricted", "public"),
        ("full_cone", "full_cone"),
        ("restricted", "port_restricted"),
        ("port_restricted", "port_restricted"),
        ("cgnat", "port_restricted"),
        ("symmetric", "public"),
        ("public", "symmetric"),
        ("symmetric", "restricted"),
        ("restricted", "symmetric"),
    ],
)
def test_pair_that_can_meet_is_usable_at_once_and_direct_soon(left: str, right: str) -> None:
    """By hostname, at 40 ms round trip: a link within four round trips, a direct one within as many again."""

    async def main() -> None:
        async with NatMesh() as mesh:
            one, other = await mesh.add("one", left), await mesh.add("other", right)
            await asyncio.sleep(SETTLED_S)
            loop = asyncio.get_running_loop()
            began = loop.time()
            await one.connect("other")
            took_s = loop.time() - began
            while is_relayed(link_of(one, other).endpoint or one.endpoints[0]):
                await asyncio.sleep(0.005)
                assert loop.time() - began < 1.0, "no direct road"
            direct_s = loop.time() - began
            assert took_s < 0.25
            assert direct_s < 0.40
            await asyncio.sleep(1)
            for here, there in ((one, other), (other, one)):
                endpoint = link_of(here, there).endpoint
                assert endpoint is not None
                assert not is_relayed(endpoint)

    run_virtually(main())


def test_pair_that_cannot_meet_stays_on_a_relay_and_works() -> None:
    """Two random-port NATs: all goes through a server, and arrives whole."""

    async def main() -> None:
        async with NatMesh() as mesh:
            one, other = await mesh.add("one", "symmetric"), await mesh.add("other", "symmetric")
            await asyncio.sleep(SETTLED_S)
            await befriend(one, other)
            data = bytes(range(256)) * 4000
            assert data == await echoed(one, other, data)
            endpoint = link_of(one, other).endpoint
            assert endpoint is not None
            assert is_relayed(endpoint)

    run_virtually(main())


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(("left", "right"), [("port_restricted", "symmetric"), ("symmetric", "cgnat")])
def test_random_ports_meet_foreseen_ones_by_chance(left: str, right: str, seed: int) -> None:
    """Within ten seconds, and a stated number of small datagrams, once the two trust each other; not before."""

    async def main() -> None:
        async with NatMesh(seed=seed) as mesh:
            one, other = await mesh.add("one", left), await mesh.add("other", right)
            await asyncio.sleep(SETTLED_S)
            await one.connect("other")
            await asyncio.sleep(20)
            assert is_relayed(link_of(one, other).endpoint or one.endpoints[0])
            assert 0 == one.rooms.traversal.punches_sent + other.rooms.traversal.punches_sent
            await befriend(one, other)
            await one.disconnect("other")
            await asyncio.sleep(1)
            await one.connect("other")
            await asyncio.sleep(10)
            for here, there in ((one, other), (other, one)):
                assert not is_relayed(link_of(here, there).endpoint or here.endpoints[0])
            assert one.rooms.traversal.punches_sent + other.rooms.traversal.punches_sent <= 256 + 1024
            assert bytes(100_000) == await echoed(one, other, bytes(100_000))

    run_virtually(main())


def test_transfer_survives_routers_that_forget() -> None:
    """Both NATs lose all mappings, one after the other; the link finds its way and no byte is lost."""

    async def main() -> None:
        async with NatMesh() as mesh:
            one, other = await mesh.add("one", "port_restricted"), await mesh.add("other", "port_restricted")
            await asyncio.sleep(SETTLED_S)
            await befriend(one, other)
            data = bytes(range(256)) * 8000
            async with await one.dial(other.did, WellKnownPort.ECHO) as stream:
                reading = asyncio.ensure_future(stream.read_exactly(len(data)))
                for part, name in enumerate(("one", "other", "one", "other")):
                    await stream.write(data[part * 512_000 : (part + 1) * 512_000])
                    mesh.nats[name].forget()
                assert data == await asyncio.wait_for(reading, 30)

    run_virtually(main())


def test_link_whose_relay_dies_moves_to_another() -> None:
    """The called node is attached to three servers: the stream goes on within five seconds."""

    async def main() -> None:
        async with NatMesh(servers=5) as mesh:
            one, other = await mesh.add("one", "symmetric"), await mesh.add("other", "symmetric")
            await asyncio.sleep(SETTLED_S)
            await befriend(one, other)
            loop = asyncio.get_running_loop()
            async with await one.dial(other.did, WellKnownPort.ECHO) as stream:
                await stream.write(b"before")
                assert b"before" == await stream.read_exactly(6)
                endpoint = link_of(one, other).endpoint
                assert endpoint is not None
                relay = one.rooms.traversal.relay_of(endpoint)
                assert relay is not None
                dead = next(node for node in mesh.servers if node.public_key == relay.public_key)
                await dead.abort()
                began = loop.time()
                await stream.write(b"after")
                assert b"after" == await asyncio.wait_for(stream.read_exactly(5), 10)
                assert loop.time() - began < 5.0

    run_virtually(main())


def test_nodes_behind_nats_serve_when_strangers_knock_and_get_in() -> None:
    """A cloud machine with a public address that it does not know is found out; homes stay clients.

    Both keep servers: the one to be called through, the other to keep open what its router lets everybody in by.
    """

    async def main() -> None:
        async with NatMesh(servers=80) as mesh:
            cloud, home = await mesh.add("cloud", "full_cone"), await mesh.add("home", "port_restricted")
            await asyncio.sleep(1)
            assert [True, True] == [node.rooms.socket.rpc.is_client for node in (cloud, home)]
            await asyncio.sleep(60)
            assert [False, True] == [node.rooms.socket.rpc.is_client for node in (cloud, home)]
            assert [3, 3] == [len(node.rooms.traversal.introducers) for node in (cloud, home)]

    run_virtually(main())
