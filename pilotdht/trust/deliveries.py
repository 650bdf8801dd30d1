"""Saying owed words to peers until they are answered: at once when they are there, again and again while they are not.

What is owed follows from the trust book alone, so it survives a restart. One word a peer is under way at a time; pauses
between tries grow, and end when a link to the peer comes up.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Protocol

from pilotdht.config.trust import TrustConfig
from pilotdht.errors import LinkClosed, NotTrusted, PilotError
from pilotdht.identity.ids import PublicKey
from pilotdht.net.doors import Doors
from pilotdht.tasks import TaskScope
from pilotdht.trust.book import TrustBook, TrustEntry
from pilotdht.trust.metrics import TrustMetrics
from pilotdht.trust.policy import TRUST_PORT
from pilotdht.trust.words import LENGTH_BYTES, Answer, Stance, Word, answer_untrusted, length_untrusted
from pilotdht.tunnel.byte_stream import ByteStream

_logger = logging.getLogger(__name__)

_WORDS_PER_RUN = 4


class Dialer(Protocol):
    """Whatever reaches peers by their key."""

    async def open(self, peer: PublicKey, port: int) -> ByteStream:
        """Open a stream to a port of a peer, dialling when needed.

        Raises:
            PilotError: it cannot be reached, or refuses.
        """
        ...


OnLearned = Callable[[TrustEntry, TrustEntry], None]
"""Called with a peer's entry before and after its answer."""


class Deliveries:
    """Says what is owed; see the module's description."""

    def __init__(
        self,
        *,
        book: TrustBook,
        config: TrustConfig,
        doors: Doors,
        metrics: TrustMetrics,
        dialer: Dialer,
        scope: TaskScope,
        hostname: Callable[[], str],
        on_learned: OnLearned,
    ) -> None:
        """Make it; nothing is said before :meth:`start` or :meth:`deliver`.

        Args:
            book: knows what is owed, and takes the answers.
            config: times and bounds.
            doors: chance, for pauses.
            metrics: counters.
            dialer: reaches peers.
            scope: owner of the tasks.
            hostname: returns what this node calls itself.
            on_learned: told of every answer.
        """
        self._book = book
        self._config = config
        self._random = doors.random
        self._metrics = metrics
        self._dialer = dialer
        self._scope = scope
        self._hostname = hostname
        self._on_learned = on_learned
        self._loop = asyncio.get_running_loop()
        self._running: dict[PublicKey, list[asyncio.Future[None]]] = {}
        self._queued: dict[PublicKey, None] = {}
        self._timers: dict[PublicKey, asyncio.TimerHandle] = {}
        self._failures: dict[PublicKey, int] = {}
        self._is_closed = False

    def start(self) -> None:
        """Begin with what the book says is owed, spread over the first pause."""
        for entry in self._book.owing():
            self._schedule(entry.public_key, self._config.retry_first_s * self._random.random())

    def close(self) -> None:
        """Say nothing more; what is under way ends with its scope."""
        self._is_closed = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._queued.clear()
        for waiters in self._running.values():
            _wake(waiters)

    def poke(self, peer: PublicKey) -> None:
        """Say what is owed to a peer now, as it is there."""
        if self._book.entry(peer).standing.owed is not None:
            self._schedule(peer, 0.0)

    async def deliver(self, peer: PublicKey, timeout_s: float) -> None:
        """Say what is owed to a peer now; return once it was answered, could not be said, or ``timeout_s`` passed."""
        if self._is_closed or self._book.entry(peer).standing.owed is None:
            return
        self._begin(peer, is_urgent=True)
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._running[peer].append(waiter)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await waiter

    def _schedule(self, peer: PublicKey, delay_s: float) -> None:
        timer = self._timers.pop(peer, None)
        if timer is not None:
            timer.cancel()
        if not self._is_closed:
            self._timers[peer] = self._loop.call_later(delay_s, self._on_timer, peer)

    def _on_timer(self, peer: PublicKey) -> None:
        self._timers.pop(peer, None)
        self._begin(peer, is_urgent=False)

    def _begin(self, peer: PublicKey, *, is_urgent: bool) -> None:
        if self._is_closed or peer in self._running:
            return
        if len(self._running) >= self._config.max_deliveries and not is_urgent:
            self._queued[peer] = None
            return
        self._queued.pop(peer, None)
        self._scope.start(self._run(peer), name="trust delivery")
        self._running[peer] = []

    async def _run(self, peer: PublicKey) -> None:
        """Say one word after another until nothing is owed or one could not be said."""
        try:
            for _ in range(_WORDS_PER_RUN):  # bounded, as a hostile peer could always ask for another word
                word = self._book.entry(peer).word(self._hostname())
                if word is None:
                    break
                is_answered = await self._try(peer, word)
                if not is_answered and self._book.entry(peer).standing.owed_sequence == word.sequence:
                    break
        finally:
            _wake(self._running.pop(peer))
            if self._book.entry(peer).standing.owed is None:
                self._failures.pop(peer, None)
            else:
                self._schedule(peer, self._pause_s(peer))
            if self._queued and not self._is_closed:
                self._begin(next(iter(self._queued)), is_urgent=False)

    async def _try(self, peer: PublicKey, word: Word) -> bool:
        """Say one word; returns whether it was answered."""
        results = self._metrics.deliveries
        try:
            async with asyncio.timeout(self._config.exchange_timeout_s):
                answer = await self._exchange(peer, word)
            if answer.stance is Stance.BUSY:
                results["busy"].inc()
                return False
            before = self._book.entry(peer)
            after = self._book.learn(peer, word, answer)
        except TimeoutError:
            results["unreachable"].inc()
            return False
        except PilotError as error:
            results["failed" if error.code == "bad_message" else "unreachable"].inc()
            _logger.debug("a word of trust was not delivered", extra={"reason": error.code})
            return False
        results["answered"].inc()
        self._on_learned(before, after)
        return True

    async def _exchange(self, peer: PublicKey, word: Word) -> Answer:
        try:
            return await self._exchange_once(peer, word)
        except (LinkClosed, NotTrusted):
            # Everybody may open this port, so the link was cut under the word, as happens to the one on which trust was
            # just taken back. Words may be said twice.
            return await self._exchange_once(peer, word)

    async def _exchange_once(self, peer: PublicKey, word: Word) -> Answer:
        stream = await self._dialer.open(peer, TRUST_PORT)
        try:
            await stream.write(word.encoded())
            size = length_untrusted(await stream.read_exactly(LENGTH_BYTES))
            answer = answer_untrusted(await stream.read_exactly(size))
        except BaseException:
            stream.abort()
            raise
        await stream.close()
        return answer

    def _pause_s(self, peer: PublicKey) -> float:
        failures = self._failures.get(peer, 0)
        self._failures[peer] = failures + 1
        pause_s = min(self._config.retry_first_s * 2.0 ** min(failures, 60), self._config.retry_most_s)
        return pause_s * (1 + self._random.random() / 4)


def _wake(waiters: list[asyncio.Future[None]]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)
    waiters.clear()
