"""Messages that arrive while no program listens: kept in memory, oldest first, until somebody takes them.

A message is acknowledged (its stream ends cleanly) once it is kept, and refused when there is no room: nobody is told
that a message was delivered when it was not.
"""

from __future__ import annotations

import asyncio
from collections import deque

from pilotdht.errors import LinkClosed, NodeClosed, Overloaded, TimedOut
from pilotdht.identity.ids import PublicKey
from pilotdht.tunnel.byte_stream import ByteStream
from pilotdht.values import dataclass

MAX_MESSAGES = 256
MAX_BYTES = 16 * 2**20
MAX_MESSAGE_BYTES = 2**20
RECEIVE_TIMEOUT_S = 60.0
"""A sender gets so long to send one message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One message that was kept."""

    peer: PublicKey
    """Who sent it, proven by the link."""
    data: bytes
    """Its content."""


class Inbox:
    """The messages of one port."""

    def __init__(self, port: int) -> None:
        self.port = port
        """The virtual port."""
        self.refused = 0
        """Messages refused for want of room."""
        self._letters: deque[Letter] = deque()
        self._size_bytes = 0
        self._arrived = asyncio.Condition()
        self._is_closed = False

    def __len__(self) -> int:
        """Return how many messages wait."""
        return len(self._letters)

    async def handle(self, stream: ByteStream) -> None:
        """Keep the message of one stream.

        Raises:
            Overloaded: there is no room, or it is longer than 1 MiB.
            LinkClosed: it did not arrive whole.
        """
        data = bytearray()
        try:
            async with asyncio.timeout(RECEIVE_TIMEOUT_S):
                while chunk := await stream.read():
                    data += chunk
                    self._size_bytes += len(chunk)  # what is still arriving takes room too
                    if len(data) > MAX_MESSAGE_BYTES:
                        raise Overloaded(f"the message is longer than {MAX_MESSAGE_BYTES} bytes", hint="use a pipe")
                    self._check_room()
            self._check_room()
        except BaseException as error:
            self._size_bytes -= len(data)
            if isinstance(error, TimeoutError):
                raise LinkClosed("the message did not arrive in time") from None
            raise
        self._letters.append(Letter(peer=stream.peer, data=bytes(data)))
        async with self._arrived:
            self._arrived.notify()

    def _check_room(self) -> None:
        is_full = len(self._letters) >= MAX_MESSAGES or self._size_bytes > MAX_BYTES
        if is_full or self._is_closed:
            self.refused += 1
            raise Overloaded("the inbox is full")

    async def take(self, *, timeout_s: float | None) -> Letter:
        """Return the oldest message, waiting for one.

        Args:
            timeout_s: how long; absent: for ever.

        Raises:
            TimedOut: none came in time.
            NodeClosed: the inbox was closed.
        """
        try:
            async with asyncio.timeout(timeout_s), self._arrived:
                await self._arrived.wait_for(lambda: self._letters or self._is_closed)
                if not self._letters:
                    raise NodeClosed("the node was closed")
                letter = self._letters.popleft()
        except TimeoutError as error:
            raise TimedOut(f"no message came to port {self.port} within {timeout_s:g} s") from error
        self._size_bytes -= len(letter.data)
        return letter

    async def put_back(self, letter: Letter) -> None:
        """Make a message the oldest again: whoever took it could not hand it on."""
        self._letters.appendleft(letter)
        self._size_bytes += len(letter.data)
        async with self._arrived:
            self._arrived.notify()

    async def close(self) -> None:
        """Refuse further messages and end all waiting; safe to call twice."""
        self._is_closed = True
        async with self._arrived:
            self._arrived.notify_all()
