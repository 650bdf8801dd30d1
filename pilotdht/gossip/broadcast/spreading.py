"""Takes events in, passes them on along the tree, announces them along the other links, and asks for those that lack.

No task, no timer: whoever owns this calls :meth:`Spreading.tick` at :meth:`Spreading.next_due`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

from pilotdht.config.broadcast import BroadcastConfig
from pilotdht.errors import BadMessage, NodeClosed, Overloaded
from pilotdht.gossip.broadcast.admission import Admission
from pilotdht.gossip.broadcast.bodies import Bodies
from pilotdht.gossip.broadcast.delivery import Delivery
from pilotdht.gossip.broadcast.fetching import Arrival, BodyFetcher
from pilotdht.gossip.broadcast.history import History, Kept
from pilotdht.gossip.broadcast.metrics import BroadcastMetrics
from pilotdht.gossip.broadcast.outside import Membership, Post
from pilotdht.gossip.broadcast.overlay import Overlay
from pilotdht.gossip.broadcast.tree import Tree
from pilotdht.identity.ids import PublicKey
from pilotdht.net.outcomes import Answered, Outcome, Sender, Silent
from pilotdht.tasks import TaskScope
from pilotdht.wire.broadcast_messages import (
    MAX_ANNOUNCED,
    MAX_HOPS,
    Announce,
    Graft,
    Grafted,
    LinkState,
    Push,
    Pushed,
    PushOutcome,
    Relink,
)
from pilotdht.wire.contact import Contact
from pilotdht.wire.events import EventId, SignedEvent, claimed_event_untrusted
from pilotdht.wire.groups import GroupId

_RECENT_IDS = 20
"""Ids told to a new neighbour: with some contacts they fill a reply."""


class Spreading:
    """One member's part in spreading a group's events."""

    def __init__(
        self,
        group: GroupId,
        own_key: PublicKey,
        overlay: Overlay,
        *,
        post: Post,
        membership: Membership,
        admission: Admission,
        bodies: Bodies | None,
        config: BroadcastConfig,
        metrics: BroadcastMetrics,
        scope: TaskScope,
        now: Callable[[], float],
        unix_time: Callable[[], float],
        on_ready: Callable[[Kept], None],
        on_former_self: Callable[[int], None],
        on_change: Callable[[], None],
    ) -> None:
        """Make it; :meth:`start` connects it.

        Args:
            group: of which group.
            own_key: who we are.
            overlay: our neighbours.
            post: carries messages.
            membership: who is in the group.
            admission: rates.
            bodies: fetches contents that do not fit in an event; absent: such events are not taken.
            config: bounds and times.
            metrics: where everything is counted.
            scope: owner of the tasks that fetch contents.
            now: the loop's clock.
            unix_time: seconds since 1970.
            on_ready: takes events whose turn it is.
            on_former_self: called with the epoch of an event that an earlier life of ours sent.
            on_change: called when :meth:`next_due` may have come nearer.
        """
        self._group = group
        self._own_key = own_key
        self._overlay = overlay
        self._post = post
        self._membership = membership
        self._admission = admission
        self._config = config
        self._metrics = metrics
        self._now = now
        self._unix_time = unix_time
        self._on_ready = on_ready
        self._on_former_self = on_former_self
        self._on_change = on_change
        self.tree = Tree(config)
        """Along which links events travel."""
        self.history = History(config)
        """What is kept."""
        self.delivery: Delivery[Kept] = Delivery(config, joined_ms=int(unix_time() * 1000))
        """What is whose turn."""
        self.fetcher = BodyFetcher(bodies, config, metrics, scope=scope, on_body=self._on_body)
        """Contents on their way."""
        self._to_announce: dict[PublicKey, deque[tuple[EventId, int]]] = {}
        self._announce_at: float | None = None

    # Life

    def start(self) -> None:
        """Answer other members."""
        self._post.serve(self._group, Push, self._on_push)
        self._post.serve(self._group, Announce, self._on_announce)
        self._post.serve(self._group, Graft, self._on_graft)
        self._post.serve(self._group, Relink, self._on_relink)

    def next_due(self) -> float | None:
        """Return when :meth:`tick` has something to do; absent: nothing."""
        moments = [self._announce_at, self.tree.next_due(), self.history.next_due()]
        known = [one for one in moments if one is not None]
        return min(known) if known else None

    def tick(self, now: float) -> None:
        """Do what is due."""
        self.history.expire(now)
        if self._announce_at is not None and now >= self._announce_at:
            self._announce_at = None
            self.flush()
        for event_id, announcer in self.tree.due(now):
            self._ask_for(event_id, announcer)

    def flush(self) -> None:
        """Announce at once what waits to be announced."""
        waiting, self._to_announce = self._to_announce, {}
        for key, entries in waiting.items():
            contact = self._overlay.contact_of(key) if self._overlay.is_neighbour(key) else None
            while contact is not None and entries:
                part = [entries.popleft() for _ in range(min(len(entries), MAX_ANNOUNCED))]
                hops = max(hops for _, hops in part)
                if self._post.tell(contact, Announce(self._group, hops, tuple([one for one, _ in part]))):
                    self._metrics.announced.inc(len(part))

    # Neighbours

    def linked(self, key: PublicKey) -> None:
        """Take in a neighbour."""
        self.tree.linked(key)

    def unlinked(self, key: PublicKey) -> None:
        """Drop a neighbour."""
        self.tree.unlinked(key)
        self._to_announce.pop(key, None)

    def recent_ids(self) -> tuple[EventId, ...]:
        """Return the ids of recent events, newest first."""
        return self.history.recent(self._now() - self._config.recent_s, _RECENT_IDS)

    def told(self, ids: tuple[EventId, ...], contact: Contact) -> None:
        """Take in ids of events that a new neighbour has: what lacks is asked for at once, the oldest first."""
        self._take_ids(ids[::-1], contact.public_key, 0, is_late=True)

    # Taking in

    def publish(self, event: SignedEvent, data: bytes) -> bool:
        """Spread an event of our own; return whether there was room for it."""
        is_taken = self._accept(event, data, Arrival(self._own_key, 0, ""))
        if is_taken:
            self._metrics.published.inc()
        return is_taken

    def receive_untrusted(self, item: bytes, arrival: Arrival) -> PushOutcome:
        """Take in an event that somebody gave us.

        Raises:
            BadMessage: it is malformed, of another group, or forged.
        """
        self._metrics.received_bytes.inc(len(item))
        event = claimed_event_untrusted(item)
        body, event_id = event.body, event.event_id
        if body.group != self._group:
            raise BadMessage("event_group")
        if self.is_known(event_id):
            self._metrics.duplicates.inc()
            return self._outcome_of_known(event_id, arrival)
        reason = self._admission.age_fault(body, self._unix_time())
        if not reason and not (self._membership.is_member(body.sender) or self.delivery.knows(event_id.sender)):
            reason = "signer"
        if not reason and not event.is_genuine():
            raise BadMessage("event_signature")
        if body.sender == self._own_key and not reason:
            self._on_former_self(body.epoch_ms)
        is_unasked = arrival.way == "pushed"
        if not reason and is_unasked and not self._admission.may_say(body.sender, self._now()):
            reason = "sender_rate"
        if reason:
            self._metrics.dropped[reason].inc()
            return PushOutcome.REFUSED
        if body.size_bytes:
            if not self.fetcher.want(event, arrival):
                self._metrics.dropped["body"].inc()
                return PushOutcome.REFUSED
            self._settle(event_id, arrival)
            return PushOutcome.NEW
        return PushOutcome.NEW if self._accept(event, body.data, arrival) else PushOutcome.REFUSED

    def is_known(self, event_id: EventId) -> bool:
        """Return whether an event is here, was here, or its content is on its way."""
        return self.delivery.is_known(event_id) or self.fetcher.source_of(event_id) is not None

    def release(self, ready: list[Kept]) -> None:
        """Hand out events whose turn it is."""
        for kept in ready:
            kept.is_delivered = True
            self._metrics.delivered.inc()
            self._on_ready(kept)

    def _outcome_of_known(self, event_id: EventId, arrival: Arrival) -> PushOutcome:
        """Say ``NEW`` to whoever brought the event first: it only did not hear our answer."""
        first = self.fetcher.source_of(event_id)
        if first is None:
            kept = self.history.get(event_id)
            first = None if kept is None else kept.source
        if first == arrival.source:
            return PushOutcome.NEW
        self.fetcher.has_too(event_id, arrival.source)
        return PushOutcome.DUPLICATE

    def _settle(self, event_id: EventId, arrival: Arrival) -> tuple[PublicKey, ...]:
        """Note over which link a new event came: it belongs to the tree, unless a much shorter way is known.

        Returns:
            Who has the event already.
        """
        known_by: tuple[PublicKey, ...] = (arrival.source,)
        if arrival.way == "pushed":
            other = self.tree.shorter_way(event_id, arrival.hops)
            if other is not None and self._relink(other, LinkState.EAGER):
                self.tree.grafted(other)
                self._prune(arrival.source)
                self._relink(arrival.source, LinkState.LAZY)
                known_by = (arrival.source, other)
            else:
                self.tree.brought(arrival.source)
        self.tree.arrived(event_id)
        return known_by

    def _on_body(self, event: SignedEvent, data: bytes, arrival: Arrival) -> None:
        if not self.delivery.is_known(event.event_id):
            self._accept(event, data, arrival)

    def _accept(self, event: SignedEvent, data: bytes, arrival: Arrival) -> bool:
        now = self._now()
        remaining_s = self._admission.remaining_s(event.body, self._unix_time())
        kept = Kept(event, data, source=arrival.source, hops=arrival.hops, arrived_at=now)
        skipped = self.delivery.skipped
        ready = self.delivery.accept(event.event_id, kept, now=now, expires_at=now + remaining_s)
        self._metrics.skipped.inc(self.delivery.skipped - skipped)
        if ready is None:
            self._metrics.dropped["full"].inc()
            return False
        self.history.add(kept, expires_at=now + remaining_s)
        if arrival.way:
            self._metrics.received[arrival.way].inc()
            if arrival.way != "fetched":  # what a newcomer fetches is old, and says nothing of the tree
                self._metrics.delay_seconds.observe(max(0.0, self._config.retention_s - remaining_s))
        known_by = self._settle(event.event_id, arrival)
        self._pass_on(kept, known_by, is_repaired=arrival.way == "fetched")
        self.release(ready)
        self._on_change()
        return True

    # Passing on

    def _pass_on(self, kept: Kept, known_by: tuple[PublicKey, ...], *, is_repaired: bool) -> None:
        """Push an event along the tree and announce it elsewhere; what comparing found is only announced.

        A healed partition has many who lack the same events and find them at the same time.
        """
        hops = min(kept.hops + 1, MAX_HOPS) if kept.source != self._own_key else 0
        event_id = kept.event.event_id
        announced = list(self.tree.lazy)
        if is_repaired:
            announced += self.tree.eager
        else:
            for key in list(self.tree.eager):
                if key not in known_by:
                    self._push(key, kept.event, hops)
        for key in announced:
            if key not in known_by:
                entries = self._to_announce.get(key)
                if entries is None:
                    entries = self._to_announce[key] = deque(maxlen=self._config.max_announced)
                entries.append((event_id, hops))
        if announced and self._announce_at is None:
            self._announce_at = self._now() + self._config.announce_interval_s

    def _push(self, key: PublicKey, event: SignedEvent, hops: int) -> None:
        contact = self._overlay.contact_of(key)
        if contact is None:
            return
        try:
            self._post.begin(
                contact,
                Push(self._group, hops, event.item),
                partial(self._on_push_outcome, key),
                waits=self._overlay.waits_for(contact),
            )
        except Overloaded:
            self._metrics.dropped["busy"].inc()  # comparing brings it there
        except NodeClosed:
            return
        else:
            self._metrics.pushes.inc()
            self._metrics.sent_bytes.inc(len(event.item))

    def _on_push_outcome(self, key: PublicKey, outcome: Outcome | NodeClosed) -> None:
        if type(outcome) is Silent:
            self._overlay.failed(key)  # whoever takes its place is told the recent ids, and asks for what it lacks
        elif type(outcome) is Answered:
            reply = outcome.answer.message
            self._overlay.heard(key)
            if isinstance(reply, Pushed):
                if not reply.is_neighbour:
                    self._overlay.parted(key)
                elif reply.outcome is PushOutcome.DUPLICATE:
                    self._prune(key)
        self._on_change()

    def _prune(self, key: PublicKey) -> None:
        if self.tree.pruned(key):
            self._metrics.prunes.inc()

    def _relink(self, key: PublicKey, state: LinkState) -> bool:
        contact = self._overlay.contact_of(key)
        return contact is not None and self._post.tell(contact, Relink(self._group, state))

    # Asking for what lacks

    def _take_ids(self, ids: tuple[EventId, ...], announcer: PublicKey, hops: int, *, is_late: bool) -> None:
        now = self._now()
        for event_id in ids:
            if self.fetcher.source_of(event_id) is not None:
                self.fetcher.has_too(event_id, announcer)
            elif not self.delivery.is_known(event_id) and not self.tree.announced(
                event_id, announcer, hops, now, is_late=is_late
            ):
                self._metrics.dropped["announcement"].inc()
        self._on_change()

    def _ask_for(self, event_id: EventId, announcer: PublicKey) -> None:
        contact = self._overlay.contact_of(announcer)
        if contact is None:
            self.tree.failed(event_id, self._now())
            return
        deliver = partial(self._on_graft_outcome, event_id, announcer)
        try:
            self._post.begin(contact, Graft(self._group, event_id), deliver, waits=self._overlay.waits_for(contact))
        except (Overloaded, NodeClosed):
            self._metrics.dropped["busy"].inc()
        else:
            self._metrics.grafts.inc()

    def _on_graft_outcome(self, event_id: EventId, key: PublicKey, outcome: Outcome | NodeClosed) -> None:
        if type(outcome) is Silent:
            self.tree.failed(event_id, self._now())
            self._overlay.failed(key)
        elif type(outcome) is Answered:
            self._overlay.heard(key)
            reply = outcome.answer.message
            if not isinstance(reply, Grafted) or not reply.item:
                self.tree.failed(event_id, self._now())
            else:
                self.take(reply.item, Arrival(key, reply.hops, "grafted"))
                if self.is_known(event_id):
                    self.tree.grafted(key)
                else:
                    self.tree.failed(event_id, self._now())
        self._on_change()

    def take(self, item: bytes, arrival: Arrival) -> PushOutcome:
        """Take in an event; have nothing to do any more with whoever gave us a forgery."""
        try:
            return self.receive_untrusted(item, arrival)
        except BadMessage as error:
            if error.reason == "event_signature":
                self._metrics.dropped["forged"].inc()
                self._admission.shun(arrival.source, self._now())
                self._overlay.banish(arrival.source)
            else:
                self._metrics.dropped["malformed"].inc()  # it may be of a later version, which its bearer understands
            return PushOutcome.REFUSED

    # Answering

    def _on_push(self, message: Push, sender: Sender) -> Pushed | None:
        key = sender.contact.public_key
        if not self._membership.is_member(key):
            self._metrics.dropped["stranger"].inc()
            return None
        self._overlay.heard(key)
        if not self._admission.may_push(key, self._now()):
            self._metrics.dropped["rate"].inc()
            return Pushed(PushOutcome.REFUSED, self._overlay.is_neighbour(key))
        outcome = self.take(message.item, Arrival(key, message.hops, "pushed"))
        if outcome is PushOutcome.DUPLICATE:
            self._prune(key)
        return Pushed(outcome, self._overlay.is_neighbour(key))

    def _on_announce(self, message: Announce, sender: Sender) -> None:
        key = sender.contact.public_key
        if self._may_ask(key):
            self._overlay.heard(key)
            self._take_ids(message.ids, key, message.hops, is_late=False)

    def _on_graft(self, message: Graft, sender: Sender) -> Grafted | None:
        key = sender.contact.public_key
        if not self._membership.is_member(key):
            self._metrics.dropped["stranger"].inc()
            return None
        self._overlay.heard(key)
        kept = self.history.get(message.event_id)
        if kept is None or not self._may_ask(key):
            return Grafted(0, b"")
        self.tree.grafted(key)
        self._metrics.sent_bytes.inc(len(kept.event.item))
        return Grafted(min(kept.hops + 1, MAX_HOPS), kept.event.item)

    def _on_relink(self, message: Relink, sender: Sender) -> None:
        key = sender.contact.public_key
        if not self._overlay.is_neighbour(key) or not self._may_ask(key):
            return
        if message.state is LinkState.NONE:
            self._overlay.parted(key)
        elif message.state is LinkState.LAZY:
            self._prune(key)
        else:
            self.tree.grafted(key)

    def _may_ask(self, key: PublicKey) -> bool:
        if not self._membership.is_member(key):
            self._metrics.dropped["stranger"].inc()
            return False
        if not self._admission.may_ask(key, self._now()):
            self._metrics.dropped["rate"].inc()
            return False
        return True
