"""What listens on the virtual ports of a node: handlers of streams, and boxes for unreliable messages."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import NamedTuple, Self

from pilotdht.errors import AlreadyExists, NodeClosed, UsageError
from pilotdht.identity.ids import PublicKey
from pilotdht.tunnel.header import check_port
from pilotdht.tunnel.stream import Stream

StreamHandler = Callable[[Stream], Awaitable[None]]
"""Serves one stream; when it returns the stream is closed, when it raises the stream is aborted."""


class Message(NamedTuple):
    """An unreliable message that arrived."""

    peer: PublicKey
    """Who sent it; proved."""

    port: int
    """The port it was sent to."""

    data: bytes
    """What was sent."""


class MessageBox:
    """Messages to one port, newest kept: when it is full the oldest is dropped and counted.

    Args:
        port: the port they are sent to.
        capacity: most messages kept.
        on_close: called once when the box is closed.
    """

    def __init__(self, port: int, *, capacity: int, on_close: Callable[[MessageBox], None]) -> None:
        self.port = port
        """The port listened on."""
        self.dropped = 0
        """Messages dropped because nobody received them in time."""
        self._messages: deque[Message] = deque()
        self._capacity = capacity
        self._on_close = on_close
        self._receiver: asyncio.Future[None] | None = None
        self._is_closed = False

    async def __aenter__(self) -> Self:
        """Return the box; leaving the block closes it."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the box."""
        self.close()

    async def receive(self) -> Message:
        """Return the oldest message, waiting for one.

        Raises:
            NodeClosed: the box is closed and empty.
            UsageError: another task is receiving.
        """
        if self._receiver is not None:
            raise UsageError("another task is receiving from this port")
        while not self._messages:
            if self._is_closed:
                raise NodeClosed(f"port {self.port} is not listened on any more")
            self._receiver = asyncio.get_running_loop().create_future()
            try:
                await self._receiver
            finally:
                self._receiver = None
        return self._messages.popleft()

    def put(self, message: Message) -> bool:
        """Take in a message; False when an older one was dropped for it."""
        is_room = len(self._messages) < self._capacity
        if not is_room:
            self._messages.popleft()
            self.dropped += 1
        self._messages.append(message)
        self._wake()
        return is_room

    def close(self) -> None:
        """Stop listening; messages that arrived can still be received; idempotent."""
        if not self._is_closed:
            self._is_closed = True
            self._on_close(self)
            self._wake()

    def _wake(self) -> None:
        if self._receiver is not None and not self._receiver.done():
            self._receiver.set_result(None)


class Listeners:
    """Handlers and boxes by port.

    Args:
        message_capacity: most messages kept a box.
    """

    def __init__(self, *, message_capacity: int) -> None:
        self._message_capacity = message_capacity
        self._handlers: dict[int, StreamHandler] = {}
        self._boxes: dict[int, MessageBox] = {}

    @property
    def ports(self) -> tuple[int, ...]:
        """Ports with a stream handler, ascending."""
        return tuple(sorted(self._handlers))

    def listen(self, port: int, handler: StreamHandler) -> None:
        """Serve incoming streams to ``port`` with ``handler``.

        Raises:
            AlreadyExists: something listens there.
            InvalidArgument: the port is out of range.
        """
        if check_port(port) in self._handlers:
            raise AlreadyExists(f"something listens on port {port} already")
        self._handlers[port] = handler

    def unlisten(self, port: int) -> None:
        """Refuse further streams to ``port``; those under way go on; idempotent."""
        self._handlers.pop(port, None)

    def handler(self, port: int) -> StreamHandler | None:
        """Return the handler of a port, or ``None``."""
        return self._handlers.get(port)

    def open_messages(self, port: int) -> MessageBox:
        """Collect unreliable messages to ``port``.

        Raises:
            AlreadyExists: they are collected already.
            InvalidArgument: the port is out of range.
        """
        if check_port(port) in self._boxes:
            raise AlreadyExists(f"messages to port {port} are received already")
        box = self._boxes[port] = MessageBox(port, capacity=self._message_capacity, on_close=self._forget)
        return box

    def box(self, port: int) -> MessageBox | None:
        """Return the box of a port, or ``None``."""
        return self._boxes.get(port)

    def close(self) -> None:
        """Stop listening everywhere."""
        self._handlers.clear()
        for box in list(self._boxes.values()):
            box.close()

    def _forget(self, box: MessageBox) -> None:
        if self._boxes.get(box.port) is box:
            del self._boxes[box.port]
