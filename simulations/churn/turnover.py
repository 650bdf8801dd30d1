"""Churn: participants leave and come back, for ever, on one schedule.

One task and one heap for everybody: ten thousand participants cost what their few departures a second cost.

Over any span, as many come back as leave. The participants that are up when it begins stay, on average, as many: to
them belong others who are away at that moment, ``mean absence / mean session`` of them for each that is up. These are
made when churn begins, and their first life is the one in which they appear.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Container
from heapq import heappop, heappush
from random import Random

from pilotdht.errors import InvalidArgument
from simulations.churn.lifetimes import Lifetimes
from simulations.population.population import Population, Slot, State

LEAST_ABSENCE_S = 5.0
"""Who left politely takes up to two seconds to say so, and a process takes some to start: nobody is back sooner."""

STARTS = ("steady", "fresh")
"""Whether everybody is met in the midst of a session, as in a network that has run for long, or at its beginning."""


class Turnover:
    """Lets honest participants leave and come back."""

    def __init__(
        self,
        population: Population,
        lifetimes: Lifetimes,
        downtimes: Lifetimes,
        *,
        random: Random,
        start: str = "steady",
        share_polite: float = 0.0,
        newcomers: float = 0.0,
        excluded: Container[int] = (),
        eagerness: Callable[[Slot, float], float] | None = None,
        away: int | None = None,
    ) -> None:
        """Make it; nothing happens before :meth:`run`.

        Args:
            population: whose participants.
            lifetimes: how long each stays after its start is complete.
            downtimes: how long it is away.
            random: every draw.
            start: ``steady``, those present are met at a random moment of theirs; ``fresh``, all begin now.
            share_polite: share of departures (0..1) that are announced; the others are silent deaths.
            newcomers: share of those that left (0..1) in whose place somebody new comes; they never return.
            excluded: numbers of participants that stay as they are.
            eagerness: share (0..1) of those due to come at a loop time who do, by participant: the hour where it lives;
                the others are away once more as long. With exponential absences this is thinning. Absent: all come.
            away: how many are away when it begins; absent: as many as the means of both distributions say.

        Raises:
            InvalidArgument: a share is not one, or ``start`` is unknown.
        """
        for share in (share_polite, newcomers):
            if not 0 <= share <= 1:
                raise InvalidArgument(f"{share!r} is no share", hint="take 0..1")
        if start not in STARTS:
            raise InvalidArgument(f"churn does not start {start[:80]!r}", hint=f"it starts {' or '.join(STARTS)}")
        self.departures = 0
        """How many left so far."""
        self.returns = 0
        """How many came back so far, newcomers included."""
        self.newcomers = 0
        """How many of them are new."""
        self._population = population
        self._lifetimes = lifetimes
        self._downtimes = downtimes
        self._random = random
        self._is_steady = start == "steady"
        self._share_polite = share_polite
        self._share_new = newcomers
        self._excluded = excluded
        self._eagerness = eagerness
        self._away = away
        self._heap: list[tuple[float, int, Slot, int, bool]] = []
        self._count = 0
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Go on for ever; when cancelled, those away stay away."""
        self._begin()
        self._population.on_joined.append(self._joined)
        try:
            loop = asyncio.get_running_loop()
            while True:
                self._wake.clear()
                while self._heap and self._heap[0][0] <= loop.time():
                    _, _, slot, lives, is_end = heappop(self._heap)
                    if slot.lives == lives and slot.state is (State.UP if is_end else State.DOWN):
                        turn = self._leave if is_end else self._come
                        turn(slot)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(self._heap[0][0] if self._heap else None):
                        await self._wake.wait()
        finally:
            self._population.on_joined.remove(self._joined)

    def _begin(self) -> None:
        """Give everybody who is up an end, and those who belong to them but are away a beginning."""
        present = [slot for slot in self._population.up if self._is_ours(slot)]
        for slot in present:
            stay_s = self._lifetimes.residual(self._random) if self._is_steady else self._lifetimes.draw(self._random)
            self._at(stay_s, slot, is_end=True)
        away = self._away
        if away is None:
            away = round(len(present) * self._downtimes.mean_s / self._lifetimes.mean_s)
        for _ in range(away):
            absence_s = (
                self._downtimes.residual(self._random) if self._is_steady else self._downtimes.draw(self._random)
            )
            slot = self._population.add()
            self._at(absence_s, slot, is_end=False)

    def _leave(self, slot: Slot) -> None:
        self.departures += 1
        if self._random.random() < self._share_polite:
            self._population.stop_soon(slot)
        else:
            self._population.crash_soon(slot)
        self._at(max(LEAST_ABSENCE_S, self._downtimes.draw(self._random)), slot, is_end=False)

    def _come(self, slot: Slot) -> None:
        if self._eagerness is not None:
            eagerness = self._eagerness(slot, asyncio.get_running_loop().time())
            if self._random.random() >= eagerness:
                self._at(self._downtimes.draw(self._random), slot, is_end=False)
                return
        self.returns += 1
        if slot.lives and self._random.random() < self._share_new:
            self.newcomers += 1
            slot.saved = None  # it never returns
            slot = self._population.add()
        self._population.start_soon(slot)

    def _joined(self, slot: Slot) -> None:
        """Give whoever has come, by whatever hand, an end."""
        if self._is_ours(slot):
            self._at(self._lifetimes.draw(self._random), slot, is_end=True)

    def _at(self, delay_s: float, slot: Slot, *, is_end: bool) -> None:
        """Schedule the end or the beginning of a life; void when somebody else ends or begins one before."""
        due_s = asyncio.get_running_loop().time() + delay_s
        if math.isfinite(due_s):
            self._count += 1
            heappush(self._heap, (due_s, self._count, slot, slot.lives, is_end))
            if self._heap[0][2] is slot:
                self._wake.set()

    def _is_ours(self, slot: Slot) -> bool:
        return slot.is_honest and slot.identity.number not in self._excluded


async def keep_churning(
    population: Population,
    lifetimes: Lifetimes,
    downtimes: Lifetimes,
    *,
    random: Random,
    start: str = "steady",
    share_polite: float = 0.0,
    newcomers: float = 0.0,
    excluded: Container[int] = (),
) -> None:
    """Let participants leave and come back, for ever; see :class:`Turnover`."""
    await Turnover(
        population,
        lifetimes,
        downtimes,
        random=random,
        start=start,
        share_polite=share_polite,
        newcomers=newcomers,
        excluded=excluded,
    ).run()
