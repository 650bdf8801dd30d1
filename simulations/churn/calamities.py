"""What happens to many participants at once: deaths, crowds, restarts one batch after another."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Container, Sequence
from random import Random

from simulations.churn.arrivals import crowd_times
from simulations.population.population import Population, Slot, State

START_LIMIT_S = 30.0
"""Starts are complete within seconds, joined or not; who is not by then has failed."""


def kill_share(population: Population, share: float, *, random: Random, excluded: Container[int] = ()) -> list[Slot]:
    """Kill a share of the honest participants that are up, silently and in this instant; return them by number.

    Args:
        population: whose participants.
        share: 0..1.
        random: who.
        excluded: numbers of those who are spared; they count neither as killed nor in the whole.
    """
    there = [slot for slot in population.honest_up if slot.identity.number not in excluded]
    chosen = sorted(random.sample(there, round(share * len(there))), key=lambda slot: slot.identity.number)
    for slot in chosen:
        population.crash_soon(slot)
    return chosen


async def bring_up(population: Population, slots: Sequence[Slot], *, limit_s: float = START_LIMIT_S) -> list[Slot]:
    """Start participants at once, and return those whose start was complete within ``limit_s``, in the order given."""
    waiting = {slot.identity.number: None for slot in slots if not slot.is_up}
    done = asyncio.Event()

    def joined(slot: Slot) -> None:
        waiting.pop(slot.identity.number, None)
        if not waiting:
            done.set()

    population.on_joined.append(joined)
    try:
        for slot in slots:
            population.start_soon(slot)
        if waiting:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(limit_s):
                    await done.wait()
    finally:
        population.on_joined.remove(joined)
    return [slot for slot in slots if slot.is_up]


async def pour_in(population: Population, count: int, *, over_s: float, random: Random) -> list[Slot]:
    """Let newcomers come as a flash crowd does, and return them when the last one's start has begun.

    Args:
        population: where they come.
        count: how many.
        over_s: from the first to the last.
        random: when each comes.
    """
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    came = []
    for at_s in crowd_times(len(population.up), count, over_s=over_s, random=random):
        await asyncio.sleep(began_s + at_s - loop.time())
        slot = population.add()
        population.start_soon(slot)
        came.append(slot)
    return came


async def restart_in_batches(
    population: Population,
    slots: Sequence[Slot],
    *,
    batch: int,
    install_s: float,
    health_s: float,
) -> int:
    """Stop and start participants politely, one batch after another; return how many came back.

    Args:
        population: whose participants.
        slots: who, in this order; who is not up at its turn is left alone.
        batch: how many are away at once.
        install_s: how long they are away.
        health_s: pause after a batch has come back, before the next one goes.
    """
    back = 0
    for first in range(0, len(slots), batch):
        turn = [slot for slot in slots[first : first + batch] if slot.is_up]
        async with asyncio.TaskGroup() as group:
            for slot in turn:
                group.create_task(population.stop(slot))
        await asyncio.sleep(install_s)
        back += len(await bring_up(population, [slot for slot in turn if slot.state is State.DOWN]))
        await asyncio.sleep(health_s)
    return back
