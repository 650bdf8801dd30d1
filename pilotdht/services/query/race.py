"""Asking several members for one question: one after the other, a second beside a slow one, or many for a quorum.

Whoever is not needed any more is cancelled: its stream is aborted, which ends the work on its side too.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from enum import Enum
from itertools import chain
from typing import Generic, Protocol, TypeVar

from pilotdht.errors import BadMessage, InternalError, PilotError, TimedOut
from pilotdht.identity.ids import PublicKey
from pilotdht.services.query.assembly import Given
from pilotdht.services.query.quorum import Tally, Vote, wanted
from pilotdht.values import dataclass

_logger = logging.getLogger(__name__)

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class AsksOne(Protocol[T_co]):
    """Asks one member."""

    def __call__(self, member: PublicKey, on_begin: Callable[[], None], /) -> Awaitable[T_co]:
        """Return its answer, calling ``on_begin`` when it begins; raises :class:`PilotError`."""
        ...


class _What(Enum):
    BEGAN = "began"
    CAME = "came"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class _News(Generic[T]):
    what: _What
    member: PublicKey
    result: T | None = None
    error: PilotError | None = None


class _Runners(Generic[T]):
    """Members that are being asked; what becomes of each arrives in one queue."""

    def __init__(self, ask: AsksOne[T]) -> None:
        self._ask = ask
        self._news: asyncio.Queue[_News[T]] = asyncio.Queue()  # two news a member, and members are bounded
        self.running: dict[PublicKey, asyncio.Task[None]] = {}

    def start(self, tasks: asyncio.TaskGroup, member: PublicKey) -> None:
        self.running[member] = tasks.create_task(self._run(member))

    async def next(self, until: float | None) -> _News[T] | None:
        """Return what happens next, or ``None`` when nothing did until then."""
        try:
            async with asyncio.timeout_at(until):
                news = await self._news.get()
        except TimeoutError:
            return None
        if news.what is not _What.BEGAN:
            self.running.pop(news.member, None)
        return news

    def cancel(self) -> None:
        for task in self.running.values():
            task.cancel()

    async def _run(self, member: PublicKey) -> None:
        try:
            result = await self._ask(member, lambda: self._news.put_nowait(_News(_What.BEGAN, member)))
        except PilotError as error:
            self._news.put_nowait(_News(_What.FAILED, member, error=error))
        except Exception:
            _logger.exception("asking a member failed unexpectedly")
            self._news.put_nowait(_News(_What.FAILED, member, error=InternalError("asking a member failed")))
        else:
            self._news.put_nowait(_News(_What.CAME, member, result=result))


@dataclass(frozen=True, slots=True, kw_only=True)
class RaceRules:
    """When further members are asked."""

    delay_s: Callable[[PublicKey], float]
    """How long a member may take to begin before another one is asked beside it."""
    may_hedge: Callable[[], bool]
    """Whether the budget allows another member beside a slow one; spends it."""
    on_hedge_won: Callable[[], None]
    """Told when the answer came from such a member."""
    max_hedges: int
    """Most members asked beside slow ones."""
    max_attempts: int
    """Most members asked in all, hedges apart."""
    until: float
    """Time of the loop from which nobody else is asked."""


async def race(order: Iterator[PublicKey], ask: AsksOne[T], rules: RaceRules) -> T:
    """Return the first whole answer.

    Args:
        order: members, best first; taken as they are needed.
        ask: asks one.
        rules: when further ones are asked.

    Raises:
        PilotError: all that were asked failed; the error of the first that did.
    """
    runners = _Runners(ask)
    failures: list[PilotError] = []
    async with asyncio.TaskGroup() as tasks:
        won = await _race(tasks, runners, order, rules, failures)
        runners.cancel()
    if won is not None:
        assert won.result is not None, "it came"
        return won.result
    raise _told_together(failures)


async def _race(
    tasks: asyncio.TaskGroup,
    runners: _Runners[T],
    order: Iterator[PublicKey],
    rules: RaceRules,
    failures: list[PilotError],
) -> _News[T] | None:
    loop = asyncio.get_running_loop()
    hedged: dict[PublicKey, None] = {}
    attempts = 0
    hedge_at: float | None = None
    while True:
        if not runners.running:
            member = next(order, None) if attempts < rules.max_attempts and loop.time() < rules.until else None
            if member is None:
                return None
            attempts += 1
            runners.start(tasks, member)
            hedge_at = loop.time() + rules.delay_s(member) if len(hedged) < rules.max_hedges else None
        news = await runners.next(hedge_at)
        if news is None:
            hedge_at = None
            member = next(order, None)
            if member is not None and not rules.may_hedge():
                order = chain((member,), order)  # still to be asked when all others fail
            elif member is not None:
                hedged[member] = None
                runners.start(tasks, member)
                if len(hedged) < rules.max_hedges:
                    hedge_at = loop.time() + rules.delay_s(member)
        elif news.what is _What.BEGAN:
            hedge_at = None
        elif news.what is _What.CAME:
            if news.member in hedged:
                rules.on_hedge_won()
            return news
        elif news.error is not None:
            failures.append(news.error)


async def poll(
    order: Iterator[PublicKey],
    ask: AsksOne[Given],
    *,
    quorum: int,
    delay_s: Callable[[PublicKey], float],
    until: float,
) -> Vote:
    """Return the answer that ``quorum`` distinct members signed.

    Those who fail, or do not begin in time, are replaced by others; a late answer still counts.

    Args:
        order: members, best first; taken as they are needed.
        ask: asks one.
        quorum: equal answers needed.
        delay_s: how long a member may take to begin before it is replaced.
        until: time of the loop from which nobody else is asked.

    Raises:
        NoQuorum: too few members gave the same answer.
    """
    runners = _Runners(ask)
    tally = Tally(quorum)
    async with asyncio.TaskGroup() as tasks:
        await _poll(tasks, runners, order, tally, delay_s, until)
        runners.cancel()
    winner = tally.winner()
    if winner is None:
        raise tally.failure()
    return winner


async def _poll(
    tasks: asyncio.TaskGroup,
    runners: _Runners[Given],
    order: Iterator[PublicKey],
    tally: Tally,
    delay_s: Callable[[PublicKey], float],
    until: float,
) -> None:
    loop = asyncio.get_running_loop()
    count = wanted(tally.quorum)
    asked = 0
    silent_at: dict[PublicKey, float] = {}  # of those that have not begun
    slow: dict[PublicKey, None] = {}
    while tally.winner() is None:
        now = loop.time()
        for member in [member for member, at in silent_at.items() if at <= now]:
            del silent_at[member]
            slow[member] = None
        while tally.answered + len(runners.running) - len(slow) < count and asked < 2 * count and now < until:
            following = next(order, None)
            if following is None:
                break
            asked += 1
            runners.start(tasks, following)
            silent_at[following] = now + delay_s(following)
        if not runners.running or tally.is_hopeless(max(len(runners.running), count - tally.answered)):
            break
        news = await runners.next(min(silent_at.values(), default=None))
        if news is None:
            continue
        silent_at.pop(news.member, None)
        slow.pop(news.member, None)
        if news.what is _What.CAME and news.result is not None:
            tally.add(news.result.content, news.result.endorsement)
        elif news.what is _What.FAILED:
            tally.note_silent(news.member)
    for member in runners.running:
        tally.note_silent(member)


def _told_together(failures: list[PilotError]) -> PilotError:
    if not failures:
        return TimedOut("nobody could be asked in time")
    first, others = failures[0], len(failures) - 1
    if not others or isinstance(first, BadMessage):
        return first
    return type(first)(f"{first.message}; so did {others} more", hint=first.hint)
