"""The trust handshake on port 444: asking, approving, rejecting, taking back, and hearing all these from peers.

Each verb is written to the trust book first and said to the peer second, so that it holds even when the peer is away:
it is told as soon as it can be reached. Trust that is taken back ends here at once, links and all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from enum import Enum

from pilotdht.config.trust import TrustConfig
from pilotdht.errors import BadMessage, ConfigError, PilotError
from pilotdht.identity.ids import PublicKey
from pilotdht.net.doors import Doors
from pilotdht.net.limits import PrefixLimiter
from pilotdht.tasks import TaskScope
from pilotdht.trust.book import TrustBook, TrustEntry
from pilotdht.trust.deliveries import Deliveries, Dialer, Post
from pilotdht.trust.letters import WrittenAnswer, written_untrusted
from pilotdht.trust.metrics import TrustMetrics
from pilotdht.trust.states import TrustState
from pilotdht.trust.words import LENGTH_BYTES, Answer, Stance, Word, length_untrusted, word_untrusted
from pilotdht.tunnel.byte_stream import ByteStream
from pilotdht.values import dataclass

_logger = logging.getLogger(__name__)

_FAREWELL_S = 1.0
"""How long a peer that took its trust back may need to read our answer before its links are cut."""
_BUSY = Answer(stance=Stance.BUSY, sequence=0, seen=0)


class TrustChangeKind(Enum):
    """What happened to trust with a peer, as a person would say it."""

    REQUESTED = "requested"
    """The peer asks for trust."""
    TRUSTED = "trusted"
    """The peer is trusted now."""
    UNTRUSTED = "untrusted"
    """The peer is not trusted any more, or took its request back."""
    REJECTED = "rejected"
    """One side refused."""


_KINDS = {
    TrustState.NONE: TrustChangeKind.UNTRUSTED,
    TrustState.PENDING_IN: TrustChangeKind.REQUESTED,
    TrustState.TRUSTED: TrustChangeKind.TRUSTED,
    TrustState.REJECTED: TrustChangeKind.REJECTED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustChange:
    """A change of trust with one peer."""

    kind: TrustChangeKind
    """What happened."""
    entry: TrustEntry
    """What is remembered about the peer now."""


ChangeCallback = Callable[[TrustChange], None]
"""Told of changes, on the loop, after they were written."""


class Handshakes:
    """Trust as verbs, and the service behind port 444."""

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
        cut: Callable[[PublicKey], object],
        post: Post | None = None,
    ) -> None:
        """Make it.

        Args:
            book: remembers; its gate is :class:`pilotdht.trust.policy.TrustGate`.
            config: times and bounds.
            doors: chance, for pauses.
            metrics: counters.
            dialer: reaches peers by key.
            scope: owner of the deliveries.
            hostname: returns what this node calls itself.
            cut: ends every live link to a peer at once.
            post: leaves letters for peers that are away; absent: they are told when both are there.
        """
        self._book = book
        self._config = config
        self._metrics = metrics
        self._cut = cut
        self._loop = asyncio.get_running_loop()
        self._callbacks: list[ChangeCallback] = []
        self._limiter = PrefixLimiter(
            rate_per_s=config.words_per_s, burst=config.words_burst, capacity=config.max_limited_peers
        )
        self._deliveries = Deliveries(
            book=book,
            config=config,
            doors=doors,
            metrics=metrics,
            dialer=dialer,
            post=post,
            scope=scope,
            hostname=hostname,
            on_learned=self._on_learned,
        )
        self._show_gauges()

    def on_change(self, callback: ChangeCallback) -> None:
        """Call ``callback`` with each change; its errors go to the loop's handler."""
        self._callbacks.append(callback)

    def reconfigure(self, config: TrustConfig) -> None:
        """Judge requests by other settings from now on; rates and pauses stay as they began."""
        self._config = config
        self._book.reconfigure(config)

    def start(self) -> None:
        """Begin to tell peers what they have not heard yet, also from before a restart."""
        self._deliveries.start()

    def close(self) -> None:
        """Tell nobody anything any more; safe to call twice."""
        self._deliveries.close()

    def on_peer_up(self, peer: PublicKey) -> None:
        """Tell a peer what it has not heard yet, as a link to it came up."""
        self._deliveries.poke(peer)

    async def request(
        self, peer: PublicKey, reason: str = "", *, hostname: str = "", timeout_s: float | None = None
    ) -> TrustEntry:
        """Ask a peer for trust.

        Args:
            peer: whom.
            reason: for a person to read, up to 200 printable characters.
            hostname: under which name the peer was found, or empty.
            timeout_s: how long to wait for its answer; absent: from the configuration.

        Returns:
            Its entry: trusted when it agreed at once, pending otherwise. ``is_delivered`` is false while it could not
            be told; that goes on in the background, and ``letter_holders`` says how many nodes keep a letter for it.

        Raises:
            InvalidArgument: the reason is too long or not printable.
            Overloaded: the trust book is full.
            ConfigError: the trust book cannot be written.
        """
        before = self._book.entry(peer)
        return await self._said(before, self._book.ask(peer, reason, hostname=hostname), timeout_s)

    async def approve(self, peer: PublicKey, *, timeout_s: float | None = None) -> TrustEntry:
        """Trust a peer that asked, and tell it.

        Raises:
            NotFound: it did not ask.
            ConfigError: the trust book cannot be written.
        """
        before = self._book.entry(peer)
        return await self._said(before, self._book.approve(peer), timeout_s)

    async def reject(self, peer: PublicKey, reason: str = "", *, timeout_s: float | None = None) -> TrustEntry:
        """Refuse a peer that asked, and tell it.

        Raises:
            NotFound: it did not ask.
            InvalidArgument: the reason is too long or not printable.
            ConfigError: the trust book cannot be written.
        """
        before = self._book.entry(peer)
        return await self._said(before, self._book.reject(peer, reason), timeout_s)

    async def untrust(self, peer: PublicKey, *, timeout_s: float | None = None) -> TrustEntry:
        """Take trust, or a request, back: links end at once, then the peer is told.

        Raises:
            ConfigError: the trust book cannot be written.
        """
        before = self._book.entry(peer)
        return await self._said(before, self._book.untrust(peer), timeout_s)

    async def handle(self, stream: ByteStream) -> None:
        """Serve one stream to port 444: hear a word, answer, and act."""
        dropped = self._metrics.dropped
        is_lost = False
        try:
            async with asyncio.timeout(self._config.exchange_timeout_s):
                size = length_untrusted(await stream.read_exactly(LENGTH_BYTES))
                word = word_untrusted(await stream.read_exactly(size))
                before, after, answer = self._hear(stream.peer, word)
                is_lost = _is_lost(before, after)
                await stream.write(answer.encoded())
                await stream.write_eof()
                if is_lost:  # links are cut once the peer has read the answer, or a little later in any case
                    async with asyncio.timeout(_FAREWELL_S):
                        await stream.read(1)
                await stream.close()
        except TimeoutError:
            if not is_lost:
                dropped["timeout"].inc()
            stream.abort()
        except BadMessage:
            dropped["malformed"].inc()
            stream.abort()
        except PilotError:
            dropped["closed"].inc()
            stream.abort()
        finally:
            if is_lost:
                self._cut_untrusted(stream.peer)

    def hear_letter(self, peer: PublicKey, content: bytes) -> bool:
        """Take in a letter of a peer as if it had said the same on port 444; return false when there is no room now.

        Args:
            peer: its author, proven.
            content: what it says, unchecked; what makes no sense is dropped.
        """
        try:
            written = written_untrusted(content)
        except BadMessage:
            self._metrics.dropped["malformed"].inc()
            return True
        if isinstance(written, WrittenAnswer):
            return self._learn_by_letter(peer, written)
        before, after, answer = self._hear(peer, written)
        if answer.stance is Stance.BUSY:
            return False
        self._metrics.letters["word_heard"].inc()
        if _is_lost(before, after):
            self._cut_untrusted(peer)
        self._deliveries.answer_by_letter(peer, written, answer)
        return True

    def _learn_by_letter(self, peer: PublicKey, written: WrittenAnswer) -> bool:
        try:
            self._deliveries.learn_by_letter(peer, written)
        except ConfigError:
            self._metrics.dropped["not_kept"].inc()
            _logger.exception("the trust book cannot be written")
            return False
        return True

    def _hear(self, peer: PublicKey, word: Word) -> tuple[TrustEntry, TrustEntry, Answer]:
        before = self._book.entry(peer)
        if not self._limiter.take(peer, self._loop.time()):
            self._metrics.dropped["rate"].inc()
            return before, before, _BUSY
        try:
            after, answer = self._book.hear(peer, word)
            if answer.stance is Stance.BUSY:
                self._metrics.dropped["full"].inc()
                return before, after, answer
            if after.state is TrustState.PENDING_IN and self._config.is_auto_approving:
                after = self._book.approve(peer)
        except ConfigError:
            self._metrics.dropped["not_kept"].inc()
            _logger.exception("the trust book cannot be written")
            return before, before, _BUSY
        self._metrics.heard[word.kind].inc()
        self._note(before, after)
        self._deliveries.poke(peer)
        return before, after, answer

    async def _said(self, before: TrustEntry, after: TrustEntry, timeout_s: float | None) -> TrustEntry:
        peer = after.public_key
        self._note(before, after)
        if _is_lost(before, after):
            self._cut_untrusted(peer)
        await self._deliveries.deliver(peer, self._config.exchange_timeout_s if timeout_s is None else timeout_s)
        return replace(self._book.entry(peer), letter_holders=self._deliveries.letter_holders(peer))

    def _on_learned(self, before: TrustEntry, after: TrustEntry) -> None:
        self._note(before, after)
        if _is_lost(before, after):
            self._cut_untrusted(after.public_key)

    def _cut_untrusted(self, peer: PublicKey) -> None:
        if not self._book.is_trusted(peer):  # it may have been trusted again meanwhile
            self._cut(peer)

    def _note(self, before: TrustEntry, after: TrustEntry) -> None:
        """Count a change, and tell who wants to know."""
        if before.state is after.state:
            return
        self._metrics.changes[after.state].inc()
        kind = TrustChangeKind.UNTRUSTED if _is_lost(before, after) else _KINDS.get(after.state)
        if kind is not None:
            change = TrustChange(kind=kind, entry=after)
            for callback in self._callbacks:
                self._loop.call_soon(callback, change)

    def _show_gauges(self) -> None:
        book = self._book
        self._metrics.trusted.set_function(lambda: float(len(book.trusted())))
        self._metrics.pending.set_function(lambda: float(len(book.pending())))
        self._metrics.owed.set_function(lambda: float(len(book.owing())))


def _is_lost(before: TrustEntry, after: TrustEntry) -> bool:
    return before.state is TrustState.TRUSTED and after.state is not TrustState.TRUSTED
