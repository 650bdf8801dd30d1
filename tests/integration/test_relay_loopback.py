"""Three real sockets: one node is attached to a server, another one reaches it through that server."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace

import pytest

from pilotdht.config.relay import RelayConfig
from pilotdht.errors import TimedOut, Unreachable
from pilotdht.net.datagrams import RELAYED
from pilotdht.net.switchboard import HIDDEN, is_virtual
from pilotdht.wire.dht_messages import Ping, Pong
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.traversal_messages import CallResult, Ring, Rung
from tests.support.net_nodes import real_node
from tests.support.relay_nodes import QUIC_LIKE, RelayNode, real_relay_node

pytestmark = [pytest.mark.integration, pytest.mark.asyncio]


async def until(is_so: Callable[[], bool]) -> None:
    """Let the nodes work until something is so; ten seconds at most."""
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110 - what is waited for is a count, which raises no event
            await asyncio.sleep(0)


async def joined(caller: RelayNode, server: RelayNode, target: RelayNode) -> tuple[Endpoint, Endpoint]:
    """Attach, call and be rung; return the virtual endpoints of the caller and of the called node."""
    await target.attach(server)
    assert (server.contact,) == target.attachments.servers
    at_caller = await caller.client.call(server.contact, target.keys.public_key)
    await caller.rpc.request(caller.tuned(target, at_caller), Ping())
    (key, relay, at_target) = target.calls[-1]
    assert (caller.keys.public_key, server.contact) == (key, relay)
    return at_caller, at_target


async def test_sealed_ping_goes_through_the_relay_both_ways() -> None:
    """The answer tells nothing about endpoints, and neither side learns an address from it."""
    async with real_relay_node(1) as caller, real_relay_node(2) as server, real_relay_node(3) as target:
        at_caller, at_target = await joined(caller, server, target)
        assert is_virtual(at_caller)
        assert is_virtual(at_target)
        there = await caller.rpc.request(caller.tuned(target, at_caller), Ping())
        back = await target.rpc.request(target.tuned(caller, at_target), Ping())
        assert [(Pong(), HIDDEN)] * 2 == [(answer.message, answer.observed) for answer in (there, back)]
        assert server.counts.frames >= 6
        assert {} == {reason: count for reason, count in server.counts.dropped.items() if count}
        assert {"taken": 1} == {result: count for result, count in server.counts.rings.items() if count}
        assert 1 == len(target.calls)


async def test_bulk_arrives_as_it_was_sent_in_order() -> None:
    """Trains of full frames and short ones, byte for byte, both ways."""
    async with real_relay_node(1) as caller, real_relay_node(2) as server, real_relay_node(3) as target:
        at_caller, at_target = await joined(caller, server, target)
        for sender, at, receiver in ((caller, at_caller, target), (target, at_target, caller)):
            sent = []
            for number in range(40):
                train = [QUIC_LIKE + os.urandom(1349) for _ in range(8)] + [QUIC_LIKE + bytes([number])]
                sent += train
                sender.socket.send_train(train, at)
                await receiver.quic_at_least(len(sent))
            assert sent == [datagram for datagram, _ in receiver.quic]
        assert server.counts.trains < server.counts.frames / 2


async def test_over_the_quota_frames_are_dropped_and_counted() -> None:
    """The burst passes, the rest does not, and nothing is kept for later."""
    tight = RelayConfig(client_bytes_per_s=1, client_burst_bytes=65_536)
    async with real_relay_node(1) as caller, real_relay_node(2, relay=tight) as server, real_relay_node(3) as target:
        at_caller, _ = await joined(caller, server, target)
        for _ in range(10):
            caller.socket.send_train([QUIC_LIKE + bytes(1191)] * 10, at_caller)
        await until(lambda: server.counts.dropped["client_rate"] > 0)
        passed = len(await target.quic_at_least(45))
        await until(lambda: passed + server.counts.dropped["client_rate"] == 100)
        assert 45 <= passed <= 65_536 // 1301


async def test_frame_from_elsewhere_is_dropped_by_server_and_ends() -> None:
    """Who knows a channel's id but is none of its ends sends nothing into it, and moves nothing."""
    async with (
        real_relay_node(1) as caller,
        real_relay_node(2) as server,
        real_relay_node(3) as target,
        real_node(4) as thief,
    ):
        at_caller, _ = await joined(caller, server, target)
        channel = server.server.channels.between(caller.keys.public_key, target.keys.public_key)
        assert channel is not None
        for victim in (caller, server, target):
            thief.socket.send(bytes((RELAYED,)) + channel.channel_id + QUIC_LIKE, victim.endpoint)
            await until(lambda counts=victim.counts: counts.dropped["wrong_source"] == 1)  # type: ignore[misc]
        assert (caller.endpoint, target.endpoint) == (channel.there.source, channel.there.target)
        await caller.rpc.request(caller.tuned(target, at_caller), Ping())
        assert [] == target.quic + caller.quic


