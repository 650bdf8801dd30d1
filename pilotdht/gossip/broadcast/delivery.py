"""When an event goes to the readers: once, and in its sender's order. Pure.

Each sender's events are a stream, numbered from 1. What comes too early is held back until the gap before it is filled.
Missing events are asked for; a gap that is not filled in time is given up, and counted. A sender that restarts begins a
new epoch, which ends the old one: what is held back of that goes out, and what comes of it later does not.

A sender is forgotten when its last event is too old to be taken: a replay is refused by its age from then on, so
nothing is delivered twice. Whatever numbers a liar signs, only its own stream suffers: each stream's events are held
apart, up to a bound, and a stream that reaches it gives its gap up.
"""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

from pilotdht.config.broadcast import BroadcastConfig
from pilotdht.gossip.broadcast.deadlines import Deadlines
from pilotdht.gossip.summaries import SummaryTree
from pilotdht.identity.ids import NodeId
from pilotdht.wire.broadcast_messages import Position
from pilotdht.wire.events import EventId

PayloadT = TypeVar("PayloadT")


class Gap(NamedTuple):
    """Events that are missing."""

    sender: NodeId
    """Whose."""
    epoch_ms: int
    """Since when the sender counts."""
    sequence: int
    """The first missing number; 1 for a sender that was never heard before."""
    tries: int
    """How often they were asked for before."""


class Due(NamedTuple, Generic[PayloadT]):
    """What time brought."""

    ready: list[PayloadT]
    """To be delivered, in this order."""
    gaps: list[Gap]
    """To be asked for."""


class _Stream(Generic[PayloadT]):
    """What is known of one sender."""

    __slots__ = ("chase_at", "epoch_ms", "expires_at", "held", "next", "tries", "wait_s")

    def __init__(self, epoch_ms: int, wait_s: float) -> None:
        self.epoch_ms = epoch_ms
        self.next: int | None = None
        self.held: dict[int, tuple[float, PayloadT]] = {}
        self.wait_s = wait_s
        self.tries = 0
        self.chase_at: float | None = None
        self.expires_at = 0.0


