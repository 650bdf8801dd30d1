"""A network that loses datagrams."""

from __future__ import annotations

from dataclasses import dataclass

from pilotdht.config.fields import tunable
from simulations.churn.beside import beside
from simulations.churn.targets import FOUND, LOOKUP_P95_S, PUBLISH_P50_S, picture_midway
from simulations.scenarios.scenario import Options, scenario
from simulations.stage import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class LossyOptions(Options):
    """A bad network."""

    network: str = tunable("lossy", reason="bad radio links and full queues")
    """Conditions between nodes by name: see :data:`simulations.world.conditions.CONDITIONS`."""


@scenario(
    "lossy",
    options=LossyOptions,
    small=LossyOptions(nodes=100, minutes=3, lookups_per_s=1),
    expects="Lost datagrams cost time, not records: 99.9 % of lookups find theirs, 95 % of them within a second.",
)
async def lossy(stage: Stage, options: LossyOptions) -> None:
    """Any datagram may be lost, twice or out of order."""
    await stage.populate()
    stage.snapshot("before")
    async with beside(picture_midway(stage, minutes=options.minutes)):
        await stage.watch(minutes=options.minutes)
    stage.snapshot("after")
    stage.expect("lookup_success", at_least=FOUND)
    stage.expect("lookup_p95_s", at_most=LOOKUP_P95_S)
    stage.expect("publish_p50_s", at_most=PUBLISH_P50_S)
