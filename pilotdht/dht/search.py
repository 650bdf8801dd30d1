"""Walks through the DHT: a lookup's bookkeeping joined to requests under way. The only place that asks other nodes.

Whatever comes of a request is told to the routing table here: an answer verifies a contact, silence counts against it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence

from pilotdht.config.dht import DhtConfig
from pilotdht.dht.lookup import Ending, Lookup
from pilotdht.dht.prefixes import PrefixRule
from pilotdht.dht.requester import Calls, Requester
from pilotdht.dht.routing import Insertion, RoutingTable
from pilotdht.dht.watch import LookupWatch, WatchedLookup
from pilotdht.errors import Overloaded
from pilotdht.identity.ids import NodeId
from pilotdht.net.outcomes import Answer, Answered, Outcome, Slow
from pilotdht.tracing.spans import OFF, Tracer
from pilotdht.wire.contact import Contact
from pilotdht.wire.dht_messages import FindNode, FoundEntries, FoundRecord, Nodes
from pilotdht.wire.message import Reply, Request

OnReply = Callable[[Contact, Reply], bool]
"""Takes a reply; true when whoever looks has what it wants."""


class Searcher:
    """Runs lookups, and single requests to many contacts."""

    def __init__(
        self,
        *,
        own_id: NodeId,
        config: DhtConfig,
        table: RoutingTable,
        prefixes: PrefixRule,
        requester: Requester,
        tracer: Tracer = OFF,
    ) -> None:
        self.on_newcomer: Callable[[Contact], None] = _ignore
        """Called with each contact that is new in the table."""
        self.on_spare: Callable[[Contact], None] = _ignore
        """Called with each verified contact whose bucket is full."""
        self.on_answer: Callable[[Answer], None] = _ignore_answer
        """Called with each answer."""
        self.on_lost: Callable[[Contact], None] = _ignore
        """Called with each contact that the table has given up."""
        self.watch = LookupWatch()
        """Shows lookups as they run to whoever watches."""
        self._own_id = own_id
        self._config = config
        self._table = table
        self._prefixes = prefixes
        self._requester = requester
        self._tracer = tracer
        self._silences: OrderedDict[Contact, float] = OrderedDict()

    def begin(
        self,
        target: bytes,
        *,
        paths: int = 1,
        extra: Sequence[Contact] = (),
        answers_wanted: int | None = None,
        parallel: int | None = None,
    ) -> Lookup:
        """Return a lookup that starts from the nearest known contacts, and from ``extra`` ones."""
        seeds = self._table.nearest(target, self._config.bucket_size)
        return Lookup(
            target,
            [*seeds, *extra],
            own_id=self._own_id,
            config=self._config,
            prefixes=self._prefixes,
            paths=paths,
            parallel=parallel,
            answers_wanted=self._config.replicas if answers_wanted is None else answers_wanted,
            verified=self._verified,
            is_doubted=self._is_doubted,
            rtt_of=self._requester.rtt_of,
        )

    async def walk(self, lookup: Lookup, message: Request, on_reply: OnReply | None = None) -> None:
        """Ask until the lookup ends; how it ended is in ``lookup.ending``.

        Args:
            lookup: from :meth:`begin`.
            message: what each contact is asked.
            on_reply: is told each reply, and may end the lookup.

        Raises:
            Overloaded: too many requests of this node wait already.
            NodeClosed: the node was closed.
        """
        with self._tracer.span("lookup", purpose=type(message).__name__) as span:
            await self._walk(lookup, message, on_reply)
            span.set("hops", lookup.hops)
            span.set("requests", lookup.requests)
            span.set("ending", "" if lookup.ending is None else lookup.ending.value)

    async def _walk(self, lookup: Lookup, message: Request, on_reply: OnReply | None) -> None:
        loop = asyncio.get_running_loop()
        watched = self.watch.begin(lookup.target, type(message).__name__, loop.time())
        try:
            async with asyncio.timeout(self._config.lookup_timeout_s), self._requester.calls() as calls:
                self._ask(calls, lookup, message, watched)
                while lookup.ending is None:
                    outcome = await calls.next()
                    if watched is not None:
                        watched.heard(outcome, loop.time())
                    self._advance(lookup, outcome, on_reply)
                    self._ask(calls, lookup, message, watched)
        except TimeoutError:
            lookup.end(Ending.DEADLINE)
        finally:
            if watched is not None:
                watched.ended(lookup, loop.time())
        self._table.looked_up(lookup.target, loop.time())

    async def ask_nearest(self, target: NodeId) -> list[Contact] | None:
        """Ask the live contact nearest to a point what it knows there; absent when there is none, or it is silent.

        One step of a lookup: it costs a tenth of one, and who lives there knows the others.
        """
        named: list[Contact] | None = None

        def note_named(_: Contact, reply: Reply) -> None:
            nonlocal named
            if isinstance(reply, Nodes):
                named = list(reply.contacts)

        await self.ask_each(self._table.nearest(target, 1, with_failing=False), FindNode(target), note_named)
        return named

    async def ask_each(
        self, contacts: Sequence[Contact], message: Request, on_reply: Callable[[Contact, Reply], object] | None = None
    ) -> list[Contact]:
        """Ask contacts the same, a few at a time; return those that answered in time, in order of their answers.

        Args:
            contacts: whom to ask.
            message: what each is asked.
            on_reply: is told each reply.
        """
        answered: list[Contact] = []
        waiting = list(reversed(contacts))
        try:
            async with asyncio.timeout(self._config.lookup_timeout_s), self._requester.calls() as calls:
                while waiting or calls.outstanding:
                    while waiting and calls.outstanding < self._config.parallel:
                        if not self.start(calls, waiting.pop(), message):
                            return answered
                    outcome = await calls.next()
                    self.note(outcome)
                    if isinstance(outcome, Answered):
                        answered.append(outcome.contact)
                        if on_reply is not None:
                            on_reply(outcome.contact, outcome.answer.message)
        except TimeoutError:
            pass
        return answered

    def start(self, calls: Calls, contact: Contact, message: Request) -> bool:
        """Start a courtesy: when the node is overloaded it is left out, and false returned."""
        try:
            calls.start(contact, message)
        except Overloaded:
            return False
        return True

    def note(self, outcome: Outcome) -> None:
        """Tell the routing table what came of a request."""
        if type(outcome) is Slow:
            return
        now = asyncio.get_running_loop().time()
        contact = outcome.contact
        if type(outcome) is not Answered:
            if self._table.failed(contact.node_id, now):
                self.on_lost(contact)
            self._silences[contact] = now
            if len(self._silences) > self._config.silences_kept:
                self._silences.popitem(last=False)
            return
        self._silences.pop(contact, None)
        self.on_answer(outcome.answer)
        if outcome.answer.is_client:
            self._table.leave(contact.node_id)
            return
        insertion = self._table.verified(contact, now)
        if insertion is Insertion.ADDED:
            self.on_newcomer(contact)
        elif insertion is Insertion.SPARE:
            self.on_spare(contact)

    def _ask(self, calls: Calls, lookup: Lookup, message: Request, watched: WatchedLookup | None) -> None:
        for contact in lookup.take():
            calls.start(contact, message)
            if watched is not None:
                watched.asked(contact, asyncio.get_running_loop().time())

    def _advance(self, lookup: Lookup, outcome: Outcome, on_reply: OnReply | None) -> None:
        contact = outcome.contact
        self.note(outcome)
        if isinstance(outcome, Slow):
            lookup.slow(contact)
        elif isinstance(outcome, Answered):
            reply = outcome.answer.message
            if isinstance(reply, Nodes | FoundRecord | FoundEntries):
                lookup.answered(contact, reply.contacts, token=reply.store_token, is_client=outcome.answer.is_client)
                if on_reply is not None and on_reply(contact, reply):
                    lookup.end(Ending.SATISFIED)
        else:
            lookup.silent(contact)

    def _is_doubted(self, contact: Contact) -> bool:
        """Return whether a contact was given up lately: others go on naming a dead node until they found out too."""
        at = self._silences.get(contact)
        return at is not None and asyncio.get_running_loop().time() - at < self._config.silence_doubt_s

    def _verified(self, node_id: NodeId) -> Contact | None:
        known = self._table.find(node_id)
        return None if known is None else known.contact


def _ignore(_: Contact) -> None:
    pass


def _ignore_answer(_: Answer) -> None:
    pass
