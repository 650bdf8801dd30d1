"""Whole nodes under a virtual clock, some of them where UDP is blocked: when they go onto a trunk, and back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import pytest

from pilotdht.config.config import Config
from pilotdht.config.dht import DhtConfig
from pilotdht.config.trunk import TrunkConfig
from pilotdht.errors import RemoteError
from pilotdht.identity.address import Address
from pilotdht.identity.ids import node_id_of
from pilotdht.node.node import Node
from pilotdht.wire.endpoint import Endpoint
from simulations.engine.virtual_loop import run_virtually
from simulations.world.conditions import CONDITIONS
from simulations.world.network import MemoryNetwork
from simulations.world.world import virtual_doors
from tests.support.nodes import befriend
from tests.support.trunk_streams import MemoryStreams

CLIENT = "198.51.100.7"
"""Where the node is whose UDP is blocked."""


class Town:
    """Servers of trunks, and nodes whose UDP may be blocked."""

    def __init__(self, servers: int) -> None:
        self.network = MemoryNetwork(seed=1, conditions=CONDITIONS["perfect"])
        self.streams = MemoryStreams()
        self.blocked: dict[str, None] = {}
        self.network.allows = self._passes
        self.hosts = [f"203.0.{number + 1}.1" for number in range(servers)]
        self.servers: list[Node] = []
        self._stack = AsyncExitStack()
        self._made = 0

    def _passes(self, source: Endpoint, target: Endpoint) -> bool:
        return source.host not in self.blocked and target.host not in self.blocked

    def node(self, host: str, name: str, *, trunk: TrunkConfig, mode: str = "auto") -> Node:
        """Return a node that is not started."""
        self._made += 1
        doors = replace(virtual_doors(self.network, seed=1, node=self._made), streams=self.streams.at(host))
        seeds = tuple(f"{one}:4000" for one in self.hosts if one != host)
        dht = DhtConfig(mode=mode if trunk.listen is None else "server")
        config = Config(dht=dht, hostname=name, listen=Endpoint(host, 4000), bootstrap=seeds, trunk=trunk)
        return Node(config, doors=doors)

    async def start(self, host: str, name: str, *, trunk: TrunkConfig | None = None, is_blocked: bool = False) -> Node:
        """Start a node; it ends with the town."""
        if is_blocked:
            self.blocked[host] = None
        return await self._stack.enter_async_context(
            self.node(host, name, trunk=TrunkConfig() if trunk is None else trunk)
        )

    async def close(self) -> None:
        """Stop all."""
        await self._stack.aclose()


@asynccontextmanager
async def town(servers: int = 3) -> AsyncIterator[Town]:
    """Open a town with its servers."""
    made = Town(servers)
    try:
        for host in made.hosts:
            served = TrunkConfig(listen=Endpoint("::", 443))
            made.servers.append(await made.start(host, f"server-{host.split('.')[2]}", trunk=served))
        yield made
    finally:
        await made.close()


def now() -> float:
    """Return the loop's clock."""
    return asyncio.get_running_loop().time()


async def until_on_trunk(node: Node, *, within_s: float) -> float:
    """Wait until a node is on a trunk; return how long that took."""
    begun = now()
    async with asyncio.timeout(within_s):
        while node.info().trunk is None:  # noqa: ASYNC110 - what is waited for raises no event here
            await asyncio.sleep(0.01)
    return now() - begun


def test_node_whose_udp_is_blocked_joins_by_trunk_and_is_reached() -> None:
    """Within five seconds from its start; another one that is blocked too reaches it by name, both ways."""

    async def main() -> None:
        async with town() as place:
            begun = now()
            one = await place.start(CLIENT, "one", is_blocked=True)
            await until_on_trunk(one, within_s=1.0)
            assert now() - begun < 3.5
            async with asyncio.timeout(2):
                while not one.info().is_joined:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            assert not one.info().is_server
            other = await place.start("198.51.101.7", "other", is_blocked=True)
            await asyncio.sleep(5)
            await befriend(one, other)
            assert await one.ping("other") < 1.0
            assert await other.ping("one") < 1.0
            await asyncio.sleep(10)  # a relay may have been quicker than the way to the other's trunk
            (link,) = [link for link in one.connections() if link.address == other.address]
            assert one.info().trunk == link.trunk
            assert Address.of_public_key(place.servers[0].public_key) == one.info().trunk
            codes = [finding.code for finding in one.netcheck().findings]
            assert "trunk" == codes[0]

    run_virtually(main())


