"""Members of a group that stand behind NATs of all kinds know each other, hear each other, and notice who is gone."""

from __future__ import annotations

import asyncio

import pytest

from pilotdht.gossip.values import MemberStatus
from pilotdht.node.node import Node
from simulations.engine.virtual_loop import run_virtually
from tests.support.nat_mesh import NatMesh

pytestmark = [pytest.mark.simulation, pytest.mark.timeout(300)]

KINDS = ("public", "port_restricted", "port_restricted", "cgnat", "restricted", "symmetric", "symmetric")
SETTLED_S = 30.0
"""A node behind a NAT knows by then that it is, and is attached to servers."""


MANY = ("port_restricted", "symmetric", "cgnat", "public") * 10
"""So many that a pair hears of each other less often than NATs remember them."""


def alive_of(node: Node) -> set[str]:
    """Return the names of the members that a node holds for alive."""
    return {one.hostname for one in node.group("team").members() if one.status is MemberStatus.ALIVE}


async def until_all_see(nodes: list[Node], names: set[str], most_s: float) -> float:
    """Wait until all of some nodes hold exactly some members for alive; return the seconds it took."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while not all(alive_of(node) == names for node in nodes):
        assert loop.time() - began < most_s, {node.hostname: sorted(names - alive_of(node)) for node in nodes}
        await asyncio.sleep(0.1)
    return loop.time() - began


def test_members_behind_nats_stay_known_and_the_dead_are_noticed() -> None:
    """Nobody who is there is held for dead in ten minutes, in which every mapping would have expired; a dead one is."""

    async def main() -> None:
        async with NatMesh() as mesh:
            nodes = [await mesh.add(f"host-{number}", kind) for number, kind in enumerate(KINDS)]
            await asyncio.sleep(SETTLED_S)
            names = {node.hostname for node in nodes}
            for node in nodes:
                await node.join_group("team")
            await until_all_see(nodes, names, 30)
            for _ in range(120):
                await asyncio.sleep(5)
                for node in nodes:
                    seen = alive_of(node)
                    assert seen == names, (node.hostname, names - seen)
            await nodes[-1].abort()
            await until_all_see(nodes[:-1], names - {nodes[-1].hostname}, 20)

    run_virtually(main())


def test_many_members_behind_nats_raise_no_false_alarm_and_hear_messages() -> None:
    """Forty members: none is held for dead in four minutes, and what a random-port one says reaches all within 3 s."""

    async def main() -> None:
        async with NatMesh(servers=6) as mesh:
            nodes = [await mesh.add(f"host-{number}", kind) for number, kind in enumerate(MANY)]
            await asyncio.sleep(SETTLED_S)
            names = {node.hostname for node in nodes}
            await asyncio.gather(*(node.join_group("team") for node in nodes))
            await until_all_see(nodes, names, 60)
            lost: set[tuple[str, str]] = set()
            for _ in range(240):
                await asyncio.sleep(1)
                for node in nodes:
                    lost.update((node.hostname, name) for name in names - alive_of(node))
            assert lost == set()

            async def first_heard(node: Node) -> bytes:
                async with node.group("team").subscribe("news") as events:
                    return (await anext(aiter(events))).data

            heard = [asyncio.ensure_future(first_heard(node)) for node in nodes if node is not nodes[1]]
            await asyncio.sleep(0.1)
            await nodes[1].group("team").publish("news", b"hello")
            assert {b"hello"} == set(await asyncio.wait_for(asyncio.gather(*heard), 3))

    run_virtually(main())
