"""Channels of one node through servers, under a virtual clock: kept, renewed, lost, and guarded."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from pilotdht.config.relay import RelayConfig
from pilotdht.errors import NodeClosed, Overloaded, Refused
from pilotdht.net.datagrams import RELAYED
from pilotdht.traversal.relay.client import STRAY_BURST
from pilotdht.wire.dht_messages import Ping, Pong
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.traversal_messages import Call, Called, CallResult, HangUp
from simulations.engine.virtual_loop import run_virtually
from simulations.world.network import MemoryNetwork
from tests.support.net_nodes import CALM
from tests.support.relay_nodes import (
    QUIC_LIKE,
    counted,
    reached,
    relaunched,
    virtual_relay_node,
    virtual_three,
)

LONG_S = 10.0
"""Longer than any request is waited for."""


def test_caller_whose_address_changed_gets_its_channel_back_by_calling_again() -> None:
    """At the latest with the next renewal, at once when somebody doubts the road."""

    async def main() -> None:
        async with virtual_three() as (_, caller, server, target):
            endpoint = await reached(caller, server, target)
            channel = server.server.channels.between(caller.keys.public_key, target.keys.public_key)
            assert channel is not None
            for is_doubted in (False, True):
                channel.there.source = channel.back.target = Endpoint("198.51.100.1", 1)  # as if the NAT had changed it
                if is_doubted:
                    caller.client.renew(endpoint)
                await asyncio.sleep(0.1 if is_doubted else 25)
                assert (caller.endpoint, caller.endpoint) == (channel.there.source, channel.back.target)
            assert Pong() == (await caller.rpc.request(caller.tuned(target, endpoint), Ping())).message
            assert [] == caller.closed

    run_virtually(main())


def test_endpoint_survives_a_server_that_forgot_everything() -> None:
    """The called node attaches again, the caller calls again, and gets another channel behind the same endpoint."""

    async def main() -> None:
        async with virtual_three() as (_, caller, server, target):
            endpoint = await reached(caller, server, target)
            relaunched(server)
            await target.attachments.look()
            caller.client.renew_all()
            await asyncio.sleep(0.1)
            assert Pong() == (await caller.rpc.request(caller.tuned(target, endpoint), Ping())).message
            assert ([], 2, {"replaced": 1}) == (caller.closed, len(target.calls), counted(caller.counts.closed))

    run_virtually(main())


def test_endpoint_is_lost_with_a_server_that_knows_the_peer_no_more_or_is_gone() -> None:
    """Whoever uses it is told, once."""

    async def main() -> None:
        async with virtual_three() as (_, caller, server, target):
            endpoint = await reached(caller, server, target)
            relaunched(server)
            caller.client.renew_all()
            await asyncio.sleep(1)
            assert ([endpoint], {"refused": 1}) == (caller.closed, counted(caller.counts.closed))
        async with virtual_three() as (_, caller, server, target):
            endpoint = await reached(caller, server, target)
            await server.socket.close()
            for _ in range(3):
                caller.client.renew(endpoint)
                await asyncio.sleep(LONG_S)
            assert ([endpoint], {"silent": 1}) == (caller.closed, counted(caller.counts.closed))

    run_virtually(main())


def test_call_that_is_not_answered_once_ends_nothing() -> None:
    """Nor do two, when there was an answer in between; what is asked at once is asked once."""

    async def main() -> None:
        async with virtual_three() as (network, caller, server, target):
            endpoint = await reached(caller, server, target)
            for _ in range(3):
                for is_cut in (True, False):
                    network.allows = lambda _source, target, is_cut=is_cut: not is_cut or target != server.endpoint
                    sent = caller.metrics.requests["Call"].sent
                    caller.client.renew(endpoint)
                    caller.client.renew(endpoint)
                    await asyncio.sleep(LONG_S / 2)
                    assert sent + 1 == caller.metrics.requests["Call"].sent
            assert [] == caller.closed

    run_virtually(main())


def test_server_that_never_believes_an_address_is_given_up() -> None:
    """It cannot make its clients ask for ever."""

    async def main() -> None:
        async with virtual_three() as (_, caller, server, target):
            endpoint = await reached(caller, server, target)
            server.rpc.serve(Call, lambda _message, _sender: Called(CallResult.UNPROVEN))
            before = caller.metrics.requests["Call"].sent
            caller.client.renew(endpoint)
            await asyncio.sleep(1)
            assert ([endpoint], 2) == (caller.closed, caller.metrics.requests["Call"].sent - before)

    run_virtually(main())


def test_channels_of_a_node_are_bounded_and_opened_once() -> None:
    """Opening again is the same endpoint; one too many is an error of this side."""

    async def main() -> None:
        config = dataclasses.replace(RelayConfig(), max_open=2)
        network = MemoryNetwork(seed=1, conditions=CALM)
        async with virtual_relay_node(network, 1, relay=config) as node, virtual_relay_node(network, 2) as server:
            first = node.client.open(server.contact, b"channel1")
            assert first == node.client.open(server.contact, b"channel1")
            assert (first, None) == (
                node.client.find(server.contact, b"channel1"),
                node.client.find(server.contact, b"channel2"),
            )
            assert server.contact == node.client.relay_of(first)
            node.client.open(server.contact, b"channel2")
            with pytest.raises(Overloaded):
                node.client.open(server.contact, b"channel3")
            node.client.close(first)
            node.client.close(first)
            assert node.client.relay_of(first) is None
            assert 1 == len(node.socket.switchboard)
            assert first != node.client.open(server.contact, b"channel1"), "an endpoint is never made twice"

    run_virtually(main())


@pytest.mark.parametrize("is_relay", [True, False])
def test_caller_knows_what_its_channel_is_good_for(is_relay: bool) -> None:
    """A tunnel, or a meeting only."""

    async def main() -> None:
        config = dataclasses.replace(RelayConfig(), is_relay=is_relay)
        async with virtual_three(relay=config) as (_, caller, server, target):
            endpoint = await reached(caller, server, target)
            assert is_relay == caller.client.is_relayed(endpoint)
            caller.client.close(endpoint)
            assert not caller.client.is_relayed(endpoint)

    run_virtually(main())


def test_server_cannot_take_over_a_channel_of_another_one() -> None:
    """Whoever learns an id cannot make it mean something else here."""

    async def main() -> None:
        async with virtual_three() as (network, caller, server, target), virtual_relay_node(network, 4) as rogue:
            endpoint = await reached(caller, server, target)
            channel = server.server.channels.between(caller.keys.public_key, target.keys.public_key)
            assert channel is not None
            for client in (caller.client, target.client):
                with pytest.raises(Refused):
                    client.open(rogue.contact, channel.channel_id)
            with pytest.raises(Refused):
                caller.client.open(server.contact, channel.channel_id)  # as if somebody had called us through it
            rogue.rpc.tell(caller.contact, HangUp(channel.channel_id))
            rogue.rpc.tell(server.contact, HangUp(channel.channel_id))
            await asyncio.sleep(1)
            assert Pong() == (await caller.rpc.request(caller.tuned(target, endpoint), Ping())).message

    run_virtually(main())


@pytest.mark.parametrize("content", [b"", b"\x23" + bytes(40), b"\x21" + bytes(40), b"\x00"])
def test_only_tunnels_and_sealed_datagrams_come_out_of_a_channel(content: bytes) -> None:
    """A frame in a frame would be unwrapped for ever; a greeting is for addresses."""

    async def main() -> None:
        async with virtual_three() as (_, caller, server, target):
            endpoint = await reached(caller, server, target)
            caller.socket.send(content, endpoint)
            await asyncio.sleep(1)
            assert {"malformed": 1} == counted(target.counts.dropped)
            assert {} == target.metrics.dropped

    run_virtually(main())


def test_frames_of_unknown_channels_are_dropped_and_few_are_told() -> None:
    """Whoever forges the server's address makes us send no more than a few farewells; others nothing at all."""

    async def main() -> None:
        async with virtual_three() as (network, caller, server, target):
            sent = network.sent
            for number in range(100):
                caller.socket.send(bytes((RELAYED,)) + number.to_bytes(8, "big") + QUIC_LIKE, target.endpoint)
            await asyncio.sleep(0.5)
            assert ({"unknown_channel": 100}, sent + 100) == (counted(target.counts.dropped), network.sent)
            for number in range(100):
                server.socket.send(bytes((RELAYED,)) + number.to_bytes(8, "big") + QUIC_LIKE, target.endpoint)
            await asyncio.sleep(0.5)
            assert sent + 200 + STRAY_BURST == network.sent

    run_virtually(main())


def test_stopped_client_opens_nothing() -> None:
    """And has told its server."""

    async def main() -> None:
        async with virtual_three() as (_, caller, server, target):
            await reached(caller, server, target)
            caller.junction.stop()
            await asyncio.sleep(1)
            assert (0, 0) == (len(server.server.channels), len(target.client))
            with pytest.raises(NodeClosed):
                caller.client.open(server.contact, b"channel!")

    run_virtually(main())
