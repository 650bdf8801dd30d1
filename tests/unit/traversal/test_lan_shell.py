"""Neighbours of a node: whom it greets, whom it believes, what it tells, and that nothing of it holds it up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from pilotdht.config.lan import LanConfig
from pilotdht.errors import ConfigError
from pilotdht.identity.ids import PublicKey
from pilotdht.net.doors import Doors, LinkNotice
from pilotdht.tasks import TaskScope
from pilotdht.traversal.lan.lan import Lan, LanState
from pilotdht.traversal.lan.neighbours import Standing
from pilotdht.traversal.lan.notices import text_of
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.seal import network_salt
from simulations.engine.virtual_loop import run_virtually
from simulations.world.network import MemoryNetwork
from simulations.world.world import virtual_doors
from tests.support.lan_link import MemoryBoard, MemoryLink
from tests.support.net_nodes import CALM, NetNode, virtual_node

SALT = network_salt(0, b"")


class Guest:
    """A node with its neighbours."""

    def __init__(self, node: NetNode, doors: Doors, config: LanConfig, scope: TaskScope) -> None:
        self.node = node
        self.found: list[PublicKey] = []
        self.proven: list[Contact] = []
        self.registry = CollectorRegistry()
        self.lan = Lan(
            node.keys.public_key,
            salt=SALT,
            socket=node.socket,
            doors=doors,
            config=config,
            registry=self.registry,
            scope=scope,
            on_found=self.found.append,
            on_proven=self._meet,
        )

    async def _meet(self, contact: Contact) -> None:
        self.proven.append(contact)

    @property
    def sent(self) -> int:
        """Datagrams that it has sent."""
        return self.node.metrics.hellos_sent

    def count(self, name: str, result: str) -> float:
        """Return a counter."""
        return self.registry.get_sample_value(f"pilotdht_lan_{name}_total", {"result": result}) or 0.0

    @property
    def state(self) -> LanState:
        """What is done on the link."""
        return self.lan.facts().state


class Visit:
    """Some nodes on one link."""

    def __init__(self, scope: TaskScope) -> None:
        self.network = MemoryNetwork(seed=1, conditions=CALM)
        self.link = MemoryLink()
        self.scope = scope
        self._made: list[Guest] = []

    async def come(self, *, is_on: bool = True, has_board: bool = True, listen: str = "", **settings: object) -> Guest:
        """Start a node at the next address, on the link unless said otherwise."""
        number = len(self._made) + 1
        host = listen or f"192.168.1.{number}"
        node = virtual_node(self.network, number, host=host)
        await node.__aenter__()
        config = LanConfig(**settings)  # type: ignore[arg-type]  # settings by their names
        doors = virtual_doors(self.network, seed=1, node=number)
        doors = replace(doors, link_board=self.link.at(host) if has_board else None)
        guest = Guest(node, doors, config, self.scope)
        self._made.append(guest)
        if is_on:
            guest.lan.start()
        return guest

    async def leave(self) -> None:
        """Stop all."""
        for guest in self._made:
            await guest.lan.stop()
        await self.scope.close()
        for guest in self._made:
            await guest.node.__aexit__(None, None, None)

    def forge(self, claimed: PublicKey, endpoint: Endpoint, name: str) -> None:
        """Announce somebody else."""
        text = {key: value.encode() for key, value in text_of(claimed, SALT).items()}
        self.link.announce(LinkNotice(name=name, addresses=(endpoint.host,), port=endpoint.port, text=text))


@asynccontextmanager
async def visit() -> AsyncIterator[Visit]:
    """Return an empty link."""
    async with TaskScope("test") as scope:
        made = Visit(scope)
        try:
            yield made
        finally:
            await made.leave()


def test_neighbours_greet_each_other_and_prove_their_keys() -> None:
    """Each is told of the other, once; later repetitions change nothing."""

    async def main() -> None:
        async with visit() as link:
            one, two = await link.come(), await link.come()
            await asyncio.sleep(1)
            assert [LanState.ON, LanState.ON] == [one.state, two.state]
            for guest, other in ((one, two), (two, one)):
                endpoint = other.node.socket.local_endpoints[0]
                assert [Contact(other.node.keys.public_key, endpoint)] == guest.proven
                assert [other.node.keys.public_key] == guest.found
                assert (endpoint,) == guest.lan.endpoints_of(other.node.keys.public_key)
                assert tuple(guest.proven) == guest.lan.contacts()
            link.forge(two.node.keys.public_key, two.node.socket.local_endpoints[0], link.link.present[1].post.name)
            await asyncio.sleep(1)
            assert 1 == len(one.proven)

    run_virtually(main())


@pytest.mark.parametrize(
    ("mode", "has_board", "listen", "state"),
    [
        ("off", True, "", LanState.OFF),
        ("on", False, "", LanState.NOT_INSTALLED),
        ("on", True, "127.0.0.1", LanState.OFF),  # nobody else is there
        ("listen", True, "", LanState.LISTENING),
        ("on", True, "", LanState.ON),
    ],
)
def test_what_is_done_on_the_link_is_what_was_set(mode: str, listen: str, state: LanState, *, has_board: bool) -> None:
    """Off and loopback open nothing; who listens announces nothing."""

    async def main() -> None:
        async with visit() as link:
            guest = await link.come(mode=mode, has_board=has_board, listen=listen)
            other = await link.come()
            await asyncio.sleep(1)
            assert state is guest.state
            assert bool(guest.found) is (state in (LanState.ON, LanState.LISTENING))
            assert bool(other.found) is (state is LanState.ON)
            assert bool(guest.lan.networks) is bool(guest.found)

    run_virtually(main())


def test_loopback_is_used_when_it_is_named() -> None:
    """For several agents on one machine."""

    async def main() -> None:
        async with visit() as link:
            guest = await link.come(listen="127.0.0.1", interfaces=("127.0.0.1",))
            await asyncio.sleep(1)
            assert LanState.ON is guest.state
            assert ("127.0.0.1",) == link.link.present[0].post.interfaces

    run_virtually(main())


def test_liars_are_greeted_found_out_and_left_alone() -> None:
    """One names another's key as its own place, one names a place where nobody is."""

    async def main() -> None:
        async with visit() as link:
            one = await link.come()
            liar = await link.come(is_on=False)
            victim = await link.come(is_on=False)
            await asyncio.sleep(0.1)
            link.forge(victim.node.keys.public_key, liar.node.socket.local_endpoints[0], "liar")
            link.forge(PublicKey(bytes(32)), Endpoint("192.168.1.200", 4000), "nobody")
            await asyncio.sleep(10)
            assert [] == one.proven
            assert [1.0, 1.0] == [one.count("greetings", result) for result in ("wrong_key", "silent")]
            assert [Standing.SILENT] * 2 == [standing for _, _, standing in one.lan.facts().neighbours]
            assert () == one.lan.endpoints_of(victim.node.keys.public_key)
            sent = one.sent
            await asyncio.sleep(45)
            assert sent == one.sent

    run_virtually(main())


