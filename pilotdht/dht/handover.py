"""Giving records to a newcomer that is closer to their keys: once a newcomer, rate-limited, as they were signed.

Which records those are is a pure rule. Nothing here runs because somebody sent a message: a newcomer is a contact that
answered a request of ours and was new in the table.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque

from pilotdht.config.dht import DhtConfig
from pilotdht.dht.metrics import DhtMetrics
from pilotdht.dht.requester import Calls, Requester
from pilotdht.dht.routing import RoutingTable
from pilotdht.dht.search import Searcher
from pilotdht.dht.store import Held, RecordStore
from pilotdht.errors import PilotError
from pilotdht.identity.ids import NodeId
from pilotdht.net.outcomes import Answered
from pilotdht.wire.contact import Contact
from pilotdht.wire.dht_messages import FindNode, Nodes, Store, StoreEntry
from pilotdht.wire.message import Request

GIVEN_REMEMBERED = 4096
"""Newcomers that are not given records a second time."""

RECORDS_LOOKED_AT_ONCE = 200
"""Records examined before other work has its turn: about 2 ms."""


def is_to_be_given(held: Held, newcomer: Contact, *, own_point: int, table: RoutingTable) -> bool:
    """Return whether this node should give a record to a newcomer.

    It should when the newcomer is the closest to the record's key, and this node the closest of the others: so one of
    them gives it, not all.
    """
    point = held.point
    own = own_point ^ point
    if newcomer.point ^ point >= own:
        return False  # it is farther away than we: its turn comes when we are gone
    nearest = table.nearest(held.key, 1, without=newcomer.point)
    return not nearest or own < nearest[0].point ^ point


class Handover:
    """Queues newcomers and gives them what is theirs."""

    def __init__(
        self,
        *,
        own_id: NodeId,
        config: DhtConfig,
        table: RoutingTable,
        store: RecordStore,
        searcher: Searcher,
        requester: Requester,
        metrics: DhtMetrics,
    ) -> None:
        self._own_point = int.from_bytes(own_id, "big")
        self._config = config
        self._table = table
        self._store = store
        self._searcher = searcher
        self._requester = requester
        self._metrics = metrics
        self._queue: deque[Contact] = deque()
        self._given: OrderedDict[NodeId, None] = OrderedDict()
        self._wake = asyncio.Event()

    def newcomer(self, contact: Contact) -> None:
        """Queue a contact that is new in the table; dropped when it was given records before, or the queue is full."""
        if not len(self._store) or contact.node_id in self._given:
            return
        if len(self._queue) >= self._config.handover_queue:
            self._metrics.background["dropped"] += 1
            return
        self._given[contact.node_id] = None
        if len(self._given) > GIVEN_REMEMBERED:
            self._given.popitem(last=False)
        self._queue.append(contact)
        self._wake.set()

    async def run(self) -> None:
        """Serve the queue, for ever."""
        while True:
            while self._queue:
                newcomer = self._queue.popleft()
                records = await self._records_for(newcomer)
                if records:
                    await self._give(newcomer, records)
                    await asyncio.sleep(self._config.handover_interval_s)
            self._wake.clear()
            await self._wake.wait()

    async def _records_for(self, newcomer: Contact) -> list[Held]:
        found: list[Held] = []
        for index, held in enumerate(list(self._store)):
            if index % RECORDS_LOOKED_AT_ONCE == RECORDS_LOOKED_AT_ONCE - 1:
                await asyncio.sleep(0)
            if held.point ^ newcomer.point >= held.point ^ self._own_point:
                continue  # what most come to is seen without a call
            if is_to_be_given(held, newcomer, own_point=self._own_point, table=self._table):
                found.append(held)
                if len(found) >= self._config.handover_records:
                    break
        return found

    async def _give(self, newcomer: Contact, records: list[Held]) -> None:
        try:
            async with asyncio.timeout(self._config.lookup_timeout_s), self._requester.calls() as calls:
                calls.start(newcomer, FindNode(NodeId(records[0].key)))
                token = await self._token(calls)
                for held in records if token else []:
                    self._metrics.background["handover"] += self._searcher.start(calls, newcomer, _request(held, token))
                while calls.outstanding:
                    self._searcher.note(await calls.next())
        except (TimeoutError, PilotError):
            self._metrics.reject("handover_cut_short")

    async def _token(self, calls: Calls) -> bytes:
        """Return the store token in the answer that comes; empty when none does, or the newcomer is full."""
        token = b""
        while calls.outstanding:
            outcome = await calls.next()
            self._searcher.note(outcome)
            if isinstance(outcome, Answered) and isinstance(outcome.answer.message, Nodes):
                token = outcome.answer.message.store_token
        return token


def _request(held: Held, token: bytes) -> Request:
    return Store(held.key, token, held.wire) if held.is_record else StoreEntry(held.key, token, held.wire)
