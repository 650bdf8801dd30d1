"""A node behind a NAT keeps a few servers: which ones, how often, and what happens when they go."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from pilotdht.config.relay import RelayConfig
from pilotdht.errors import TimedOut
from pilotdht.tasks import TaskScope
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.traversal_messages import Attach, Attached, CallResult, Ring, Rung
from simulations.engine.virtual_loop import run_virtually
from simulations.world.network import MemoryNetwork
from tests.support.net_nodes import CALM, key_pair
from tests.support.relay_nodes import RelayNode, virtual_relay_node


@asynccontextmanager
async def town(
    *hosts: str, relay: RelayConfig | None = None, servers: RelayConfig | None = None
) -> AsyncIterator[tuple[MemoryNetwork, RelayNode, list[RelayNode]]]:
    """Open a node that knows of servers at these hosts, and the servers."""
    network = MemoryNetwork(seed=1, conditions=CALM)
    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(virtual_relay_node(network, 1, relay=relay))
        opened = [
            await stack.enter_async_context(virtual_relay_node(network, seed, host=host, relay=servers))
            for seed, host in enumerate(hosts, 20)
        ]
        node.candidates = [server.contact for server in opened]
        yield network, node, opened


FIVE = tuple(f"198.51.{prefix}.1" for prefix in range(5))


def contacts(*nodes: RelayNode) -> tuple[Contact, ...]:
    """Return where nodes are."""
    return tuple(node.contact for node in nodes)


def test_the_first_three_candidates_on_different_networks_are_taken() -> None:
    """In one search, and the owner is told."""

    async def main() -> None:
        async with town("198.51.1.1", "198.51.1.2", "198.51.2.1", "198.51.2.2", "198.51.3.1", "198.51.4.1") as (
            _,
            node,
            servers,
        ):
            await node.attachments.look()
            expected = contacts(servers[0], servers[2], servers[4])
            assert expected == node.attachments.servers == node.attachments.relays
            assert (expected, 1) == (node.changes[-1], node.searches)
            assert [1, 0, 1, 0, 1, 0] == [len(server.server.attached) for server in servers]

    run_virtually(main())


def test_node_that_needs_none_has_none() -> None:
    """It lets them go when it becomes reachable, and takes some when it no longer is."""

    async def main() -> None:
        async with town(*FIVE) as (_, node, servers), TaskScope("test") as scope:
            node.is_wanted = False
            scope.start(node.attachments.run(), name="attachments")
            await asyncio.sleep(100)
            assert ((), 0) == (node.attachments.servers, node.searches)
            for is_wanted, expected in ((True, contacts(*servers[:3])), (False, ()), (True, contacts(*servers[:3]))):
                node.is_wanted = is_wanted
                node.attachments.hurry()
                await asyncio.sleep(1)
                assert expected == node.attachments.servers
            assert [contacts(*servers[:3]), (), contacts(*servers[:3])] == node.changes

    run_virtually(main())


def test_attached_node_stays_so_and_asks_no_more_than_it_must() -> None:
    """An hour: three requests a minute and server, one search, no change."""

    async def main() -> None:
        async with town(*FIVE) as (_, node, servers), TaskScope("test") as scope:
            scope.start(node.attachments.run(), name="attachments")
            for _ in range(120):
                await asyncio.sleep(30)
                assert [1, 1, 1, 0, 0] == [len(server.server.attached) for server in servers]
            assert (1, 1) == (node.searches, len(node.changes))
            renewed = servers[0].counts.attaches[CallResult.OK]
            assert 180 <= renewed <= 200

    run_virtually(main())


def test_silent_server_is_replaced_soon_after_it_was_missed() -> None:
    """It is asked once more soon after a renewal without an answer; then left alone while there are others."""

    async def main() -> None:
        async with town(*FIVE) as (_, node, servers), TaskScope("test") as scope:
            scope.start(node.attachments.run(), name="attachments")
            await asyncio.sleep(10)
            await servers[1].socket.close()
            await asyncio.sleep(22)
            assert contacts(servers[0], servers[2], servers[3]) == node.attachments.servers
            assert 1 == node.counts.gone
            asked = node.metrics.requests["Attach"].silent
            await asyncio.sleep(200)
            assert asked == node.metrics.requests["Attach"].silent

    run_virtually(main())


def test_one_lost_round_changes_nothing() -> None:
    """A server is asked again soon before it is given up."""

    async def main() -> None:
        async with town(*FIVE) as (network, node, servers), TaskScope("test") as scope:
            scope.start(node.attachments.run(), name="attachments")
            await asyncio.sleep(10)
            silent_until = asyncio.get_running_loop().time() + 12
            network.allows = lambda _source, target: (
                target.host != servers[1].endpoint.host or asyncio.get_running_loop().time() > silent_until
            )
            await asyncio.sleep(60)
            assert contacts(*servers[:3]) == node.attachments.servers
            assert (1, 0) == (len(node.changes), node.counts.gone)

    run_virtually(main())


def test_full_and_unwilling_servers_are_passed_over() -> None:
    """In the same search."""

    async def main() -> None:
        full = dataclasses.replace(RelayConfig(), max_attached=0)
        network = MemoryNetwork(seed=1, conditions=CALM)
        async with AsyncExitStack() as stack:
            node = await stack.enter_async_context(virtual_relay_node(network, 1))
            servers = [
                await stack.enter_async_context(virtual_relay_node(network, seed, relay=config))
                for seed, config in enumerate([full, None, full, full, None, None, None], 20)
            ]
            await node.attach(*servers)
            assert contacts(servers[1], servers[4], servers[5]) == node.attachments.servers
            assert 1 == servers[0].counts.attaches[CallResult.FULL]
            await node.attachments.look()
            assert 1 == servers[0].counts.attaches[CallResult.FULL]

    run_virtually(main())


def test_one_server_at_least_relays_and_stands_first() -> None:
    """Those that only introduce get the other places, in whatever order they are found."""

    async def main() -> None:
        shy = dataclasses.replace(RelayConfig(), is_relay=False)
        network = MemoryNetwork(seed=1, conditions=CALM)
        async with AsyncExitStack() as stack:
            node = await stack.enter_async_context(virtual_relay_node(network, 1))
            servers = [
                await stack.enter_async_context(virtual_relay_node(network, seed, relay=config))
                for seed, config in enumerate([shy, shy, shy, shy, None, None], 20)
            ]
            await node.attach(*servers)
            assert contacts(servers[4], servers[0], servers[1]) == node.attachments.servers
            assert contacts(servers[4]) == node.attachments.relays

    run_virtually(main())


def test_server_that_refuses_a_renewal_is_left() -> None:
    """Its word counts at once."""

    async def main() -> None:
        async with town(*FIVE) as (_, node, servers):
            await node.attachments.look()
            servers[0].server.stop()
            await node.attachments.look()
            assert contacts(*servers[1:4]) == node.attachments.servers

    run_virtually(main())


def test_node_without_any_server_asks_those_again_that_refused() -> None:
    """Better one that was full a while ago than none."""

    async def main() -> None:
        async with town("198.51.1.1") as (_, node, (server,)), TaskScope("test") as scope:
            server.server.stop()
            scope.start(node.attachments.run(), name="attachments")
            await asyncio.sleep(100)
            assert () == node.attachments.servers
            server.server.start()
            await asyncio.sleep(61)
            assert contacts(server) == node.attachments.servers

    run_virtually(main())


def test_search_that_finds_nothing_is_repeated_ever_more_slowly() -> None:
    """Whether there are no candidates or the lookup fails; a change of address starts anew."""

    async def main() -> None:
        async with town() as (_, node, _servers), TaskScope("test") as scope:
            scope.start(node.attachments.run(), name="attachments")
            await asyncio.sleep(3600)
            assert 60 <= node.searches <= 80
            searches = node.searches
            node.attachments.hurry()
            await asyncio.sleep(1)
            assert searches + 1 == node.searches

    run_virtually(main())


def test_failing_lookup_ends_nothing() -> None:
    """What it raises is taken for no candidates."""

    async def main() -> None:
        async with town(*FIVE) as (_, node, servers), TaskScope("test") as scope:
            node.search_failures = [TimedOut("no answer"), TimedOut("no answer")]
            scope.start(node.attachments.run(), name="attachments")
            await asyncio.sleep(20)
            assert (contacts(*servers[:3]), 0) == (node.attachments.servers, scope.failures)

    run_virtually(main())


def test_preferred_servers_come_first_and_take_the_place_of_others() -> None:
    """Also when they come up later."""

    async def main() -> None:
        retry = dataclasses.replace(RelayConfig(), attach_retry_s=60)
        async with town(*FIVE, relay=retry) as (network, node, servers), TaskScope("test") as scope:
            favourite = virtual_relay_node(network, 9)
            here = Contact(favourite.keys.public_key, Endpoint("203.0.9.1", 4000))
            node.preferred = [here]
            node.attachments = node.new_attachments()
            node.attachments.start()
            scope.start(node.attachments.run(), name="attachments")
            await asyncio.sleep(10)
            assert contacts(*servers[:3]) == node.attachments.servers
            async with favourite:
                await asyncio.sleep(100)
                assert (*contacts(*servers[:2]), here) == node.attachments.servers

    run_virtually(main())


def test_only_preferred_servers_are_taken_when_the_operator_says_so() -> None:
    """Others are not even looked for, also while the preferred one is away."""

    async def main() -> None:
        only = dataclasses.replace(
            RelayConfig(), attach_retry_s=30, preferred=("203.0.9.1:4000",), is_preferred_only=True
        )
        async with town(*FIVE, relay=only) as (network, node, _), TaskScope("test") as scope:
            favourite = virtual_relay_node(network, 9)
            here = Contact(favourite.keys.public_key, Endpoint("203.0.9.1", 4000))
            node.preferred = [here]
            scope.start(node.attachments.run(), name="attachments")
            await asyncio.sleep(60)
            assert () == node.attachments.servers
            async with favourite:
                await asyncio.sleep(60)
                assert [here] == list(node.attachments.servers)
                assert 0 == node.searches

    run_virtually(main())


def test_short_lifetime_of_a_server_is_kept_up_with() -> None:
    """Renewals come three times within it."""

    async def main() -> None:
        short = dataclasses.replace(RelayConfig(), lifetime_s=6)
        async with town("198.51.1.1", servers=short) as (_, node, (server,)), TaskScope("test") as scope:
            scope.start(node.attachments.run(), name="attachments")
            for _ in range(60):
                await asyncio.sleep(1)
                assert server.server.attached.find(node.keys.public_key, now=asyncio.get_running_loop().time())
            assert server.counts.attaches[CallResult.OK] <= 42  # searches for two more renew as well

    run_virtually(main())


def test_server_that_would_be_asked_all_the_time_is_not_taken() -> None:
    """Nor can one make us."""

    async def main() -> None:
        async with town("198.51.1.1") as (network, node, (server,)):
            server.rpc.serve(Attach, lambda _message, _sender: Attached(CallResult.OK, 1))
            await node.attachments.look()
            assert () == node.attachments.servers
            server.rpc.serve(Attach, lambda _message, _sender: Attached(CallResult.UNPROVEN))
            sent = network.sent
            node.attachments.hurry()
            await node.attachments.look()
            assert ((), 4) == (node.attachments.servers, network.sent - sent)

    run_virtually(main())


@pytest.mark.parametrize("is_attached", [True, False])
def test_call_is_taken_once_and_only_from_our_server(is_attached: bool) -> None:
    """From the key and the endpoint that we asked."""

    async def main() -> None:
        async with town("198.51.1.1") as (_, node, (server,)):
            if is_attached:
                await node.attachments.look()
            caller = key_pair(77).public_key
            answers = [(await server.rpc.request(node.contact, Ring(caller, b"channel!"))).message for _ in range(3)]
            assert [Rung(is_taken=is_attached)] * 3 == answers
            endpoint = node.client.find(server.contact, b"channel!")
            if is_attached:
                assert [(caller, server.contact, endpoint)] == node.calls
            else:
                assert ([], None, 3) == (node.calls, endpoint, node.counts.rings_ignored)

    run_virtually(main())


def test_server_at_another_endpoint_is_another_server() -> None:
    """The same key somewhere else is not whom we asked."""

    async def main() -> None:
        async with town("198.51.1.1") as (network, node, (server,)):
            await node.attachments.look()
            async with virtual_relay_node(network, 20, host="198.51.9.9") as moved:
                assert server.keys.public_key == moved.keys.public_key
                answer = await moved.rpc.request(node.contact, Ring(key_pair(77).public_key, b"channel!"))
                assert (Rung(is_taken=False), []) == (answer.message, node.calls)

    run_virtually(main())


def test_server_that_is_gone_is_replaced_within_seconds_while_links_rely_on_servers() -> None:
    """It is missed once, somebody else is asked, and only then it is given up; whoever links through it is told."""

    async def main() -> None:
        async with town(*FIVE) as (_, node, servers), TaskScope("test") as scope:
            node.is_relied = True
            scope.start(node.attachments.run(), name="attachments")
            await asyncio.sleep(10)
            await servers[1].socket.close()
            await asyncio.sleep(node.relay_config.relied_interval_s + 2.0)
            assert contacts(servers[0], servers[2], servers[3]) == node.attachments.servers[:3]
            assert servers[1].contact in node.silent

    run_virtually(main())


def test_doubt_makes_a_node_look_at_its_servers_at_once_but_not_all_the_time() -> None:
    """A hundred links that fall silent are one reason."""

    async def main() -> None:
        async with town(*FIVE) as (_, node, servers), TaskScope("test") as scope:
            scope.start(node.attachments.run(), name="attachments")
            await asyncio.sleep(5)
            before = servers[0].counts.attaches[CallResult.OK]
            for _ in range(100):
                node.attachments.doubt()
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.5)
            assert 1 <= servers[0].counts.attaches[CallResult.OK] - before <= 2

    run_virtually(main())


def test_server_that_came_back_is_taken_again_when_nobody_else_is_left() -> None:
    """It is not left alone for five minutes while places are free."""

    async def main() -> None:
        async with town(*FIVE[:3]) as (network, node, servers), TaskScope("test") as scope:
            node.is_relied = True
            scope.start(node.attachments.run(), name="attachments")
            await asyncio.sleep(10)
            network.unplug(servers[1].endpoint.host)
            await asyncio.sleep(15)
            assert {servers[0].contact, servers[2].contact} == set(node.attachments.servers)
            network.plug(servers[1].endpoint.host)
            await asyncio.sleep(30)
            assert {*contacts(*servers)} == set(node.attachments.servers)

    run_virtually(main())


def test_server_cannot_take_all_channels_by_calls_that_it_makes_up() -> None:
    """A fourth of them; calls through another server are taken all the same."""

    async def main() -> None:
        relay = dataclasses.replace(RelayConfig(), max_open=16)
        async with town(*FIVE, relay=relay) as (_, node, servers):
            await node.attach(*servers)
            caller = key_pair(99).public_key
            taken = 0
            for number in range(50):
                answer = await servers[0].rpc.request(node.contact, Ring(caller, number.to_bytes(8, "big")))
                taken += isinstance(answer.message, Rung) and answer.message.is_taken
            assert (4, 46) == (taken, node.counts.rings_ignored)
            answer = await servers[1].rpc.request(node.contact, Ring(caller, b"honestly"))
            assert Rung(is_taken=True) == answer.message

    run_virtually(main())
