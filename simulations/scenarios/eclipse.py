"""Ids made to lie next to a few records, all of them behind one network, are to hide these."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from random import Random

from pilotdht.config.fields import tunable
from simulations.adversaries.siege import (
    AttackOptions,
    attack_place,
    honest_churn,
    seeds_beside,
    settle_landmarks,
)
from simulations.churn.beside import beside
from simulations.churn.targets import picture_midway
from simulations.engine.streams import stream
from simulations.population.population import Slot
from simulations.scenarios.scenario import scenario
from simulations.stage import Stage
from simulations.workload.probes import Choose, anybody_settled

FOUND = 0.99
"""On IPFS the same attack hid records in 23 of 23 runs (Cholez and Ignat, 2024)."""

WRITTEN_S = 10.0
"""After so long all holders of a new version have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EclipseOptions(AttackOptions):
    """Who is besieged by how many."""

    ids: int = tunable(20, low=1, high=254, reason="as many captured every record on IPFS, behind one address")
    """Ids next to each besieged record, behind one prefix of 256 addresses each."""
    share: float = tunable(0.0, low=0.0, high=20, reason="0: as many as ``ids`` says; sweep 0.05..0.3")
    """Ids of the attacker as a share of honest nodes, in equal numbers next to each record, one at least."""
    targets: int = tunable(5, low=1, high=1000, reason="one record could be lucky; more cost attackers, not time")
    """Records that are besieged."""


@scenario(
    "eclipse",
    options=EclipseOptions,
    small=EclipseOptions(nodes=100, minutes=3, lookups_per_s=1, mean_session_s=1800, mean_absence_s=450, targets=2),
    expects="99 % of lookups find records that 20 ids lie next to, be they published before or during the siege.",
)
async def eclipse(stage: Stage, options: EclipseOptions) -> None:
    """Ids ground next to victims' record keys take writes and forget them, deny the records, and name only fellows."""
    landmarks = settle_landmarks(stage, options)
    await stage.populate()
    victims = stage.random.sample(list(stage.population.honest_up)[options.landmarks :], options.targets)
    stage.snapshot("before")
    seeds = seeds_beside(
        [victim.identity for victim in victims],
        count=ids_a_record(options),
        nodes=options.nodes,
        random=stream(options.seed, "grinding"),
        implementation=options.implementation,
    )
    ring = [
        stage.population.add(behaviour="eclipse", seed=seed, endpoint=attack_place(number, index))
        for number, group in enumerate(seeds)
        for index, seed in enumerate(group)
    ]
    staying = {*landmarks, *(victim.identity.number for victim in victims)}
    choose = _besieged(stage, victims)
    half = options.minutes / 2
    async with beside(honest_churn(stage, options, name="eclipse", excluded=staying)):
        stage.mark(f"{ids_a_record(options)} ids next to each of {options.targets} records")
        await stage.join(ring)
        # Published before the siege: the holders of then are still there.
        await stage.watch(minutes=half, phase="published_before", choose=choose, publishes_per_s=0.0)
        stage.mark("victims publish anew")
        for victim in victims:
            await _publish(victim)
        await asyncio.sleep(WRITTEN_S)
        async with beside(picture_midway(stage, minutes=half)):
            await stage.watch(minutes=half, phase="published_during", choose=choose, publishes_per_s=0.0)
    stage.snapshot("after")
    asked = [stage.result.figures.get(f"published_{when}_lookups") or 0.0 for when in ("before", "during")]
    shares = [stage.result.figures.get(f"published_{when}_lookup_success") or 0.0 for when in ("before", "during")]
    found = sum(count * share for count, share in zip(asked, shares, strict=True))
    stage.figure("eclipse_captured", 1 - found / sum(asked) if sum(asked) else None)
    stage.expect("published_before_lookup_success", at_least=FOUND)
    stage.expect("published_during_lookup_success", at_least=FOUND)
    stage.expect("published_before_lookup_wrong", at_most=0)
    stage.expect("published_during_lookup_wrong", at_most=0)
    stage.expect("eclipse_captured", at_most=1 - FOUND)


def ids_a_record(options: EclipseOptions) -> int:
    """Return how many ids lie next to each record."""
    if options.share <= 0:
        return options.ids
    return max(1, round(options.share * options.nodes / options.targets))


def _besieged(stage: Stage, victims: list[Slot]) -> Choose:
    """Return a choice of somebody honest who asks for a victim."""
    anybody = anybody_settled(stage.population, asyncio.get_running_loop().time)

    def choose(random: Random) -> tuple[Slot, Slot] | None:
        pair = anybody(random)
        victim = victims[random.randrange(len(victims))]
        return None if pair is None or pair[0] is victim else (pair[0], victim)

    return choose


async def _publish(victim: Slot) -> None:
    if victim.member is not None:
        await victim.member.publish()
        victim.published = max(victim.published, victim.member.version)
