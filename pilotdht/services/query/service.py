"""Questions and answers as verbs: to one peer, to whichever member of a group suits best, to several for a quorum.

Everything it needs of a node is handed in (:class:`pilotdht.services.query.needs.QueryNeeds`). Whoever owns it lets
``serve`` handle the streams to port 1003 and asks ``may_open`` before it lets a peer open that port.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

from pilotdht.config.query import QueryConfig
from pilotdht.errors import (
    InvalidArgument,
    NoQuorum,
    NotFound,
    NotTrusted,
    Overloaded,
    PilotError,
    TimedOut,
    UsageError,
)
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.names import check_tag
from pilotdht.services.answers.sharing import SharedAnswers
from pilotdht.services.query.answering import Answering, Ending
from pilotdht.services.query.asking import Asked, Asker
from pilotdht.services.query.assembly import Given
from pilotdht.services.query.content import Content, content_of
from pilotdht.services.query.gathering import Gathering
from pilotdht.services.query.handlers import Handler, Handlers
from pilotdht.services.query.metrics import QueryMetrics
from pilotdht.services.query.needs import QueryNeeds
from pilotdht.services.query.peers import Peers
from pilotdht.services.query.quorum import check_quorum
from pilotdht.services.query.selecting import Selection, nobody
from pilotdht.services.query.serving import Serving
from pilotdht.services.query.signed import Endorsement, SharedAnswer
from pilotdht.services.query.values import Answer, Explanation
from pilotdht.tunnel.byte_stream import ByteStream
from pilotdht.wire.verified import VerifiedSignatures

DEFAULT_TIMEOUT_S = 30.0
"""Time for a whole answer unless the asker says otherwise."""

REMEMBERED_SIGNATURES = 4096

HandlerT = TypeVar("HandlerT", bound=Handler)

_RESULTS: tuple[tuple[type[PilotError], str], ...] = (  # the first class that fits counts
    (TimedOut, "timeout"),
    (Overloaded, "overloaded"),
    (NoQuorum, "no_quorum"),
    (NotFound, "not_found"),
)


class QueryService:
    """Questions and answers of one node."""

    def __init__(
        self, *, needs: QueryNeeds, config: QueryConfig, metrics: QueryMetrics, handlers: Handlers | None = None
    ) -> None:
        """Make it, on the running loop.

        Args:
            needs: the rest of the node.
            config: times and bounds.
            metrics: counters.
            handlers: the programs that answer; absent: none yet.
        """
        memory = VerifiedSignatures(REMEMBERED_SIGNATURES)
        self._needs = needs
        self._config = config
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._peers = Peers(config)
        self._asking = 0
        self._asker = Asker(
            open_stream=needs.open_stream,
            hostname_of=needs.hostname_of,
            peers=self._peers,
            config=config,
            metrics=metrics,
            memory=memory,
            tracer=needs.tracer,
        )
        self._selection = Selection(needs=needs, peers=self._peers, config=config)
        self._gathering = Gathering(asker=self._asker, selection=self._selection, config=config, metrics=metrics)
        self.shared = SharedAnswers(needs=needs, config=config, metrics=metrics, memory=memory)
        """Answers kept for oneself and for members of the groups."""
        self.handlers = Handlers() if handlers is None else handlers
        """The programs that answer."""
        self._serving = Serving(
            needs=needs,
            handlers=self.handlers,
            config=config,
            metrics=metrics,
            looked=self.shared.looked,
            offered=self.shared.offered,
        )
        metrics.peers.set_function(lambda: float(len(self._peers)))
        metrics.open_circuits.set_function(lambda: float(self._peers.open_circuits()))

    # Answering.

    def on_query(self, capability: str = "", *, group: str | None = None) -> Callable[[HandlerT], HandlerT]:
        """Let the decorated function answer questions; see :meth:`pilotdht.services.query.handlers.Handlers.add`.

        Args:
            capability: for which one; empty: for any.
            group: whose members may ask; ``"*"``: those of every group; ``None``: trusted peers that name no group.

        Raises:
            AlreadyExists: there is a handler for the same.
            InvalidArgument: the capability is malformed.
        """

        def register(handler: HandlerT) -> HandlerT:
            self.handlers.add(handler, capability=capability, group=group)
            return handler

        return register

    async def serve(self, stream: ByteStream) -> None:
        """Serve one stream to port 1003; whoever handed it in closes it afterwards."""
        await self._serving.serve(stream)

    def may_open(self, peer: PublicKey) -> bool:
        """Return whether a peer may open port 1003; what it may ask there is checked for each question."""
        return self._needs.is_trusted(peer) or self._needs.groups.is_member_of_any(peer)

    # Asking.

    async def query(
        self,
        peer: PublicKey,
        question: object,
        *,
        capability: str = "",
        group: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> Answer:
        """Ask one peer.

        Args:
            peer: whom.
            question: a ``str``, or anything that JSON can say.
            capability: what its handler is registered for, or empty.
            group: ask as a member of this group; ``None``: as a peer that it trusts.
            timeout_s: for the whole answer.

        Raises:
            InvalidArgument: the question is neither text nor JSON, or too long.
            NotTrusted: the peer answers neither this node nor this group.
            Refused: nothing there answers such questions.
            AnswerFailed: its program failed.
            Overloaded: it, or this node, has too many questions under way.
            TimedOut: no whole answer in time.
        """
        with self._traced("peer"):
            asked = self._asked(question, capability=capability, group=group, timeout_s=timeout_s)
            begun = self._loop.time()
            given = await self._asker.ask(peer, asked, rtt_s=None, on_begin=lambda: None)
            return self._answer(given.content, (given.endorsement,), begun=begun)

    async def query_group(
        self,
        group: str,
        question: object,
        *,
        capability: str = "",
        tags: Sequence[str] = (),
        quorum: int = 1,
        fresh: bool = False,
        explain: bool = False,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> Answer:
        """Ask whichever member of a group suits best, or several.

        Args:
            group: name of a group that this node is in.
            question: a ``str``, or anything that JSON can say.
            capability: what a member must declare, or empty.
            tags: what it must carry.
            quorum: how many distinct members must give the same answer; 3 tolerates one liar.
            fresh: take no shared answer.
            explain: tell in the answer why its author was asked.
            timeout_s: for the whole answer.

        Raises:
            NotFound: this node is not in the group, or no member fits.
            NoQuorum: too few members gave the same answer.
            PilotError: as :meth:`query`, when every member that was asked failed.
        """
        check_quorum(quorum, most=self._config.max_quorum)
        with self._traced("group"):
            asked = self._asked(question, capability=capability, group=group, timeout_s=timeout_s)
            begun = self._loop.time()
            groups = self._needs.groups
            group_id, members = groups.group_id(group), groups.members(group)
            if not fresh:
                found = await self.shared.find(
                    asked.key,
                    group=group_id,
                    members=members,
                    capability=capability,
                    quorum=quorum,
                    until=asked.until,
                )
                if found is not None:
                    return self._shared(found, quorum, begun=begun)
            choice = self._selection.of_members(members, capability=capability, tags=tags)
            if not choice.ranked:
                raise nobody(f"group {group!r}", capability, choice)
            content, endorsements = await self._gathering.gather(asked, choice, quorum=quorum)
            expires_s = self.shared.keep(content, endorsements, key=asked.key, group=group_id, members=members)
            explanation = choice.explanations if explain else ()
            return self._answer(content, endorsements, begun=begun, expires_s=expires_s, explanation=explanation)

    async def query_tag(
        self,
        tag: str,
        question: object,
        *,
        capability: str = "",
        quorum: int = 1,
        explain: bool = False,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> Answer:
        """Ask whichever trusted peer that carries a tag suits best, or several.

        Args:
            tag: what it is found by.
            question: a ``str``, or anything that JSON can say.
            capability: what its handler is registered for, or empty.
            quorum: how many distinct peers must give the same answer.
            explain: tell in the answer why its author was asked.
            timeout_s: for finding and for the whole answer.

        Raises:
            NotFound: nobody carries the tag.
            NotTrusted: none of those that do is trusted.
            NoQuorum: too few peers gave the same answer.
            PilotError: as :meth:`query`, when every peer that was asked failed.
        """
        check_quorum(quorum, most=self._config.max_quorum)
        with self._traced("tag"):
            asked = self._asked(question, capability=capability, group=None, timeout_s=timeout_s)
            begun = self._loop.time()
            try:
                async with asyncio.timeout_at(asked.until):
                    peers = await self._needs.peers_with_tag(check_tag(tag))
            except TimeoutError as error:
                raise TimedOut(f"peers with tag {tag!r} were not found in time") from error
            choice = self._selection.of_peers(peers, capability=capability)
            if not choice.ranked:
                others = [peer for peer in peers if peer.public_key != self._needs.keys.public_key]
                if others and not any(peer.is_trusted for peer in others):
                    raise NotTrusted(f"none of {len(others)} peers with tag {tag!r} is trusted")
                raise nobody(f"tag {tag!r}", capability, choice)
            content, endorsements = await self._gathering.gather(asked, choice, quorum=quorum)
            explanation = choice.explanations if explain else ()
            return self._answer(content, endorsements, begun=begun, explanation=explanation)

    def ask(
        self,
        peer: PublicKey | Callable[[], Awaitable[PublicKey]],
        question: object,
        *,
        capability: str = "",
        group: str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> Answering:
        """Ask one peer and read its answer as it comes: ``async with service.ask(…) as answering``.

        Args:
            peer: whom, or what finds that out when the block is entered.
            question: as in :meth:`query`; so are the others.
            capability: what its handler is registered for, or empty.
            group: ask as a member of this group; ``None``: as a peer that it trusts.
            timeout_s: for the whole answer.
        """

        async def begin() -> tuple[Asked, Iterator[PublicKey]]:
            asked = self._asked(question, capability=capability, group=group, timeout_s=timeout_s)
            if not callable(peer):
                return asked, iter((peer,))
            try:
                async with asyncio.timeout_at(asked.until):
                    return asked, iter((await peer(),))
            except TimeoutError as error:
                raise TimedOut("the peer was not found in time") from error

        return self._answering("peer", begin, lambda _: None)

    def ask_group(
        self,
        group: str,
        question: object,
        *,
        capability: str = "",
        tags: Sequence[str] = (),
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> Answering:
        """Ask whichever member of a group suits best and read its answer as it comes; shared answers are not used.

        The next member is asked when one fails before its answer begins.

        Args:
            group: name of a group that this node is in.
            question: as in :meth:`query_group`; so are the others.
            capability: what a member must declare, or empty.
            tags: what it must carry.
            timeout_s: for the whole answer.
        """
        rtts: dict[PublicKey, float | None] = {}

        async def begin() -> tuple[Asked, Iterator[PublicKey]]:
            asked = self._asked(question, capability=capability, group=group, timeout_s=timeout_s)
            members = self._needs.groups.members(group)
            choice = self._selection.of_members(members, capability=capability, tags=tags)
            if not choice.ranked:
                raise nobody(f"group {group!r}", capability, choice)
            rtts.update((one.public_key, one.rtt_s) for one in choice.ranked)
            return asked, self._selection.askable(choice)

        return self._answering("group", begin, rtts.get)

    def choices(self, group: str, *, capability: str = "", tags: Sequence[str] = ()) -> tuple[Explanation, ...]:
        """Return whom a question to a group would be put to now, best first, and why others are left out.

        Raises:
            NotFound: this node is not in the group.
        """
        members = self._needs.groups.members(group)
        return self._selection.of_members(members, capability=capability, tags=tags).explanations

    # Inside.

    def _asked(self, question: object, *, capability: str, group: str | None, timeout_s: float) -> Asked:
        if capability:
            check_tag(capability)
        if not timeout_s > 0:
            raise InvalidArgument(f"timeout_s = {timeout_s!r} is no time to answer in")
        content = question if isinstance(question, Content) else content_of(question)
        most = self._config.max_question_bytes
        if len(content.data) > most:
            raise InvalidArgument(
                f"the question has {len(content.data)} bytes; {most} are the limit",
                hint="send a file, and ask about it",
            )
        group_id = b"" if group is None else self._needs.groups.group_id(group)
        return Asked(content, capability=capability, group=group_id, until=self._loop.time() + timeout_s)

    def _answering(
        self,
        target: str,
        begin: Callable[[], Awaitable[tuple[Asked, Iterator[PublicKey]]]],
        rtt_of: Callable[[PublicKey], float | None],
    ) -> Answering:
        def answer(given: Given, begun: float) -> Answer:
            return self._answer(given.content, (given.endorsement,), begun=begun)

        return Answering(
            asker=self._asker,
            begin=begin,
            rtt_of=rtt_of,
            counted=lambda: self._counted(target),
            answer=answer,
            max_attempts=self._config.max_attempts,
        )

    def _answer(
        self,
        content: Content,
        endorsements: tuple[Endorsement, ...],
        *,
        begun: float,
        expires_s: float | None = None,
        explanation: tuple[Explanation, ...] = (),
    ) -> Answer:
        duration_s = self._loop.time() - begun
        self._metrics.duration.observe(duration_s)
        return Answer(
            content=content,
            author=endorsements[0].author,
            signers=tuple(one.author for one in endorsements),
            is_shared=False,
            age_s=0.0,
            expires_s=expires_s,
            duration_s=duration_s,
            explanation=explanation,
        )

    def _shared(self, found: SharedAnswer, quorum: int, *, begun: float) -> Answer:
        duration_s = self._loop.time() - begun
        self._metrics.duration.observe(duration_s)
        latest = sorted(found.endorsements, key=lambda one: -one.expires_s)
        return Answer(
            content=found.content,
            author=latest[0].author,
            signers=tuple(one.author for one in latest),
            is_shared=True,
            age_s=max(0.0, self._needs.unix_time() - latest[0].issued_ms / 1000),
            expires_s=latest[quorum - 1].expires_s,
            duration_s=duration_s,
        )

    @contextlib.contextmanager
    def _traced(self, target: str) -> Iterator[None]:
        """Count a question that is asked and answered in one task, and record it.

        Raises:
            Overloaded: as :meth:`_counted`.
        """
        with self._needs.tracer.span("query", asked=target), self._counted(target):
            yield

    @contextlib.contextmanager
    def _counted(self, target: str) -> Iterator[Ending]:
        """Bound how many questions are under way, and count how each ends.

        Raises:
            Overloaded: too many are.
        """
        if self._asking >= self._config.max_asking:
            self._metrics.asked[target, "overloaded"].inc()
            raise Overloaded(
                f"{self._asking} questions of this node wait for their answers", hint="await some of them first"
            )
        self._asking += 1
        result, ending = "abandoned", Ending()
        try:
            yield ending
            if not ending.is_abandoned:
                result = "answered"
        except UsageError:
            result = "failed"
            raise
        except PilotError as error:
            result = next((name for kind, name in _RESULTS if isinstance(error, kind)), "failed")
            raise
        finally:
            self._asking -= 1
            self._metrics.asked[target, result].inc()
