"""Admitted members lie: they accuse without end, replay, boast, flood, and answer falsely."""

from __future__ import annotations

from dataclasses import dataclass

from pilotdht.config.fields import tunable
from simulations.churn.beside import beside
from simulations.churn.targets import picture_midway
from simulations.groups.company import Company, FalseAlarm
from simulations.groups.kind import GroupKind
from simulations.groups.liars import LIARS
from simulations.groups.options import GroupOptions
from simulations.scenarios.scenario import Subject, scenario
from simulations.stage import Stage

REFUTED_S = 2.0
"""Longest that an honest member that is there may be held for dead by another one: what a refutation takes."""

BUSIEST_MESSAGES_PER_S = 40.0
"""The same for the honest member that sends most: nobody can be made to work without end."""

MESSAGES_PER_HONEST_S = 20.0
"""Datagrams that an honest member sends, answers included, while one in five strikes twenty times a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ByzantineOptions(GroupOptions):
    """Who lies."""

    nodes: int = tunable(100, low=10, high=10_000, reason="liars know everybody, as every member does")
    """Members, the liars included."""
    share: float = tunable(0.2, low=0.0, high=0.5, reason="far more than a group that picks its members would admit")
    """Share of members that lie, 0..1; in equal parts of every kind, unless one is named."""
    behaviour: str = tunable("all", reason="each kind alone is easier to bear than all together")
    """Kind of liar: ``accuser``, ``replayer``, ``boaster``, ``flooder``, ``confuser``, or ``all``."""


@scenario(
    "byzantine-members",
    options=ByzantineOptions,
    small=ByzantineOptions(nodes=25, minutes=0.5),
    expects="Honest members go on seeing all honest members; nobody holds one for dead for longer than 2 s.",
    members=GroupKind,
    subject=Subject.GROUPS,
)
async def byzantine_members(stage: Stage, options: ByzantineOptions) -> None:
    """A share of all members accuses, replays, boasts, floods and answers falsely, without end."""
    company = Company(stage)
    kinds = list(LIARS) if options.behaviour == "all" else [options.behaviour]
    slots = await stage.populate(behaviours={kind: options.share / len(kinds) for kind in kinds})
    stage.snapshot("before")
    stage.mark(f"{sum(1 for slot in slots if not slot.is_honest)} liars")
    honest = [slot for slot in slots if slot.is_honest]
    before = [stage.world.network.sent_by(slot.identity.endpoint.host) for slot in honest]
    async with beside(picture_midway(stage, minutes=options.minutes)):
        await company.watch(minutes=options.minutes)
    after = [stage.world.network.sent_by(slot.identity.endpoint.host) for slot in honest]
    seconds = options.minutes * 60
    rates = [(late - early) / seconds for early, late in zip(before, after, strict=True)]
    stage.snapshot("after")
    ends_s = stage.world.network.loop.time()
    stage.figure("false_alarm_longest_s", max((_lasted_s(alarm, ends_s) for alarm in company.alarms), default=0.0))
    stage.figure("honest_messages_per_node_s", sum(rates) / len(rates))
    stage.figure("busiest_messages_per_node_s", max(rates))
    stage.expect("agreement", at_least=1 - 1 / options.nodes**2)
    stage.expect("false_alarm_longest_s", at_most=REFUTED_S)
    stage.expect("busiest_messages_per_node_s", at_most=BUSIEST_MESSAGES_PER_S)
    stage.expect("honest_messages_per_node_s", at_most=MESSAGES_PER_HONEST_S)


def _lasted_s(alarm: FalseAlarm, now: float) -> float:
    return (now if alarm.until_s is None else alarm.until_s) - alarm.at_s
