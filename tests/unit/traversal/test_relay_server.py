"""A server under a virtual clock: whom it serves, whom it tells, and when it gives up."""

from __future__ import annotations

import asyncio
import dataclasses
from contextlib import AsyncExitStack

import pytest
from prometheus_client import CollectorRegistry

from pilotdht.config.relay import RelayConfig
from pilotdht.errors import Overloaded, PilotError, Refused, Unreachable
from pilotdht.net.outcomes import Sender
from pilotdht.traversal.relay.metrics import RelayMetrics
from pilotdht.wire.dht_messages import Ping, Pong
from pilotdht.wire.traversal_messages import Attach, Attached, Call, Called, CallResult, HangUp, Ring
from simulations.engine.virtual_loop import run_virtually
from simulations.world.network import MemoryNetwork
from tests.support.net_nodes import CALM
from tests.support.relay_nodes import (
    QUIC_LIKE,
    RelayNode,
    counted,
    now,
    reached,
    virtual_relay_node,
    virtual_three,
)

LONG_S = 10.0
"""Longer than any request is waited for."""


def test_stranger_calls_and_is_heard_within_three_round_trips() -> None:
    """One to the server, which does not know it yet, and one through it; nothing had to be sent twice."""

    async def main() -> None:
        async with virtual_three() as (_, caller, server, target):
            started = now()
            await reached(caller, server, target)
            assert now() - started == pytest.approx(0.06, abs=0.002)
            assert 1 == server.counts.calls[CallResult.OK]
            assert 0 == caller.metrics.requests["Ping"].slow
            assert {} == counted(target.counts.dropped)

    run_virtually(main())


def test_stranger_is_asked_to_prove_itself_where_room_is_short() -> None:
    """It takes one round trip more."""

    async def main() -> None:
        config = dataclasses.replace(RelayConfig(), max_unproven=0)
        async with virtual_three(relay=config) as (_, caller, server, target):
            started = now()
            await reached(caller, server, target)
            assert now() - started == pytest.approx(0.08, abs=0.002)
            assert (1, 1) == (server.counts.calls[CallResult.UNPROVEN], server.counts.calls[CallResult.OK])

    run_virtually(main())


def test_nobody_is_rung_for_a_caller_that_has_not_shown_itself() -> None:
    """And its channel ends soon; the called node never hears of it."""

    async def main() -> None:
        async with virtual_three() as (_, caller, server, target):
            await caller.rpc.request(server.contact, Call(target.keys.public_key))
            assert 1 == len(server.server.channels)
            await asyncio.sleep(LONG_S)
            assert (0, {"unproven": 1}) == (len(server.server.channels), counted(server.counts.ended))
            assert ({}, []) == (counted(server.counts.rings), target.calls)

    run_virtually(main())


def test_attaching_takes_a_proof_of_where_one_is() -> None:
    """The first answer only brings the token."""

    async def main() -> None:
        async with virtual_three() as (_, caller, server, _target):
            first = await caller.rpc.request(server.contact, Attach())
            assert Attached(CallResult.UNPROVEN) == first.message
            assert server.server.attached.find(caller.keys.public_key, now=now()) is None
            second = await caller.rpc.request(server.contact, Attach())
            assert Attached(CallResult.OK, 60, is_relay=True) == second.message
            found = server.server.attached.find(caller.keys.public_key, now=now())
            assert found is not None
            assert caller.endpoint == found.endpoint

    run_virtually(main())


def test_who_does_not_renew_is_forgotten() -> None:
    """After its lifetime it cannot be called any more."""

    async def main() -> None:
        async with virtual_three() as (_, caller, server, target):
            await asyncio.sleep(61)
            with pytest.raises(Unreachable):
                await caller.client.call(server.contact, target.keys.public_key)
            await asyncio.sleep(20)
            assert 0 == len(server.server.attached)

    run_virtually(main())


def test_caller_of_a_node_that_vanished_is_told() -> None:
    """As soon as the server knows; not after a minute of silence."""

    async def main() -> None:
        async with virtual_three() as (_, caller, server, target):
            await target.socket.close()
            endpoint = await caller.client.call(server.contact, target.keys.public_key)
            caller.socket.send(QUIC_LIKE, endpoint)
            await asyncio.sleep(LONG_S / 2)
            assert [endpoint] == caller.closed
            assert ({"silent": 1}, {"silent": 1}) == (counted(server.counts.rings), counted(server.counts.ended))
            assert 0 == len(server.server.channels)

    run_virtually(main())


