"""Some nodes are starved of processor time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from pilotdht.config.fields import tunable
from simulations.churn.beside import beside
from simulations.churn.pairs import pairs_where
from simulations.churn.targets import FOUND, LOOKUP_P50_S, LOOKUP_P95_S, PUBLISH_P50_S, picture_midway
from simulations.population.population import Slot
from simulations.scenarios.scenario import Options, scenario
from simulations.stage import Stage
from simulations.workload.probes import anybody_settled


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowNodesOptions(Options):
    """Who is slow, and how slow."""

    share: float = tunable(0.2, low=0.0, high=0.9, reason="full hosts, sleeping laptops")
    """Share of nodes that are stalled now and then, 0..1."""
    stall_s: float = tunable(5.0, unit="s", low=0.1, high=600, reason="longer than any request waits")
    """How long a node does nothing; what reaches it waits."""
    every_s: float = tunable(
        30.0, unit="s", low=1, high=3600, reason="a sixth of the time is lost with the value above"
    )
    """From one stall of a node to its next."""


@scenario(
    "slow-nodes",
    options=SlowNodesOptions,
    small=SlowNodesOptions(nodes=100, minutes=3, lookups_per_s=1),
    expects="Nobody waits for a slow node: 99.9 % of the others' lookups find their record, 95 % of them within 1 s.",
)
async def slow_nodes(stage: Stage, options: SlowNodesOptions) -> None:
    """A share of all nodes stands still for seconds, again and again."""
    slots = await stage.populate()
    stage.snapshot("before")
    slow = stage.random.sample(slots, round(options.share * len(slots)))
    numbers = {slot.identity.number for slot in slow}
    settled = anybody_settled(stage.population, asyncio.get_running_loop().time)
    quick_askers = pairs_where(
        settled, lambda asker, other: asker.identity.number not in numbers and other.identity.number not in numbers
    )
    stage.mark(f"{len(slow)} nodes become slow")
    async with beside(_stall(stage, slow, options), picture_midway(stage, minutes=options.minutes)):
        await stage.watch(minutes=options.minutes, choose=quick_askers)
    stage.snapshot("after")
    stage.expect("lookup_success", at_least=FOUND)
    stage.expect("lookup_p50_s", at_most=LOOKUP_P50_S)
    stage.expect("lookup_p95_s", at_most=LOOKUP_P95_S)
    stage.expect("publish_p50_s", at_most=PUBLISH_P50_S)


async def _stall(stage: Stage, slow: Sequence[Slot], options: SlowNodesOptions) -> None:
    """Stall one after another, each once in ``every_s``, for ever."""
    loop = asyncio.get_running_loop()
    due_s = loop.time()
    while slow:
        for slot in slow:
            stage.world.stall(slot.identity.number, options.stall_s)
            due_s += options.every_s / len(slow)
            await asyncio.sleep(due_s - loop.time())
