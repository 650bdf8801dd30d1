"""Members of a group in a simulated world: what the company says of them is what happened, and one seed is one run."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable

import pytest

from simulations.groups.company import Company
from simulations.groups.kind import GroupKind
from simulations.groups.liars import LIARS
from simulations.groups.options import GroupOptions
from simulations.results.result import Result
from simulations.runner import run
from simulations.scenarios.scenario import Scenario
from simulations.stage import Stage
from tests.support.source import ROOT

pytestmark = [pytest.mark.simulation, pytest.mark.timeout(120)]

Act = Callable[[Stage, Company], Awaitable[None]]


def played(act: Act, *, nodes: int = 12, seed: int = 1, network: str = "lan") -> Result:
    """Play something with a small group that has settled."""

    async def play(stage: Stage, options: GroupOptions) -> None:
        company = Company(stage)
        await stage.populate()
        await act(stage, company)

    small = GroupOptions(nodes=nodes, seed=seed, network=network, joins_per_s=10)
    scenario = Scenario(
        name="trial", summary="", expects="", options=GroupOptions, small=small, play=play, members=GroupKind
    )
    result = run(scenario, small)
    assert result.is_complete
    return result


def test_everybody_sees_everybody_and_a_crash_is_noticed_by_all() -> None:
    """A crash is noticed within the time that suspicions take; nobody else is held for dead."""

    async def act(stage: Stage, company: Company) -> None:
        assert company.agreement().observers == 1.0
        victim = stage.population.up[3]
        await stage.population.crash(victim)
        await asyncio.sleep(5)
        assert company.agreement().observers == 0.0
        await asyncio.sleep(40)
        assert company.agreement().observers == 1.0
        departure = company.departures[-1]
        assert departure.number == victim.identity.number
        assert departure.witnesses.bit_count() == 11
        first_s, last_s = departure.first_s(), departure.last_s()
        assert first_s is not None
        assert last_s is not None
        assert 4.0 < first_s <= last_s < 12.0
        assert company.alarms == []

    played(act)


def test_goodbye_is_heard_at_once() -> None:
    """Who leaves politely is gone for all within seconds, and back as soon when it returns."""

    async def act(stage: Stage, company: Company) -> None:
        leaver = stage.population.up[5]
        await stage.population.stop(leaver)
        await asyncio.sleep(3)
        assert company.agreement().observers == 1.0
        heard = company.follow(leaver.identity.number)
        stage.population.start_soon(leaver)
        await asyncio.sleep(3)
        assert company.agreement().observers == 1.0
        assert len(heard) >= 11

    played(act)


def test_cut_is_two_truths_and_heals() -> None:
    """Each side is right when it sees itself alone; nobody beyond the cut counts as a false alarm."""

    async def act(stage: Stage, company: Company) -> None:
        company.cut(2)
        await asyncio.sleep(1)
        after = company.agreement()
        assert after.observers == 0.0
        assert after.pairs == pytest.approx(0.5)
        await asyncio.sleep(60)
        assert company.agreement().observers == 1.0
        company.heal()
        healed_s = await company.until_whole(limit_s=60)
        assert healed_s is not None
        assert healed_s <= 30
        assert company.alarms == []

    played(act)


def test_stalled_member_is_held_for_dead_and_that_is_a_false_alarm() -> None:
    """Who stands still for long is up all the same: the company counts it for each that holds it for dead."""

    async def act(stage: Stage, company: Company) -> None:
        victim = stage.population.up[4].identity.number
        stage.world.stall(victim, 40)
        await asyncio.sleep(39)
        assert {alarm.number for alarm in company.alarms} == {victim}
        assert len({alarm.observer for alarm in company.alarms}) == 11
        assert all(alarm.until_s is None for alarm in company.alarms)
        await asyncio.sleep(10)
        assert all(alarm.until_s is not None for alarm in company.alarms)
        assert company.agreement().observers == 1.0

    played(act)


def test_member_without_a_processor_sends_nothing() -> None:
    """Timers set while datagrams are looked at belong to the member as well: a stall holds them all back."""

    async def act(stage: Stage, company: Company) -> None:
        slot = stage.population.up[4]
        stage.world.stall(slot.identity.number, 20)
        host = slot.identity.endpoint.host
        before = stage.world.network.sent_by(host)
        await asyncio.sleep(19.9)
        assert stage.world.network.sent_by(host) == before
        await asyncio.sleep(5)
        assert stage.world.network.sent_by(host) > before

    played(act)


@pytest.mark.parametrize("behaviour", LIARS)
def test_liars_of_each_kind_harm_no_honest_member(behaviour: str) -> None:
    """Two of twelve lie: the others see each other, and only each other counts."""

    async def act(stage: Stage, company: Company) -> None:
        for _ in range(2):
            stage.population.start_soon(stage.population.add(behaviour=behaviour))
        await company.watch(minutes=0.4)
        assert stage.result.figures["agreement"] == 1.0
        assert company.alarms == []
        assert len(stage.population.honest_up) == 10

    played(act, nodes=10)


def digest(seed: int) -> str:
    """Return the digest of a run in which members crash, stall and are cut off."""

    async def act(stage: Stage, company: Company) -> None:
        await stage.population.crash(stage.population.up[2])
        stage.world.stall(stage.population.up[5].identity.number, 10)
        company.cut(2)
        await asyncio.sleep(20)
        company.heal()
        await asyncio.sleep(10)

    return played(act, seed=seed, network="wan").trace_digest


def test_one_seed_is_one_run_whatever_the_hash_seed() -> None:
    """Processes with different orders of sets leave the same trace; another seed leaves another one."""
    program = "from tests.simulation.test_sim_group_company import digest; print(digest(7))"
    digests = []
    for hash_seed in ("1", "77"):
        environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, cwd=ROOT, check=True
        )
        digests.append(done.stdout.strip())

    assert digests[0] == digests[1]
    assert digest(8) != digests[0]
