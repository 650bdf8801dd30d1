"""How soon all of a group know that a member crashed, joined, or changed what it says, beside the formulas."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from pilotdht.config.fields import tunable
from simulations.groups import formulas
from simulations.groups.company import Company
from simulations.groups.kind import GroupKind
from simulations.groups.member import GroupMember
from simulations.groups.options import GroupOptions
from simulations.population.population import Slot
from simulations.scenarios.scenario import Subject, scenario
from simulations.stage import Stage
from simulations.workload.statistics import mean

AT_MOST = 1.10
"""Measured times are at most so many times those of the formulas."""

_PAUSE_S = 12.0
"""Between two events: a member tells of changes every ten seconds at most."""

_LIMIT_S = 300.0
"""Longer than any suspicion of a thousand members."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupDetectionOptions(GroupOptions):
    """How many times it is measured."""

    nodes: int = tunable(1000, low=5, high=10_000, reason="sweep 10, 100 and 1,000: times grow with the logarithm")
    """Members."""
    network: str = tunable("lan", reason="formulas know no latency: gossip of a data centre comes near to that")
    """Conditions between members by name."""
    crashes: int = tunable(10, low=1, high=1000, reason="first detection is a matter of chance; ten tell its mean")
    """Members that crash, join again and change, one after another."""


@scenario(
    "group-detection",
    options=GroupDetectionOptions,
    small=GroupDetectionOptions(nodes=40, crashes=12),
    expects="Crashes, joins and changes are known as soon as the formulas of SWIM and gossip say, within 10 %.",
    members=GroupKind,
    subject=Subject.GROUPS,
)
async def group_detection(stage: Stage, options: GroupDetectionOptions) -> None:
    """Members crash, join and change what they say, one after another; measured is when the last one knows."""
    company = Company(stage)
    await stage.populate()
    stage.snapshot("before")
    times: dict[str, list[float | None]] = {}
    company.reset()
    for number in range(options.crashes):
        stage.tell("watching", number, options.crashes)
        victim = stage.population.pick(stage.random)
        await _crash(stage, company, victim, times)
        if number == 0:
            stage.snapshot("during")
        await _hear(
            stage, company, victim, lambda slot: stage.population.start_soon(slot), times.setdefault("join", [])
        )
        await asyncio.sleep(_PAUSE_S)
        await _hear(stage, company, victim, _change, times.setdefault("update", []))
    stage.snapshot("after")
    config = company.kind.config
    expected = {
        "notice_first": formulas.first_verdict_s(options.nodes, config),
        "notice_all": formulas.last_verdict_s(options.nodes, config),
        "join_all": formulas.spread_s(options.nodes, config),
        "update_all": formulas.spread_s(options.nodes, config),
    }
    for name, expected_s in expected.items():
        measured = times[name.removesuffix("_all") if name != "notice_all" else name]
        known = [one for one in measured if one is not None]
        measured_s = mean(known) if len(known) == len(measured) else None
        stage.figure(f"{name}_s", measured_s)
        stage.figure(f"{name}_formula_s", expected_s)
        stage.figure(f"{name}_ratio", None if measured_s is None else measured_s / expected_s)
        stage.expect(f"{name}_ratio", at_most=AT_MOST)
    stage.figure("false_alarms", float(len(company.alarms)))
    stage.expect("false_alarms", at_most=0)


async def _crash(stage: Stage, company: Company, victim: Slot, times: dict[str, list[float | None]]) -> None:
    """Kill somebody and wait until all know it."""
    # a crash falls anywhere into the periods of the others
    await asyncio.sleep(stage.random.random())
    await stage.population.crash(victim)
    departure = company.departures[-1]
    waited_s = 0.0
    while departure.last_s() is None and waited_s < _LIMIT_S:
        await asyncio.sleep(1.0)
        waited_s += 1.0
    times.setdefault("notice_first", []).append(departure.first_s())
    times.setdefault("notice_all", []).append(departure.last_s())


async def _hear(
    stage: Stage, company: Company, speaker: Slot, act: Callable[[Slot], object], times: list[float | None]
) -> None:
    """Have somebody do something, and note how long it takes until all others know."""
    began_s = asyncio.get_running_loop().time()
    heard = company.follow(speaker.identity.number)
    act(speaker)
    others = {slot.identity.number for slot in stage.population.up if slot is not speaker}
    waited_s = 0.0
    while not others <= heard.keys() and waited_s < _LIMIT_S:
        await asyncio.sleep(0.25)
        waited_s += 0.25
    times.append(max(heard[number] for number in others) - began_s if others <= heard.keys() else None)


def _change(slot: Slot) -> None:
    assert isinstance(slot.member, GroupMember), "it was started just now"
    slot.member.announce()
