"""Measured operations: single lookups and writes, each timed by the virtual clock and kept as a sample."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random

from pilotdht.tasks import TaskScope
from simulations.population.member import Answer, Member
from simulations.population.population import Population, Slot
from simulations.results.result import Samples

SETTLED_S = 30.0
"""Who was up for so long, and published, is expected to be found."""

Choose = Callable[[Random], tuple[Slot, Slot] | None]
"""Draws who asks and who is asked for; absent when there is nobody to draw."""


def anybody_settled(population: Population, now: Callable[[], float]) -> Choose:
    """Return a choice of two honest participants that are up and settled; the second has published."""

    def choose(random: Random) -> tuple[Slot, Slot] | None:
        up = population.up
        for _ in range(64):
            if len(up) < 2:
                return None
            asker, other = up[random.randrange(len(up))], up[random.randrange(len(up))]
            if other.published == 0 and other.member is not None:
                other.published = other.member.version  # it was up before it could publish
            is_settled = other.published > 0 and now() - other.up_since_s >= SETTLED_S
            is_ready = now() - asker.up_since_s >= SETTLED_S
            if asker is not other and asker.is_honest and other.is_honest and is_settled and is_ready:
                return asker, other
        return None

    return choose


class Probes:
    """Runs lookups and writes one by one or as a Poisson process, and keeps what came of them."""

    def __init__(self, population: Population, *, random: Random, began_s: float) -> None:
        """Make it.

        Args:
            population: whom to ask.
            random: who asks whom, and when.
            began_s: loop time that samples are relative to.
        """
        self.lookups = Samples()
        """Lookups since :meth:`reset`."""
        self.publishes = Samples()
        """Writes since :meth:`reset`."""
        self._population = population
        self._random = random
        self._began_s = began_s
        self._scope = TaskScope("probes")

    @property
    def failures(self) -> int:
        """How many operations ended by an exception."""
        return self._scope.failures

    def reset(self) -> tuple[Samples, Samples]:
        """Begin new lists, and return the old: lookups and writes."""
        old = self.lookups, self.publishes
        self.lookups, self.publishes = Samples(), Samples()
        return old

    async def lookup(self, asker: Slot, other: Slot) -> Answer | None:
        """Have one look up another; absent, and no sample, when either died before the answer came."""
        loop = asyncio.get_running_loop()
        member, lives = _running(asker), (asker.lives, other.lives)
        if member is None:
            return None
        into = self.lookups
        began = loop.time()
        answer = await member.lookup(other.identity, other.published)
        if (asker.lives, other.lives) != lives or _running(asker) is None or _running(other) is None:
            return None
        _keep(into, began - self._began_s, loop.time() - began, answer)
        return answer

    async def publish(self, slot: Slot) -> Answer | None:
        """Have one publish its record anew; absent, and no sample, when it died meanwhile."""
        loop = asyncio.get_running_loop()
        member, lives = _running(slot), slot.lives
        if member is None:
            return None
        into = self.publishes
        began = loop.time()
        answer = await member.publish()
        if slot.lives != lives or _running(slot) is None:
            return None
        slot.published = max(slot.published, member.version)
        _keep(into, began - self._began_s, loop.time() - began, answer)
        return answer

    async def run(self, *, lookups_per_s: float, publishes_per_s: float, choose: Choose) -> None:
        """Look up and publish at random moments, for ever; every operation is waited for before this ends."""
        loop = asyncio.get_running_loop()
        async with self._scope:
            total = lookups_per_s + publishes_per_s
            due = loop.time()
            while True:
                due += self._random.expovariate(total)
                await asyncio.sleep(due - loop.time())
                pair = choose(self._random)
                if pair is None:
                    continue
                if self._random.random() * total < lookups_per_s:
                    self._scope.start(self._lookup(*pair), name="lookup")
                else:
                    self._scope.start(self._publish(pair[1]), name="publish")

    async def _lookup(self, asker: Slot, other: Slot) -> None:
        await self.lookup(asker, other)

    async def _publish(self, slot: Slot) -> None:
        await self.publish(slot)


def _running(slot: Slot) -> Member | None:
    return slot.member if slot.is_up else None


def _keep(samples: Samples, at_s: float, duration_s: float, answer: Answer) -> None:
    samples.times_s.append(round(at_s, 6))
    samples.durations_s.append(round(duration_s, 6))
    samples.are_ok.append(answer.is_ok)
    samples.hops.append(answer.hops)
    if answer.is_wrong:
        samples.wrong += 1
    if not answer.is_ok:
        samples.errors[answer.error or "not_found"] = samples.errors.get(answer.error or "not_found", 0) + 1
