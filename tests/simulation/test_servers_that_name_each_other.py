"""A small mesh of one owner: servers in public that are told of each other, and agents behind one router."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from pilotdht.config.config import Config
from pilotdht.identity.keys import KeyPair
from pilotdht.node.node import Node
from pilotdht.wire.endpoint import Endpoint
from simulations.engine.virtual_loop import run_virtually
from simulations.world.conditions import CONDITIONS
from simulations.world.world import World

pytestmark = [pytest.mark.simulation, pytest.mark.timeout(120)]

SERVERS = [Endpoint(f"45.{100 + number}.0.1", 4433) for number in range(3)]
OFFICE, ROUTER = [Endpoint(f"192.168.1.{number}", 4000) for number in (2, 3)], "81.1.0.1"


def node_at(world: World, number: int, endpoint: Endpoint) -> Node:
    """Return a node that joins through all servers, not started yet."""
    seeds = tuple(str(server) for server in SERVERS)
    config = Config(hostname=f"node-{number}", listen=endpoint, bootstrap=seeds)
    return Node(config, keys=KeyPair.from_seed(bytes([1 + number]) * 32), doors=world.doors(number))


def test_servers_that_are_told_of_each_other_go_on_serving_one_office() -> None:
    """After a minute the servers know each other, and the agents of the office find each other by name."""

    async def main() -> None:
        world = World(seed=1, conditions=CONDITIONS["perfect"])
        nat = world.network.place_behind_kind(OFFICE[0].host, "port_restricted", ROUTER)
        world.network.place_behind(OFFICE[1].host, nat)
        async with contextlib.AsyncExitStack() as stack:
            nodes = []
            for number, endpoint in enumerate([*SERVERS, *OFFICE]):
                nodes.append(await stack.enter_async_context(node_at(world, number, endpoint)))
                await asyncio.sleep(2)
            await asyncio.sleep(60)
            assert [False] * len(SERVERS) == [node.rooms.socket.rpc.is_client for node in nodes[: len(SERVERS)]]
            assert all(node.info().peers for node in nodes)
            await nodes[-1].find(nodes[-2].hostname)

    run_virtually(main())
