"""Contents that do not fit in an event: handed out and fetched over tunnel streams.

Whoever asks writes 50 bytes: group, event id. The answer is one byte, a :class:`BodyAnswer`, and, when it is ``HELD``,
four bytes of length and the content. Whether the content is the right one its reader tells by the event's hash.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import IntEnum
from typing import Protocol

from pilotdht.config.broadcast import BroadcastConfig
from pilotdht.errors import BadMessage, LinkClosed, NotFound, Overloaded, TimedOut
from pilotdht.gossip.broadcast.metrics import BroadcastMetrics
from pilotdht.identity.ids import NODE_ID_BYTES, PublicKey
from pilotdht.net.limits import PrefixLimiter
from pilotdht.tunnel.byte_stream import ByteStream
from pilotdht.wire.events import EVENT_ID_BYTES, EventId, event_id_untrusted
from pilotdht.wire.groups import GroupId

BODY_PORT = 1002
"""Virtual port on which contents are handed out."""

_REQUEST_BYTES = NODE_ID_BYTES + EVENT_ID_BYTES
_LENGTH_BYTES = 4
_CHUNK_BYTES = 65536


class BodyAnswer(IntEnum):
    """What a request for content is answered; the number on the wire."""

    HELD = 0
    """The content follows."""
    UNKNOWN = 1
    """It is not kept here, or not for whoever asks."""
    BUSY = 2
    """Too many are handed out at present."""


class Bodies(Protocol):
    """Fetches contents."""

    async def fetch(self, peer: PublicKey, group: GroupId, event_id: EventId, size_bytes: int) -> bytes:
        """Return the content of an event from a member that has it; raises a ``RemoteError`` when it does not come."""
        ...


class BodyKeeper(Protocol):
    """One group's contents: :class:`pilotdht.gossip.broadcast.broadcast.Broadcast` fits."""

    def body_for(self, peer: PublicKey, event_id: EventId) -> bytes | None:
        """Return the content of an event; absent when it is not kept, or ``peer`` is no member."""
        ...


OpenStream = Callable[[PublicKey, int], Awaitable[ByteStream]]
"""Opens a stream to a port of a peer."""


class StreamBodies:
    """Fetches contents over streams: one each."""

    def __init__(self, open_stream: OpenStream, config: BroadcastConfig) -> None:
        """Make it; ``open_stream`` dials when that is needed."""
        self._open_stream = open_stream
        self._timeout_s = config.body_timeout_s

    async def fetch(self, peer: PublicKey, group: GroupId, event_id: EventId, size_bytes: int) -> bytes:
        """Return the content of an event from a member that has it.

        Raises:
            NotFound: it has not.
            Overloaded: it hands out too many.
            BadMessage: it answered nonsense.
            TimedOut: it took too long.
            LinkClosed: the stream ended early (also what opening a stream raises).
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                stream = await self._open_stream(peer, BODY_PORT)
                try:
                    await stream.write(group + event_id.packed())
                    await stream.write_eof()
                    body = await self._read(stream, size_bytes)
                except BaseException:
                    stream.abort()
                    raise
                await stream.close()
                return body
        except TimeoutError as error:
            raise TimedOut(f"a content of {size_bytes} bytes did not come within {self._timeout_s:g} s") from error

    async def _read(self, stream: ByteStream, size_bytes: int) -> bytes:
        answer = (await stream.read_exactly(1))[0]
        if answer == BodyAnswer.BUSY:
            raise Overloaded("the member hands out too many contents")
        if answer != BodyAnswer.HELD:
            raise NotFound("the member does not keep this content")
        length = int.from_bytes(await stream.read_exactly(_LENGTH_BYTES), "big")
        if length != size_bytes:
            raise BadMessage("body_size")
        return await stream.read_exactly(size_bytes)


class BodyServer:
    """Answers requests for contents, for all groups of a node."""

    def __init__(
        self,
        keeper_of: Callable[[GroupId], BodyKeeper | None],
        config: BroadcastConfig,
        metrics: BroadcastMetrics,
        *,
        now: Callable[[], float],
    ) -> None:
        """Make it.

        Args:
            keeper_of: returns a group's keeper of contents; absent for groups that this node is not in.
            config: bounds.
            metrics: where everything is counted.
            now: the loop's clock.
        """
        self._keeper_of = keeper_of
        self._config = config
        self._metrics = metrics
        self._now = now
        self._serving = 0
        self._limiter = PrefixLimiter(
            rate_per_s=config.bodies_per_s, burst=config.bodies_burst, capacity=config.max_limited
        )

    async def serve_body(self, stream: ByteStream) -> None:
        """Answer the request that comes on one stream.

        Raises:
            BadMessage: it is malformed.
            LinkClosed: the peer went away, or took too long.
        """
        is_busy = self._serving >= self._config.bodies_served or not self._limiter.take(stream.peer, self._now())
        if is_busy:
            self._metrics.bodies["refused"].inc()
            await self._answer(stream, bytes([BodyAnswer.BUSY]))
            return
        self._serving += 1
        try:
            await self._serve(stream)
        finally:
            self._serving -= 1

    async def _serve(self, stream: ByteStream) -> None:
        try:
            async with asyncio.timeout(self._config.body_timeout_s):
                request = await stream.read_exactly(_REQUEST_BYTES)
        except TimeoutError as error:
            raise LinkClosed("no request for a content came in time") from error
        keeper = self._keeper_of(GroupId(request[:NODE_ID_BYTES]))
        event_id = event_id_untrusted(request[NODE_ID_BYTES:])
        body = None if keeper is None else keeper.body_for(stream.peer, event_id)
        if body is None:
            self._metrics.bodies["refused"].inc()
            await self._answer(stream, bytes([BodyAnswer.UNKNOWN]))
            return
        await self._answer(stream, bytes([BodyAnswer.HELD]) + len(body).to_bytes(_LENGTH_BYTES, "big"), body)
        self._metrics.bodies["served"].inc()
        self._metrics.sent_bytes.inc(len(body))

    async def _answer(self, stream: ByteStream, head: bytes, body: bytes = b"") -> None:
        try:
            async with asyncio.timeout(self._config.body_timeout_s):
                await stream.write(head)
                for start in range(0, len(body), _CHUNK_BYTES):
                    await stream.write(body[start : start + _CHUNK_BYTES])
                await stream.write_eof()
        except TimeoutError as error:
            raise LinkClosed("a content was not read in time") from error