def test_flood_of_announcements_is_counted_and_costs_bounded_greetings() -> None:
    """Ten thousand of keys that nobody has: some are looked at, four greeted at a time; a true one is found."""

    async def main() -> None:
        async with visit() as link:
            one = await link.come(max_neighbours=64, notice_burst=128)
            await asyncio.sleep(0.1)
            for number in range(10_000):
                link.forge(PublicKey(number.to_bytes(32, "big")), Endpoint("192.168.1.200", 1 + number), str(number))
            assert 128.0 == one.count("notices", "new")
            assert 10_000 - 128 <= one.count("notices", "rate") <= 10_000
            assert 64 == len(one.lan.facts().neighbours)
            sent = one.sent
            await asyncio.sleep(10)
            assert one.sent - sent <= 10 / 0.8 * 4 + 4
            two = await link.come()
            await asyncio.sleep(10)
            assert [two.node.keys.public_key] == [contact.public_key for contact in one.proven]

    run_virtually(main())


def test_announcement_of_another_mesh_or_place_is_counted_by_reason() -> None:
    """Nothing is sent to it."""

    async def main() -> None:
        async with visit() as link:
            one = await link.come()
            await asyncio.sleep(0.1)
            before = one.sent
            text = {key: value.encode() for key, value in text_of(PublicKey(bytes(32)), network_salt(1, b"x")).items()}
            link.link.announce(LinkNotice(name="x", addresses=("192.168.1.9",), port=1, text=text))
            link.forge(PublicKey(bytes(32)), Endpoint("8.8.8.8", 53), "far")
            link.forge(one.node.keys.public_key, Endpoint("192.168.1.9", 1), "self")
            await asyncio.sleep(5)
            assert [1.0, 1.0] == [one.count("notices", reason) for reason in ("mesh", "off_link")]
            assert 2.0 == one.count("notices", "self")  # one is its own, which it hears as everybody does
            assert before == one.sent

    run_virtually(main())


def test_who_leaves_is_forgotten_and_who_comes_back_is_greeted_again() -> None:
    """A node that is restarted on another port."""

    async def main() -> None:
        async with visit() as link:
            one, two = await link.come(), await link.come()
            await asyncio.sleep(1)
            await two.lan.stop()
            assert [] == list(one.lan.facts().neighbours)
            assert 1.0 == one.count("notices", "gone")
            assert () == one.lan.contacts()
            two.lan.start()
            await asyncio.sleep(1)
            assert 2 == len(one.proven)

    run_virtually(main())


def test_link_that_cannot_be_opened_is_tried_again() -> None:
    """It says why; a change of address makes it try at once, else it does so after a while."""

    async def main() -> None:
        async with visit() as link:
            one = await link.come(is_on=False)
            board = one.lan._board
            assert isinstance(board, MemoryBoard)
            board.failures += [ConfigError("no interface"), ConfigError("still none")]
            one.lan.start()
            await asyncio.sleep(1)
            assert (LanState.FAILED, "no interface") == (one.state, one.lan.facts().reason)
            await asyncio.sleep(60)
            assert "still none" == one.lan.facts().reason
            one.lan.moved()
            await asyncio.sleep(1)
            assert (LanState.ON, "", 3) == (one.state, one.lan.facts().reason, board.opened)

    run_virtually(main())


def test_another_link_means_other_neighbours() -> None:
    """After a move the old ones are forgotten, and this node announces itself anew."""

    async def main() -> None:
        async with visit() as link:
            one, two = await link.come(), await link.come()
            await asyncio.sleep(1)
            link.link.networks = ("10.0.0.0/24",)
            one.lan.moved()
            await asyncio.sleep(1)
            assert () == one.lan.endpoints_of(two.node.keys.public_key)
            assert ("10.0.0.0/24",) == one.lan.facts().networks
            assert 2 == len(link.link.present)

    run_virtually(main())


def test_mode_and_interfaces_are_checked() -> None:
    """What cannot be is refused when it is set."""
    for wrong in ({"mode": "loud"}, {"interfaces": ("eth0",)}, {"interfaces": ("10.0.0.1",) * 9}):
        with pytest.raises(ConfigError, match="mdns"):
            replace(LanConfig(), **wrong)
