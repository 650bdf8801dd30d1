"""Requests over a network in memory, under a virtual clock: waits, retransmission, bounds, cancellation."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from pilotdht.config.net import NetConfig
from pilotdht.errors import InternalError, NodeClosed, Overloaded, TimedOut
from pilotdht.identity.ids import NodeId, PublicKey
from pilotdht.net.outcomes import Answered, Outcome, Sender, Silent, Slow
from pilotdht.wire.contact import Contact
from pilotdht.wire.dht_messages import FindNode, Nodes, Ping, Pong
from pilotdht.wire.endpoint import Endpoint
from simulations.engine.virtual_loop import VirtualLoop, run_virtually
from simulations.world.conditions import CONDITIONS
from simulations.world.network import MemoryNetwork
from tests.support.net_nodes import CALM, LosesFirst, NetNode, key_pair, virtual_node, virtual_pair

NOBODY = Contact(key_pair(99).public_key, Endpoint("10.0.0.99", 4000))
TARGET = NodeId(b"t" * 20)


def now() -> float:
    """Return the loop's clock."""
    return asyncio.get_running_loop().time()


async def outcomes_of(node: NetNode, contact: Contact) -> list[tuple[Outcome, float]]:
    """Ping a contact; return each outcome with the time it took."""
    found, started = [], now()
    async with node.rpc.calls() as calls:
        calls.start(contact, Ping())
        while calls.outstanding:
            found.append((await calls.next(), now() - started))
    return found


async def warm_up(node: NetNode, contact: Contact, count: int = 20) -> None:
    """Let a node measure a contact."""
    for _ in range(count):
        await node.rpc.request(contact, Ping())


def contacts(count: int) -> tuple[Contact, ...]:
    """Return so many contacts."""
    return tuple(Contact(key_pair(100 + n).public_key, Endpoint("192.0.2.1", 1000 + n)) for n in range(count))


def test_request_of_living_peer_is_answered() -> None:
    """The answer says who, what, how long, and where it saw us."""

    async def main() -> None:
        async with virtual_pair() as (_, asker, answerer):
            answer = await asker.rpc.request(answerer.contact, Ping())
            assert (Pong(), asker.endpoint, answerer.contact) == (answer.message, answer.observed, answer.contact)
            assert answer.rtt_s == pytest.approx(0.02, abs=1e-4)

    run_virtually(main())


def test_request_of_dead_peer_times_out_after_both_waits() -> None:
    """800 ms for each transmission when nothing was measured."""

    async def main() -> None:
        async with virtual_pair() as (network, asker, _):
            started = now()
            with pytest.raises(TimedOut):
                await asker.rpc.request(NOBODY, Ping())
            assert now() - started == pytest.approx(1.6, abs=1e-3)
            assert (2, 0) == (network.sent, len(asker.rpc))

    run_virtually(main())


def test_request_first_datagram_lost_is_answered_after_retransmission() -> None:
    """One lost datagram costs the first wait, not the request."""

    async def main() -> None:
        async with virtual_pair() as (network, asker, answerer):
            network.allows = LosesFirst(asker.endpoint.host, 1)
            answer = await asker.rpc.request(answerer.contact, Ping())
            assert answer.rtt_s == pytest.approx(0.82, abs=1e-3)

    run_virtually(main())


def test_request_with_shorter_limit_ends_at_the_limit() -> None:
    """A caller may be less patient, and nothing is left behind."""

    async def main() -> None:
        async with virtual_pair() as (_, asker, _answerer):
            started = now()
            with pytest.raises(TimedOut):
                await asker.rpc.request(NOBODY, Ping(), timeout_s=0.1)
            assert now() - started == pytest.approx(0.1, abs=1e-3)
            assert 0 == len(asker.rpc)

    run_virtually(main())


def test_outcomes_of_dead_peer_are_slow_then_silent() -> None:
    """The slot comes back at the first wait, the verdict at the second."""

    async def main() -> None:
        async with virtual_pair() as (_, asker, _answerer):
            found = await outcomes_of(asker, NOBODY)
            assert [Slow(NOBODY), Silent(NOBODY)] == [outcome for outcome, _ in found]
            assert [0.8, 1.6] == pytest.approx([after for _, after in found], abs=1e-3)

    run_virtually(main())


