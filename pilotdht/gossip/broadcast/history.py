"""Events that are kept for those who lack them: bounded by age, number and bytes. Pure.

When there is no room the event that arrived first goes, and no sender takes more than its share: nobody can wash out
what others said. Nothing here decides whether an event is new: a forgotten one is still known by its sender's position
(:mod:`pilotdht.gossip.broadcast.delivery`).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Iterator
from itertools import islice

from pilotdht.config.broadcast import BroadcastConfig
from pilotdht.gossip.broadcast.deadlines import Deadlines
from pilotdht.identity.ids import NodeId, PublicKey
from pilotdht.wire.events import EventId, SignedEvent


class Kept:
    """An event with its content, and how it came here. Treat it as frozen, but for ``is_delivered``."""

    __slots__ = ("arrived_at", "data", "event", "hops", "is_delivered", "source")

    def __init__(self, event: SignedEvent, data: bytes, *, source: PublicKey, hops: int, arrived_at: float) -> None:
        self.event = event
        """As it travels."""
        self.data = data
        """Its content, fetched or not."""
        self.source = source
        """Who gave it to us; ourselves for what we said."""
        self.hops = hops
        """Members that passed it on before it came here."""
        self.arrived_at = arrived_at
        """Loop time."""
        self.is_delivered = False
        """Readers on this node got it."""

    @property
    def size_bytes(self) -> int:
        """What it takes, without bookkeeping."""
        return len(self.event.item) + self.event.body.size_bytes


class _Share:
    """What is kept of one sender, in the order of arrival."""

    __slots__ = ("ids", "size_bytes")

    def __init__(self) -> None:
        self.ids: OrderedDict[EventId, None] = OrderedDict()
        self.size_bytes = 0


class History:
    """What one member keeps of its group's events."""

    def __init__(self, config: BroadcastConfig) -> None:
        self._config = config
        self._kept: OrderedDict[EventId, Kept] = OrderedDict()
        self._sequences: dict[tuple[NodeId, int], list[int]] = {}
        self._by_sender: dict[NodeId, _Share] = {}
        self._expiries: Deadlines[EventId] = Deadlines()
        self.size_bytes = 0
        """Bytes of events and contents kept."""
        self.dropped = 0
        """Events forgotten for want of room, before their time."""

    def __len__(self) -> int:
        """Return how many events are kept."""
        return len(self._kept)

    def get(self, event_id: EventId) -> Kept | None:
        """Return one event; absent when it is not kept."""
        return self._kept.get(event_id)

    def add(self, kept: Kept, *, expires_at: float) -> None:
        """Keep an event that is not kept yet until ``expires_at``, in loop time."""
        event_id = kept.event.event_id
        self._kept[event_id] = kept
        self._expiries.set(event_id, expires_at)
        self.size_bytes += kept.size_bytes
        insort(self._sequences.setdefault((event_id.sender, event_id.epoch_ms), []), event_id.sequence)
        share = self._by_sender.setdefault(event_id.sender, _Share())
        share.ids[event_id] = None
        share.size_bytes += kept.size_bytes
        most_events, most_bytes = self._config.max_events, self._config.max_history_bytes
        part = self._config.sender_share
        while len(share.ids) > 1 and (len(share.ids) * part > most_events or share.size_bytes * part > most_bytes):
            self.dropped += 1
            self._forget(next(iter(share.ids)))
        while len(self._kept) > most_events or self.size_bytes > most_bytes:
            self.dropped += 1
            self._forget(next(iter(self._kept)))

    def expire(self, now: float) -> None:
        """Forget what is too old."""
        for event_id in self._expiries.due(now):
            self._forget(event_id)

    def next_due(self) -> float | None:
        """Return when :meth:`expire` has something to do; absent when nothing is kept."""
        return self._expiries.first()

    def first_sequence(self, sender: NodeId, epoch_ms: int) -> int | None:
        """Return the lowest number kept of a sender; absent when nothing is."""
        sequences = self._sequences.get((sender, epoch_ms))
        return sequences[0] if sequences else None

    def of_sender(self, sender: NodeId, epoch_ms: int, sequence: int) -> Iterator[Kept]:
        """Return what is kept of a sender from one number on, in order."""
        sequences = self._sequences.get((sender, epoch_ms), [])
        for one in islice(sequences, bisect_left(sequences, sequence), None):
            yield self._kept[EventId(sender, epoch_ms, one)]

    def recent(self, since: float, most: int) -> tuple[EventId, ...]:
        """Return the ids of up to ``most`` events that arrived at ``since`` or later, the last first."""
        found: list[EventId] = []
        for event_id in islice(reversed(self._kept), most):
            if self._kept[event_id].arrived_at < since:
                break
            found.append(event_id)
        return tuple(found)

    def __iter__(self) -> Iterator[Kept]:
        """Return all that is kept, in the order of arrival."""
        return iter(self._kept.values())

    def _forget(self, event_id: EventId) -> None:
        kept = self._kept.pop(event_id)
        self._expiries.discard(event_id)
        self.size_bytes -= kept.size_bytes
        share = self._by_sender[event_id.sender]
        share.size_bytes -= kept.size_bytes
        del share.ids[event_id]
        if not share.ids:
            del self._by_sender[event_id.sender]
        stream = (event_id.sender, event_id.epoch_ms)
        sequences = self._sequences[stream]
        del sequences[bisect_left(sequences, event_id.sequence)]
        if not sequences:
            del self._sequences[stream]
