"""What a node publishes about itself follows what it is, without looking all the time."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from pilotdht.dht.publish import Build
from pilotdht.identity.keys import KeyPair
from pilotdht.names.own import Profile
from pilotdht.node.announce import EXPIRY_CHECK_S, SETTLE_S, Announcer
from pilotdht.tasks import TaskScope
from pilotdht.wire.endpoint import Endpoint
from simulations.engine.virtual_loop import run_virtually

PROFILE = Profile(public_key=KeyPair.from_seed(bytes(32)).public_key, endpoints=(Endpoint("192.0.2.1", 4000),))


class Written:
    """A DHT that notes when something is published."""

    def __init__(self) -> None:
        self.at_s: list[float] = []

    async def publish(self, name: str, build: Build) -> object:
        """Note it."""
        self.at_s.append(asyncio.get_running_loop().time())
        return None

    async def withdraw(self, name: str) -> bool:
        """Do nothing."""
        return True

    async def withdraw_all(self) -> None:
        """Do nothing."""


class Situation:
    """A node that was announced, whose profile can be changed, and how often it was looked at."""

    def __init__(self) -> None:
        self.profile = PROFILE
        self.looks = 0
        self.dht = Written()
        self.announcer = Announcer(dht=self.dht, profile=self.look)

    def look(self) -> Profile:
        """Return what the node is."""
        self.looks += 1
        return self.profile


def test_announcer_publishes_a_change_soon_after_a_sign_of_it() -> None:
    """Signs come in bursts: one look follows all of them."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        situation = Situation()
        async with TaskScope("test") as scope:
            await situation.announcer.announce()
            scope.start(situation.announcer.keep_announced(), name="announce")
            await asyncio.sleep(10.0)
            looks, changed_at = situation.looks, loop.time()
            situation.profile = replace(PROFILE, endpoints=(Endpoint("192.0.2.2", 4000),))
            for _ in range(5):
                situation.announcer.look()
            await asyncio.sleep(10.0)
        assert (looks + 1, 2) == (situation.looks, len(situation.dht.at_s))
        assert changed_at + SETTLE_S <= situation.dht.at_s[1] < changed_at + SETTLE_S + 0.1

    run_virtually(main())


def test_announcer_finds_out_by_itself_that_something_expired() -> None:
    """Without any sign it looks now and then, and no more often."""

    async def main() -> None:
        situation = Situation()
        async with TaskScope("test") as scope:
            await situation.announcer.announce()
            scope.start(situation.announcer.keep_announced(), name="announce")
            await asyncio.sleep(10.0)
            looks = situation.looks
            situation.profile = replace(PROFILE, endpoints=())
            await asyncio.sleep(10 * (EXPIRY_CHECK_S + SETTLE_S) + 1.0)
        assert (looks + 10, 2) == (situation.looks, len(situation.dht.at_s))

    run_virtually(main())


def test_announcer_does_not_wait_when_nothing_useful_was_announced() -> None:
    """Who had no endpoint to publish publishes the first at once."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        situation = Situation()
        situation.profile = replace(PROFILE, endpoints=())
        async with TaskScope("test") as scope:
            await situation.announcer.announce()
            scope.start(situation.announcer.keep_announced(), name="announce")
            await asyncio.sleep(10.0)
            situation.profile = PROFILE
            changed_at = loop.time()
            situation.announcer.look_soon()
            await asyncio.sleep(1.0)
        assert 2 == len(situation.dht.at_s)
        assert situation.dht.at_s[1] < changed_at + 0.1

    run_virtually(main())
