"""Standing endpoints under a virtual clock: called when used, the same over all channels, bounded."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from pilotdht.config.relay import RelayConfig
from pilotdht.errors import TimedOut
from pilotdht.traversal.relay import standing
from pilotdht.traversal.relay.standing import StandingRoads
from pilotdht.wire.dht_messages import Ping, Pong
from simulations.engine.virtual_loop import run_virtually
from tests.support.net_nodes import key_pair
from tests.support.relay_nodes import reached, relaunched, virtual_three

IDLE_S = 70.0
"""Longer than an unused channel stays open."""


def test_channel_is_opened_by_the_first_word_and_again_after_it_was_idle() -> None:
    """Nothing is asked before; the endpoint stays the same, and each word is answered at the first try."""

    async def main() -> None:
        async with virtual_three() as (_, caller, server, target):
            roads = StandingRoads(socket=caller.socket, client=caller.client)
            endpoint = roads.endpoint(server.contact, target.keys.public_key)
            await asyncio.sleep(1)
            assert 0 == len(caller.client)
            for _ in range(3):
                answer = await caller.rpc.request(caller.tuned(target, endpoint), Ping())
                assert Pong() == answer.message
                assert answer.rtt_s < 0.5
                assert endpoint == roads.endpoint(server.contact, target.keys.public_key)
                for _ in range(2):
                    await asyncio.sleep(IDLE_S / 2)
                    await target.attachments.look()
                assert 0 == len(caller.client)

    run_virtually(main())


def test_channel_that_is_open_already_is_used() -> None:
    """A tunnel and a word to the same node share one channel."""

    async def main() -> None:
        async with virtual_three() as (_, caller, server, target):
            roads = StandingRoads(socket=caller.socket, client=caller.client)
            open_one = await reached(caller, server, target)
            assert open_one == roads.endpoint(server.contact, target.keys.public_key)
            assert (1, 0) == (len(caller.client), len(roads))

    run_virtually(main())


def test_node_that_is_not_there_gets_nothing_and_nothing_waits_for_it() -> None:
    """What was held is lost; once the node is attached again the same endpoint leads to it."""

    async def main() -> None:
        async with virtual_three() as (_, caller, server, target):
            roads = StandingRoads(socket=caller.socket, client=caller.client)
            endpoint = roads.endpoint(server.contact, target.keys.public_key)
            relaunched(server)
            with pytest.raises(TimedOut):
                await caller.rpc.request(caller.tuned(target, endpoint), Ping())
            assert 0 == len(caller.client)
            await target.attachments.look()
            assert Pong() == (await caller.rpc.request(caller.tuned(target, endpoint), Ping())).message

    run_virtually(main())


def test_endpoints_and_channels_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The endpoint asked for longest ago is forgotten; a channel in use gives way to a new one, a tunnel's does not."""
    monkeypatch.setattr(standing, "KEPT", 2)

    async def main() -> None:
        few = dataclasses.replace(RelayConfig(), max_open=1)
        async with virtual_three(relay=few) as (_, caller, server, target):
            roads = StandingRoads(socket=caller.socket, client=caller.client)
            first = roads.endpoint(server.contact, key_pair(8).public_key)
            roads.endpoint(server.contact, key_pair(9).public_key)
            used = roads.endpoint(server.contact, target.keys.public_key)
            assert (2, True) == (len(roads), caller.socket.switchboard.carry((b"",), first))  # lost, not sent
            await caller.rpc.request(caller.tuned(target, used), Ping())
            assert 1 == len(caller.client)
            caller_again = StandingRoads(socket=target.socket, client=target.client)
            await caller.attach(server)
            back = caller_again.endpoint(server.contact, caller.keys.public_key)
            with pytest.raises(TimedOut):  # its one channel is the one by which it was called
                await target.rpc.request(target.tuned(caller, back), Ping())
            assert 1 == len(target.client)

    run_virtually(main())
