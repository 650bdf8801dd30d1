"""Messages to all members of one group: publishing, subscribing, and the one timer that drives the rest.

Every member passes events on to a few neighbours, so that a group of thousands costs a member no more than one of ten.
Spreading is at least once; readers get each event once, in its sender's order. What was lost on the way is found by
comparing, while it is kept (``BroadcastConfig.retention_s``).

Memory of one group is bounded by its configuration, whatever others send: at the defaults 10 MB of bookkeeping and
short events, 32 MiB of contents, 16 MiB for each reader that does not read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from hashlib import sha256
from random import Random

from pilotdht.config.broadcast import BroadcastConfig
from pilotdht.errors import InvalidArgument, NodeClosed, Overloaded
from pilotdht.gossip.broadcast.admission import Admission
from pilotdht.gossip.broadcast.bodies import Bodies
from pilotdht.gossip.broadcast.history import Kept
from pilotdht.gossip.broadcast.metrics import BroadcastMetrics
from pilotdht.gossip.broadcast.numbering import Numbering
from pilotdht.gossip.broadcast.outside import Membership, Post
from pilotdht.gossip.broadcast.overlay import Overlay
from pilotdht.gossip.broadcast.readers import Readers
from pilotdht.gossip.broadcast.repair import Repair
from pilotdht.gossip.broadcast.spreading import Spreading
from pilotdht.gossip.broadcast.subscriptions import Subscription
from pilotdht.gossip.broadcast.topics import Pattern, check_topic
from pilotdht.gossip.broadcast.views import Views
from pilotdht.gossip.values import Event
from pilotdht.identity.address import Address
from pilotdht.identity.ids import PublicKey, node_id_of
from pilotdht.identity.keys import KeyPair
from pilotdht.net.limits import TokenBucket
from pilotdht.net.outcomes import Sender
from pilotdht.tasks import TaskScope
from pilotdht.wire.contact import Contact
from pilotdht.wire.events import MAX_EVENT_BYTES, MAX_SEQUENCE, EventBody, EventId, SignedEvent, sign_event
from pilotdht.wire.gossip_messages import Summaries, Summarise
from pilotdht.wire.groups import GroupId


class Broadcast:
    """One group's messages, on one member."""

    def __init__(
        self,
        group: GroupId,
        name: str,
        keys: KeyPair,
        *,
        post: Post,
        membership: Membership,
        bodies: Bodies | None,
        config: BroadcastConfig,
        metrics: BroadcastMetrics,
        scope: TaskScope,
        random: Random,
        unix_time: Callable[[], float],
        hostname_of: Callable[[PublicKey], str],
        network: int = 0,
        readers: Readers | None = None,
        numbering: Numbering | None = None,
    ) -> None:
        """Make it, on the running loop; :meth:`start` connects it.

        Args:
            group: which group.
            name: what programs call it.
            keys: who we are.
            post: carries messages.
            membership: who is in the group.
            bodies: fetches contents that do not fit in an event; absent: only short ones can be sent and received.
            config: bounds and times.
            metrics: where everything is counted.
            scope: owner of the two kinds of tasks: one that compares, and a few that fetch contents.
            random: for choices that need not be secret.
            unix_time: seconds since 1970.
            hostname_of: what a member is called, or empty.
            network: the mesh, for addresses.
            readers: to whom events go, when others bring some as well; absent: readers of its own.
            numbering: the count of our messages, when it is not its own alone.
        """
        self._group = group
        self._name = name
        self._keys = keys
        self._post = post
        self._config = config
        self._metrics = metrics
        self._scope = scope
        self._unix_time = unix_time
        self._hostname_of = hostname_of
        self._network = network
        self._has_bodies = bodies is not None
        self._loop = loop = asyncio.get_running_loop()
        self._admission = Admission(config)
        self._views = Views(keys.public_key, config)
        self._membership = membership
        self._overlay = Overlay(
            group,
            self._views,
            post=post,
            membership=membership,
            admission=self._admission,
            config=config,
            metrics=metrics,
            random=random,
            now=loop.time,
            on_change=self._arm,
        )
        self._spreading = Spreading(
            group,
            keys.public_key,
            self._overlay,
            post=post,
            membership=membership,
            admission=self._admission,
            bodies=bodies,
            config=config,
            metrics=metrics,
            scope=scope,
            now=loop.time,
            unix_time=unix_time,
            on_ready=self._deliver,
            on_former_self=self._outlive,
            on_change=self._arm,
        )
        self._repair = Repair(
            group,
            self._overlay,
            self._spreading,
            post=post,
            membership=membership,
            admission=self._admission,
            config=config,
            metrics=metrics,
            random=random,
            now=loop.time,
            on_change=self._arm,
        )
        self._own_rate = TokenBucket(rate_per_s=config.publish_per_s, burst=config.publish_burst, now=loop.time())
        self._numbering = Numbering(int(unix_time() * 1000)) if numbering is None else numbering
        self._has_own_readers = readers is None
        self._readers = Readers(config, on_missed=metrics.missed.inc) if readers is None else readers
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._is_open = False
        self._is_closed = False

    # Life

    def start(self, seeds: Iterable[Contact] = ()) -> None:
        """Answer other members, and look for neighbours: ``seeds`` first, then members that membership knows."""
        self._is_open = True
        self._spreading.start()
        self._repair.start()
        self._overlay.start(self, seeds)
        self._scope.start(self._repair.run(), name="repair messages")
        self._arm()

    def close(self) -> None:
        """Say goodbye to all neighbours and end all subscriptions that are its own; safe to call twice.

        Handlers stay with the post until the group is taken from it; they answer nothing of use any more.
        """
        if self._is_closed:
            return
        self._is_closed = True
        if self._is_open:
            self._is_open = False
            self._spreading.flush()
            self._overlay.close()
        self._spreading.fetcher.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._has_own_readers:
            self._readers.close()

    # Verbs

    def publish(self, topic: str, data: bytes) -> Event:
        """Send a message to all members; return it as readers get it.

        Args:
            topic: words joined by dots.
            data: what to say.

        Raises:
            InvalidArgument: the topic is malformed, or the data too long.
            Overloaded: too many in a short time: others would not take them.
            NodeClosed: the group was left.
        """
        check_topic(topic)
        if not self._is_open:
            raise NodeClosed("this node is not in the group", hint="join the group first")
        most = self._config.max_body_bytes if self._has_bodies else MAX_EVENT_BYTES
        if len(data) > most:
            raise InvalidArgument(
                f"a message of {len(data)} bytes is too long, {most} are the most", hint="send a reference to a file"
            )
        numbering = self._numbering
        if numbering.sequence >= MAX_SEQUENCE:
            self._outlive(numbering.epoch_ms)
        numbering.begin(self._unix_ms())
        now_ms = max(self._unix_ms(), numbering.epoch_ms)
        event_id = EventId(node_id_of(self._keys.public_key), numbering.epoch_ms, numbering.sequence + 1)
        event = self._signed(topic, data, event_id, now_ms)  # what cannot be sent does not count
        if not self._own_rate.take(self._loop.time()):
            raise Overloaded(
                "too many messages in a short time: other members would not take them",
                hint=f"send at most {self._config.publish_per_s:g} a second over time, or several things in one",
            )
        if not self._spreading.publish(event, data):
            raise Overloaded("too many members have sent messages of late", hint="raise broadcast.max_streams")
        numbering.sequence = event_id.sequence
        return self._shown(event, data)

    def repeat(self, event: Event) -> bool:
        """Send a message of ours under the number that it was published with elsewhere, to members who are only here.

        Returns:
            Whether it is on its way.
        """
        event_id = EventId(node_id_of(event.sender), event.epoch_ms, event.sequence)
        if not self._is_open or self._spreading.is_known(event_id):
            return False
        return self._spreading.publish(self._signed(event.topic, event.data, event_id, event.sent_ms), event.data)

    def subscribe(self, pattern: str, *, is_replayed: bool = False) -> Subscription:
        """Return a reader of the messages whose topics match a pattern.

        Args:
            pattern: see :mod:`pilotdht.gossip.broadcast.topics`.
            is_replayed: begin with those that are kept, as far as they fit, in the order in which they came.

        Raises:
            InvalidArgument: the pattern is malformed.
            Overloaded: there are as many readers as may be.
            NodeClosed: the group was left.
        """
        if self._is_closed:
            raise NodeClosed("this node is not in the group", hint="join the group first")
        subscription = self._readers.subscribe(pattern)
        if is_replayed:
            for _, event in self.replay(subscription.pattern):
                subscription.put(event)
        return subscription

    def replay(self, pattern: Pattern) -> list[tuple[float, Event]]:
        """Return the messages that are kept and match a pattern, with the loop time at which they came, in order."""
        return [
            (kept.arrived_at, self._shown(kept.event, kept.data))
            for kept in self._spreading.history
            if kept.is_delivered and pattern.matches(kept.event.body.topic)
        ]

    def delivered(self) -> list[EventId]:
        """Return the ids of the messages that are kept and were read."""
        return [kept.event.event_id for kept in self._spreading.history if kept.is_delivered]

    @property
    def patterns(self) -> tuple[str, ...]:
        """What programs on this node subscribed to, sorted."""
        return self._readers.patterns

    @property
    def kept(self) -> int:
        """Messages kept for those who come later."""
        return len(self._spreading.history)

    @property
    def neighbours(self) -> tuple[PublicKey, ...]:
        """Neighbours, the longest standing first."""
        return tuple(self._views.active)

    @property
    def eager(self) -> tuple[PublicKey, ...]:
        """Neighbours along whose links messages travel whole."""
        return tuple(self._spreading.tree.eager)

    # For membership and the room's other parts

    def on_member(self, contact: Contact) -> None:
        """Take in that somebody joined: it may become a neighbour."""
        if self._is_open:
            self._overlay.met(contact)

    def on_member_gone(self, public_key: PublicKey, *, is_expelled: bool = False) -> None:
        """Take in that somebody left, died or was expelled; of the latter nothing is taken any more."""
        self._overlay.banish(public_key)
        if is_expelled:
            self._spreading.delivery.forget(node_id_of(public_key))

    def summarise(self, message: Summarise, sender: Sender) -> Summaries | None:
        """Answer a comparison of subject :data:`pilotdht.gossip.broadcast.repair.EVENTS_SUBJECT`."""
        return self._repair.summarise(message, sender) if self._is_open else None

    def body_for(self, peer: PublicKey, event_id: EventId) -> bytes | None:
        """Return the content of an event for a member that asks over a stream; absent: not kept, or no member."""
        if not self._is_open or not self._membership.is_member(peer):
            return None
        kept = self._spreading.history.get(event_id)
        return None if kept is None or not kept.event.body.size_bytes else kept.data

    # What the overlay tells

    def linked(self, key: PublicKey) -> None:
        """Take in a neighbour; for the overlay."""
        self._spreading.linked(key)
        self._repair.linked()

    def unlinked(self, key: PublicKey) -> None:
        """Drop a neighbour; for the overlay."""
        self._spreading.unlinked(key)

    def recent_ids(self) -> tuple[EventId, ...]:
        """Return the ids of recent events; for the overlay."""
        return self._spreading.recent_ids()

    def told(self, ids: tuple[EventId, ...], contact: Contact) -> None:
        """Take in ids that a new neighbour has; for the overlay."""
        self._spreading.told(ids, contact)

    # Inside

    def _signed(self, topic: str, data: bytes, event_id: EventId, sent_ms: int) -> SignedEvent:
        """Sign an event; whole when it fits in a datagram, with its hash otherwise."""

        def signed(inline: bytes, size_bytes: int, digest: bytes) -> SignedEvent:
            return sign_event(
                self._keys,
                EventBody(
                    group=self._group,
                    topic=topic,
                    sender=self._keys.public_key,
                    epoch_ms=event_id.epoch_ms,
                    sequence=event_id.sequence,
                    sent_ms=sent_ms,
                    data=inline,
                    size_bytes=size_bytes,
                    digest=digest,
                ),
            )

        if len(data) < MAX_EVENT_BYTES:
            event = signed(data, 0, b"")
            if len(event.item) <= MAX_EVENT_BYTES:
                return event
        if not self._has_bodies:
            raise InvalidArgument(
                f"a message of {len(data)} bytes does not fit in a datagram", hint="shorten the message or its topic"
            )
        return signed(b"", len(data), sha256(data).digest())

    def _outlive(self, epoch_ms: int) -> None:
        """Begin a new epoch, after an earlier one of ours: a former life of this key said something in it."""
        self._numbering.outlive(epoch_ms, self._unix_ms())

    def _deliver(self, kept: Kept) -> None:
        self._readers.put(kept.event.event_id, kept.event.body.topic, lambda: self._shown(kept.event, kept.data))

    def _shown(self, event: SignedEvent, data: bytes) -> Event:
        body = event.body
        return Event(
            group=self._name,
            topic=body.topic,
            data=data,
            sender=body.sender,
            address=Address.of_node_id(event.event_id.sender, network=self._network),
            hostname=self._hostname_of(body.sender),
            sequence=body.sequence,
            epoch_ms=body.epoch_ms,
            sent_ms=body.sent_ms,
        )

    def _unix_ms(self) -> int:
        return int(self._unix_time() * 1000)

    # The timer

    def _arm(self) -> None:
        """Set the one timer to the earliest moment at which something is due."""
        if not self._is_open:
            return
        moments = (self._overlay.next_due(), self._spreading.next_due(), self._repair.next_due())
        due = min((one for one in moments if one is not None), default=None)
        if self._timer is not None:
            if due is not None and self._timer_at <= due:
                return  # it fires early at worst, and is set again
            self._timer.cancel()
            self._timer = None
        if due is not None:
            self._timer_at = due
            self._timer = self._loop.call_at(due, self._tick)

    def _tick(self) -> None:
        self._timer = None
        if self._is_open:
            now = self._loop.time()
            try:
                self._overlay.tick(now)
                self._spreading.tick(now)
                self._repair.tick(now)
            finally:
                self._arm()  # one failure is not the end of the group
