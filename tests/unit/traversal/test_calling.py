"""Servers are called a few at once, and those that keep silent hold up nobody."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from prometheus_client import CollectorRegistry

from pilotdht.config.roads import RoadConfig
from pilotdht.errors import PilotError, TimedOut, Unreachable
from pilotdht.identity.ids import PublicKey
from pilotdht.tasks import TaskScope
from pilotdht.traversal.calling import channels_to
from pilotdht.traversal.metrics import RoadMetrics
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from simulations.engine.virtual_loop import run_virtually

PEER = PublicKey(b"p" * 32)
CONFIG = RoadConfig()


def server(number: int) -> Contact:
    """Return one of them."""
    return Contact(PublicKey(bytes([number]) * 32), Endpoint(f"203.0.{number}.1", 4433))


def channel(number: int) -> Endpoint:
    """Return the endpoint of a channel through a server."""
    return Endpoint(f"100::{number}", 1)


class FakeChannels:
    """Servers that answer after a while, or refuse, or keep silent."""

    def __init__(self, *answers: tuple[float, type[PilotError] | None]) -> None:
        self._answers = answers
        self.called: list[tuple[int, float]] = []

    async def call(self, relay: Contact, target: PublicKey) -> Endpoint:
        """Do what this server does."""
        number = relay.public_key[0]
        self.called.append((number, asyncio.get_running_loop().time()))
        after_s, error = self._answers[number]
        await asyncio.sleep(after_s)
        if error is not None:
            raise error("no")
        return channel(number)

    def is_relayed(self, endpoint: Endpoint) -> bool:
        """Return that it carries tunnels."""
        return True

    def relay_of(self, endpoint: Endpoint) -> Contact | None:
        """Return nothing."""
        return None

    def close(self, endpoint: Endpoint) -> None:
        """Do nothing."""


def called(
    *answers: tuple[float, type[PilotError] | None], most: int = 9
) -> tuple[list[tuple[int, float]], list[tuple[int, float]], RoadMetrics]:
    """Return which channels were found when, and which servers were called when."""
    metrics = RoadMetrics(CollectorRegistry())

    async def main() -> tuple[list[tuple[int, float]], list[tuple[int, float]]]:
        channels = FakeChannels(*answers)
        loop = asyncio.get_running_loop()
        began, found = loop.time(), []
        servers = [server(number) for number in range(len(answers))]
        async with (
            TaskScope("test") as scope,
            aclosing(
                channels_to(PEER, servers, channels=channels, scope=scope, config=CONFIG, metrics=metrics)
            ) as going,
        ):
            async for endpoint in going:
                found.append((int(endpoint.host.rpartition(":")[2]), round(loop.time() - began, 2)))
                if len(found) == most:
                    break
        return found, [(number, round(at - began, 2)) for number, at in channels.called]

    found, asked = run_virtually(main())
    return found, asked, metrics


def test_two_are_called_at_once_and_others_only_when_they_are_needed() -> None:
    """The quicker one counts; a third server is left in peace."""
    found, asked, _ = called((0.1, None), (0.05, None), (0.05, None), most=1)
    assert [(1, 0.05)] == found
    assert [(0, 0.0), (1, 0.0)] == asked


def test_server_that_refuses_makes_room_for_the_next_at_once() -> None:
    """It is asked in the same moment."""
    found, asked, metrics = called((0.05, Unreachable), (0.1, Unreachable), (0.05, None))
    assert [(2, 0.1)] == found
    assert (2, 0.05) == asked[2]
    assert (2, 1) == (metrics.calls["refused"].value, metrics.calls["opened"].value)


def test_servers_that_keep_silent_hold_up_the_next_for_a_moment_only() -> None:
    """Their time-outs pass meanwhile."""
    found, asked, metrics = called((2.0, TimedOut), (2.0, TimedOut), (0.05, None))
    assert [(2, CONFIG.call_stagger_s + 0.05)] == found
    assert (2, CONFIG.call_stagger_s) == asked[2]
    assert 2 == metrics.calls["silent"].value


def test_search_ends_when_nobody_has_a_channel() -> None:
    """However many there are, and even when there are none."""
    assert [] == called((0.1, Unreachable), (0.1, TimedOut), (0.1, Unreachable))[0]
    assert [] == called()[0]
