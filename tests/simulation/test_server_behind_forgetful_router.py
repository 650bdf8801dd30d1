"""A node behind a router that lets everybody in serves others; its router forgets what is not used from inside."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from simulations.engine.virtual_loop import run_virtually
from tests.support.nat_mesh import NatMesh

pytestmark = [pytest.mark.simulation, pytest.mark.timeout(120)]

LIFE_S = 30.0
"""Of the shortest lives of mappings that are common."""


def test_node_that_serves_behind_a_router_is_reached_at_any_time() -> None:
    """Strangers knocked, and it serves: ten minutes later it is still there for others."""

    async def main() -> None:
        async with NatMesh(servers=80) as mesh:
            cloud = await mesh.add("cloud", "full_cone")
            stranger = await mesh.add("stranger", "port_restricted")
            router = mesh.nats["cloud"]
            router.rules = replace(router.rules, life_s=LIFE_S)
            await asyncio.sleep(90)
            assert not cloud.rooms.socket.rpc.is_client
            for _ in range(10):
                await asyncio.sleep(60)
                await stranger.connect("cloud")
                await stranger.disconnect("cloud")

    run_virtually(main())
