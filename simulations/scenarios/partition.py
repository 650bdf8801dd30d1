"""The network is cut into sides, and healed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from pilotdht.config.fields import tunable
from simulations.churn.beside import beside
from simulations.churn.pairs import across_sides, inside_sides
from simulations.churn.targets import picture_midway
from simulations.engine.streams import stream
from simulations.results.result import Series
from simulations.scenarios.scenario import Options, scenario
from simulations.stage import Stage
from simulations.workload.probes import Choose, anybody_settled

STEP_S = 3.0
"""Seconds between two points of the curve of healing."""

PER_STEP = 20
"""Lookups a point: more would help to heal what they measure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionOptions(Options):
    """How the network is cut, for how long, and how soon it has to be one again."""

    minutes: float = tunable(5.0, unit="min", low=0.1, high=60 * 24, reason="600 lookups across what was the cut")
    """Virtual duration of the part that is measured after the healing."""
    sides: int = tunable(2, low=2, high=64, reason="two halves; with 5 most holders of a record are elsewhere")
    """Parts of equal size."""
    minutes_cut: float = tunable(
        30.0, unit="min", low=0.1, high=60 * 24, reason="every contact on the other side is proved dead by then"
    )
    """How long the cut lasts."""
    heal_seconds: float = tunable(30.0, unit="s", low=1, high=3600, reason="nobody waits longer without asking why")
    """Time that the network has to become one again."""
    is_one_way: bool = tunable(False, reason="a cut in both directions is the usual one")
    """Whether datagrams pass from lower sides to higher ones, and only answers are lost."""


@scenario(
    "partition",
    options=PartitionOptions,
    small=PartitionOptions(nodes=100, minutes=1, lookups_per_s=0.5),
    expects="Each side goes on alone, with 99 % of its lookups; 30 s after the healing every lookup across succeeds.",
)
async def partition(stage: Stage, options: PartitionOptions) -> None:
    """The network is cut into sides that know nothing of each other, and healed."""
    slots = await stage.populate()
    stage.snapshot("before")
    order = list(slots)
    stream(options.seed, "sides").shuffle(order)
    side_by_host = {slot.identity.endpoint.host: place % options.sides for place, slot in enumerate(order)}

    def side_of(host: str) -> int:
        return side_by_host.get(host, 0)

    settled = anybody_settled(stage.population, asyncio.get_running_loop().time)
    stage.world.network.cut(side_of, one_way=options.is_one_way)
    stage.mark(f"partition in {options.sides}")
    async with beside(picture_midway(stage, minutes=options.minutes_cut)):
        await stage.watch(minutes=options.minutes_cut, phase="cut", choose=inside_sides(settled, side_of))
    stage.world.network.heal()
    stage.mark("healed")
    across = across_sides(settled, side_of)
    stage.figure("heal_s", await _heal_curve(stage, across, seconds=options.heal_seconds))
    await stage.watch(minutes=options.minutes, phase="healed", choose=across)
    stage.snapshot("after")
    stage.expect("cut_lookup_success", at_least=0.99)
    stage.expect("healed_lookup_success", at_least=1.0)


async def _heal_curve(stage: Stage, across: Choose, *, seconds: float) -> float | None:
    """Look up across what was the cut for a while, and write the series ``heal``: the share that succeeds.

    Returns:
        Seconds from the healing to the first point from which on all succeed; absent when the last point failed.
    """
    began_s = stage.now_s
    points: list[tuple[float, list[bool]]] = []

    async def ask(answers: list[bool]) -> None:
        pair = across(stage.random)
        is_ok = None if pair is None else await stage.lookup(*pair)
        if is_ok is not None:
            answers.append(is_ok)

    async with asyncio.TaskGroup() as group:
        while stage.now_s - began_s < seconds:
            answers: list[bool] = []
            points.append((stage.now_s, answers))
            for _ in range(PER_STEP):
                group.create_task(ask(answers))
            await asyncio.sleep(min(STEP_S, began_s + seconds - stage.now_s))
    curve = stage.result.series.setdefault("heal", Series(unit="share"))
    healed_s: float | None = None
    for at_s, answers in points:
        found = sum(answers) / len(answers) if answers else None
        curve.times_s.append(round(at_s, 3))
        curve.values.append(None if found is None else round(found, 6))
        healed_s = None if found != 1.0 else at_s - began_s if healed_s is None else healed_s
    return healed_s
