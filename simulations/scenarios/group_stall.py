"""Lifeguard's experiment: some members are slow to look at messages, and accuse healthy ones.

All stalled members are stalled at the same time, for a while, then run for a while, again and again. A member is held
for dead falsely *at a healthy member* when that one was never stalled itself: this is what spreads harm.

Source: Dadgar, Phillips, Currey, "Lifeguard: local health awareness for more accurate failure detection", DSN 2018,
section V: 128 members, the interval experiment, stalls of 128 ms to 32 s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from pilotdht.config.fields import tunable
from pilotdht.errors import InvalidArgument
from simulations.churn.beside import beside
from simulations.engine.streams import stream
from simulations.groups.company import Company
from simulations.groups.kind import GroupKind
from simulations.groups.options import GroupOptions
from simulations.groups.variants import VARIANTS, config_of
from simulations.population.population import Slot
from simulations.scenarios.scenario import Subject, scenario
from simulations.stage import Stage

TIMES_FEWER = 50.0
"""False positives about healthy members are so many times rarer than with plain SWIM, as Lifeguard's authors found."""

STALLS = ("messages", "processor")
"""What stands still: reading and sending, as in the paper, or timers too, as in a machine without a processor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupStallOptions(GroupOptions):
    """Who is stalled, how long, how often."""

    nodes: int = tunable(128, low=8, high=10_000, reason="as in the paper")
    """Members."""
    minutes: float = tunable(2.0, unit="min", low=0.1, high=60 * 24, reason="as in the paper")
    """Virtual duration of the stalls of each variant."""
    network: str = tunable("lan", reason="as in the paper: machines of one data centre")
    """Conditions between members by name."""
    stalled: int = tunable(16, low=1, high=1000, reason="the middle of the paper's 1 to 32")
    """Members that are stalled."""
    stall_s: float = tunable(16.384, unit="s", low=0.01, high=600, reason="of the paper's 0.128 to 32.768 s")
    """How long they stand still."""
    run_s: float = tunable(0.256, unit="s", low=0.001, high=600, reason="of the paper's 0.001 to 16.384 s")
    """How long they run in between."""
    stalls: str = tunable("messages", reason="as in the paper; a member without a processor accuses nobody")
    """What stands still: ``messages`` (reading and sending), or the whole ``processor``, timers included."""

    def __post_init__(self) -> None:
        """Check ranges, and what stands still.

        Raises:
            ConfigError: a value is out of range.
            InvalidArgument: there are no such stalls.
        """
        GroupOptions.__post_init__(self)
        if self.stalls not in STALLS:
            raise InvalidArgument(f"{self.stalls[:80]!r} cannot stand still", hint=f"{' or '.join(STALLS)} can")
        if self.stalled > self.nodes // 2:
            raise InvalidArgument("more than half of all members are stalled", hint="lower --stalled")


@scenario(
    "group-stall",
    options=GroupStallOptions,
    small=GroupStallOptions(nodes=48, minutes=1, stalled=8),
    expects="Healthy members are held for dead 50 times less often than by plain SWIM.",
    members=GroupKind,
    subject=Subject.GROUPS,
)
async def group_stall(stage: Stage, options: GroupStallOptions) -> None:
    """Some members are stalled again and again; the same with plain SWIM, with Lifeguard, and with all that we have."""
    company = Company(stage)
    assert isinstance(stage.population.kind, GroupKind)
    slots = [stage.population.add() for _ in range(options.nodes)]
    sick = stream(options.seed, "stalled").sample(slots[1:], options.stalled)
    for variant in VARIANTS:
        stage.population.kind.config = config_of(variant)
        await stage.join(slots)
        stage.mark(variant)
        async with beside(_stall(stage, sick, options)):
            await company.watch(minutes=options.minutes, phase=variant)
        _count(stage, company, variant, {slot.identity.number for slot in sick})
        for slot in slots:
            await stage.population.crash(slot)
    for kind in ("about_healthy", "at_healthy"):
        plain, ours = (stage.result.figures[f"{variant}_false_{kind}"] or 0.0 for variant in ("plain", "default"))
        stage.figure(f"times_fewer_{kind}", plain / max(1.0, ours))
    stage.expect("plain_false_about_healthy", at_least=TIMES_FEWER)
    stage.expect("times_fewer_about_healthy", at_least=TIMES_FEWER)
    stage.expect("default_false_at_healthy", at_most=0)


def _count(stage: Stage, company: Company, variant: str, sick: set[int]) -> None:
    """Add the figures of false positives by class."""
    healthy = [alarm for alarm in company.alarms if alarm.number not in sick]
    stage.figure(f"{variant}_false_about_healthy", float(len(healthy)))
    stage.figure(f"{variant}_false_at_healthy", float(sum(1 for alarm in healthy if alarm.observer not in sick)))
    stage.figure(f"{variant}_false_about_stalled", float(len(company.alarms) - len(healthy)))
    stage.figure(f"{variant}_suspicions", company.suspicions())


async def _stall(stage: Stage, sick: Sequence[Slot], options: GroupStallOptions) -> None:
    """Stall all of them for a while, let them run for a while, for ever."""
    loop = asyncio.get_running_loop()
    while True:
        for slot in sick:
            if options.stalls == "processor":
                stage.world.stall(slot.identity.number, options.stall_s)
            else:
                stage.world.network.stall(slot.identity.endpoint.host, loop.time() + options.stall_s)
        await asyncio.sleep(options.stall_s + options.run_s)
