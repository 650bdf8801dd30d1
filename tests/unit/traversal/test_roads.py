"""Links are moved onto the best road that is proven, and nothing that peers say makes us send much to anybody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from random import Random

from prometheus_client import CollectorRegistry

from pilotdht.config.roads import RoadConfig
from pilotdht.errors import PilotError, TimedOut, Unreachable
from pilotdht.identity.ids import PublicKey
from pilotdht.net.switchboard import is_virtual
from pilotdht.tasks import TaskScope
from pilotdht.traversal.lan.near import Near
from pilotdht.traversal.metrics import RoadMetrics
from pilotdht.traversal.random_punch import RandomPunch
from pilotdht.traversal.roads import RoadKeeper
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.traversal_messages import Meet, NatMapping
from simulations.engine.virtual_loop import run_virtually
from simulations.world.network import MemoryNetwork
from tests.support.net_nodes import CALM, NetNode, virtual_node

VICTIM = Endpoint("10.0.0.99", 4000)
RELAY_S = 0.05
"""One way through the relay."""


class FakeLink:
    """A link that notes where it was moved."""

    def __init__(self, peer_key: PublicKey, endpoint: Endpoint) -> None:
        self.peer_key = peer_key
        self.endpoint: Endpoint | None = endpoint
        self.rtt_s: float | None = 0.1
        self.moves: list[Endpoint] = []

    def move(self, endpoint: Endpoint) -> None:
        """Send there from now on."""
        self.endpoint = endpoint
        self.moves.append(endpoint)


class Side:
    """One node with a keeper of roads."""

    def __init__(self, node: NetNode, scope: TaskScope, network: MemoryNetwork) -> None:
        self.node = node
        self.own = list(node.socket.local_endpoints)
        self.called: list[Contact] = []
        self.answers: dict[PublicKey, Endpoint] = {}
        self.closed: list[Endpoint] = []
        self.relays = True
        self.introducers: tuple[Contact, ...] = ()
        self.published: tuple[Contact, ...] = ()
        self.silences: list[Endpoint] = []
        self.relay: Contact | None = None
        self.metrics = RoadMetrics(CollectorRegistry())
        self.mapping = NatMapping.UNKNOWN
        self.may_punch = True
        self.punch = RandomPunch(
            node.keys.public_key,
            socket=node.socket,
            network=network,
            listen=node.socket.local_endpoints[0],
            config=RoadConfig(),
            random=Random(1),
        )
        self.keeper = RoadKeeper(
            node.keys.public_key,
            rpc=node.rpc,
            channels=self,
            punch=self.punch,
            may_punch=lambda _key: self.may_punch,
            own_endpoints=lambda: self.own,
            near=Near(
                public=lambda: self.own,
                private=tuple,
                neighbours=lambda _key: (),
                is_trusted=lambda _key: False,
            ),
            mapping=lambda: self.mapping,
            own_introducers=lambda: self.introducers,
            look_up=self.look_up,
            on_silence=lambda: self.silences.append(self.node.socket.local_endpoints[0]),
            scope=scope,
            config=RoadConfig(),
            metrics=self.metrics,
        )

    @property
    def key(self) -> PublicKey:
        """Whose it is."""
        return self.node.keys.public_key

    async def call(self, relay: Contact, target: PublicKey) -> Endpoint:
        """Stand in for the client of relays."""
        self.called.append(relay)
        await asyncio.sleep(RELAY_S)
        if relay.public_key not in self.answers:
            raise Unreachable("nobody of that key is attached there")
        return self.answers[relay.public_key]

    def is_relayed(self, endpoint: Endpoint) -> bool:
        """Return whether a channel carries tunnels."""
        return self.relays

    def relay_of(self, endpoint: Endpoint) -> Contact | None:
        """Return the server behind a channel."""
        return self.relay

    async def look_up(self, key: PublicKey) -> tuple[Contact, ...]:
        """Stand in for the DHT."""
        return self.published

    def close(self, endpoint: Endpoint) -> None:
        """Give a channel up."""
        self.closed.append(endpoint)

    def link_to(self, other: Side, endpoint: Endpoint) -> FakeLink:
        """Return a link that has come up."""
        link = FakeLink(other.key, endpoint)
        self.keeper.link_up(link)
        return link


def joined(one: Side, other: Side) -> tuple[Endpoint, Endpoint]:
    """Join two nodes by a channel; return what each calls it."""
    loop = asyncio.get_running_loop()
    here, there = one.node.socket.switchboard, other.node.socket.switchboard
    ends: list[Endpoint] = []

    def carry(board: object, index: int, datagrams: Sequence[bytes]) -> None:
        deliver = (there if board is here else here).deliver
        loop.call_later(RELAY_S, deliver, [(datagram, ends[index]) for datagram in datagrams])

    ends.append(here.connect(partial(carry, here, 1)))
    ends.append(there.connect(partial(carry, there, 0)))
    return ends[0], ends[1]


def _note_target(towards: list[Endpoint], _source: Endpoint, target: Endpoint) -> bool:
    """Let everything through, and write down where it goes."""
    towards.append(target)
    return True


@asynccontextmanager
async def two_sides() -> AsyncIterator[tuple[MemoryNetwork, Side, Side]]:
    """Open two nodes; the first has the smaller key, and so leads."""
    network = MemoryNetwork(seed=1, conditions=CALM)
    async with (
        TaskScope("roads") as scope,
        virtual_node(network, 1) as first,
        virtual_node(network, 2) as second,
    ):
        nodes = sorted((first, second), key=lambda node: node.keys.public_key)
        yield network, Side(nodes[0], scope, network), Side(nodes[1], scope, network)


def test_relayed_link_becomes_direct_on_both_sides() -> None:
    """They tell each other where they may be met, and prove it before they move."""

    async def main() -> None:
        async with two_sides() as (_, one, other):
            here, there = joined(one, other)
            links = one.link_to(other, here), other.link_to(one, there)
            await asyncio.sleep(1)
            assert [other.own[0]] == links[0].moves
            assert [one.own[0]] == links[1].moves
            assert 1 == one.metrics.moves["direct"].value

    run_virtually(main())


def test_link_stays_on_its_relay_where_nothing_else_answers() -> None:
    """And looks again later, more and more rarely."""

    async def main() -> None:
        async with two_sides() as (network, one, other):
            here, there = joined(one, other)
            network.allows = lambda source, target: False
            link = one.link_to(other, here)
            other.link_to(one, there)
            await asyncio.sleep(600)
            assert [] == link.moves
            assert 5 <= one.metrics.meetings["met"].value <= 8

    run_virtually(main())


def test_stranger_who_wants_to_meet_is_not_answered_and_nothing_is_sent() -> None:
    """Only those with a link, or who came through a channel, may name endpoints."""

    async def main() -> None:
        async with two_sides() as (network, one, other):
            towards: list[Endpoint] = []
            network.allows = partial(_note_target, towards)
            try:
                await one.node.rpc.request(Contact(other.key, other.own[0]), Meet((VICTIM,)), timeout_s=2.0)
            except TimedOut:
                pass
            else:
                raise AssertionError("it was answered")
            assert VICTIM not in towards
            assert 0 < other.metrics.meetings["stranger"].value

    run_virtually(main())


def test_peer_cannot_make_us_flood_the_endpoints_that_it_names() -> None:
    """A hundred questions in ten seconds bring a victim a few small packets a second."""

    async def main() -> None:
        async with two_sides() as (network, one, other):
            towards: list[Endpoint] = []
            network.allows = partial(_note_target, towards)
            here, there = joined(one, other)
            other.link_to(one, there)
            for _ in range(100):
                with_victim = Meet(tuple(Endpoint(VICTIM.host, 4000 + port) for port in range(8)))
                try:
                    await one.node.rpc.request(Contact(other.key, here), with_victim, timeout_s=1.0)
                except PilotError:
                    continue
                await asyncio.sleep(0.1)
            sent = sum(1 for endpoint in towards if endpoint.host == VICTIM.host)
            assert 0 < sent
            assert sent <= 8 * 4 * 22  # endpoints, packets each, seconds

    run_virtually(main())


def test_follower_goes_where_the_newest_packets_come_from_once_that_is_proven() -> None:
    """A NAT gave its peer another port; an endpoint that does not answer is not followed."""

    async def main() -> None:
        async with two_sides() as (_, one, other):
            old = Endpoint("10.0.0.77", 4000)
            link = other.link_to(one, old)
            other.keeper.astray(link, VICTIM)
            await asyncio.sleep(2)
            assert [] == link.moves
            other.keeper.astray(link, one.own[0])
            await asyncio.sleep(1)
            assert [one.own[0]] == link.moves

    run_virtually(main())


def test_leader_leaves_its_road_when_the_peer_is_there_no_more() -> None:
    """It asks at both places, and takes the one that answers."""

    async def main() -> None:
        async with two_sides() as (_, one, other):
            link = one.link_to(other, Endpoint("10.0.0.77", 4000))
            one.keeper.astray(link, other.own[0])
            await asyncio.sleep(2)
            assert [other.own[0]] == link.moves

    run_virtually(main())


def test_silent_road_is_left_for_one_that_still_works() -> None:
    """The channel of before is the way out, within a second."""

    async def main() -> None:
        async with two_sides() as (network, one, other):
            here, there = joined(one, other)
            link = one.link_to(other, here)
            other.link_to(one, there)
            await asyncio.sleep(20)  # nobody looks for anything better any more
            assert other.own[0] == link.endpoint
            network.allows = lambda source, target: False
            one.keeper.in_doubt(link)
            await asyncio.sleep(1)
            assert here == link.endpoint
            network.allows = None
            await asyncio.sleep(30)
            assert other.own[0] == link.endpoint  # a relay is never the end of the search

    run_virtually(main())


def test_peer_is_called_anew_when_no_road_works() -> None:
    """Through another of the servers that it is attached to; one search at a time."""

    async def main() -> None:
        async with two_sides() as (network, one, other):
            here, there = joined(one, other)
            server, gone = (
                Contact(key, Endpoint("10.0.0.50", 1)) for key in (PublicKey(b"s" * 32), PublicKey(b"g" * 32))
            )
            one.answers[server.public_key] = here
            assert await one.keeper.call(other.key, [gone, server]) == here
            link = one.link_to(other, here)
            other.link_to(one, there)
            await asyncio.sleep(1)
            before = len(one.called)
            network.allows = lambda source, target: False
            one.node.socket.switchboard.disconnect(here)
            fresh, _ = joined(one, other)
            one.answers[server.public_key] = fresh
            for _ in range(5):
                one.keeper.in_doubt(link)
            await asyncio.sleep(2)
            assert fresh == link.endpoint
            assert len(one.called) - before == 2

    run_virtually(main())


def test_call_through_a_server_that_only_introduces_gives_the_direct_road() -> None:
    """A tunnel would not fit through such a channel; where the two cannot meet there is no way."""

    async def main() -> None:
        async with two_sides() as (network, one, other):
            here, there = joined(one, other)
            server = Contact(PublicKey(b"s" * 32), Endpoint("10.0.0.50", 1))
            one.answers[server.public_key] = here
            one.relays = False
            other.keeper.rung(one.key, server, there)
            assert other.own[0] == await one.keeper.call(other.key, [server])
            network.allows = lambda source, target: False
            assert await one.keeper.call(PublicKey(b"n" * 32), [server]) is None

    run_virtually(main())


def test_channel_that_ended_is_left_at_once() -> None:
    """The server said so: nobody waits for silence."""

    async def main() -> None:
        async with two_sides() as (network, one, other):
            first, second = joined(one, other), joined(one, other)
            network.allows = lambda source, target: False
            link = one.link_to(other, first[0])
            other.link_to(one, first[1])
            one.keeper.link_up(FakeLink(other.key, second[0]))
            one.keeper.channel_ended(first[0])
            assert second[0] == link.endpoint

    run_virtually(main())


def test_channels_of_a_peer_are_closed_with_its_last_link() -> None:
    """Nothing is kept of a peer that is gone."""

    async def main() -> None:
        async with two_sides() as (_, one, other):
            here, there = joined(one, other)
            links = [one.link_to(other, here), one.link_to(other, here)]
            other.link_to(one, there)
            await asyncio.sleep(1)
            one.keeper.link_down(links[0])
            assert [] == one.closed
            one.keeper.link_down(links[1])
            assert [here] == [endpoint for endpoint in one.closed if is_virtual(endpoint)]
            assert () == one.keeper.roads_to(other.key)

    run_virtually(main())


def test_silent_peer_is_called_through_the_servers_that_it_named_last() -> None:
    """It said so in a meeting; those through which it was first called are gone."""

    async def main() -> None:
        async with two_sides() as (network, one, other):
            old, new = (Contact(PublicKey(letter * 32), Endpoint("10.0.0.50", 1)) for letter in (b"s", b"n"))
            here, there = joined(one, other)
            one.answers[old.public_key] = here
            assert await one.keeper.call(other.key, [old]) == here
            network.allows = lambda source, target: False
            link = one.link_to(other, here)
            other.link_to(one, there)
            await asyncio.sleep(1)
            other.introducers = (new,)
            other.keeper.introducers_changed()
            await asyncio.sleep(1)
            one.node.socket.switchboard.disconnect(here)
            fresh, _ = joined(one, other)
            one.answers = {new.public_key: fresh}
            one.keeper.in_doubt(link)
            await asyncio.sleep(2)
            assert fresh == link.endpoint
            assert new == one.called[-1]

    run_virtually(main())


def test_silent_peer_is_called_through_the_servers_that_it_has_published() -> None:
    """When none of those that are known serves it any more; the search goes on by itself until the link is given up."""

    async def main() -> None:
        async with two_sides() as (network, one, other):
            old, new = (Contact(PublicKey(letter * 32), Endpoint("10.0.0.50", 1)) for letter in (b"s", b"n"))
            here, there = joined(one, other)
            one.answers[old.public_key] = here
            assert await one.keeper.call(other.key, [old]) == here
            network.allows = lambda source, target: False
            link = one.link_to(other, here)
            other.link_to(one, there)
            await asyncio.sleep(1)
            one.node.socket.switchboard.disconnect(here)
            fresh, _ = joined(one, other)
            one.answers = {new.public_key: fresh}
            one.keeper.in_doubt(link)
            await asyncio.sleep(6)
            assert here == link.endpoint
            one.published = (new,)
            await asyncio.sleep(6)
            assert fresh == link.endpoint
            calls = len(one.called)
            await asyncio.sleep(60)
            assert calls == len(one.called)

    run_virtually(main())


def test_search_for_a_peer_that_is_gone_ends_with_its_time() -> None:
    """And costs some calls, not a flood of them."""

    async def main() -> None:
        async with two_sides() as (network, one, other):
            servers = [Contact(PublicKey(bytes([number]) * 32), Endpoint("10.0.0.50", 1)) for number in range(3)]
            here, there = joined(one, other)
            one.answers[servers[0].public_key] = here
            assert await one.keeper.call(other.key, servers) == here
            network.allows = lambda source, target: False
            link = one.link_to(other, here)
            other.link_to(one, there)
            await asyncio.sleep(1)
            one.node.socket.switchboard.disconnect(here)
            one.answers.clear()
            before = len(one.called)
            one.keeper.in_doubt(link)
            await asyncio.sleep(120)
            assert 3 * 3 <= len(one.called) - before <= 3 * 12
            assert 1 == len(one.silences)

    run_virtually(main())


def test_link_through_a_server_that_keeps_silent_is_rescued_before_it_is_in_doubt_itself() -> None:
    """Who only listens sends nothing that could be missed."""

    async def main() -> None:
        async with two_sides() as (network, one, other):
            server = Contact(PublicKey(b"s" * 32), Endpoint("10.0.0.50", 1))
            here, there = joined(one, other)
            fresh, _ = joined(one, other)
            one.answers[server.public_key] = fresh
            network.allows = lambda source, target: False
            link = one.link_to(other, here)
            other.link_to(one, there)
            one.keeper.rung(other.key, server, here)
            await asyncio.sleep(3)
            one.node.socket.switchboard.disconnect(here)
            one.relay = server
            one.keeper.server_silent(Contact(PublicKey(b"x" * 32), Endpoint("10.0.0.51", 1)))
            await asyncio.sleep(2)
            assert here == link.endpoint
            one.keeper.server_silent(server)
            await asyncio.sleep(2)
            assert fresh == link.endpoint

    run_virtually(main())


def test_stranger_that_names_endpoints_without_end_is_heeded_ever_less() -> None:
    """It has a link and no trust: the host that it names gets a burst, and then a packet a second."""

    async def main() -> None:
        async with two_sides() as (network, one, other):
            towards: list[Endpoint] = []
            network.allows = partial(_note_target, towards)
            here, there = joined(one, other)
            other.link_to(one, there)
            other.may_punch = False
            with_victim = Meet(tuple(Endpoint(VICTIM.host, 4000 + port) for port in range(8)))
            for _ in range(100):
                one.node.rpc.tell(Contact(other.key, here), with_victim)
                await asyncio.sleep(1)
            sent = sum(endpoint.host == VICTIM.host for endpoint in towards)
            config = RoadConfig()
            assert 0 < sent <= 2 * (config.host_try_burst + 101 * config.tries_per_host_s)
            assert 0 < other.metrics.probes["limited"].value

    run_virtually(main())