async def test_hanging_up_ends_the_channel_at_all_three() -> None:
    """The other end is told, and what is sent into it afterwards is lost."""
    async with real_relay_node(1) as caller, real_relay_node(2) as server, real_relay_node(3) as target:
        at_caller, at_target = await joined(caller, server, target)
        caller.client.close(at_caller)
        await until(lambda: bool(target.closed))
        assert ([at_target], []) == (target.closed, caller.closed)
        assert [0, 0, 0] == [len(caller.client), len(server.server.channels), len(target.client)]
        with pytest.raises(TimedOut):
            await target.rpc.request(target.tuned(caller, at_target), Ping(), timeout_s=0.2)


async def test_attached_node_that_moves_is_reached_where_it_is_now() -> None:
    """Its channel goes on; the caller notices nothing."""
    async with real_relay_node(1) as caller, real_relay_node(2) as server:
        async with real_relay_node(3) as target:
            at_caller, _ = await joined(caller, server, target)
            channel = server.server.channels.between(caller.keys.public_key, target.keys.public_key)
            assert channel is not None
            old = target.endpoint
            await target.socket.close()  # without a word: its address changed
        async with real_relay_node(3) as target:
            await target.attach(server)
            assert old != target.endpoint == channel.there.target
            target.client.open(server.contact, channel.channel_id)  # as it would have it still
            answer = await caller.rpc.request(caller.tuned(target, at_caller), Ping())
            assert Pong() == answer.message


async def test_restarted_node_has_its_caller_call_again() -> None:
    """It says that it does not know the channel; the caller finds out, and calls."""
    async with real_relay_node(1) as caller, real_relay_node(2) as server:
        async with real_relay_node(3) as target:
            at_caller, _ = await joined(caller, server, target)
            listen = target.endpoint
            await target.socket.close()
        async with real_relay_node(3, listen=listen) as moved:
            await moved.attach(server)
            caller.socket.send(QUIC_LIKE, at_caller)
            await until(lambda: bool(caller.closed))
            assert [at_caller] == caller.closed
            fresh = await caller.client.call(server.contact, moved.keys.public_key)
            assert Pong() == (await caller.rpc.request(caller.tuned(moved, fresh), Ping())).message


async def test_ring_from_a_stranger_is_ignored() -> None:
    """Whoever we are not attached to opens nothing here, and the callback is not called."""
    async with real_relay_node(1) as stranger, real_relay_node(2) as server, real_relay_node(3) as target:
        await target.attach(server)
        ring = Ring(stranger.keys.public_key, b"\x01" * 8)
        answer = await stranger.rpc.request(target.contact, ring)
        assert Rung(is_taken=False) == answer.message
        assert ([], 0, 1) == (target.calls, len(target.client), target.counts.rings_ignored)


async def test_who_is_not_attached_cannot_be_called() -> None:
    """The caller is told so, as a person would want it."""
    async with real_relay_node(1) as caller, real_relay_node(2) as server, real_relay_node(3) as target:
        with pytest.raises(Unreachable, match="not attached"):
            await caller.client.call(server.contact, target.keys.public_key)
        assert 1 == server.counts.calls[CallResult.NOT_ATTACHED]


async def test_two_callers_do_not_hear_one_another() -> None:
    """Each has a channel of its own."""
    quota = replace(RelayConfig(), channels_per_client=1)
    async with (
        real_relay_node(1, relay=quota) as one,
        real_relay_node(4, relay=quota) as other,
        real_relay_node(2, relay=quota) as server,
        real_relay_node(3, relay=quota) as target,
    ):
        at_one, _ = await joined(one, server, target)
        at_other, _ = await joined(other, server, target)
        one.socket.send(QUIC_LIKE + b"one", at_one)
        other.socket.send(QUIC_LIKE + b"other", at_other)
        heard = dict(await target.quic_at_least(2))
        ends = {caller: endpoint for caller, _, endpoint in target.calls}
        assert {
            QUIC_LIKE + b"one": ends[one.keys.public_key],
            QUIC_LIKE + b"other": ends[other.keys.public_key],
        } == heard
        target.socket.send(QUIC_LIKE + b"to one", ends[one.keys.public_key])
        assert [(QUIC_LIKE + b"to one", at_one)] == await one.quic_at_least(1)
        assert [] == other.quic
        assert [] == one.closed + other.closed + target.closed