def test_called_node_whose_answer_is_lost_but_who_is_heard_keeps_the_channel() -> None:
    """What it sends says more than its missing answer."""

    async def main() -> None:
        async with virtual_three() as (_, caller, server, target):
            target.rpc.serve(Ring, lambda message, sender: _opened_silently(target, message, sender))
            endpoint = await reached(caller, server, target)
            await asyncio.sleep(LONG_S)
            assert {"silent": 1} == counted(server.counts.rings)
            assert Pong() == (await caller.rpc.request(caller.tuned(target, endpoint), Ping())).message

    run_virtually(main())


def test_caller_is_told_when_the_called_node_does_not_take_the_call() -> None:
    """It has too many channels open already."""

    async def main() -> None:
        config = dataclasses.replace(RelayConfig(), max_open=1)
        async with (
            virtual_three(relay=config) as (network, caller, server, target),
            virtual_relay_node(network, 4) as other,
        ):
            await reached(caller, server, target)
            endpoint = await other.client.call(server.contact, target.keys.public_key)
            other.socket.send(QUIC_LIKE, endpoint)
            await asyncio.sleep(1)
            assert ([endpoint], []) == (other.closed, caller.closed)
            assert (1, 1) == (server.counts.rings["refused"], target.counts.rings_ignored)

    run_virtually(main())


def test_idle_channel_ends_everywhere_and_a_used_one_lives_on() -> None:
    """A minute after the last frame; calling again in between is no use of it."""

    async def main() -> None:
        async with virtual_three() as (_, caller, server, target):
            endpoint = await reached(caller, server, target)
            for _ in range(6):
                await asyncio.sleep(25)
                await target.attachments.look()
                caller.socket.send(QUIC_LIKE, endpoint)
            assert 1 == len(server.server.channels) == len(target.client) == len(caller.client)
            for _ in range(3):
                await asyncio.sleep(25)
                await target.attachments.look()
            await asyncio.sleep(6)
            assert [0, 0, 0] == [len(server.server.channels), len(target.client), len(caller.client)]
            assert ([endpoint], 1) == (caller.closed, len(target.closed))
            assert {"idle": 1} == counted(caller.counts.closed)

    run_virtually(main())


def test_nodes_left_alone_end_their_channels_and_timers() -> None:
    """Even when no farewell arrives; nothing is scheduled afterwards."""

    async def main() -> None:
        async with virtual_three() as (network, caller, server, target):
            await reached(caller, server, target)
            network.allows = lambda _source, _target: False
            await asyncio.sleep(200)
            assert [0, 0, 0] == [len(server.server.channels), len(target.client), len(caller.client)]
            assert (0, 0) == (len(server.server.attached), server.server.channels.clients)
            sent = network.sent
            await asyncio.sleep(1000)
            assert sent == network.sent

    run_virtually(main())


def test_disabled_server_serves_nobody() -> None:
    """It says so."""

    async def main() -> None:
        network = MemoryNetwork(seed=1, conditions=CALM)
        config = dataclasses.replace(RelayConfig(), is_enabled=False)
        async with virtual_relay_node(network, 1) as caller, virtual_relay_node(network, 2, relay=config) as server:
            await caller.attach(server)
            assert ((), 1) == (caller.attachments.servers, server.counts.attaches[CallResult.DISABLED])
            with pytest.raises(Refused):
                await caller.client.call(server.contact, server.keys.public_key)

    run_virtually(main())


def test_nobody_is_served_through_a_channel() -> None:
    """Chains of relays would carry everything twice."""

    async def main() -> None:
        async with virtual_three() as (_, caller, server, target):
            endpoint = await reached(caller, server, target)
            inner = caller.tuned(target, endpoint)
            for _ in range(2):
                answer = await caller.rpc.request(inner, Attach())
                assert Attached(CallResult.REFUSED) == answer.message
            with pytest.raises(Refused):
                await caller.client.call(inner, server.keys.public_key)
            with pytest.raises(Refused):
                caller.client.open(inner, b"channel!")

    run_virtually(main())


def test_calls_to_one_node_are_limited() -> None:
    """What is over is refused, and leaves nothing behind."""

    async def main() -> None:
        config = dataclasses.replace(RelayConfig(), ring_burst=2, rings_per_s=0.5)
        async with virtual_three(relay=config) as (network, caller, server, target):
            for seed in (11, 12, 13):
                async with virtual_relay_node(network, seed) as other:
                    if seed < 13:
                        await reached(other, server, target)
                        continue
                    await other.rpc.request(server.contact, Ping())
                    with pytest.raises(Overloaded):
                        await other.client.call(server.contact, target.keys.public_key)
            assert 1 == server.counts.calls[CallResult.QUOTA]
            await asyncio.sleep(2.1)
            await reached(caller, server, target)

    run_virtually(main())


