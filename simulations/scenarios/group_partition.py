"""A group is cut into sides, each goes on alone, and all find each other again, and what the others said meanwhile."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from pilotdht.config.fields import tunable
from pilotdht.identity.ids import PublicKey
from simulations.churn.beside import beside
from simulations.engine.streams import stream
from simulations.groups.company import Company
from simulations.groups.kind import GroupKind
from simulations.groups.minutes import Minutes
from simulations.groups.options import GroupOptions
from simulations.groups.speaker import SpeakingMember
from simulations.scenarios.scenario import Subject, scenario
from simulations.stage import Stage

HEAL_S = 30.0
"""So soon after the healing every member sees every member."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupPartitionOptions(GroupOptions):
    """How the group is cut, and for how long."""

    minutes: float = tunable(5.0, unit="min", low=0.1, high=60 * 24, reason="long enough to see that it stays whole")
    """Virtual duration of the part that is measured after the healing."""
    sides: int = tunable(2, low=2, high=64, reason="two halves; with more, more is to be learnt at the healing")
    """Parts of equal size."""
    minutes_cut: float = tunable(
        30.0, unit="min", low=0.1, high=60 * 24, reason="everybody beyond the cut has been held for dead for long"
    )
    """How long the cut lasts."""
    speakers: int = tunable(20, low=0, high=1000, reason="some of a group speak, most listen")
    """Members that send messages during the cut."""
    messages: int = tunable(5, low=1, high=1000, reason="an order to be kept")
    """Messages of each of them, spread over the cut."""


@scenario(
    "group-partition",
    options=GroupPartitionOptions,
    small=GroupPartitionOptions(nodes=60, minutes=0.5, minutes_cut=2.5, speakers=4),
    expects="Each side soon sees itself alone; 30 s after the healing all see all, and read what the others said.",
    members=GroupKind,
    subject=Subject.GROUPS,
)
async def group_partition(stage: Stage, options: GroupPartitionOptions) -> None:
    """A group is cut into sides that cannot reach each other, and healed."""
    company, minutes = Company(stage), Minutes()
    company.kind.on_event = minutes.heard
    await stage.populate()
    stage.figure("whole_before", company.sample().observers)
    stage.snapshot("before")
    company.cut(options.sides)
    sent: dict[PublicKey, int] = {}
    async with beside(_speak(stage, options, sent)):
        await company.watch(minutes=options.minutes_cut, phase="cut")
    stage.figure("whole_cut", company.sample().observers)
    stage.snapshot("during")
    company.heal()
    stage.figure("heal_s", await company.until_whole(limit_s=10 * HEAL_S))
    await company.watch(minutes=options.minutes, phase="healed")
    stage.figure("whole_healed", company.sample().observers)
    numbers = [slot.identity.number for slot in stage.population.up]
    stage.figure("messages_read", minutes.share(numbers, sent))
    stage.figure("messages_faulty", float(minutes.faults()))
    stage.snapshot("after")
    stage.expect("whole_before", at_least=1.0)
    stage.expect("whole_cut", at_least=1.0)
    stage.expect("heal_s", at_most=HEAL_S)
    stage.expect("whole_healed", at_least=1.0)
    stage.expect("healed_agreement_least", at_least=1.0)
    stage.expect("cut_false_alarms", at_most=0)
    stage.expect("healed_false_alarms", at_most=0)
    stage.expect("messages_read", at_least=1.0)
    stage.expect("messages_faulty", at_most=0)


async def _speak(stage: Stage, options: GroupPartitionOptions, sent: dict[PublicKey, int]) -> None:
    """Have some members of all sides speak, their messages spread over the first nine tenths of the cut."""
    slots = stream(stage.options.seed, "speakers").sample(list(stage.population.up), options.speakers)
    gap_s = 0.9 * 60 * options.minutes_cut / max(1, options.speakers * options.messages)
    for number in range(options.messages):
        for slot in slots:
            await asyncio.sleep(gap_s)
            member = slot.member
            assert isinstance(member, SpeakingMember), "all of them take part in messages"
            member.say(f"{slot.identity.name} {number}".encode())
            sent[member.keys.public_key] = sent.get(member.keys.public_key, 0) + 1
