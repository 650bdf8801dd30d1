"""All nodes that newcomers know of die."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from pilotdht.config.fields import tunable
from simulations.churn.calamities import bring_up
from simulations.churn.pairs import has_joined, pairs_where
from simulations.churn.targets import expect_everyday
from simulations.population.population import Slot
from simulations.scenarios.scenario import Options, scenario
from simulations.stage import Stage
from simulations.workload.probes import anybody_settled
from simulations.workload.statistics import share

REJOIN_S = 90.0
"""Who cannot join tries again every minute, give or take a fifth; then it joins within seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BootstrapLossOptions(Options):
    """Who dies, who comes meanwhile."""

    minutes: float = tunable(
        10.0, unit="min", low=1, high=60 * 24, reason="long enough for the stranded to give up hope"
    )
    """Virtual duration of the part without landmarks; it is measured."""
    landmarks: int = tunable(3, low=1, high=32, reason="what a project usually runs")
    """Nodes that everybody joins through; all of them die."""
    newcomers: int = tunable(20, low=1, high=10_000, reason="enough for a share")
    """Nodes that try to join for the first time while no landmark lives."""
    restarts: int = tunable(20, low=1, high=10_000, reason="enough for a share")
    """Nodes that are restarted while no landmark lives: they have contacts saved."""


@scenario(
    "bootstrap-loss",
    options=BootstrapLossOptions,
    small=BootstrapLossOptions(nodes=100, minutes=2, lookups_per_s=1, newcomers=5, restarts=10),
    expects="The network goes on, restarted nodes come back by saved contacts; newcomers wait and join by themselves "
    "once a landmark returns.",
)
async def bootstrap_loss(stage: Stage, options: BootstrapLossOptions) -> None:
    """Every landmark dies; the network goes on, newcomers wait for one to return."""
    population = stage.population
    population.landmarks = options.landmarks
    slots = await stage.populate()
    stage.snapshot("before")
    landmarks, present = slots[: options.landmarks], slots[options.landmarks :]
    for slot in landmarks:
        population.crash_soon(slot)
    stage.mark(f"all {options.landmarks} landmarks die")

    restarted = stage.random.sample(present, min(options.restarts, len(present) // 2))
    for slot in restarted:
        population.crash_soon(slot)
    newcomers = [population.add() for _ in range(options.newcomers)]
    await bring_up(population, [*newcomers, *restarted])
    stage.mark("newcomers and restarted nodes try to join")

    here = {slot.identity.number for slot in present}
    settled = anybody_settled(population, asyncio.get_running_loop().time)
    between_present = pairs_where(
        settled, lambda asker, other: asker.identity.number in here and other.identity.number in here
    )
    await stage.watch(minutes=options.minutes, phase="lost", choose=between_present)
    stage.snapshot("during")
    stage.figure("lost_restarted_joined", _joined_share(restarted))
    stage.figure("lost_newcomers_joined", _joined_share(newcomers))

    await bring_up(population, landmarks[:1])
    stage.mark("one landmark returns")
    await asyncio.sleep(REJOIN_S)
    stage.figure("returned_newcomers_joined", _joined_share(newcomers))
    await stage.watch(minutes=1.0, phase="returned")
    stage.snapshot("after")
    stage.expect("lost_restarted_joined", at_least=1.0)
    stage.expect("lost_newcomers_joined", at_most=0.0)
    stage.expect("returned_newcomers_joined", at_least=1.0)
    expect_everyday(stage, phase="lost", bytes_per_node_s=None)
    stage.expect("returned_lookup_success", at_least=0.999)


def _joined_share(slots: list[Slot]) -> float | None:
    return share([has_joined(slot) for slot in slots])