def test_outcomes_of_peer_that_answers_late_are_slow_then_answered() -> None:
    """Being slow is no verdict."""

    async def main() -> None:
        async with virtual_pair() as (network, asker, answerer):
            network.allows = LosesFirst(asker.endpoint.host, 1)
            kinds = [type(outcome) for outcome, _ in await outcomes_of(asker, answerer.contact)]
            assert [Slow, Answered] == kinds

    run_virtually(main())


def test_outcomes_of_stranger_come_sooner_once_others_were_measured() -> None:
    """A node on a fast network gives a dead stranger 40 + 150 ms instead of 1.6 s."""

    async def main() -> None:
        async with virtual_pair() as (_, asker, answerer):
            await warm_up(asker, answerer.contact)
            found = await outcomes_of(asker, NOBODY)
            assert [0.04, 0.19] == pytest.approx([after for _, after in found], abs=1e-3)

    run_virtually(main())


def test_outcomes_after_the_network_became_slow_recover() -> None:
    """Answers that come after the verdict still teach the node to wait longer."""

    async def main() -> None:
        async with virtual_pair() as (network, asker, answerer):
            await warm_up(asker, answerer.contact)
            network.conditions = replace(CALM, latency_low_s=0.4, latency_high_s=0.4)
            last = [(await outcomes_of(asker, answerer.contact))[-1][0] for _ in range(12)]
            assert Silent is type(last[0])
            assert Answered is type(last[-1])

    run_virtually(main())