def test_node_on_a_trunk_never_serves() -> None:
    """Strangers reach it, and it says so to nobody: it is a guest where it is."""

    async def main() -> None:
        async with town(servers=5) as place:
            one = await place.start(CLIENT, "one", is_blocked=True)
            await asyncio.sleep(600)
            assert (False, True) == (one.info().is_server, one.rooms.socket.rpc.is_client)
            for server in place.servers:
                assert server.rooms.dht.table.find(node_id_of(one.public_key)) is None

    run_virtually(main())


def test_node_whose_udp_passes_opens_no_trunk() -> None:
    """Nor does a server, nor a node that asks nobody."""

    async def main() -> None:
        async with town() as place:
            one = await place.start(CLIENT, "one")
            await asyncio.sleep(3600)
            assert one.info().trunk is None
            assert [] == place.streams.asked
            assert all(server.info().trunk is None for server in place.servers)

    run_virtually(main())


def test_switched_off_node_stays_without_mesh() -> None:
    """It says why it has none."""

    async def main() -> None:
        async with town() as place:
            one = await place.start(CLIENT, "one", trunk=TrunkConfig(mode="off"), is_blocked=True)
            await asyncio.sleep(60)
            assert ([], False) == (place.streams.asked, one.info().is_joined)
            assert "udp_blocked" == one.netcheck().findings[0].code

    run_virtually(main())


def test_dead_server_is_replaced_while_a_tunnel_lives() -> None:
    """The next trunk stands within two seconds, and the tunnel goes on through it."""

    async def main() -> None:
        async with town() as place:
            one = await place.start(CLIENT, "one", is_blocked=True)
            other = await place.start("198.51.102.7", "other")
            await until_on_trunk(one, within_s=5.0)
            await asyncio.sleep(5)
            await befriend(one, other)
            await one.ping("other")
            (before,) = [link for link in one.rooms.tunnels.links() if link.peer_key == other.public_key]
            first = one.info().trunk
            (number,) = [at for at, server in enumerate(place.servers) if server.address == first]
            begun = now()
            place.streams.kill(place.hosts[number])
            await place.servers[number].abort()
            await asyncio.sleep(0.02)
            assert await until_on_trunk(one, within_s=2.0) < 2.0
            assert first != one.info().trunk
            await one.ping("other", timeout_s=5.0)
            assert now() - begun < 5.0
            (after,) = [link for link in one.rooms.tunnels.links() if link.peer_key == other.public_key]
            assert before is after

    run_virtually(main())


def test_node_goes_back_to_udp_once_it_passes() -> None:
    """The trunk is left after two answers, links go on, and it may serve again."""

    async def main() -> None:
        async with town() as place:
            one = await place.start(CLIENT, "one", is_blocked=True)
            other = await place.start("198.51.102.7", "other")
            await until_on_trunk(one, within_s=5.0)
            await asyncio.sleep(5)
            await befriend(one, other)
            await one.ping("other")
            (before,) = [link for link in one.rooms.tunnels.links() if link.peer_key == other.public_key]
            for _ in range(7):  # a tunnel that nobody uses for five minutes is closed
                await asyncio.sleep(100)
                await one.ping("other")
            assert one.info().trunk is not None
            place.blocked.clear()
            await asyncio.sleep(100)
            await one.ping("other")
            await asyncio.sleep(210)
            assert one.info().trunk is None
            assert not one.rooms.socket.rpc.must_be_client
            await one.ping("other")
            (after,) = [link for link in one.rooms.tunnels.links() if link.peer_key == other.public_key]
            assert before is after
            (link,) = [link for link in other.connections() if link.address == one.address]
            assert CLIENT == link.endpoint.host

    run_virtually(main())


