"""Accepting streams: ``async with node.listen(80) as listener: async for stream in listener``."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Protocol, Self

from pilotdht.errors import NodeClosed, Overloaded
from pilotdht.tunnel.stream import Stream
from pilotdht.tunnel.tunnels import Tunnels

MAX_WAITING = 64
"""Accepted streams that wait to be taken; further ones are aborted."""


class Lend(Protocol):
    """Told that a program takes a port over from whatever collects messages there, or gives it back."""

    def __call__(self, port: int, *, is_lent: bool) -> None:
        """Take over, or give back."""
        ...


class Listener:
    """Streams that peers open to one port, in the order in which they came."""

    def __init__(self, tunnels: Tunnels, port: int, *, lend: Lend) -> None:
        """Make it; entering it begins to listen.

        Args:
            tunnels: where streams come from.
            port: the virtual port.
            lend: told when a port is taken over and given back.
        """
        self.port = port
        """The virtual port."""
        self._tunnels = tunnels
        self._lend = lend
        self._waiting: asyncio.Queue[Stream | None] = asyncio.Queue(MAX_WAITING + 1)
        self._is_open = False

    async def __aenter__(self) -> Self:
        """Begin to listen.

        Raises:
            AlreadyExists: something listens there already.
            NodeClosed: the node is closed.
        """
        self._lend(self.port, is_lent=True)
        self._tunnels.listen(self.port, self._serve)
        self._is_open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening and refuse what waits; streams that were taken live on; safe to call twice."""
        if not self._is_open:
            return
        self._is_open = False
        self._tunnels.unlisten(self.port)
        self._lend(self.port, is_lent=False)
        while not self._waiting.empty():
            stream = self._waiting.get_nowait()
            if stream is not None:
                stream.abort()
        self._waiting.put_nowait(None)

    def __aiter__(self) -> Self:
        """Iterate over incoming streams."""
        return self

    async def __anext__(self) -> Stream:
        """Return the next stream; ends when the listener is closed."""
        stream = await self._waiting.get() if self._is_open or not self._waiting.empty() else None
        if stream is None:
            if self._waiting.empty():
                self._waiting.put_nowait(None)  # for others who wait
            raise StopAsyncIteration
        return stream

    async def accept(self) -> Stream:
        """Return the next stream.

        Raises:
            NodeClosed: the listener was closed.
        """
        try:
            return await anext(self)
        except StopAsyncIteration:
            raise NodeClosed(f"port {self.port} is not listened on any more") from None

    async def _serve(self, stream: Stream) -> None:
        """Hand a stream over, and stay until whoever takes it has closed it."""
        if self._waiting.qsize() >= MAX_WAITING:
            raise Overloaded("too many streams wait to be accepted")
        self._waiting.put_nowait(stream)
        await stream.wait_closed()