def test_outcomes_while_the_loop_was_busy_blame_nobody() -> None:
    """A timer that fires a second late looks again before it calls the peer slow."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        async with virtual_pair() as (_, asker, answerer):
            await warm_up(asker, answerer.contact)
            loop.call_later(0.001, loop.compute, 1.0)
            kinds = [type(outcome) for outcome, _ in await outcomes_of(asker, answerer.contact)]
            assert [Answered] == kinds

    run_virtually(main())


def test_calls_many_at_once_all_end_under_loss() -> None:
    """At 20 % loss each of 200 requests has exactly one end, and the table is empty afterwards."""

    async def main() -> None:
        conditions = replace(CONDITIONS["uniform"], latency_high_s=0.05, jitter_s=0.005, loss=0.2)
        async with virtual_pair(conditions=conditions) as (_, asker, answerer):
            ends = 0
            async with asker.rpc.calls() as calls:
                for _ in range(200):
                    calls.start(answerer.contact, Ping())
                while calls.outstanding:
                    ends += type(await calls.next()) is not Slow
            assert (200, 0) == (ends, len(asker.rpc))

    run_virtually(main())


def test_calls_left_early_forget_what_is_outstanding() -> None:
    """Leaving the block leaves nothing in the table."""

    async def main() -> None:
        async with virtual_pair() as (_, asker, answerer):
            async with asker.rpc.calls() as calls:
                for _ in range(20):
                    calls.start(answerer.contact, Ping())
                    calls.start(NOBODY, Ping())
            assert (0, 0) == (calls.outstanding, len(asker.rpc))
            await asyncio.sleep(5)
            assert {"reply_unasked": 20} == asker.metrics.dropped

    run_virtually(main())


def test_calls_next_without_any_outstanding_is_an_error() -> None:
    """Waiting for nothing would never end."""

    async def main() -> None:
        async with virtual_pair() as (_, asker, _answerer), asker.rpc.calls() as calls:
            with pytest.raises(InternalError):
                await calls.next()

    run_virtually(main())


def test_request_beyond_the_bound_is_refused_and_the_bound_frees_itself() -> None:
    """The table of pending requests is bounded."""

    async def main() -> None:
        async with virtual_pair(config=NetConfig(pending_requests=4)) as (_, asker, answerer):
            async with asker.rpc.calls() as calls:
                for _ in range(4):
                    calls.start(NOBODY, Ping())
                with pytest.raises(Overloaded):
                    await asker.rpc.request(answerer.contact, Ping())
            assert Pong() == (await asker.rpc.request(answerer.contact, Ping())).message

    run_virtually(main())


def test_close_ends_requests_and_calls_with_an_error() -> None:
    """Nobody waits for a closed node, before or after."""

    async def main() -> None:
        async with virtual_pair() as (_, asker, _answerer):
            async with asyncio.TaskGroup() as group:
                request = group.create_task(expect_closed(asker))
                await asyncio.sleep(0.1)
                await asker.socket.close()
            assert request.done()
            await expect_closed(asker)
            with pytest.raises(NodeClosed):
                await asker.rpc.hello(NOBODY.endpoint)

    async def expect_closed(node: NetNode) -> None:
        with pytest.raises(NodeClosed):
            await node.rpc.request(NOBODY, Ping())

    run_virtually(main())


@pytest.mark.parametrize("key", [b"\x01" + bytes(31), bytes(32), b"\xff" * 32])
def test_request_of_unusable_key_is_silent_at_once(key: bytes) -> None:
    """A contact from the network with a hostile key costs nothing and raises nothing else."""

    async def main() -> None:
        async with virtual_pair() as (network, asker, answerer):
            started = now()
            with pytest.raises(TimedOut):
                await asker.rpc.request(Contact(PublicKey(key), answerer.endpoint), Ping())
            assert (started, 0, 0) == (now(), network.sent, len(asker.rpc))

    run_virtually(main())


def test_request_of_ourselves_is_silent_at_once() -> None:
    """Our own contact may come back from others."""

    async def main() -> None:
        async with virtual_pair() as (network, asker, _answerer):
            found = await outcomes_of(asker, asker.contact)
            assert ([(Silent(asker.contact), 0.0)], 0) == (found, network.sent)

    run_virtually(main())


def test_request_first_is_padded_and_second_carries_the_token() -> None:
    """1,200 bytes buy the longest reply; with a token 160 do."""

    async def main() -> None:
        async with virtual_pair() as (network, asker, answerer):
            sizes = []
            for _ in range(2):
                before = network.sent_bytes
                answerer.rpc.serve(FindNode, lambda _request, _sender: None)
                with pytest.raises(TimedOut):
                    await asker.rpc.request(answerer.contact, FindNode(TARGET), timeout_s=0.05)
                sizes.append(network.sent_bytes - before)
                await asker.rpc.request(answerer.contact, Ping())
            assert [1200, 160] == sizes

    run_virtually(main())


def test_request_with_stale_token_still_gets_the_whole_reply() -> None:
    """A restarted peer cuts its reply and gives a token; the request is repeated unseen."""

    async def main() -> None:
        network = MemoryNetwork(seed=1, conditions=CALM)
        async with virtual_node(network, 1) as asker:
            for _ in range(2):
                async with virtual_node(network, 2) as answerer:
                    answerer.rpc.serve(FindNode, lambda _request, _sender: Nodes(contacts(20)))
                    answer = await asker.rpc.request(answerer.contact, FindNode(TARGET))
                    assert Nodes(contacts(20)) == answer.message
            counts = asker.metrics.requests["FindNode"]
            assert (2, 2, 0) == (counts.sent, counts.answered, counts.slow)

    run_virtually(main())


def test_reply_longer_than_a_datagram_loses_its_farthest_contacts() -> None:
    """Twenty IPv6 contacts and a store token do not fit into 1,200 bytes."""
    many = tuple(Contact(key_pair(100 + n).public_key, Endpoint("2001:db8::1", 1000 + n)) for n in range(20))

    async def main() -> None:
        async with virtual_pair() as (_, asker, answerer):
            answerer.rpc.serve(FindNode, lambda _request, _sender: Nodes(many, b"s" * 8))
            message = (await asker.rpc.request(answerer.contact, FindNode(TARGET))).message
            assert isinstance(message, Nodes)
            assert 18 <= len(message.contacts) < 20
            assert many[: len(message.contacts)] == message.contacts

    run_virtually(main())


def test_handler_that_raises_answers_nothing_and_the_next_request_is_served() -> None:
    """A handler's bug is counted and confined to its request."""

    def handler(_request: FindNode, _sender: Sender) -> Nodes:
        raise ValueError("bug")

    async def main() -> None:
        async with virtual_pair() as (_, asker, answerer):
            answerer.rpc.serve(FindNode, handler)
            with pytest.raises(TimedOut):
                await asker.rpc.request(answerer.contact, FindNode(TARGET))
            assert 2 == answerer.metrics.handler_failures
            assert Pong() == (await asker.rpc.request(answerer.contact, Ping())).message

    run_virtually(main())


