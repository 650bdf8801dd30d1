"""One question to one peer: its answer part by part, and what is learnt of the peer from it.

The asker keeps its direction of the stream open while it wants the answer; ending or aborting it takes the question
back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

from pilotdht.config.query import QueryConfig
from pilotdht.errors import (
    AnswerFailed,
    BadMessage,
    NotTrusted,
    Overloaded,
    PilotError,
    Refused,
    RemoteError,
    TimedOut,
    UsageError,
)
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import did_of
from pilotdht.services.ports import WellKnownPort
from pilotdht.services.query.assembly import Assembly, Given
from pilotdht.services.query.content import Content
from pilotdht.services.query.frames import read_frame
from pilotdht.services.query.metrics import QueryMetrics
from pilotdht.services.query.needs import OpensStreams
from pilotdht.services.query.peers import PeerRecord, Peers
from pilotdht.services.query.signed import QuestionKey, question_key
from pilotdht.services.query.words import MAX_WITHIN_MS, Ask, End, Failed, Failure, answer_untrusted
from pilotdht.tracing.spans import OFF, Kind, Tracer
from pilotdht.tunnel.byte_stream import ByteStream
from pilotdht.wire.verified import VerifiedSignatures

_ERRORS: dict[Failure, type[RemoteError]] = {
    Failure.HANDLER: AnswerFailed,
    Failure.UNSERVED: Refused,
    Failure.NOT_ALLOWED: NotTrusted,
    Failure.OVERLOADED: Overloaded,
    Failure.TOO_LATE: TimedOut,
    Failure.MALFORMED: Refused,
    Failure.TOO_LARGE: Refused,
}
_TEXTS = {
    Failure.HANDLER: "its program failed",
    Failure.UNSERVED: "nothing there answers such questions",
    Failure.NOT_ALLOWED: "it answers trusted peers and live members of its groups alone",
    Failure.OVERLOADED: "it answers too many questions already",
    Failure.TOO_LATE: "it did not finish in time",
    Failure.MALFORMED: "it did not understand the question",
    Failure.TOO_LARGE: "question or answer is too long",
}
_HINTS = {
    Failure.UNSERVED: "check the capability and the group; the peer registers handlers with on_query",
    Failure.OVERLOADED: "ask again later, or ask somebody else",
    Failure.TOO_LARGE: "send less, or use a stream of its own",
}

_LATE = "no answer within the time given"


class Asked:
    """A question ready to be put to peers."""

    __slots__ = ("capability", "content", "group", "key", "until")

    def __init__(self, content: Content, *, capability: str, group: bytes, until: float) -> None:
        """Make it.

        Args:
            content: what is asked.
            capability: for which capability, or empty.
            group: id of the group, or empty.
            until: time of the loop at which the asker gives up.
        """
        self.content = content
        """What is asked."""
        self.capability = capability
        """For which capability, or empty."""
        self.group = group
        """Id of the group, or empty."""
        self.until = until
        """Time of the loop at which the asker gives up."""
        self.key: QuestionKey = question_key(content, capability=capability, group=group)
        """What its answers are signed for and shared under."""

    def word(self, now: float) -> Ask:
        """Return what is sent, with the time that is left."""
        within_ms = min(max(0, int((self.until - now) * 1000)), MAX_WITHIN_MS)
        return Ask(group=self.group, capability=self.capability, content=self.content, within_ms=within_ms)


class Asker:
    """Puts questions to peers, and remembers how they did."""

    def __init__(
        self,
        *,
        open_stream: OpensStreams,
        hostname_of: Callable[[PublicKey], str],
        peers: Peers,
        config: QueryConfig,
        metrics: QueryMetrics,
        memory: VerifiedSignatures,
        tracer: Tracer = OFF,
    ) -> None:
        """Make it.

        Args:
            open_stream: reaches peers.
            hostname_of: what a peer is called as far as is known, or empty.
            peers: what is remembered of them.
            config: times and bounds.
            metrics: counters.
            memory: signatures found good before.
            tracer: records what takes how long.
        """
        self.open_stream = open_stream
        """Reaches peers."""
        self.peers = peers
        """What is remembered of them."""
        self.config = config
        """Times and bounds."""
        self.metrics = metrics
        """Counters."""
        self.memory = memory
        """Signatures found good before."""
        self._tracer = tracer
        self._hostname_of = hostname_of

    def name_of(self, peer: PublicKey) -> str:
        """Return how errors name a peer: by its hostname where it is known, else by its key."""
        return self._hostname_of(peer) or did_of(peer)

    async def ask(self, peer: PublicKey, asked: Asked, *, rtt_s: float | None, on_begin: Callable[[], None]) -> Given:
        """Return the whole answer of one peer.

        Args:
            peer: whom to ask.
            asked: the question.
            rtt_s: round-trip time to the peer, when it is known: what is not work.
            on_begin: called when the answer begins.

        Raises:
            PilotError: it could not be reached, refused, failed, or broke the protocol.
        """
        with self._tracer.span("ask", kind=Kind.ASKS, peer=peer[:8].hex()):
            async with Conversation(self, peer, asked, rtt_s=rtt_s, on_begin=on_begin) as conversation:
                return await conversation.rest()


class Conversation:
    """One question to one peer; ``async with`` asks it, and takes it back when it is left early."""

    def __init__(
        self,
        asker: Asker,
        peer: PublicKey,
        asked: Asked,
        *,
        rtt_s: float | None,
        on_begin: Callable[[], None] | None = None,
    ) -> None:
        """Make it; see :meth:`Asker.ask`."""
        self.peer = peer
        """Who is asked."""
        self.given: Given | None = None
        """The whole answer, once it came."""
        self._asker = asker
        self._asked = asked
        self._rtt_s = rtt_s or 0.0
        self._on_begin = on_begin
        self._has_begun = False
        self._loop = asyncio.get_running_loop()
        self._begun_at = self._loop.time()
        self._stream: ByteStream | None = None
        self._record: PeerRecord | None = None
        self._assembly = Assembly(
            author=peer,
            key=asked.key,
            group=asked.group,
            most_bytes=asker.config.max_answer_bytes,
            memory=asker.memory,
        )

    async def __aenter__(self) -> Self:
        """Put the question.

        Raises:
            PilotError: the peer cannot be reached, or time is up.
        """
        self._begun_at = self._loop.time()
        peers = self._asker.peers
        before = peers.forgotten
        self._record = peers.ask(self.peer, self._begun_at)
        self._asker.metrics.forgotten.inc(peers.forgotten - before)
        self._asker.metrics.attempts.inc()
        try:
            async with _Deadline(self._asked.until, lambda: _LATE):
                now = self._loop.time()
                open_s = min(self._asker.config.open_timeout_s, max(0.0, self._asked.until - now))
                async with _Deadline(now + open_s, lambda: f"no stream to {self._name()} within {open_s:g} s"):
                    self._stream = await self._asker.open_stream(self.peer, WellKnownPort.QUERY, timeout_s=open_s)
                await self._stream.write(self._asked.word(self._loop.time()).framed())
        except BaseException as error:
            self._leave(error)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the stream, or abort it when the answer is not whole."""
        stream = self._stream
        self._leave(error)
        if stream is not None and self.given is not None:
            await stream.close()

    async def next_text(self) -> str | None:
        """Return the next piece of text, or ``None`` at the verified end.

        Raises:
            PilotError: the peer failed or broke the protocol, or time is up.
        """
        assert self._stream is not None, "the conversation was entered"
        if self.given is not None:
            return None
        async with _Deadline(self._asked.until, lambda: _LATE):
            try:
                word = answer_untrusted(await read_frame(self._stream))
                self._begin()
                if isinstance(word, End):
                    self.given = self._assembly.end_untrusted(word)
                    return None
                if not isinstance(word, Failed):
                    return self._assembly.take_untrusted(word)
            except BadMessage as error:
                raise BadMessage(
                    error.reason, hint=f"{self._name()} answers what does not obey the protocol; ask another member"
                ) from error
        text = word.text or _TEXTS[word.failure]
        raise _ERRORS[word.failure](f"{self._name()} did not answer: {text}", hint=_HINTS.get(word.failure))

    async def rest(self) -> Given:
        """Return the whole answer.

        Raises:
            PilotError: as :meth:`next_text`.
        """
        while await self.next_text() is not None:
            pass
        assert self.given is not None, "it ended"
        return self.given

    def _name(self) -> str:
        return self._asker.name_of(self.peer)

    def _begin(self) -> None:
        if self._has_begun:
            return
        self._has_begun = True
        assert self._record is not None
        self._asker.peers.begun(self._record, self._loop.time() - self._begun_at)
        if self._on_begin is not None:
            self._on_begin()

    def _leave(self, error: BaseException | None) -> None:
        """Note how it ended; once."""
        record, self._record = self._record, None
        if record is None:
            return
        record.outstanding -= 1
        if self.given is None and self._stream is not None:
            self._stream.abort()
        config, now = self._asker.config, self._loop.time()
        elapsed_s = now - self._begun_at
        if self.given is not None:
            record.note(True, now, config)
            record.note_work(max(0.0, elapsed_s - self._rtt_s), config)
            record.circuit.note(True, now, config)
        elif isinstance(error, PilotError) and not isinstance(error, UsageError):
            record.note(False, now, config)
            if record.circuit.note(False, now, config):
                self._asker.metrics.tripped.inc()
        else:  # nobody waits any more
            record.note_slow(max(0.0, elapsed_s - self._rtt_s), config)
            record.circuit.abandon()


class _Deadline:
    """As ``asyncio.timeout_at``, with this package's error."""

    def __init__(self, until: float, text: Callable[[], str]) -> None:
        self._text = text
        self._timeout = asyncio.timeout_at(until)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError as late:
            raise TimedOut(self._text(), hint="ask again with a longer time-out") from late
