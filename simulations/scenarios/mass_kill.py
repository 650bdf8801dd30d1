"""A large part of the network dies in one instant."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from pilotdht.config.fields import tunable
from simulations.churn.calamities import kill_share
from simulations.churn.targets import expect_everyday
from simulations.scenarios.scenario import Options, scenario
from simulations.stage import Stage

FOUND_AT_ONCE = 0.99
"""Share of lookups that succeed from the first second: with half of all nodes, 0.4 % of records lose all 8 holders."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MassKillOptions(Options):
    """How many die, and how long the rest is watched."""

    minutes: float = tunable(10.0, unit="min", low=0.1, high=60 * 24, reason="what is repaired at all is by then")
    """Virtual duration of the part that is measured after repair."""
    share: float = tunable(0.3, low=0.0, high=0.95, reason="a cloud region; 0.5 is survived as well")
    """Share of nodes that die, 0..1."""
    shock_minutes: float = tunable(2.0, unit="min", low=0.1, high=60, reason="dead contacts are found out meanwhile")
    """Virtual duration of the part that is measured from the kill on."""
    repair_minutes: float = tunable(
        15.0, unit="min", low=0, high=60 * 24, reason="contacts are proved every quarter of an hour"
    )
    """Time between these parts."""


@scenario(
    "mass-kill",
    options=MassKillOptions,
    small=MassKillOptions(nodes=120, minutes=6, lookups_per_s=0.3, shock_minutes=2),
    expects="99 % of lookups among survivors succeed at once, 99.9 % after repair, as fast as before.",
)
async def mass_kill(stage: Stage, options: MassKillOptions) -> None:
    """A share of all nodes is killed silently, all at once."""
    await stage.populate()
    await stage.watch(minutes=options.shock_minutes, phase="before")
    stage.snapshot("before")
    killed = kill_share(stage.population, options.share, random=stage.random)
    stage.mark(f"{options.share:.0%} killed")
    stage.figure("killed", len(killed))
    await stage.watch(minutes=options.shock_minutes, phase="shock")
    stage.snapshot("during")
    await asyncio.sleep(options.repair_minutes * 60)
    await stage.watch(minutes=options.minutes, phase="repaired")
    stage.snapshot("after")
    stage.expect("shock_lookup_success", at_least=FOUND_AT_ONCE)
    expect_everyday(stage, phase="repaired")
