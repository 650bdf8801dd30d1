"""All readers of one group on this node, whatever brings the events to them.

While a group's key is replaced its messages come by two ways, and each is to be read once: then the ids of what was
read are remembered, up to a bound.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable

from pilotdht.config.broadcast import BroadcastConfig
from pilotdht.errors import NodeClosed, Overloaded
from pilotdht.gossip.broadcast.subscriptions import Subscription
from pilotdht.gossip.broadcast.topics import Pattern
from pilotdht.gossip.values import Event
from pilotdht.wire.events import EventId

_WAYS = 2


class Readers:
    """The subscriptions of one group."""

    def __init__(self, config: BroadcastConfig, *, on_missed: Callable[[], None]) -> None:
        """Make it, without readers.

        Args:
            config: bounds.
            on_missed: called for each event that a reader was too slow for.
        """
        self.repeated = 0
        """Events that came a second time, by the other way."""
        self._config = config
        self._on_missed = on_missed
        self._subscriptions: dict[Subscription, None] = {}
        self._read: OrderedDict[EventId, None] | None = None
        self._is_closed = False

    @property
    def patterns(self) -> tuple[str, ...]:
        """What programs subscribed to, sorted."""
        return tuple(sorted({subscription.pattern.text for subscription in self._subscriptions}))

    def subscribe(self, pattern: str) -> Subscription:
        """Return a reader of the messages whose topics match a pattern.

        Raises:
            InvalidArgument: the pattern is malformed.
            Overloaded: there are as many readers as may be.
            NodeClosed: the group was left.
        """
        checked = Pattern(pattern)
        if self._is_closed:
            raise NodeClosed("this node is not in the group", hint="join the group first")
        if len(self._subscriptions) >= self._config.max_subscriptions:
            raise Overloaded("too many subscriptions", hint="close some, or use one with a wider pattern")
        subscription = Subscription(
            checked,
            most_events=self._config.subscription_events,
            most_bytes=self._config.subscription_bytes,
            on_missed=self._on_missed,
            on_close=self._forget,
        )
        self._subscriptions[subscription] = None
        return subscription

    def watch(self, ids: Iterable[EventId]) -> None:
        """Remember what is read from now on, and ``ids``, which were read before: events come by two ways."""
        if self._read is None:
            self._read = OrderedDict()
        for event_id in ids:
            self._remember(self._read, event_id)

    def unwatch(self) -> None:
        """Remember nothing any more: events come by one way."""
        self._read = None

    def put(self, event_id: EventId, topic: str, shown: Callable[[], Event]) -> None:
        """Hand an event to all who want it, unless they had it."""
        if self._read is not None:
            if event_id in self._read:
                self.repeated += 1
                return
            self._remember(self._read, event_id)
        event: Event | None = None
        for subscription in self._subscriptions:
            if subscription.pattern.matches(topic):
                if event is None:
                    event = shown()
                subscription.put(event)

    def close(self) -> None:
        """End all subscriptions; safe to call twice."""
        self._is_closed = True
        for subscription in list(self._subscriptions):
            subscription.close()

    def _remember(self, read: OrderedDict[EventId, None], event_id: EventId) -> None:
        read[event_id] = None
        if len(read) > _WAYS * self._config.max_events:  # what is older is refused for its age, or has no room there
            read.popitem(last=False)

    def _forget(self, subscription: Subscription) -> None:
        self._subscriptions.pop(subscription, None)
