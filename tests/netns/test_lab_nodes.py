"""Whole nodes of one process, each at a host of its own in a laboratory."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from pilotdht.config.config import Config
from pilotdht.node.node import Node
from pilotdht.wire.endpoint import Endpoint
from scripts.lab import Lab
from scripts.lab.doors import HostPlace, doors_at
from tests.netns.conftest import BuildLab
from tests.support.nodes import befriend

pytestmark = pytest.mark.integration

PORT = 4433


def node_at(lab: Lab, host: str, *, port: int = 0) -> Node:
    """Return a node that is not started yet, named after its host; it joins through the first server."""
    config = Config(
        hostname=f"node-{host}",
        listen=Endpoint("0.0.0.0", port),  # noqa: S104 - all addresses of a host that nobody outside can reach
        bootstrap=() if port else (f"{lab.servers[0].host}:{PORT}",),
    )
    return Node(config, doors=doors_at(lab, host))


@pytest.mark.asyncio
async def test_nodes_at_two_homes_talk_through_their_routers(build_lab: BuildLab) -> None:
    """A node behind a NAT joins and dials a public one by name; each sees where the other is outside."""
    lab = build_lab(left="portrestricted", right="open", servers=1)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(node_at(lab, "s1", port=PORT))
        right = await stack.enter_async_context(node_at(lab, "b"))
        left = await stack.enter_async_context(node_at(lab, "a"))
        await befriend(left, right)
        await left.ping("node-b")
        (link,) = [link for link in right.connections() if link.address == left.address]
        assert lab.outside("a") == link.endpoint.host
        (link,) = [link for link in left.connections() if link.address == right.address]
        assert lab.machine("b").host == link.endpoint.host


def test_place_of_a_host_is_its_own(build_lab: BuildLab) -> None:
    """A host tells its own address and routes, not those of the machine that the laboratory is in."""
    lab = build_lab(left="portrestricted", right="open", servers=1)
    for host in ("a", "b"):
        place = HostPlace(lab, host)
        assert lab.machine(host).host == place.local_address(lab.servers[0].host)
        gateway = int.from_bytes(bytes(map(int, lab.machine(host).gateway.split("."))), "little")
        assert f"\t{gateway:08X}\t" in place.routing_table()
