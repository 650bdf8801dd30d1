"""Writing records: to the closest nodes that take them, acknowledged by a few, finished in the background."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

from pilotdht.config.dht import DhtConfig
from pilotdht.dht.candidate import Candidate
from pilotdht.dht.holder import Holder
from pilotdht.dht.lookup import Lookup
from pilotdht.dht.metrics import DhtMetrics
from pilotdht.dht.requester import Requester
from pilotdht.dht.search import Searcher
from pilotdht.errors import NodeClosed, PilotError
from pilotdht.identity.ids import NodeId, distance
from pilotdht.net.outcomes import Answered, Outcome, Slow
from pilotdht.tasks import TaskScope
from pilotdht.values import dataclass
from pilotdht.wire.contact import Contact
from pilotdht.wire.dht_messages import FindNode, Store, StoreCode, Stored, StoreEntry
from pilotdht.wire.message import Request
from pilotdht.wire.records import Entry, SignedRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class PutReport:
    """What came of a write."""

    acks: int
    """Holders that keep the record, so far; this node counts when it is one of them."""
    wanted: int
    """Acknowledgements that make the write a success: fewer than usual in a small mesh."""
    answers: dict[StoreCode, int]
    """What holders answered, so far; those that gave no store token count as full."""
    silent: int
    """Holders that did not answer, so far."""
    lookup: Lookup
    """The walk that found the holders."""

    @property
    def is_kept(self) -> bool:
        """Enough holders keep it."""
        return self.acks >= self.wanted

    @property
    def is_full(self) -> bool:
        """It was not kept because holders have no room under this key."""
        return not self.is_kept and self.answers.get(StoreCode.FULL, 0) > 0

    @property
    def is_outdated(self) -> bool:
        """Somebody holds a newer record of this signer."""
        return self.answers.get(StoreCode.OLDER, 0) + self.answers.get(StoreCode.CONFLICT, 0) > 0


class _Delivery:
    """One record on its way to its holders."""

    def __init__(self, acks: int, wanted: int) -> None:
        self.acks = acks
        self.wanted = wanted
        self.answers: Counter[StoreCode] = Counter()
        self.silent = 0
        self.slow: dict[Contact, None] = {}
        self.is_decided = asyncio.Event()


class Writer:
    """Writes to other nodes."""

    def __init__(
        self,
        *,
        own_id: NodeId,
        config: DhtConfig,
        holder: Holder,
        searcher: Searcher,
        requester: Requester,
        scope: TaskScope,
        metrics: DhtMetrics,
    ) -> None:
        self._own_id = own_id
        self._config = config
        self._holder = holder
        self._searcher = searcher
        self._requester = requester
        self._scope = scope
        self._metrics = metrics
        self._background = 0

    async def put(self, signed: SignedRecord) -> PutReport:
        """Write a record to the closest nodes; returns when enough of them, or all there are, have answered.

        Raises:
            Overloaded: too many requests of this node wait already.
            NodeClosed: the node was closed.
        """
        key = signed.record.key
        lookup = self._searcher.begin(key, paths=self._config.paths)
        await self._searcher.walk(lookup, FindNode(NodeId(key)))
        enough = self._config.replicas + self._config.max_spills
        near = lookup.closest(enough)
        with_room = sum(1 for one in near if one.token)
        if with_room < self._config.replicas and lookup.widen(enough):
            await self._searcher.walk(lookup, FindNode(NodeId(key)))
            near = lookup.closest(enough)
        own_acks = 0
        replicas = self._config.replicas
        if not self._requester.is_client and self._is_own_among(key, near[:replicas]):
            replicas -= 1
            own_acks = self._holder.keep_own(signed) is StoreCode.STORED
        targets = [one for one in near if one.token]
        wanted = max(1, min(self._config.write_acks, own_acks + len(near)))
        delivery = _Delivery(own_acks, wanted)
        delivery.answers[StoreCode.FULL] = sum(1 for one in near[:replicas] if not one.token)
        if targets:
            try:
                self._scope.start(self._deliver(delivery, signed, targets, replicas), name="put")
            except RuntimeError as error:
                raise NodeClosed("the node was closed while a record was written") from error
            await delivery.is_decided.wait()
        return PutReport(
            acks=delivery.acks,
            wanted=delivery.wanted,
            answers=dict(delivery.answers),
            silent=delivery.silent,
            lookup=lookup,
        )

    def push(self, targets: Sequence[Candidate], signed: SignedRecord, *, reason: str) -> None:
        """Write to contacts that nobody waits for; dropped when too many such writes are under way."""
        if not targets:
            return
        if self._background + len(targets) > self._config.background_writes:
            self._metrics.background["dropped"] += len(targets)
            return
        try:
            self._scope.start(self._push(list(targets), signed), name=reason)
        except RuntimeError:  # the node is being closed
            self._metrics.background["dropped"] += len(targets)
            return
        self._background += len(targets)
        self._metrics.background[reason] += len(targets)

    async def _push(self, targets: list[Candidate], signed: SignedRecord) -> None:
        try:
            async with asyncio.timeout(self._config.lookup_timeout_s), self._requester.calls() as calls:
                for one in targets:
                    self._searcher.start(calls, one.contact, write_request(signed, one.token))
                while calls.outstanding:
                    self._searcher.note(await calls.next())
        except (TimeoutError, PilotError):
            self._metrics.reject("background_write")
        finally:
            self._background -= len(targets)

    async def _deliver(
        self, delivery: _Delivery, signed: SignedRecord, targets: list[Candidate], replicas: int
    ) -> None:
        """Write to ``replicas`` of the targets, the next closest standing in for each that does not keep it."""
        waiting = list(reversed(targets))
        try:
            async with asyncio.timeout(self._config.lookup_timeout_s), self._requester.calls() as calls:
                missing = replicas
                while calls.outstanding or (waiting and missing):
                    while waiting and missing:
                        missing -= 1
                        one = waiting.pop()
                        calls.start(one.contact, write_request(signed, one.token))
                    outcome = await calls.next()
                    self._searcher.note(outcome)
                    missing += self._is_missing(delivery, outcome)
                    if delivery.acks >= delivery.wanted:
                        delivery.is_decided.set()
        except (TimeoutError, PilotError):
            self._metrics.reject("put_cut_short")
        finally:
            delivery.is_decided.set()

    def _is_missing(self, delivery: _Delivery, outcome: Outcome) -> bool:
        """Take in an outcome; return whether another holder should stand in, which happens once a holder."""
        contact = outcome.contact
        if isinstance(outcome, Slow):
            delivery.slow[contact] = None
            return True
        was_slow = contact in delivery.slow
        if not isinstance(outcome, Answered):
            delivery.silent += 1
            return not was_slow
        reply = outcome.answer.message
        code = reply.result if isinstance(reply, Stored) else StoreCode.INVALID
        delivery.answers[code] += 1
        if code is StoreCode.STORED:
            delivery.acks += 1
            return False
        return not was_slow

    def _is_own_among(self, key: bytes, replicas: list[Candidate]) -> bool:
        if len(replicas) < self._config.replicas:
            return True
        return distance(self._own_id, key) < replicas[-1].distance


def write_request(signed: SignedRecord, token: bytes) -> Request:
    """Return the request that asks a holder to keep ``signed``."""
    key = signed.record.key
    if isinstance(signed.record, Entry):
        return StoreEntry(key, token, signed.wire)
    return Store(key, token, signed.wire)
