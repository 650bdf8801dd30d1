"""Who knocks for whom, and how often at most."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from pilotdht.config.traversal import TraversalConfig
from pilotdht.net.outcomes import Answer
from pilotdht.tasks import TaskScope
from pilotdht.traversal.knocking import ASKED_BURST, KNOCK_BURST, KNOCKERS, Knocks
from pilotdht.wire.contact import Contact
from pilotdht.wire.dht_messages import Ping
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.traversal_messages import KnockFor, Knocking, SendKnocks
from simulations.engine.virtual_loop import run_virtually
from simulations.world.network import MemoryNetwork
from tests.support.net_nodes import CALM, NetNode, virtual_node

VICTIM = Endpoint("45.9.9.9", 4000)


class Party:
    """One node that knocks."""

    def __init__(self, node: NetNode, strangers: list[Contact], servers: list[Contact]) -> None:
        self.node = node
        self.is_wanted = True
        self.knocks = Knocks(
            node.rpc,
            config=TraversalConfig(),
            strangers=lambda count: strangers[:count],
            servers=lambda: servers,
            is_wanted=lambda: self.is_wanted,
        )
        self.knocks.start()


@asynccontextmanager
async def parties() -> AsyncIterator[tuple[MemoryNetwork, Party, Party, list[Party]]]:
    """Open one that asks, its server, and strangers, each on a network of its own."""
    network = MemoryNetwork(seed=1, conditions=CALM)
    async with AsyncExitStack() as stack:
        nodes = [
            await stack.enter_async_context(virtual_node(network, number, host=f"45.{number}.0.1"))
            for number in range(1, 6)
        ]
        strangers = [Party(node, [], []) for node in nodes[2:]]
        server = Party(nodes[1], [nodes[0].contact, *(one.contact for one in nodes[2:])], [])
        for node in nodes[2:]:
            for _ in range(2):  # the server holds their tokens, as of all in its table
                await nodes[1].rpc.request(node.contact, Ping())
        yield network, Party(nodes[0], [], [nodes[1].contact]), server, strangers


async def ask(party: Party, server: Party) -> Answer:
    """Ask for knocks."""
    return await party.node.rpc.request(server.node.contact, SendKnocks())


def test_strangers_knock_for_whoever_has_shown_where_it_is() -> None:
    """The first question brings no more than the token; the next one two knocks from elsewhere."""

    async def main() -> None:
        async with parties() as (_, one, server, strangers):
            assert Knocking(0) == (await ask(one, server)).message
            assert Knocking(KNOCKERS) == (await ask(one, server)).message
            await asyncio.sleep(1)
            knocked = [other for other in strangers if _has_asked(other)]
            assert KNOCKERS == len(knocked)
            assert one.node.rpc.reachability.is_reachable(now=asyncio.get_running_loop().time())

    run_virtually(main())


def _has_asked(party: Party) -> bool:
    """Return whether a node has sent a ping of its own."""
    return party.node.metrics.of_request(Ping).sent > 0


def test_node_that_asks_on_and_on_is_not_knocked_for() -> None:
    """So often that it learns what it wants, and no more."""

    async def main() -> None:
        async with parties() as (_, one, server, _strangers):
            await ask(one, server)
            counts = [(await ask(one, server)).message for _ in range(3 * ASKED_BURST)]
            assert ASKED_BURST == sum(answer == Knocking(KNOCKERS) for answer in counts)
            assert Knocking(0) == counts[-1]

    run_virtually(main())


def test_nobody_makes_a_node_knock_much_or_without_a_token() -> None:
    """A server that names a victim brings it a few small packets a second from us."""

    async def main() -> None:
        async with parties() as (network, one, server, strangers):
            sent: list[Endpoint] = []

            def note(_source: Endpoint, target: Endpoint) -> bool:
                sent.append(target)
                return True

            network.allows = note
            victim = Contact(one.node.keys.public_key, VICTIM)
            stranger = strangers[0].node.contact
            one.node.rpc.tell(stranger, KnockFor(victim))  # without a token
            await asyncio.sleep(1)
            assert VICTIM not in sent
            for _ in range(500):
                server.node.rpc.tell(stranger, KnockFor(victim))
            await asyncio.sleep(5)
            assert 0 < sent.count(VICTIM) <= 2 * (KNOCK_BURST + 30)
            server.node.rpc.is_client = True
            await asyncio.sleep(30)
            before = sent.count(VICTIM)
            server.node.rpc.tell(stranger, KnockFor(victim))
            await asyncio.sleep(5)
            assert before == sent.count(VICTIM)

    run_virtually(main())


def test_node_asks_while_it_wants_to_know_and_when_it_is_told_to_hurry() -> None:
    """Every ten minutes; at once after a change; not at all when strangers are known to reach it."""

    async def main() -> None:
        async with parties() as (_, one, _server, _strangers), TaskScope("knocks") as scope:
            counts = one.node.metrics.of_request(SendKnocks)
            scope.start(one.knocks.run(), name="knocks")
            await asyncio.sleep(1)
            assert 1 == counts.sent
            one.knocks.hurry()
            await asyncio.sleep(5)
            assert 2 == counts.sent
            await asyncio.sleep(1210)
            assert 4 == counts.sent
            one.is_wanted = False
            await asyncio.sleep(3600)
            assert 4 == counts.sent

    run_virtually(main())
