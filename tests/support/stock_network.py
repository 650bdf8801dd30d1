"""A network of stock servers for tests, under a virtual clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from simulations.baseline.stock import StockKind, stock_world
from simulations.population.member import Answer
from simulations.population.population import Population, Slot
from simulations.world.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class StockNetwork:
    """Who is there."""

    world: World
    """Where they live."""
    kind: StockKind
    """What makes them."""
    population: Population
    """All of them."""

    async def join(self, slots: Sequence[Slot], *, gap_s: float = 0.3, settle_s: float = 70.0) -> None:
        """Start participants one after another, and wait until the first one has published too."""
        for slot in slots:
            self.population.start_soon(slot)
            await asyncio.sleep(2.0 if len(self.population.up) < 4 else gap_s)
        await asyncio.sleep(settle_s)

    async def add(self, count: int, *, behaviour: str = "honest", settle_s: float = 70.0) -> list[Slot]:
        """Add participants, and wait until they joined."""
        slots = [self.population.add(behaviour=behaviour) for _ in range(count)]
        await self.join(slots, settle_s=settle_s)
        return slots

    async def ask(self, asker: Slot, other: Slot) -> tuple[Answer, float]:
        """Have one look up another; return the answer, and how long it took in seconds."""
        began = asyncio.get_running_loop().time()
        assert asker.member is not None, "it is up"
        answer = await asker.member.lookup(other.identity, other.published)
        return answer, asyncio.get_running_loop().time() - began


@asynccontextmanager
async def stock_network(*, seed: int = 1, fuse: bool = True) -> AsyncIterator[StockNetwork]:
    """Open an empty network."""
    world = World(seed=seed, conditions="uniform")
    with stock_world(asyncio.get_running_loop(), seed):
        kind = StockKind(world, fuse=fuse)
        async with Population(world=world, kind=kind) as population:
            yield StockNetwork(world=world, kind=kind, population=population)