class Delivery(Generic[PayloadT]):
    """Puts all senders' events in order."""

    def __init__(self, config: BroadcastConfig, *, joined_ms: int) -> None:
        """Know no sender.

        Args:
            config: bounds and waits.
            joined_ms: Unix time in milliseconds since which this member listens. Of senders that began before, earlier
                events may be gone everywhere: they are waited for only shortly.
        """
        self._config = config
        self._joined_ms = joined_ms
        self._streams: dict[NodeId, _Stream[PayloadT]] = {}
        self._gaps: Deadlines[NodeId] = Deadlines()
        self._expiries: Deadlines[NodeId] = Deadlines()
        self.summary = SummaryTree()
        """Every sender with its position, to compare with other members."""
        self.held = 0
        """Events held back."""
        self.skipped = 0
        """Events given up."""
        self.refused = 0
        """Events not taken because there was no room for their sender or to hold them back."""

    def __len__(self) -> int:
        """Return how many senders are known."""
        return len(self._streams)

    def knows(self, sender: NodeId) -> bool:
        """Return whether an event of a sender was taken within the retention."""
        return sender in self._streams

    def is_known(self, event_id: EventId) -> bool:
        """Return whether an event was delivered, is held back, was given up, or is of an epoch that has ended."""
        stream = self._streams.get(event_id.sender)
        if stream is None or event_id.epoch_ms > stream.epoch_ms:
            return False
        if event_id.epoch_ms < stream.epoch_ms:
            return True
        return (stream.next is not None and event_id.sequence < stream.next) or event_id.sequence in stream.held

    def position(self, sender: NodeId) -> tuple[int, int] | None:
        """Return a sender's epoch and the number up to which all is delivered or given up; absent when unknown."""
        stream = self._streams.get(sender)
        if stream is None:
            return None
        return stream.epoch_ms, (stream.next or 1) - 1

    def positions(self, prefix: str, after: bytes, most: int) -> tuple[list[Position], bool]:
        """Return the positions of up to ``most`` senders of a part of the id space, and whether those are all."""
        senders = self.summary.ids(prefix, after=after)
        found: list[Position] = []
        for sender in senders[:most]:
            stream = self._streams[NodeId(sender)]
            found.append(Position(NodeId(sender), stream.epoch_ms, 1, (stream.next or 1) - 1))
        return found, len(senders) <= most

    def accept(self, event_id: EventId, payload: PayloadT, *, now: float, expires_at: float) -> list[PayloadT] | None:
        """Take in an event that is not known.

        Args:
            event_id: what names it.
            payload: what comes back when it is its turn.
            now: loop time.
            expires_at: loop time from which the event would be refused for its age.

        Returns:
            What is to be delivered now, in this order; absent when the event was not taken for want of room.
        """
        assert not self.is_known(event_id), "the caller asks first"
        stream = self._streams.get(event_id.sender)
        ready: list[PayloadT] = []
        if stream is None and len(self._streams) >= self._config.max_streams:
            self.refused += 1
            return None
        is_in_order = event_id.sequence == 1 or (
            stream is not None and stream.epoch_ms == event_id.epoch_ms and stream.next == event_id.sequence
        )
        if not is_in_order and self.held >= self._config.max_held:
            self.refused += 1
            return None
        if stream is None:
            stream = self._streams[event_id.sender] = self._begun(event_id.epoch_ms)
        elif stream.epoch_ms != event_id.epoch_ms:
            expired_at = stream.expires_at
            ready += self._ended(stream)
            stream = self._streams[event_id.sender] = self._begun(event_id.epoch_ms)
            stream.expires_at = expired_at
        if expires_at > stream.expires_at:
            stream.expires_at = expires_at
            self._expiries.set(event_id.sender, expires_at)
        if is_in_order:
            stream.next = event_id.sequence + 1
            following = self._following(stream)
            ready += [payload, *following]
            self._moved(event_id.sender, stream, is_gap_over=bool(following))
        else:
            stream.held[event_id.sequence] = (now, payload)
            self.held += 1
            if len(stream.held) > self._config.max_held_per_sender:
                ready += self._skip(stream)
                self._moved(event_id.sender, stream, is_gap_over=True)
        self._watch(event_id.sender, stream, now)
        return ready

    def forget(self, sender: NodeId) -> None:
        """Forget a sender and what is held back of it."""
        stream = self._streams.pop(sender, None)
        if stream is not None:
            self.held -= len(stream.held)
            self._gaps.discard(sender)
            self._expiries.discard(sender)
            self.summary.discard(sender)

    def next_due(self) -> float | None:
        """Return when :meth:`due` has something to say; absent: not before an event comes."""
        gap, expiry = self._gaps.first(), self._expiries.first()
        if gap is None or expiry is None:
            return gap if expiry is None else expiry
        return min(gap, expiry)

    def due(self, now: float) -> Due[PayloadT]:
        """Give up gaps that are too old, name those to ask for, and forget senders that are silent for too long."""
        ready: list[PayloadT] = []
        gaps: list[Gap] = []
        for sender in self._gaps.due(now):
            stream = self._streams[sender]
            while stream.held and now >= self._gap_since(stream) + stream.wait_s:
                ready += self._skip(stream)
                self._moved(sender, stream, is_gap_over=True)
            if stream.held:
                gaps.append(Gap(sender, stream.epoch_ms, stream.next or 1, stream.tries))
                stream.tries += 1
                stream.chase_at = now + self._config.gap_chase_s * 2.0 ** min(stream.tries, 16)
            self._watch(sender, stream, now)
        for sender in self._expiries.due(now):
            ready += self._ended(self._streams[sender])
            self.forget(sender)
        return Due(ready, gaps)

    def _begun(self, epoch_ms: int) -> _Stream[PayloadT]:
        was_here = epoch_ms >= self._joined_ms
        return _Stream(epoch_ms, self._config.gap_wait_s if was_here else self._config.first_wait_s)

    def _following(self, stream: _Stream[PayloadT]) -> list[PayloadT]:
        """Return what waited for the number that came last."""
        assert stream.next is not None, "a stream begins with what is delivered first"
        ready: list[PayloadT] = []
        while (waiting := stream.held.pop(stream.next, None)) is not None:
            self.held -= 1
            stream.next += 1
            ready.append(waiting[1])
        return ready

    def _skip(self, stream: _Stream[PayloadT]) -> list[PayloadT]:
        """Give up the first gap and return what comes after it."""
        lowest = min(stream.held)
        if stream.next is not None:
            self.skipped += lowest - stream.next
        stream.next = lowest
        return self._following(stream)

    def _ended(self, stream: _Stream[PayloadT]) -> list[PayloadT]:
        """Return all that is held back, in order."""
        ready: list[PayloadT] = []
        while stream.held:
            ready += self._skip(stream)
        return ready

    def _gap_since(self, stream: _Stream[PayloadT]) -> float:
        """Return since when the event behind the first gap is held back."""
        return stream.held[min(stream.held)][0]

    def _watch(self, sender: NodeId, stream: _Stream[PayloadT], now: float) -> None:
        """Set the moment of the next step for a stream's gap."""
        if not stream.held:
            self._gaps.discard(sender)
            return
        if stream.chase_at is None:
            stream.chase_at = now + self._config.gap_chase_s
        self._gaps.set(sender, min(stream.chase_at, self._gap_since(stream) + stream.wait_s))

    def _moved(self, sender: NodeId, stream: _Stream[PayloadT], *, is_gap_over: bool) -> None:
        """Note a stream's position; a gap that only becomes shorter is not asked for sooner: a liar's never ends."""
        assert stream.next is not None, "a stream that moved has begun"
        stream.wait_s = self._config.gap_wait_s
        if is_gap_over:
            stream.tries = 0
            stream.chase_at = None
        last = stream.next - 1
        self.summary.set(sender, stream.epoch_ms.to_bytes(6, "big") + last.to_bytes(4, "big"))
