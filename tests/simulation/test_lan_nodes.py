"""Whole nodes on one link of a simulated world: what they tell of it to whom, and how they find each other there."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from pilotdht.config.config import Config
from pilotdht.config.lan import LanConfig
from pilotdht.errors import NotFound
from pilotdht.identity.keys import KeyPair
from pilotdht.net.doors import LinkNotice
from pilotdht.net.prefixes import is_local
from pilotdht.net.switchboard import is_relayed
from pilotdht.node.node import Node
from pilotdht.traversal.lan.notices import text_of
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.seal import network_salt
from simulations.engine.virtual_loop import run_virtually
from simulations.world.nat import Nat, NatRules, nat_rules_named
from simulations.world.world import World
from tests.support.lan_link import MemoryLink
from tests.support.nat_mesh import CONDITIONS
from tests.support.nodes import befriend

pytestmark = [pytest.mark.simulation, pytest.mark.timeout(120)]

SETTLED_S = 30.0
ROUTER = "81.7.0.1"


class House:
    """Hosts behind one router, and servers in public."""

    def __init__(self, rules: NatRules | None = None, *, seed: int = 1) -> None:
        self.world = World(seed=seed, conditions=CONDITIONS)
        self.link = MemoryLink()
        self.servers: list[Node] = []
        self._nat = Nat(ROUTER, rules or nat_rules_named("port_restricted")[0], random=self.world.doors(99).random)
        self._made = 0
        self.stack = AsyncExitStack()

    async def serve(self, count: int) -> None:
        """Start servers in public."""
        for number in range(count):
            self.servers.append(await self.start(f"server-{number}", f"45.{100 + number}.0.1"))

    async def move_in(self, name: str, *, has_link: bool = False, mode: str = "on") -> Node:
        """Start a node behind the router, on the link if it has one."""
        host = f"192.168.1.{self._made + 2}"
        self.world.network.place_behind(host, self._nat)
        return await self.start(name, host, has_link=has_link, mode=mode)

    async def start(
        self,
        name: str,
        host: str,
        *,
        has_link: bool = False,
        mode: str = "on",
        bootstrap: Sequence[str] | None = None,
    ) -> Node:
        """Start a node at an address."""
        self._made += 1
        doors = self.world.doors(self._made)
        if has_link:
            doors = dataclasses.replace(doors, link_board=self.link.at(host))
        seeds = [str(node.endpoints[0]) for node in self.servers[:3]] if bootstrap is None else bootstrap
        config = Config(hostname=name, listen=Endpoint(host, 4000), bootstrap=tuple(seeds), mdns=LanConfig(mode=mode))
        node = Node(config, keys=KeyPair.from_seed(name.encode().ljust(32, b"\0")), doors=doors)
        return await self.stack.enter_async_context(node)


@asynccontextmanager
async def house(servers: int = 4) -> AsyncIterator[House]:
    """Return a house and servers; all nodes end with it."""
    made = House()
    async with made.stack:
        await made.serve(servers)
        yield made


def notice_of(node: Node, endpoint: Endpoint, *, name: str = "") -> LinkNotice:
    """Return the announcement of a node in the public mesh, true or not."""
    text = {key: value.encode() for key, value in text_of(node.public_key, network_salt(0, b"")).items()}
    return LinkNotice(name=name or str(node.address), addresses=(endpoint.host,), port=endpoint.port, text=text)


def road_between(one: Node, other: Node) -> Endpoint:
    """Return where a node's datagrams to another go."""
    link = one.rooms.tunnels.link_to(other.public_key)
    assert link is not None
    assert link.endpoint is not None
    return link.endpoint


def private_hosts(endpoints: Sequence[Endpoint]) -> list[str]:
    """Return those addresses that are private."""
    return [endpoint.host for endpoint in endpoints if is_local(endpoint.host)]


def test_two_behind_one_router_that_trust_each_other_meet_on_their_lan() -> None:
    """The router does not hairpin, nobody announces: by a relay at once, over the LAN within a second."""

    async def main() -> None:
        async with house() as home:
            one, other = await home.move_in("one"), await home.move_in("other")
            await asyncio.sleep(SETTLED_S)
            await befriend(one, other)
            await one.disconnect("other")
            await asyncio.sleep(1)
            loop = asyncio.get_running_loop()
            began = loop.time()
            await one.connect("other")
            while is_relayed(road_between(one, other)):
                await asyncio.sleep(0.005)
                assert loop.time() - began < 1.0
            assert Endpoint("192.168.1.7", 4000) == road_between(one, other)
            await asyncio.sleep(1)
            assert Endpoint("192.168.1.6", 4000) == road_between(other, one)
            assert [True, True] == [node.connections()[0].is_lan for node in (one, other)]

    run_virtually(main())


def test_private_addresses_are_told_to_no_stranger() -> None:
    """Not in the record; nor to a peer that calls and says that it is behind our router, which anybody can say."""

    async def main() -> None:
        async with house() as home:
            one, other = await home.move_in("one"), await home.move_in("other")
            await asyncio.sleep(SETTLED_S)
            found = await home.servers[0].find("one")
            assert [] == private_hosts(found.endpoints)
            assert [] == private_hosts(one.endpoints)
            assert found.introducers
            await other.connect("one")
            await asyncio.sleep(20)
            told = one.rooms.traversal.roads
            assert is_relayed(road_between(one, other))
            assert is_relayed(road_between(other, one))
            assert [] == private_hosts(told.roads_to(other.public_key))

    run_virtually(main())


