"""Some nodes swallow what they are asked and forget what they are given."""

from __future__ import annotations

from dataclasses import dataclass

from pilotdht.config.fields import tunable
from simulations.adversaries.siege import AttackOptions, honest_churn, settle_landmarks
from simulations.churn.beside import beside
from simulations.churn.targets import picture_midway
from simulations.scenarios.scenario import scenario
from simulations.stage import Stage

FOUND = 0.99
"""S/Kademlia (2007) finds as many at 20 % adversaries among 10,000 nodes, none of which come or go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DroppersOptions(AttackOptions):
    """How many drop."""

    share: float = tunable(0.2, low=0.0, high=0.9, reason="where S/Kademlia still finds 99 %; sweep 0.05..0.3")
    """Share of nodes that drop, 0..1."""


@scenario(
    "droppers",
    options=DroppersOptions,
    small=DroppersOptions(nodes=100, minutes=3, lookups_per_s=1, mean_session_s=1800, mean_absence_s=450),
    expects="99 % of lookups among honest nodes find their record with a fifth of all nodes dropping, under churn.",
)
async def droppers(stage: Stage, options: DroppersOptions) -> None:
    """A share of nodes answers pings, swallows lookups, and acknowledges writes to forget them."""
    landmarks = settle_landmarks(stage, options)
    await stage.populate(behaviours={"dropper": options.share})
    stage.snapshot("before")
    stage.mark(f"{options.share:.0%} drop, churn begins")
    churn = honest_churn(stage, options, name="droppers", excluded=landmarks)
    async with beside(churn, picture_midway(stage, minutes=options.minutes)):
        await stage.watch(minutes=options.minutes)
    stage.snapshot("after")
    stage.expect("lookup_success", at_least=FOUND)
    stage.expect("lookup_wrong", at_most=0)
