"""One owner floods the network with ids."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from pilotdht.config.fields import tunable
from pilotdht.wire.endpoint import Endpoint
from simulations.adversaries.siege import (
    AttackOptions,
    attack_place,
    honest_churn,
    settle_landmarks,
    sybil_contacts,
)
from simulations.churn.beside import beside
from simulations.churn.targets import picture_midway
from simulations.scenarios.scenario import scenario
from simulations.stage import Stage

FOUND = 0.99
"""As with the other attacks."""

IN_TABLES = 0.25
"""Share of sybils in honest tables: half of what it were without limits a prefix, were they as many as the rest."""

COUNT_INTERVAL_S = 15.0
"""Tables are looked into this often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SybilOptions(AttackOptions):
    """How large the flood is."""

    share: float = tunable(1.0, low=0.0, high=20, reason="as many ids as honest nodes; sweep 0.05..2")
    """Ids of the attacker, as a share of honest nodes."""
    prefixes: int = tunable(4, low=1, high=10_000, reason="what one owner has for the price of a server")
    """Networks of 256 addresses that they are spread over."""


@scenario(
    "sybil",
    options=SybilOptions,
    # ten sybils a prefix and table are the limit, whatever the table holds: that of 80 nodes takes two prefixes
    small=SybilOptions(nodes=100, minutes=3, lookups_per_s=1, mean_session_s=1800, mean_absence_s=450, prefixes=2),
    expects="99 % of lookups find their record while one owner of few networks has as many ids as everybody else.",
)
async def sybil(stage: Stage, options: SybilOptions) -> None:
    """A flood of ids from few networks crowds into tables, names nobody else, forgets writes and denies records."""
    landmarks = settle_landmarks(stage, options)
    await stage.populate()
    stage.snapshot("before")
    count = round(options.share * options.nodes)
    flood = [
        stage.population.add(
            behaviour="sybil", endpoint=attack_place(number % options.prefixes, number // options.prefixes)
        )
        for number in range(count)
    ]
    attackers = frozenset(slot.identity.endpoint for slot in flood)
    stage.mark(f"{count} sybils come, churn begins")
    churn = honest_churn(stage, options, name="sybil", excluded=landmarks)
    shares: list[float] = []
    async with beside(churn, _count(stage, attackers, shares)):
        await stage.join(flood)
        async with beside(picture_midway(stage, minutes=options.minutes)):
            await stage.watch(minutes=options.minutes)
    stage.snapshot("after")
    stage.figure("sybil_contacts", max(shares, default=None))
    stage.expect("lookup_success", at_least=FOUND)
    stage.expect("lookup_wrong", at_most=0)
    stage.expect("sybil_contacts", at_most=IN_TABLES)


async def _count(stage: Stage, attackers: frozenset[Endpoint], shares: list[float]) -> None:
    """Look into the tables of honest nodes, for ever."""
    while True:
        share = sybil_contacts(stage.population.slots, attackers)
        stage.series("sybil_contacts", share, unit="share")
        if share is not None:
            shares.append(share)
        await asyncio.sleep(COUNT_INTERVAL_S)
