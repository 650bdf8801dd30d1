"""Finds what the tree missed: compares positions with other members, and asks for missing events of one sender.

One worker does one thing after another: whatever is asked of it, a member sends a bounded number of requests.

Source: Demers et al., "Epidemic algorithms for replicated database maintenance" (PODC 1987), section 1.3.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from random import Random

from pilotdht.config.broadcast import BroadcastConfig
from pilotdht.errors import BadMessage, NodeClosed, PilotError, TimedOut
from pilotdht.gossip.broadcast.admission import Admission
from pilotdht.gossip.broadcast.delivery import Delivery, Gap
from pilotdht.gossip.broadcast.fetching import Arrival
from pilotdht.gossip.broadcast.history import History, Kept
from pilotdht.gossip.broadcast.metrics import BroadcastMetrics
from pilotdht.gossip.broadcast.outside import Membership, Post
from pilotdht.gossip.broadcast.overlay import Overlay
from pilotdht.gossip.broadcast.spreading import Spreading
from pilotdht.gossip.comparing import ask, differing
from pilotdht.identity.ids import NodeId
from pilotdht.net.outcomes import Sender
from pilotdht.wire.broadcast_messages import (
    MAX_EVENTS,
    MAX_POSITIONS,
    Events,
    FetchEvents,
    FetchStreams,
    Position,
    Streams,
)
from pilotdht.wire.contact import Contact
from pilotdht.wire.events import MAX_SEQUENCE, claimed_event_untrusted
from pilotdht.wire.gossip_messages import Summaries, Summarise
from pilotdht.wire.groups import GroupId

EVENTS_SUBJECT = 1
"""What a comparison of positions is about, in :class:`pilotdht.wire.gossip_messages.Summarise`."""

_EVERY_FAR = 3
"""One of so many comparisons is with any member rather than a neighbour: islands of neighbours find each other."""

_REPLY_BYTES = 1_080
_PARTS = 64

_logger = logging.getLogger(__name__)


class _Budget:
    """Requests that one comparison may still send."""

    def __init__(self, requests: int) -> None:
        self.left = requests

    def take(self) -> bool:
        self.left -= 1
        return self.left >= 0


class Repair:
    """One member's comparisons."""

    def __init__(
        self,
        group: GroupId,
        overlay: Overlay,
        spreading: Spreading,
        *,
        post: Post,
        membership: Membership,
        admission: Admission,
        config: BroadcastConfig,
        metrics: BroadcastMetrics,
        random: Random,
        now: Callable[[], float],
        on_change: Callable[[], None],
    ) -> None:
        """Make it; :meth:`start` connects it.

        Args:
            group: of which group.
            overlay: whom to compare with.
            spreading: takes in what is found.
            post: carries messages.
            membership: who is in the group.
            admission: rates.
            config: bounds and times.
            metrics: where everything is counted.
            random: for choices.
            now: the loop's clock.
            on_change: called when :meth:`next_due` may have come nearer.
        """
        self._group = group
        self._overlay = overlay
        self._spreading = spreading
        self._post = post
        self._membership = membership
        self._admission = admission
        self._config = config
        self._metrics = metrics
        self._random = random
        self._now = now
        self._on_change = on_change
        self._gaps: OrderedDict[NodeId, Gap] = OrderedDict()
        self._is_comparison_due = False
        self._has_compared = False
        self._work_there_is = asyncio.Event()
        self._compare_at: float | None = None
        self._comparisons = 0

    @property
    def _delivery(self) -> Delivery[Kept]:
        return self._spreading.delivery

    @property
    def _history(self) -> History:
        return self._spreading.history

    # Life

    def start(self) -> None:
        """Answer other members, and compare from now on."""
        self._post.serve(self._group, FetchEvents, self._on_fetch_events)
        self._post.serve(self._group, FetchStreams, self._on_fetch_streams)
        self._plan(self._config.compare_interval_s * self._random.random())

    def next_due(self) -> float | None:
        """Return when :meth:`tick` has something to do; absent: nothing."""
        gaps = self._delivery.next_due()
        if self._compare_at is None or gaps is None:
            return gaps if self._compare_at is None else self._compare_at
        return min(self._compare_at, gaps)

    def tick(self, now: float) -> None:
        """Do what is due."""
        if self._compare_at is not None and now >= self._compare_at:
            self._plan(self._config.compare_interval_s * self._random.uniform(0.8, 1.2))
            self.compare()
        delivery = self._delivery
        skipped = delivery.skipped
        ready, gaps = delivery.due(now)
        self._metrics.skipped.inc(delivery.skipped - skipped)
        self._spreading.release(ready)
        for gap in gaps:
            if len(self._gaps) < self._config.max_repairs:
                self._gaps[gap.sender] = gap
                self._work_there_is.set()

    def compare(self) -> None:
        """Compare soon with somebody."""
        self._is_comparison_due = True
        self._work_there_is.set()

    def linked(self) -> None:
        """Compare at once with the first neighbour: a newcomer lacks everything."""
        if not self._has_compared:
            self._has_compared = True
            self.compare()

    async def run(self) -> None:
        """Do what there is to do, for ever."""
        while True:
            await self._work_there_is.wait()
            self._work_there_is.clear()
            while self._gaps or self._is_comparison_due:
                try:
                    await self._step()
                except PilotError as error:
                    _logger.debug("a member did not help to repair", extra={"reason": error.code})
                    if isinstance(error, NodeClosed):
                        return

    async def _step(self) -> None:
        if self._gaps:
            _, gap = self._gaps.popitem(last=False)
            await self._chase(gap)
        else:
            self._is_comparison_due = False
            await self._compare_with_somebody()

    def _plan(self, delay_s: float) -> None:
        self._compare_at = self._now() + delay_s
        self._on_change()

    # Comparing

    async def _compare_with_somebody(self) -> None:
        self._comparisons += 1
        contact = self._overlay.somebody(is_far=self._comparisons % _EVERY_FAR == 0)
        if contact is None:
            return
        try:
            found = await self.with_member(contact)
        except TimedOut:
            self._overlay.failed(contact.public_key)
            raise
        if found:
            at = self._now() + self._config.compare_soon_s * self._random.uniform(0.5, 1.5)
            if self._compare_at is None or at < self._compare_at:
                self._plan(at - self._now())

    async def with_member(self, contact: Contact) -> int:
        """Compare with one member, fetch what it has and we lack, and return how many events that were.

        Raises:
            PilotError: it does not answer.
        """
        self._metrics.comparisons.inc()
        budget = _Budget(self._config.compare_requests)
        tree = self._delivery.summary
        parts = await differing(self._post, contact, self._group, EVENTS_SUBJECT, tree, limit=_PARTS)
        found = 0
        for prefix in parts:
            after = b""
            while budget.take():
                streams = await ask(self._post, contact, FetchStreams(self._group, prefix, after), Streams)
                for position in streams.positions:
                    found += await self._catch_up(contact, position, budget)
                last = streams.positions[-1].sender if streams.positions else b""
                if streams.is_last or last <= after:
                    break
                after = last
        return found

    async def _catch_up(self, contact: Contact, position: Position, budget: _Budget) -> int:
        """Fetch what a member has of a sender beyond what we have."""
        own = self._delivery.position(position.sender)
        first = max(position.first, 1)
        if own is not None:
            epoch_ms, last = own
            if position.epoch_ms < epoch_ms or (position.epoch_ms == epoch_ms and position.last <= last):
                return 0
            if position.epoch_ms == epoch_ms:
                first = max(first, last + 1)
        if first > position.last:
            return 0
        return await self._fetch(contact, position.sender, position.epoch_ms, first, budget)

    async def _fetch(self, contact: Contact, sender: NodeId, epoch_ms: int, sequence: int, budget: _Budget) -> int:
        found = 0
        while sequence <= MAX_SEQUENCE and budget.take():
            message = FetchEvents(self._group, sender, epoch_ms, sequence)
            events = await ask(self._post, contact, message, Events)
            self._overlay.heard(contact.public_key)
            following = sequence
            for item in events.items:
                try:
                    event_id = claimed_event_untrusted(item).event_id
                except BadMessage:
                    self._metrics.dropped["malformed"].inc()
                    return found
                if event_id[:2] != (sender, epoch_ms) or event_id.sequence < following:
                    return found  # not what was asked for: nothing more is asked of this member now
                following = event_id.sequence + 1
                if not self._spreading.is_known(event_id):
                    self._spreading.take(item, Arrival(contact.public_key, 0, "fetched"))
                    found += self._spreading.is_known(event_id)
            if events.is_last or following == sequence:
                return found
            sequence = following
        return found

    async def _chase(self, gap: Gap) -> None:
        """Ask somebody for missing events: whoever brought what came behind them first, then others."""
        own = self._delivery.position(gap.sender)
        if own is None or own[0] != gap.epoch_ms or own[1] + 1 > gap.sequence:
            return  # it is filled already
        contact = None
        if gap.tries == 0:
            following = next(self._history.of_sender(gap.sender, gap.epoch_ms, gap.sequence), None)
            contact = None if following is None else self._overlay.contact_of(following.source)
        contact = contact or self._overlay.somebody(is_far=gap.tries % _EVERY_FAR == 0)
        if contact is not None:
            await self._fetch(contact, gap.sender, gap.epoch_ms, gap.sequence, _Budget(self._config.compare_requests))

    # Answering

    def summarise(self, message: Summarise, sender: Sender) -> Summaries | None:
        """Answer a comparison of positions; absent when it is not to be answered."""
        if not self._may_ask(sender):
            return None
        return Summaries(tuple(self._delivery.summary.hashes(prefix) for prefix in message.prefixes))

    def _on_fetch_streams(self, message: FetchStreams, sender: Sender) -> Streams | None:
        if not self._may_ask(sender):
            return None
        positions, is_last = self._delivery.positions(message.prefix, message.after, MAX_POSITIONS)
        for position in positions:
            first = self._history.first_sequence(position.sender, position.epoch_ms)
            position.first = position.last + 1 if first is None else first
        return Streams(tuple(positions), is_last)

    def _on_fetch_events(self, message: FetchEvents, sender: Sender) -> Events | None:
        if not self._may_ask(sender):
            return None
        items: list[bytes] = []
        left_bytes = _REPLY_BYTES
        for kept in self._history.of_sender(message.sender, message.epoch_ms, message.sequence):
            left_bytes -= len(kept.event.item) + 3
            if (left_bytes < 0 and items) or len(items) >= MAX_EVENTS:
                return Events(tuple(items), is_last=False)
            items.append(kept.event.item)
            self._metrics.sent_bytes.inc(len(kept.event.item))
        return Events(tuple(items), is_last=True)

    def _may_ask(self, sender: Sender) -> bool:
        key = sender.contact.public_key
        if not self._membership.is_member(key):
            self._metrics.dropped["stranger"].inc()
            return False
        self._overlay.heard(key)
        if not self._admission.may_ask(key, self._now()):
            self._metrics.dropped["rate"].inc()
            return False
        return True
