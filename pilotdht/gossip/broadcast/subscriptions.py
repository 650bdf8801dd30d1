"""Readers of a group's events: each has a bounded queue, so that none of them can hold up the node or another one."""

from __future__ import annotations

from collections.abc import Callable

from pilotdht.gossip.broadcast.topics import Pattern
from pilotdht.gossip.feed import Feed
from pilotdht.gossip.values import Event


class Subscription(Feed[Event]):
    """Events of some topics, in the order in which they became ready; ``async for`` reads them.

    When it is full the oldest events are dropped: :attr:`missed` says how many.
    """

    def __init__(
        self,
        pattern: Pattern,
        *,
        most_events: int,
        most_bytes: int,
        on_missed: Callable[[], None],
        on_close: Callable[[Subscription], None],
    ) -> None:
        """Make an empty one.

        Args:
            pattern: which topics.
            most_events: events that may wait.
            most_bytes: bytes of content that may wait; the newest event is kept in any case.
            on_missed: called for each event that is dropped.
            on_close: called once when it is closed.
        """
        super().__init__(
            most=most_events,
            most_bytes=most_bytes,
            size_of=lambda event: len(event.data),
            on_missed=on_missed,
            on_close=lambda _feed: on_close(self),
        )
        self.pattern = pattern
        """Which topics."""
