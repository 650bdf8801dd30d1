"""Every node is restarted, one batch after another."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pilotdht.config.fields import tunable
from simulations.churn.beside import beside
from simulations.churn.calamities import restart_in_batches
from simulations.churn.targets import expect_everyday, picture_midway
from simulations.scenarios.scenario import Options, scenario
from simulations.stage import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class RollingUpgradeOptions(Options):
    """How an upgrade is rolled out."""

    minutes: float = tunable(45.0, unit="min", low=0.1, high=60 * 24, reason="all batches, and what follows the last")
    """Virtual duration of the measured part; the upgrade has to be through by then."""
    batch_share: float = tunable(
        0.02, low=0.0001, high=1.0, reason="fifty batches: who errs notices before all are gone"
    )
    """Share of nodes that is away at once, 0..1."""
    install_s: float = tunable(10.0, unit="s", low=0.1, high=3600, reason="a process is replaced")
    """How long a node is away."""
    health_s: float = tunable(
        30.0, unit="s", low=0, high=3600, reason="a batch is seen to work before the next one goes"
    )
    """Pause after a batch has come back."""


@scenario(
    "rolling-upgrade",
    options=RollingUpgradeOptions,
    small=RollingUpgradeOptions(nodes=104, minutes=4, lookups_per_s=1, batch_share=0.125, install_s=5, health_s=15),
    expects="Everybody comes back with its key and contacts; nobody notices: 99.9 % of lookups find their record.",
)
async def rolling_upgrade(stage: Stage, options: RollingUpgradeOptions) -> None:
    """All nodes leave politely and come back, a few at a time."""
    slots = await stage.populate()
    stage.snapshot("before")
    order = stage.random.sample(slots, len(slots))
    counted = [0]

    async def upgrade() -> None:
        counted[0] = await restart_in_batches(
            stage.population,
            order,
            batch=math.ceil(options.batch_share * len(order)),
            install_s=options.install_s,
            health_s=options.health_s,
        )
        stage.mark("all are upgraded")

    stage.mark("upgrade begins")
    async with beside(upgrade(), picture_midway(stage, minutes=options.minutes)):
        await stage.watch(minutes=options.minutes)
    stage.snapshot("after")
    stage.figure("upgraded", counted[0] / len(order))
    stage.expect("upgraded", at_least=1.0)
    expect_everyday(stage, bytes_per_node_s=None)  # joining is most of the traffic: how much depends on the pace alone