def test_change_of_place_has_udp_tried_at_once() -> None:
    """Nobody waits minutes in another network."""

    async def main() -> None:
        async with town() as place:
            one = await place.start(CLIENT, "one", is_blocked=True)
            await until_on_trunk(one, within_s=5.0)
            await asyncio.sleep(10)
            place.blocked.clear()
            one.rooms.trunks.moved()
            await asyncio.sleep(6)
            assert one.info().trunk is None

    run_virtually(main())


def test_udp_that_is_blocked_later_is_noticed() -> None:
    """A tunnel's peer is asked in vain, so are others, and a last trial finds out."""

    async def main() -> None:
        async with town() as place:
            one = await place.start(CLIENT, "one")
            await asyncio.sleep(60)
            assert one.info().is_joined
            place.blocked[CLIENT] = None
            for server in place.servers:
                with pytest.raises(RemoteError):
                    await one.ping(server.did, timeout_s=3.0)
            await until_on_trunk(one, within_s=300.0)

    run_virtually(main())


def test_one_silent_peer_is_no_blocked_udp() -> None:
    """All others answer."""

    async def main() -> None:
        async with town() as place:
            one = await place.start(CLIENT, "one")
            await asyncio.sleep(30)
            place.blocked[place.hosts[2]] = None
            await asyncio.sleep(600)
            assert (None, []) == (one.info().trunk, place.streams.asked)

    run_virtually(main())


def test_where_nothing_passes_it_is_told_once_and_tried_on(caplog: pytest.LogCaptureFixture) -> None:
    """One warning, with a reason; pauses grow to a minute; when a trunk can be had it is opened."""

    async def main() -> None:
        async with town() as place:
            ports, place.streams.ports = place.streams.ports, {}
            one = await place.start(CLIENT, "one", is_blocked=True)
            await asyncio.sleep(600)
            asked = len(place.streams.asked)
            assert 60 <= asked <= 120
            warned = [record for record in caplog.records if "no trunk could be opened" in record.message]
            assert 1 == len(warned)
            assert "nobody listens there" in one.rooms.trunks.failure
            assert "nobody listens there" in one.netcheck().findings[0].advice
            place.streams.ports = ports
            await until_on_trunk(one, within_s=70.0)

    with caplog.at_level(logging.WARNING):
        run_virtually(main())


def test_server_whose_bootstrap_nodes_are_gone_still_serves() -> None:
    """It looks for a trunk in vain; whoever comes is taken in, which also shows that UDP passes."""

    async def main() -> None:
        async with town(servers=1) as place:
            place.hosts = ["203.0.77.1"]
            lonely = place.node("203.0.78.1", "lonely", trunk=TrunkConfig(), mode="server")
            async with lonely:
                await asyncio.sleep(30)
                assert "" != lonely.rooms.trunks.failure
                assert lonely.info().is_server
                place.hosts = ["203.0.78.1"]
                one = await place.start("203.0.79.1", "one")
                await asyncio.sleep(10)
                assert one.info().is_joined
                assert "" == lonely.rooms.trunks.failure
                await asyncio.sleep(600)
                assert (True, True) == (one.info().is_joined, lonely.info().is_server)
                assert len(place.streams.asked) < 30

    run_virtually(main())


def test_always_means_always() -> None:
    """For tests, and for people who know: UDP is never tried."""

    async def main() -> None:
        async with town() as place:
            one = await place.start(CLIENT, "one", trunk=TrunkConfig(mode="always"))
            assert one.info().trunk is not None
            await asyncio.sleep(1000)
            assert (True, False) == (one.info().is_joined, one.info().trunk is None)

    run_virtually(main())