def test_one_network_does_not_use_up_what_a_node_is_called() -> None:
    """Whatever keys it makes up; callers from elsewhere get through."""

    async def main() -> None:
        config = dataclasses.replace(RelayConfig(), ring_burst=4, rings_per_s=0.01, call_burst=3, calls_per_s=0.01)
        async with virtual_three(relay=config) as (network, caller, server, target), AsyncExitStack() as stack:
            results = []
            for number in range(6):
                flooder = virtual_relay_node(network, 100 + number, host=f"198.51.7.{number + 1}")
                await stack.enter_async_context(flooder)
                await flooder.rpc.request(server.contact, Ping())
                answer = await flooder.rpc.request(server.contact, Call(target.keys.public_key))
                assert isinstance(answer.message, Called)
                results.append(answer.message.result)
            assert [CallResult.OK] * 3 + [CallResult.QUOTA] * 3 == results
            await reached(caller, server, target)
            assert 4 == len(target.calls)

    run_virtually(main())


def test_forged_calls_use_up_nothing() -> None:
    """Who does not receive where it says has nobody told, so others are not held up."""

    async def main() -> None:
        config = dataclasses.replace(RelayConfig(), ring_burst=1, rings_per_s=0.01, unproven_s=1.0)
        async with virtual_three(relay=config) as (network, caller, server, target):
            for seed in range(11, 21):
                async with virtual_relay_node(network, seed) as other:
                    await other.rpc.request(server.contact, Call(target.keys.public_key))
            await asyncio.sleep(2)
            assert 0 == len(server.server.channels)
            await reached(caller, server, target)

    run_virtually(main())


def test_caller_is_told_when_its_first_frame_comes_too_late_for_the_limit() -> None:
    """It had a channel; now it has none, and knows it."""

    async def main() -> None:
        config = dataclasses.replace(RelayConfig(), ring_burst=1, rings_per_s=0.01)
        async with (
            virtual_three(relay=config) as (network, caller, server, target),
            virtual_relay_node(network, 4) as other,
        ):
            endpoint = await other.client.call(server.contact, target.keys.public_key)
            await reached(caller, server, target)
            other.socket.send(QUIC_LIKE, endpoint)
            await asyncio.sleep(1)
            assert ([endpoint], 1) == (other.closed, server.counts.ended["quota"])
            assert {} == counted(target.counts.dropped)

    run_virtually(main())


def test_word_about_an_unknown_channel_does_not_overtake_the_call() -> None:
    """Frames may arrive before the node was told of their channel; that ends nothing."""

    async def main() -> None:
        async with virtual_three() as (_, caller, server, target):
            answer = await caller.rpc.request(server.contact, Call(target.keys.public_key))
            assert isinstance(answer.message, Called)
            channel_id = answer.message.channel_id
            target.rpc.tell(server.contact, HangUp(channel_id))
            await asyncio.sleep(1)
            assert server.server.channels.find(channel_id) is not None
            await reached(caller, server, target)
            target.rpc.tell(server.contact, HangUp(channel_id))
            await asyncio.sleep(1)
            assert server.server.channels.find(channel_id) is None
            assert 1 == len(caller.closed)

    run_virtually(main())


def test_stopped_server_tells_both_ends() -> None:
    """They need not find out by silence; stopping twice is no error."""

    async def main() -> None:
        async with virtual_three() as (_, caller, server, target):
            endpoint = await reached(caller, server, target)
            server.junction.stop()
            server.junction.stop()
            await asyncio.sleep(1)
            assert ([endpoint], 1) == (caller.closed, len(target.closed))
            with pytest.raises(PilotError):
                await caller.client.call(server.contact, target.keys.public_key)

    run_virtually(main())


def test_metrics_are_exported() -> None:
    """What was counted as integers comes out as prometheus metrics."""
    registry = CollectorRegistry()
    metrics = RelayMetrics(registry)
    metrics.drop("client_rate", 3)
    metrics.calls[CallResult.FULL] += 1
    metrics.show("open", "Channels", lambda: 7)
    assert 3.0 == registry.get_sample_value("pilotdht_relay_dropped_total", {"reason": "client_rate"})
    assert 1.0 == registry.get_sample_value("pilotdht_relay_calls_total", {"result": "full"})
    assert 7.0 == registry.get_sample_value("pilotdht_relay_open")


def _opened_silently(node: RelayNode, message: Ring, sender: Sender) -> None:
    node.client.open(sender.contact, message.channel_id)
