"""Churn and calamities over participants that do nothing: who leaves, who comes back, as what, and when."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from random import Random

import pytest

from pilotdht.errors import InvalidArgument
from simulations.churn.beside import beside
from simulations.churn.calamities import bring_up, kill_share, pour_in, restart_in_batches
from simulations.churn.lifetimes import Exponential, Fixed, Weibull
from simulations.churn.pairs import across_sides, has_joined, inside_sides, pairs_where
from simulations.churn.turnover import LEAST_ABSENCE_S, Turnover, keep_churning
from simulations.engine.virtual_loop import run_virtually
from simulations.population.population import Population
from simulations.workload.probes import Choose
from simulations.world.world import World
from tests.support.sim_members import IdleKind

Play = Callable[[Population, IdleKind], Awaitable[None]]


def play(body: Play, *, up: int = 0) -> None:
    """Run a body in virtual time, over a population of which the first ``up`` are up."""

    async def main() -> None:
        kind = IdleKind()
        async with Population(world=World(seed=1, conditions="wan"), kind=kind) as population:
            await bring_up(population, [population.add() for _ in range(up)])
            assert len(population.up) == up
            await body(population, kind)

    run_virtually(main())


def test_population_stays_as_large() -> None:
    """Over 20 mean sessions, as many are up on average as were in the beginning.

    Each of 500 participants is up with probability 0.8 independently of the others: at one moment the number deviates
    from 400 by sqrt(500 * 0.8 * 0.2) = 9, and the average of many moments by less. Starts take one second of 100.
    """

    async def body(population: Population, kind: IdleKind) -> None:
        turnover = Turnover(
            population, Weibull.with_mean(100.0, shape=0.6), Exponential(25.0), random=Random("size"), newcomers=0.3
        )
        counts = []
        async with beside(turnover.run()):
            for _ in range(200):
                await asyncio.sleep(10.0)
                counts.append(len(population.up))
        assert sum(counts) / len(counts) == pytest.approx(400 * (125 / 126), abs=9)
        assert min(counts) > 400 - 5 * 9
        assert turnover.departures == pytest.approx(2000 * 400 / 100, rel=0.1)
        assert turnover.newcomers == pytest.approx(0.3 * turnover.returns, abs=4 * math.sqrt(0.3 * turnover.returns))
        assert len(population.slots) == 500 + turnover.newcomers

    play(body, up=400)


def test_steady_start_has_the_stationary_rate_from_the_first_second() -> None:
    """In the first tenth of a mean session as many leave as in the tenth one; with a fresh start many more do.

    With Weibull 0.5, a tenth of the mean later 1 - exp(-sqrt(0.2)) = 36 % of sessions that began together are over; of
    those met half-way about 7 % are.
    """
    left: dict[str, int] = {}

    for start in ("steady", "fresh"):

        async def body(population: Population, kind: IdleKind, start: str = start) -> None:
            lifetimes, downtimes = Weibull.with_mean(10_000.0, shape=0.5), Fixed(1e6)
            turnover = Turnover(population, lifetimes, downtimes, random=Random("rate"), start=start, away=0)
            async with beside(turnover.run()):
                await asyncio.sleep(1000.0)
            left[start] = turnover.departures

        play(body, up=1000)
    assert left["steady"] == pytest.approx(1000 * (1 - (1 + math.sqrt(0.2)) * math.exp(-math.sqrt(0.2))), abs=35)
    assert left["fresh"] == pytest.approx(1000 * (1 - math.exp(-math.sqrt(0.2))), abs=60)


def test_participants_come_back_as_who_they_were() -> None:
    """The number, key and place stay, and the next life is given what the last one saved."""

    async def body(population: Population, kind: IdleKind) -> None:
        before = [slot.identity for slot in population.slots]
        async with beside(keep_churning(population, Fixed(50.0), Fixed(20.0), random=Random("back"))):
            await asyncio.sleep(400.0)
        assert [slot.identity for slot in population.slots[:10]] == before
        for slot in population.slots[:10]:
            lives = [saved for number, saved in kind.made if number == slot.identity.number]
            assert lives == [None, *range(1, len(lives))]
            assert len(lives) >= 5

    play(body, up=10)


def test_those_replaced_never_return() -> None:
    """When everybody is replaced, each number lives once, and nothing is kept of who is gone."""

    async def body(population: Population, kind: IdleKind) -> None:
        async with beside(keep_churning(population, Fixed(50.0), Fixed(20.0), random=Random("new"), newcomers=1.0)):
            await asyncio.sleep(500.0)
        numbers = [number for number, _ in kind.made]
        assert len(numbers) == len(set(numbers)) > 40
        assert all(slot.saved is None for slot in population.slots if slot.identity.number < 10)

    play(body, up=10)


def test_polite_ones_stop_and_others_crash() -> None:
    """A share of one stops everybody, a share of zero nobody, a share between some."""
    ends: dict[float, list[str]] = {}
    for share in (0.0, 0.5, 1.0):

        async def body(population: Population, kind: IdleKind, share: float = share) -> None:
            work = keep_churning(
                population, Exponential(50.0), Fixed(20.0), random=Random("polite"), share_polite=share
            )
            async with beside(work):
                await asyncio.sleep(500.0)
            ends[share] = [how for _, how in kind.ends]

        play(body, up=20)
    assert set(ends[0.0]) == {"crash"}
    assert set(ends[1.0]) == {"stop"}
    assert ends[0.5].count("stop") / len(ends[0.5]) == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(len(ends[0.5])))


def test_nobody_is_back_before_it_has_gone() -> None:
    """However short an absence is drawn, a participant is away for the least time there is."""

    async def body(population: Population, kind: IdleKind) -> None:
        slot = population.slots[0]
        lifetimes = Fixed(10.0)
        work = keep_churning(population, lifetimes, Fixed(0.001), random=Random(1), start="fresh", share_polite=1.0)
        async with beside(work):
            for _ in range(10):
                await asyncio.sleep(10.0 - 0.5)
                assert list(population.up) == [slot]
                await asyncio.sleep(LEAST_ABSENCE_S)
                assert list(population.up) == []
                await asyncio.sleep(0.5 + 1.0 + 0.01)

    play(body, up=1)


def test_excluded_and_dishonest_stay() -> None:
    """Landmarks and attackers are left alone."""

    async def body(population: Population, kind: IdleKind) -> None:
        attacker = population.add(behaviour="droppers")
        await bring_up(population, [attacker])
        async with beside(keep_churning(population, Fixed(10.0), Fixed(10.0), random=Random(1), excluded=range(3))):
            await asyncio.sleep(200.0)
        assert {number for number, _ in kind.ends} == set(range(3, 10)) | set(range(11, 18))
        assert attacker.lives == 1

    play(body, up=10)


def test_who_is_killed_by_another_hand_stays_dead() -> None:
    """Churn does not revive what a calamity killed; who is started again by somebody gets a new end."""

    async def body(population: Population, kind: IdleKind) -> None:
        turnover = Turnover(population, Fixed(100.0), Fixed(10.0), random=Random(1), start="fresh", away=0)
        async with beside(turnover.run()):
            await asyncio.sleep(50.0)
            one, other = population.slots[:2]
            population.crash_soon(one)
            population.crash_soon(other)
            await asyncio.sleep(10.0)
            await bring_up(population, [other])
            await asyncio.sleep(95.0)
            assert other in population.up
            assert one not in population.up
            await asyncio.sleep(10.0)
            assert other not in population.up
            await asyncio.sleep(300.0)
            assert one.lives == 1

    play(body, up=5)


def test_those_put_off_come_another_time() -> None:
    """With an eagerness of one in four, absences are four times as long, and nobody comes at an hour of none."""

    async def body(population: Population, kind: IdleKind) -> None:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        turnover = Turnover(
            population,
            Fixed(1e9),
            Exponential(10.0),
            random=Random("eager"),
            away=400,
            eagerness=lambda slot, now_s: 0.0 if now_s - began_s < 100 else 0.25,
        )
        async with beside(turnover.run()):
            await asyncio.sleep(100.0)
            assert turnover.returns == 0
            await asyncio.sleep(40.0)
            expected = 400 * (1 - math.exp(-1))
            assert turnover.returns == pytest.approx(expected, abs=4 * math.sqrt(expected * math.exp(-1)))

    play(body)


def test_one_seed_is_one_churn() -> None:
    """Two runs agree on who ends when and how; another seed does not."""
    ends: list[list[tuple[int, str]]] = []
    for seed in ("a", "a", "b"):

        async def body(population: Population, kind: IdleKind, seed: str = seed) -> None:
            work = keep_churning(
                population, Exponential(50.0), Exponential(10.0), random=Random(seed), share_polite=0.5
            )
            async with beside(work):
                await asyncio.sleep(300.0)
            ends.append(list(kind.ends))

        play(body, up=20)
    assert ends[0] == ends[1] != ends[2]


def test_failing_churn_ends_the_body() -> None:
    """A network whose churn has died is not measured any further."""

    async def body(population: Population, kind: IdleKind) -> None:
        def broken(slot: object, now_s: float) -> float:
            raise ZeroDivisionError

        turnover = Turnover(population, Fixed(10.0), Fixed(10.0), random=Random(1), eagerness=broken)
        with pytest.raises(ExceptionGroup):
            async with beside(turnover.run()):
                await asyncio.sleep(1000.0)
        assert len(population.on_joined) == 0

    play(body, up=3)


def test_impossible_shares_and_starts_are_refused() -> None:
    """What is no share and no start is told before anything runs."""

    async def body(population: Population, kind: IdleKind) -> None:
        with pytest.raises(InvalidArgument):
            Turnover(population, Fixed(1.0), Fixed(1.0), random=Random(1), share_polite=1.5)
        with pytest.raises(InvalidArgument):
            Turnover(population, Fixed(1.0), Fixed(1.0), random=Random(1), newcomers=-0.1)
        with pytest.raises(InvalidArgument):
            Turnover(population, Fixed(1.0), Fixed(1.0), random=Random(1), start="lukewarm")

    play(body)


def test_mass_kill_takes_its_share_at_once() -> None:
    """Three of ten die in one instant, none of them spared ones."""

    async def body(population: Population, kind: IdleKind) -> None:
        killed = kill_share(population, 0.3, random=Random("kill"), excluded=range(10))
        assert len(killed) == 27
        assert len(population.up) == 100 - 27
        assert min(slot.identity.number for slot in killed) >= 10
        await asyncio.sleep(1.0)
        assert kind.ends == [(slot.identity.number, "crash") for slot in killed]

    play(body, up=100)


def test_crowd_pours_in_within_its_time() -> None:
    """All newcomers have begun to start when it ends, and are up a second later."""

    async def body(population: Population, kind: IdleKind) -> None:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        crowd = await pour_in(population, 90, over_s=60.0, random=Random("pour"))
        assert loop.time() - began_s <= 60.001
        await asyncio.sleep(1.1)
        assert all(has_joined(slot) for slot in crowd)
        assert len(population.up) == 100

    play(body, up=10)


def test_restart_in_batches_keeps_the_others_up() -> None:
    """Never more than one batch is away, everybody is stopped politely once and comes back with what it saved."""

    async def body(population: Population, kind: IdleKind) -> None:
        least: list[int] = []

        async def count() -> None:
            while True:
                least.append(len(population.up))
                await asyncio.sleep(0.5)

        async with beside(count()):
            back = await restart_in_batches(population, population.slots, batch=4, install_s=5.0, health_s=10.0)
        assert back == 10
        assert min(least) == 6
        assert kind.ends == [(number, "stop") for number in range(10)]
        assert [saved for _, saved in kind.made] == [None] * 10 + [1] * 10

    play(body, up=10)


def test_bring_up_tells_who_did_not_come() -> None:
    """A start that hangs is waited for no longer than the limit."""

    async def body(population: Population, kind: IdleKind) -> None:
        slots = [population.add(), population.add()]
        assert await bring_up(population, slots, limit_s=0.5) == []
        assert await bring_up(population, slots, limit_s=5.0) == slots
        assert await bring_up(population, slots) == slots

    play(body)


def test_pairs_are_on_one_side_or_on_two() -> None:
    """Choices are narrowed; when nothing fits, nobody is asked."""

    async def body(population: Population, kind: IdleKind) -> None:
        def anybody(random: Random) -> tuple[object, object]:
            return random.choice(population.slots), random.choice(population.slots)

        choose: Choose = anybody  # type: ignore[assignment]  # slots are what it returns
        parity = {slot.identity.endpoint.host: slot.identity.number % 2 for slot in population.slots}
        inside, across = inside_sides(choose, parity.__getitem__), across_sides(choose, parity.__getitem__)
        random = Random("pairs")
        for _ in range(100):
            one, other = inside(random) or (None, None)
            assert one is not None
            assert other is not None
            assert (one.identity.number - other.identity.number) % 2 == 0
            one, other = across(random) or (None, None)
            assert one is not None
            assert other is not None
            assert (one.identity.number - other.identity.number) % 2 == 1
        assert pairs_where(choose, lambda one, other: False)(random) is None

    play(body, up=10)
