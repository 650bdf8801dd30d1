"""Fetches the contents of events that do not carry them, a few at a time, from whoever has them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from pilotdht.config.broadcast import BroadcastConfig
from pilotdht.errors import PilotError
from pilotdht.gossip.broadcast.bodies import Bodies
from pilotdht.gossip.broadcast.metrics import BroadcastMetrics
from pilotdht.identity.ids import PublicKey
from pilotdht.tasks import TaskScope
from pilotdht.wire.events import EventId, SignedEvent


class Arrival(NamedTuple):
    """How an event came."""

    source: PublicKey
    """Who gave it to us."""
    hops: int
    """Members that passed it on before."""
    way: str
    """``pushed``, ``grafted`` or ``fetched``; as the metrics have it."""


class _Wanted:
    """An event whose content is on its way."""

    __slots__ = ("arrival", "event", "others")

    def __init__(self, event: SignedEvent, arrival: Arrival) -> None:
        self.event = event
        self.arrival = arrival
        self.others: deque[PublicKey] = deque()


class BodyFetcher:
    """Events that wait for their contents."""

    def __init__(
        self,
        bodies: Bodies | None,
        config: BroadcastConfig,
        metrics: BroadcastMetrics,
        *,
        scope: TaskScope,
        on_body: Callable[[SignedEvent, bytes, Arrival], None],
    ) -> None:
        """Make it.

        Args:
            bodies: fetches; absent: events without their content are not taken.
            config: bounds.
            metrics: where everything is counted.
            scope: owner of the tasks that fetch.
            on_body: takes events whose content is here, and right.
        """
        self._bodies = bodies
        self._config = config
        self._metrics = metrics
        self._scope = scope
        self._on_body = on_body
        self._wanted: dict[EventId, _Wanted] = {}
        self._queue: deque[_Wanted] = deque()
        self._running = 0
        self._is_closed = False

    def __len__(self) -> int:
        """Return how many events wait for their content."""
        return len(self._wanted)

    def source_of(self, event_id: EventId) -> PublicKey | None:
        """Return who gave us an event whose content is on its way; absent when none is."""
        wanted = self._wanted.get(event_id)
        return None if wanted is None else wanted.arrival.source

    def want(self, event: SignedEvent, arrival: Arrival) -> bool:
        """Fetch the content of an event that is not known; return whether there was room."""
        if self._bodies is None or self._is_closed or len(self._wanted) >= self._config.max_bodies_waiting:
            return False
        if event.body.size_bytes > self._config.max_body_bytes:
            return False
        wanted = self._wanted[event.event_id] = _Wanted(event, arrival)
        self._queue.append(wanted)
        if self._running < self._config.body_fetches:
            self._running += 1
            self._scope.start(self._work(self._bodies), name="fetch contents")
        return True

    def has_too(self, event_id: EventId, key: PublicKey) -> None:
        """Note that somebody else has an event whose content is on its way."""
        wanted = self._wanted.get(event_id)
        if wanted is not None and key != wanted.arrival.source and len(wanted.others) < self._config.max_announcers:
            wanted.others.append(key)

    def close(self) -> None:
        """Begin no further fetch; those under way end with the scope."""
        self._is_closed = True
        self._queue.clear()
        self._wanted.clear()

    async def _work(self, bodies: Bodies) -> None:
        try:
            while self._queue:
                wanted = self._queue.popleft()
                data = await self._fetch(bodies, wanted)
                if self._wanted.pop(wanted.event.event_id, None) is not None and data is not None:
                    self._on_body(wanted.event, data, wanted.arrival)
        finally:
            self._running -= 1

    async def _fetch(self, bodies: Bodies, wanted: _Wanted) -> bytes | None:
        """Return a content from the first who has it; absent when nobody does: comparing brings the event back."""
        event = wanted.event
        source: PublicKey | None = wanted.arrival.source
        while source is not None:
            try:
                data = await bodies.fetch(source, event.body.group, event.event_id, event.body.size_bytes)
            except PilotError:
                self._metrics.bodies["failed"].inc()
            else:
                self._metrics.received_bytes.inc(len(data))
                if event.is_content(data):
                    self._metrics.bodies["fetched"].inc()
                    return data
                self._metrics.bodies["failed"].inc()
            source = wanted.others.popleft() if wanted.others else None
        self._metrics.dropped["body"].inc()
        return None