def test_callbacks_that_raise_are_counted_and_spoil_nothing() -> None:
    """The request is answered all the same."""

    def fails(*_: object) -> None:
        raise ValueError("bug")

    async def main() -> None:
        async with virtual_pair() as (_, asker, answerer):
            asker.rpc.on_reachable(fails)
            answerer.rpc.on_heard(fails)
            await warm_up(asker, answerer.contact, 2)
            assert (2, 1) == (asker.metrics.handler_failures, answerer.metrics.handler_failures)

    run_virtually(main())


def test_reachable_is_told_after_each_answer_and_heard_after_validated_requests() -> None:
    """Our own round trips verify; requests make candidates once their sender was validated."""

    async def main() -> None:
        async with virtual_pair() as (_, asker, answerer):
            reached: list[Contact] = []
            heard: list[Sender] = []
            asker.rpc.on_reachable(lambda contact, _rtt_s: reached.append(contact))
            answerer.rpc.on_heard(heard.append)
            await warm_up(asker, answerer.contact, 3)
            assert [answerer.contact] * 3 == reached
            assert [Sender(asker.contact, is_validated=True, is_client=False)] * 2 == heard

    run_virtually(main())


def test_client_says_so_in_requests_and_replies() -> None:
    """Clients are told apart on both sides."""

    async def main() -> None:
        async with virtual_pair() as (_, asker, answerer):
            heard: list[Sender] = []
            answerer.rpc.on_heard(heard.append)
            asker.rpc.is_client = answerer.rpc.is_client = True
            answers = [await asker.rpc.request(answerer.contact, Ping()) for _ in range(2)]
            assert [True, True] == [answer.is_client for answer in answers]
            assert [True] == [sender.is_client for sender in heard]

    run_virtually(main())


def test_store_token_is_good_for_its_sender_alone() -> None:
    """Bound to address and key, and to writing."""

    async def main() -> None:
        async with virtual_pair() as (_, asker, answerer):
            sender = Sender(asker.contact, is_validated=True, is_client=False)
            moved = Contact(asker.keys.public_key, Endpoint("10.0.0.7", 4000))
            token = answerer.rpc.store_token(sender)
            assert answerer.rpc.check_store_token(sender, token)
            assert not answerer.rpc.check_store_token(Sender(moved, is_validated=True, is_client=False), token)
            assert not answerer.rpc.check_store_token(sender, bytes(8))

    run_virtually(main())


def test_observed_and_reachability_follow_from_requests() -> None:
    """Three peers name our endpoint; two reach us though we never sent them anything."""

    async def main() -> None:
        network = MemoryNetwork(seed=1, conditions=CALM)
        one, two, three, four = (virtual_node(network, seed) for seed in (1, 2, 3, 4))
        async with one, two, three, four:
            for other in (two, three, four):
                await one.rpc.request(other.contact, Ping())
            assert one.endpoint == one.rpc.observed.public_endpoint(now=now())
            await two.rpc.request(three.contact, Ping())
            await four.rpc.request(three.contact, Ping())
            for other in (two, three, four):
                await other.rpc.request(one.contact, Ping())
            assert not one.rpc.reachability.is_reachable(now=now())
            assert three.rpc.reachability.is_reachable(now=now())

    run_virtually(main())


def test_deadlines_of_answered_requests_do_not_pile_up() -> None:
    """Ten thousand answered requests leave no more than a handful of entries."""

    async def main() -> None:
        config = NetConfig(is_private_limited=False)
        async with virtual_pair(config=config) as (_, asker, answerer), asker.rpc.calls() as calls:
            for _ in range(32):
                calls.start(answerer.contact, Ping())
            for _ in range(10_000 - 32):
                await calls.next()
                calls.start(answerer.contact, Ping())
            assert asker.rpc.deadlines_kept <= 2 * 32 + 65

    run_virtually(main())
