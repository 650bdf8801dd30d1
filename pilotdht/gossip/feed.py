"""A bounded queue for one reader: the newest stay, what the reader was too slow for is counted, nobody waits for it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

from pilotdht.errors import NodeClosed, UsageError

T = TypeVar("T")


class Feed(Generic[T]):
    """Values in the order in which they came; ``async for`` reads them, ``async with`` closes it."""

    def __init__(
        self,
        *,
        most: int,
        most_bytes: int | None = None,
        size_of: Callable[[T], int] | None = None,
        on_missed: Callable[[], None] | None = None,
        on_close: Callable[[Feed[T]], None] | None = None,
    ) -> None:
        """Make an empty one.

        Args:
            most: values that may wait.
            most_bytes: bytes that may wait; the newest value is kept in any case.
            size_of: returns the bytes of a value; needed with ``most_bytes``.
            on_missed: called for each value that is dropped.
            on_close: called once when it is closed.
        """
        self.missed = 0
        """Values dropped because they were not read in time."""
        self._values: deque[T] = deque()
        self._size_bytes = 0
        self._most = most
        self._most_bytes = most_bytes
        self._size_of = size_of
        self._on_missed = on_missed
        self._on_close = on_close
        self._reader: asyncio.Future[None] | None = None
        self._is_closed = False

    def __len__(self) -> int:
        """Return how many values wait."""
        return len(self._values)

    async def __aenter__(self) -> Self:
        """Return the feed; leaving the block closes it."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def __aiter__(self) -> Self:
        """Iterate over values as they come, until it is closed."""
        return self

    async def __anext__(self) -> T:
        """Return the next value."""
        try:
            return await self.next()
        except NodeClosed:
            raise StopAsyncIteration from None

    async def next(self) -> T:
        """Return the oldest value, waiting for one.

        Raises:
            NodeClosed: it is closed, and nothing waits any more.
            UsageError: another task is reading.
        """
        if self._reader is not None:
            raise UsageError("another task is reading this", hint="open one for each reader")
        while not self._values:
            if self._is_closed:
                raise NodeClosed("the group was left, or its node closed")
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        return self.take()

    def take(self) -> T:
        """Return the oldest value at once.

        Raises:
            IndexError: nothing waits; see :func:`len`.
        """
        value = self._values.popleft()
        self._size_bytes -= self._size(value)
        return value

    def put(self, value: T) -> None:
        """Add a value, and drop the oldest ones when there is no room."""
        if self._is_closed:
            return
        self._values.append(value)
        self._size_bytes += self._size(value)
        while self._is_over():
            self._size_bytes -= self._size(self._values.popleft())
            self.missed += 1
            if self._on_missed is not None:
                self._on_missed()
        self._wake()

    def close(self) -> None:
        """Take no more values; what waits can still be read. Safe to call twice."""
        if not self._is_closed:
            self._is_closed = True
            if self._on_close is not None:
                self._on_close(self)
            self._wake()

    def _is_over(self) -> bool:
        is_too_long = self._most_bytes is not None and self._size_bytes > self._most_bytes and len(self._values) > 1
        return is_too_long or len(self._values) > self._most

    def _size(self, value: T) -> int:
        return 0 if self._size_of is None else self._size_of(value)

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
