"""Saying owed words to peers until they are answered: at once when they are there, again and again while they are not.

What is owed follows from the trust book alone, so it survives a restart. One word a peer is under way at a time; pauses
between tries grow, and end when a link to the peer comes up.

A word that is not answered soon is left in a letter with other nodes as well, once for each word and anew now and then:
so it is heard when this node is gone by the time the peer is back. Whoever hears a word by letter answers by letter.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from enum import Enum
from typing import Protocol

from pilotdht.config.trust import TrustConfig
from pilotdht.errors import LinkClosed, NotTrusted, PilotError
from pilotdht.identity.ids import PublicKey
from pilotdht.net.doors import Doors
from pilotdht.net.limits import TokenBucket
from pilotdht.tasks import TaskScope
from pilotdht.trust.book import TrustBook, TrustEntry
from pilotdht.trust.letters import WrittenAnswer, write_answer, write_word
from pilotdht.trust.metrics import TrustMetrics
from pilotdht.trust.policy import TRUST_PORT
from pilotdht.trust.words import LENGTH_BYTES, Answer, Stance, Word, answer_untrusted, length_untrusted
from pilotdht.tunnel.byte_stream import ByteStream
from pilotdht.values import dataclass

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


class Post(Protocol):
    """Whatever leaves letters for peers that are away."""

    async def leave(self, target: PublicKey, content: bytes) -> int:
        """Leave a letter for a key; return with how many nodes, 0 when nobody took it. Must not raise."""
        ...


class _Result(Enum):
    """What came of saying a word; the names that metrics use."""

    ANSWERED = "answered"
    BUSY = "busy"
    UNREACHABLE = "unreachable"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class _LeftWord:
    """A word that is in a letter."""

    sequence: int
    holders: int
    again_at: float


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
        post: Post | None,
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
            post: leaves letters; absent: words wait here until the peer is reached.
            scope: owner of the tasks.
            hostname: returns what this node calls itself.
            on_learned: told of every answer.
        """
        self._book = book
        self._config = config
        self._random = doors.random
        self._metrics = metrics
        self._dialer = dialer
        self._post = post
        self._scope = scope
        self._hostname = hostname
        self._on_learned = on_learned
        self._loop = asyncio.get_running_loop()
        self._running: dict[PublicKey, list[asyncio.Future[None]]] = {}
        self._queued: dict[PublicKey, None] = {}
        self._timers: dict[PublicKey, asyncio.TimerHandle] = {}
        self._failures: dict[PublicKey, int] = {}
        self._left: dict[PublicKey, _LeftWord] = {}  # of peers that something is owed to
        self._answers = TokenBucket(
            rate_per_s=config.answer_letters_per_s, burst=config.answer_letters_burst, now=self._loop.time()
        )
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

    def letter_holders(self, peer: PublicKey) -> int:
        """Return how many nodes keep a letter with the word that is owed to a peer."""
        left = self._left.get(peer)
        return left.holders if left is not None and left.sequence == self._owed_sequence(peer) else 0

    def answer_by_letter(self, peer: PublicKey, word: Word, answer: Answer) -> None:
        """Answer a word that came in a letter, when nothing is owed to the peer: a word of ours would answer as well.

        By letter even when the peer is up: it is told within a moment, and nobody is dialled for a stranger's word.
        """
        if self._post is None or self._is_closed or self._owed_sequence(peer):
            return
        if not self._answers.take(self._loop.time()):
            self._metrics.letters["answer_limited"].inc()
            return
        self._scope.start(self._leave_answer(self._post, peer, write_answer(word, answer)), name="trust answer")

    def learn_by_letter(self, peer: PublicKey, written: WrittenAnswer) -> None:
        """Take in an answer that came in a letter; one to a word that is not owed any more tells nothing."""
        before = self._book.entry(peer)
        word = before.word(self._hostname())
        if word is None or word.sequence != written.answered:
            self._metrics.letters["stale_answer"].inc()
            return
        after = self._book.learn(peer, word, written.answer)
        self._metrics.letters["answer_heard"].inc()
        self._metrics.deliveries["answered_by_letter"].inc()
        self._on_learned(before, after)
        self._settled(peer)

    def _settled(self, peer: PublicKey) -> None:
        """Forget what was kept about a peer that nothing is owed to any more."""
        if self._book.entry(peer).standing.owed is None:
            self._failures.pop(peer, None)
            self._left.pop(peer, None)

    def _owed_sequence(self, peer: PublicKey) -> int:
        """Return the sequence of the word that is owed to a peer; 0 when none is."""
        standing = self._book.entry(peer).standing
        return 0 if standing.owed is None else standing.owed_sequence

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
                is_answered = await self._say(peer, word)
                if not is_answered and self._book.entry(peer).standing.owed_sequence == word.sequence:
                    break
        finally:
            _wake(self._running.pop(peer))
            self._settled(peer)
            if self._owed_sequence(peer):
                self._schedule(peer, self._pause_s(peer))
            if self._queued and not self._is_closed:
                self._begin(next(iter(self._queued)), is_urgent=False)

    async def _say(self, peer: PublicKey, word: Word) -> bool:
        """Say one word, and leave it in a letter when it is not answered soon; returns whether it was answered."""
        async with asyncio.TaskGroup() as group:
            trying = group.create_task(self._try(peer, word))
            await asyncio.wait([trying], timeout=self._config.letter_after_s)
            if not trying.done() or trying.result() is _Result.UNREACHABLE:
                await self._leave(peer, word)
        return trying.result() is _Result.ANSWERED

    async def _leave(self, peer: PublicKey, word: Word) -> None:
        left, now = self._left.get(peer), self._loop.time()
        if self._post is None or (left is not None and left.sequence == word.sequence and now < left.again_at):
            return
        holders = await self._post.leave(peer, write_word(word))
        self._metrics.letters["word_left" if holders else "not_left"].inc()
        if holders:
            self._left[peer] = _LeftWord(word.sequence, holders, self._loop.time() + self._config.letter_again_s)

    async def _leave_answer(self, post: Post, peer: PublicKey, content: bytes) -> None:
        holders = await post.leave(peer, content)
        self._metrics.letters["answer_left" if holders else "not_left"].inc()

    async def _try(self, peer: PublicKey, word: Word) -> _Result:
        """Say one word; returns what came of it."""
        result = await self._tried(peer, word)
        self._metrics.deliveries[result.value].inc()
        return result

    async def _tried(self, peer: PublicKey, word: Word) -> _Result:
        try:
            async with asyncio.timeout(self._config.exchange_timeout_s):
                answer = await self._exchange(peer, word)
            if answer.stance is Stance.BUSY:
                return _Result.BUSY
            before = self._book.entry(peer)
            after = self._book.learn(peer, word, answer)
        except TimeoutError:
            return _Result.UNREACHABLE
        except PilotError as error:
            _logger.debug("a word of trust was not delivered", extra={"reason": error.code})
            return _Result.FAILED if error.code == "bad_message" else _Result.UNREACHABLE
        self._on_learned(before, after)
        return _Result.ANSWERED

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