def test_private_mesh_tells_its_addresses_as_ever() -> None:
    """Nobody has a public address, so there is no other way."""

    async def main() -> None:
        async with house(servers=0) as home:
            first = await home.start("first", "192.168.1.2")
            home.servers.append(first)
            second, third = await home.start("second", "192.168.1.3"), await home.start("third", "192.168.1.4")
            await asyncio.sleep(5)
            assert ["192.168.1.3"] == private_hosts((await third.find("second")).endpoints)
            await third.connect("second")
            assert second.connections()[0].is_lan

    run_virtually(main())


def test_nodes_that_nobody_told_of_anybody_join_over_the_link() -> None:
    """No bootstrap, or one that is silent: within a second of being heard, without waiting for the silent one."""

    async def main() -> None:
        async with house(servers=0) as home:
            one = await home.start("one", "192.168.1.2", has_link=True)
            loop = asyncio.get_running_loop()
            for name, bootstrap in (("two", ()), ("three", ("192.168.1.99:9",))):
                began = loop.time()
                made = asyncio.ensure_future(
                    home.start(name, f"192.168.1.{len(name)}", has_link=True, bootstrap=bootstrap)
                )
                await asyncio.sleep(1)
                assert one.info().peers, name
                node = await made
                assert node.info().is_joined
                assert loop.time() - began < 4.0
            await asyncio.sleep(5)
            assert ["two", "three"] == [(await one.find(name)).hostname for name in ("two", "three")]

    run_virtually(main())


def test_two_meshes_on_one_link_grow_together() -> None:
    """Two pairs that know nothing of each other until one hears another: each finds all by name."""

    async def main() -> None:
        async with house(servers=0) as home:
            hosts = {name: f"192.168.1.{number}" for number, name in enumerate(("a", "b", "c", "d"), 10)}
            nodes = {}
            for name, seed in (("a", None), ("b", "a"), ("c", None), ("d", "c")):
                seeds = () if seed is None else (f"{hosts[seed]}:4000",)
                nodes[name] = await home.start(f"node-{name}", hosts[name], has_link=name == "b", bootstrap=seeds)
            await asyncio.sleep(20)
            with pytest.raises(NotFound):
                await nodes["a"].find("node-d")
            home.link.announce(notice_of(nodes["d"], Endpoint(hosts["d"], 4000)))
            await asyncio.sleep(20)
            for asking in "ad":
                found = [(await nodes[asking].find(f"node-{name}")).hostname for name in hosts]
                assert [f"node-{name}" for name in hosts] == found

    run_virtually(main())


def test_neighbours_behind_a_nat_stay_clients_and_the_world_does_not_hear_of_their_lan() -> None:
    """Ten agents at one home talk with each other all day: that makes none of them reachable from outside.

    Three of them only listen, so that nobody has sent them anything when they come: to the others they come unasked.
    """

    async def main() -> None:
        async with house(servers=5) as home:
            nodes = [
                await home.move_in(f"agent-{number}", has_link=True, mode="on" if number < 7 else "listen")
                for number in range(10)
            ]
            await asyncio.sleep(120)
            assert [True] * 10 == [node.rooms.socket.rpc.is_client for node in nodes]
            assert all(node.rooms.traversal.introducers for node in nodes)
            assert [] == [host for node in nodes for host in private_hosts(node.endpoints)]
            for server in home.servers:
                assert [] == private_hosts([known.endpoint for known in server.peers()])
            assert all("answered" in {one.standing for one in node.netcheck().neighbours} for node in nodes)

    run_virtually(main())


def test_dial_of_a_neighbour_goes_over_the_link_at_once_and_a_relayed_link_moves_there() -> None:
    """Untrusted, behind a router that does not hairpin: who is announced on the link is dialled there."""

    async def main() -> None:
        async with house() as home:
            one, other = await home.move_in("one", has_link=True), await home.move_in("other")
            await asyncio.sleep(SETTLED_S)
            await one.connect("other")
            assert is_relayed(road_between(one, other))
            place = Endpoint("192.168.1.7", 4000)
            home.link.announce(notice_of(other, place))
            await asyncio.sleep(0.5)
            assert place == road_between(one, other)
            await asyncio.sleep(1)
            assert not is_relayed(road_between(other, one))
            await one.disconnect("other")
            await asyncio.sleep(1)
            await one.connect("other")
            assert place == road_between(one, other)

    run_virtually(main())


def test_forged_announcements_of_a_peer_hold_no_dial_up() -> None:
    """Somebody on the link says that it is the peer, at places where nobody is: the dial takes as long as without."""

    async def main() -> None:
        async with house() as home:
            one = await home.move_in("one", has_link=True)
            other = await home.start("far", "81.9.0.1")
            await asyncio.sleep(SETTLED_S)
            for number in range(300):
                home.link.announce(notice_of(other, Endpoint("192.168.1.77", 1000 + number), name=f"f{number}"))
            await one.find("far")
            loop = asyncio.get_running_loop()
            began = loop.time()
            await one.connect("far")
            assert loop.time() - began < 0.15
            assert "81.9.0.1" == road_between(one, other).host

    run_virtually(main())
