"""Several nodes behind one router: what they say to each other tells nothing about who reaches them from outside."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from pilotdht.config.config import Config
from pilotdht.identity.keys import KeyPair
from pilotdht.node.node import Node
from pilotdht.wire.contact import Contact
from pilotdht.wire.dht_messages import Ping
from pilotdht.wire.endpoint import Endpoint
from simulations.engine.virtual_loop import run_virtually
from tests.support.nat_mesh import NatMesh

pytestmark = [pytest.mark.simulation, pytest.mark.timeout(120)]


def neighbour_of_home(mesh: NatMesh, number: int) -> Node:
    """Return a node behind the router of ``home``, not started yet."""
    host = f"192.168.1{number}.2"
    mesh.world.network.place_behind(host, mesh.nats["home"])
    seeds = tuple(str(node.endpoints[0]) for node in mesh.servers[:3])
    config = Config(hostname=f"neighbour-{number}", listen=Endpoint(host, 4000), bootstrap=seeds)
    return Node(config, keys=KeyPair.from_seed(bytes([number]) * 32), doors=mesh.world.doors(100 + number))


def test_node_whom_only_neighbours_reach_stays_attached_to_servers() -> None:
    """Two neighbours ask it something at its private endpoint: it is still found by who stands outside."""

    async def main() -> None:
        async with NatMesh() as mesh, contextlib.AsyncExitStack() as stack:
            home = await mesh.add("home", "port_restricted")
            stranger = await mesh.add("stranger", "symmetric")
            neighbours = [await stack.enter_async_context(neighbour_of_home(mesh, number)) for number in (1, 2)]
            await asyncio.sleep(30)
            assert 3 == len(home.rooms.traversal.introducers)
            inside = home.rooms.socket.local_endpoints[0]
            for node in neighbours:
                await node.rooms.socket.rpc.request(Contact(home.public_key, inside), Ping())
            await asyncio.sleep(30)
            assert 3 == len(home.rooms.traversal.introducers)
            await stranger.connect("home")

    run_virtually(main())
