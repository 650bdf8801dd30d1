"""Some nodes answer with forged and outdated records, and with contacts that do not exist."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from pilotdht.config.fields import tunable
from simulations.adversaries.siege import AttackOptions, honest_churn, settle_landmarks
from simulations.churn.beside import beside
from simulations.churn.targets import picture_midway
from simulations.population.population import Slot
from simulations.scenarios.scenario import scenario
from simulations.stage import Stage

FOUND = 0.99
"""As with nodes that merely drop."""

WRITTEN_S = 10.0
"""After so long all holders of a new version have it."""

BATCH = 10
"""So many are published anew before the first of them is asked for: a minute later it is still new."""

ASKERS = 4
"""So many ask for each of the records that were published twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PollutionOptions(AttackOptions):
    """How many lie."""

    share: float = tunable(0.2, low=0.0, high=0.9, reason="where S/Kademlia still finds 99 %; sweep 0.05..0.3")
    """Share of nodes that lie, 0..1."""
    records: int = tunable(100, low=1, high=10_000, reason="with four askers each, 1 % of old answers is seen surely")
    """Records published anew and looked up at once: each has an older version that is still valid."""


@scenario(
    "pollution",
    options=PollutionOptions,
    small=PollutionOptions(nodes=100, minutes=5, lookups_per_s=1, mean_session_s=1800, mean_absence_s=450, records=60),
    expects="With a fifth of all nodes lying no lookup returns a false or an old record, and 99 % find the true one.",
)
async def pollution(stage: Stage, options: PollutionOptions) -> None:
    """A share of nodes acknowledges writes and answers reads with old, forged and foreign records, and with decoys."""
    landmarks = settle_landmarks(stage, options)
    await stage.populate(behaviours={"polluter": options.share})
    stage.snapshot("before")
    stage.mark(f"{options.share:.0%} lie, churn begins")
    churn = honest_churn(stage, options, name="pollution", excluded=landmarks)
    async with beside(churn, picture_midway(stage, minutes=options.minutes)):
        await stage.watch(minutes=options.minutes)
        stage.mark("records published anew")
        await _ask_for_renewed(stage, options)
    stage.snapshot("after")
    stage.expect("lookup_wrong", at_most=0)
    stage.expect("lookup_success", at_least=FOUND)
    stage.expect("renewed_lookup_success", at_least=FOUND)


async def _ask_for_renewed(stage: Stage, options: PollutionOptions) -> None:
    """Publish some records anew, and have several ask for each: liars have a valid older version of all of them."""
    found: list[bool] = []
    honest = stage.population.honest_up
    chosen = stage.random.sample(list(honest), min(options.records, len(honest)))
    for begin in range(0, len(chosen), BATCH):
        published = [slot for slot in chosen[begin : begin + BATCH] if await _publish(stage, slot)]
        await asyncio.sleep(WRITTEN_S)
        for slot in published:
            askers = [one for one in stage.population.honest_up if one is not slot]
            for asker in stage.random.sample(askers, min(ASKERS, len(askers))):
                is_found = await stage.lookup(asker, slot)
                if is_found is not None:
                    found.append(is_found)
    stage.figure("renewed_lookups", len(found))
    stage.figure("renewed_lookup_success", sum(found) / len(found) if found else None)


async def _publish(stage: Stage, slot: Slot) -> bool:
    member, lives = slot.member, slot.lives
    if member is None or not slot.is_up:
        return False
    answer = await member.publish()
    if slot.lives != lives or not slot.is_up:
        return False
    slot.published = max(slot.published, member.version)
    return answer.is_ok
