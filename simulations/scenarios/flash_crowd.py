"""A network grows tenfold within minutes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from pilotdht.config.fields import tunable
from simulations.churn.beside import beside
from simulations.churn.calamities import pour_in
from simulations.churn.pairs import has_joined
from simulations.churn.targets import expect_everyday, picture_midway
from simulations.engine.streams import stream
from simulations.population.population import Slot
from simulations.scenarios.scenario import Options, scenario
from simulations.stage import SETTLE_S, Stage
from simulations.workload.statistics import share


@dataclass(frozen=True, slots=True, kw_only=True)
class FlashCrowdOptions(Options):
    """How fast, and how large."""

    nodes: int = tunable(200, low=2, high=100_000, reason="2,000 in the end")
    """Participants that are up when the crowd begins to come."""
    minutes: float = tunable(
        10.0, unit="min", low=0.1, high=60 * 24, reason="newcomers have been handed records by then"
    )
    """Virtual duration of the part that is measured when all have come."""
    growth: float = tunable(10.0, low=1.1, high=1000, reason="news made a small network known")
    """Participants in the end, as a multiple of those before."""
    over_minutes: float = tunable(5.0, unit="min", low=0.1, high=60 * 24, reason="six a second with the values above")
    """Time from the first newcomer to the last."""


@scenario(
    "flash-crowd",
    options=FlashCrowdOptions,
    small=FlashCrowdOptions(nodes=10, growth=10, minutes=2, lookups_per_s=1, over_minutes=2),
    expects="Everybody gets in and is found; 99 % of lookups succeed while they come, 99.9 % afterwards.",
)
async def flash_crowd(stage: Stage, options: FlashCrowdOptions) -> None:
    """Newcomers come faster and faster, until the network is many times as large."""
    old = await stage.populate()
    stage.snapshot("before")
    stage.mark("crowd comes")
    count = round(len(old) * (options.growth - 1))
    crowd: list[Slot] = []

    async def come() -> None:
        random = stream(options.seed, "crowd")
        crowd.extend(await pour_in(stage.population, count, over_s=options.over_minutes * 60, random=random))

    async with beside(come(), picture_midway(stage, minutes=options.over_minutes)):
        await stage.watch(minutes=options.over_minutes, phase="crowd")
    stage.mark("all have come")
    await asyncio.sleep(SETTLE_S)
    stage.figure("crowd", len(crowd))
    stage.figure("crowd_joined", share([has_joined(slot) for slot in crowd]))
    stage.figure("crowd_published", share([slot.member is not None and slot.member.version > 0 for slot in crowd]))
    await stage.watch(minutes=options.minutes, phase="after")
    stage.snapshot("after")
    stage.expect("crowd", at_least=count)
    stage.expect("crowd_joined", at_least=1.0)
    stage.expect("crowd_published", at_least=1.0)
    stage.expect("crowd_lookup_success", at_least=0.99)
    expect_everyday(stage, phase="after", bytes_per_node_s=None)
