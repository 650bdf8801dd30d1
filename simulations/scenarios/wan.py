"""A healthy network over the internet."""

from __future__ import annotations

from dataclasses import dataclass

from simulations.churn.beside import beside
from simulations.churn.targets import expect_everyday, picture_midway
from simulations.scenarios.scenario import Options, scenario
from simulations.stage import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class WanOptions(Options):
    """Nothing but what every scenario has."""


@scenario(
    "wan",
    options=WanOptions,
    small=WanOptions(nodes=100, minutes=5, lookups_per_s=0.5),
    expects="99.9 % of lookups find their record, half of them within 0.3 s, at less than 200 bytes/s a node.",
)
async def wan(stage: Stage, options: WanOptions) -> None:
    """Nobody comes, nobody goes: what distance alone costs, and upkeep."""
    await stage.populate()
    stage.snapshot("before")
    async with beside(picture_midway(stage, minutes=options.minutes)):
        await stage.watch(minutes=options.minutes)
    stage.snapshot("after")
    expect_everyday(stage)
