"""Readers of a group's events: each has a bounded queue, so that none of them can hold up the node or another one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

from pilotdht.errors import NodeClosed, UsageError
from pilotdht.gossip.broadcast.topics import Pattern
from pilotdht.gossip.values import Event


class Subscription:
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
        self.pattern = pattern
        """Which topics."""
        self.missed = 0
        """Events dropped because they were not read in time."""
        self._events: deque[Event] = deque()
        self._size_bytes = 0
        self._most_events = most_events
        self._most_bytes = most_bytes
        self._on_missed = on_missed
        self._on_close = on_close
        self._reader: asyncio.Future[None] | None = None
        self._is_closed = False

    def __len__(self) -> int:
        """Return how many events wait."""
        return len(self._events)

    async def __aenter__(self) -> Self:
        """Return the subscription; leaving the block closes it."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def __aiter__(self) -> Self:
        """Iterate over events as they come, until it is closed."""
        return self

    async def __anext__(self) -> Event:
        """Return the next event."""
        try:
            return await self.next()
        except NodeClosed:
            raise StopAsyncIteration from None

    async def next(self) -> Event:
        """Return the oldest event, waiting for one.

        Raises:
            NodeClosed: it is closed, and nothing waits any more.
            UsageError: another task is reading.
        """
        if self._reader is not None:
            raise UsageError("another task is reading this subscription", hint="make a subscription for each reader")
        while not self._events:
            if self._is_closed:
                raise NodeClosed("the subscription is closed")
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        return self.take()

    def take(self) -> Event:
        """Return the oldest event at once.

        Raises:
            IndexError: nothing waits; see :func:`len`.
        """
        event = self._events.popleft()
        self._size_bytes -= len(event.data)
        return event

    def put(self, event: Event) -> None:
        """Add an event; for the group."""
        if self._is_closed:
            return
        self._events.append(event)
        self._size_bytes += len(event.data)
        while len(self._events) > self._most_events or (self._size_bytes > self._most_bytes and len(self._events) > 1):
            self._size_bytes -= len(self._events.popleft().data)
            self.missed += 1
            self._on_missed()
        self._wake()

    def close(self) -> None:
        """Take no more events; what waits can still be read. Safe to call twice."""
        if not self._is_closed:
            self._is_closed = True
            self._on_close(self)
            self._wake()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
