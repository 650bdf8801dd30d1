"""From a choice to an answer: a race of a few for one answer, or a poll of many for a quorum."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pilotdht.config.query import QueryConfig
from pilotdht.errors import NoQuorum, TimedOut
from pilotdht.identity.ids import PublicKey
from pilotdht.services.query.asking import Asked, Asker
from pilotdht.services.query.assembly import Given
from pilotdht.services.query.choose import Choice
from pilotdht.services.query.content import Content
from pilotdht.services.query.hedging import HedgeBudget, hedge_delay_s
from pilotdht.services.query.metrics import QueryMetrics
from pilotdht.services.query.race import RaceRules, poll, race
from pilotdht.services.query.selecting import Selection
from pilotdht.services.query.signed import Endorsement


class Gathering:
    """Gets answers from those that were chosen."""

    def __init__(self, *, asker: Asker, selection: Selection, config: QueryConfig, metrics: QueryMetrics) -> None:
        """Make it.

        Args:
            asker: asks one.
            selection: knows who may be asked.
            config: times and bounds.
            metrics: counters.
        """
        self._asker = asker
        self._selection = selection
        self._config = config
        self._hedges = metrics.hedges
        self._budget = HedgeBudget(config)

    async def gather(self, asked: Asked, choice: Choice, *, quorum: int) -> tuple[Content, tuple[Endorsement, ...]]:
        """Return an answer and who signed it.

        Raises:
            NoQuorum: too few can be asked, or too few gave the same answer.
            TimedOut: time was up before.
            PilotError: everybody that was asked failed.
        """
        config = self._config
        rtts = {one.public_key: one.rtt_s for one in choice.ranked}
        if len(choice.ranked) < quorum:
            raise NoQuorum(
                f"{quorum} equal answers were asked for, and {len(choice.ranked)} members can be asked",
                hint="ask for fewer, or wait until more members have joined",
            )

        async def ask(member: PublicKey, on_begin: Callable[[], None]) -> Given:
            return await self._asker.ask(member, asked, rtt_s=rtts[member], on_begin=on_begin)

        def delay_s(member: PublicKey) -> float:
            return hedge_delay_s(self._selection.peers.expected_begin_s(member), config)

        if asyncio.get_running_loop().time() >= asked.until:
            raise TimedOut("no time was left to ask a member", hint="ask again with a longer time-out")
        order = self._selection.askable(choice)
        if quorum > 1:
            vote = await poll(order, ask, quorum=quorum, delay_s=delay_s, until=asked.until)
            return vote.content, tuple(vote.signers.values())
        self._budget.note_question()
        rules = RaceRules(
            delay_s=delay_s,
            may_hedge=self._may_hedge,
            on_hedge_won=self._hedges["won"].inc,
            max_hedges=config.max_hedges,
            max_attempts=config.max_attempts,
            until=asked.until,
        )
        given = await race(order, ask, rules)
        return given.content, (given.endorsement,)

    def _may_hedge(self) -> bool:
        has_budget = self._budget.spend()
        self._hedges["started" if has_budget else "no_budget"].inc()
        return has_budget
