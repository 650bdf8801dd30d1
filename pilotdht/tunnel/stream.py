"""A byte stream to a port of a peer, with back-pressure both ways.

Reading gives the peer credit to send more; writing waits while more than the high mark is unacknowledged. Cancelling a
read loses nothing. Cancelling a write may leave a part of the data on its way: abort the stream then.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from pilotdht.config.tunnel import TunnelConfig
from pilotdht.errors import (
    BadMessage,
    LinkClosed,
    NotTrusted,
    Overloaded,
    PilotError,
    Refused,
    TimedOut,
    UsageError,
)
from pilotdht.identity.ids import PublicKey
from pilotdht.tunnel.carrier import StreamCarrier
from pilotdht.tunnel.header import (
    Answer,
    OptionValue,
    StreamHeader,
    answer_untrusted,
    header_size_untrusted,
    header_untrusted,
)
from pilotdht.tunnel.quic.events import CloseCode
from pilotdht.tunnel.receive_buffer import ReceiveBuffer


class StreamStage(enum.Enum):
    """How far the opening of a stream has come."""

    HEADER = "header"
    """Incoming: the header is not complete yet."""
    ANSWER = "answer"
    """Outgoing: the peer has not accepted or refused yet."""
    OPEN = "open"
    """Accepted."""
    REFUSED = "refused"
    """Refused by either side."""


class Stream:
    """One byte stream; made by :meth:`Link.open_stream` or handed to a listener's handler."""

    __slots__ = (
        "_answered",
        "_carrier",
        "_closed",
        "_config",
        "_failure",
        "_header",
        "_is_closed",
        "_is_deaf",
        "_is_last_received",
        "_is_last_sent",
        "_low_mark",
        "_reader",
        "_received",
        "_stop_code",
        "_was_reset",
        "_writer",
        "opened_at",
        "options",
        "port",
        "stage",
        "stream_id",
        "traceparent",
    )

    def __init__(
        self, carrier: StreamCarrier, config: TunnelConfig, *, stream_id: int, port: int | None, opened_at: float
    ) -> None:
        self._carrier = carrier
        self._config = config
        self.stream_id = stream_id
        """QUIC's number of the stream."""
        self.port = 0 if port is None else port
        """Virtual port at the acceptor; 0 while the header is not complete."""
        self.options: Mapping[str, OptionValue] = {}
        """What the opener said besides the port."""
        self.traceparent: str | None = None
        """W3C trace context of the opener, or ``None``."""
        self.opened_at = opened_at
        """Time of the loop, in seconds."""
        self.stage = StreamStage.HEADER if port is None else StreamStage.ANSWER
        """How far the opening has come."""
        self._header = bytearray()
        self._received = ReceiveBuffer()
        self._is_last_received = False
        self._is_last_sent = False
        self._is_deaf = False  # nobody will read: what arrives is thrown away
        self._is_closed = False
        self._closed: asyncio.Future[None] | None = None
        self._was_reset = False
        self._stop_code: int | None = None
        self._failure: tuple[type[PilotError], str] | None = None
        self._answered: asyncio.Future[None] | None = None
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._low_mark = 0

    @property
    def peer(self) -> PublicKey:
        """Who is on the other side, 32 bytes."""
        return self._carrier.peer_key

    @property
    def buffered_bytes(self) -> int:
        """Bytes received and not read yet."""
        return self._received.size

    def __repr__(self) -> str:
        """Show port, number and stage."""
        return f"<Stream {self.stream_id} port {self.port} {self.stage.value}>"

    async def __aenter__(self) -> Self:
        """Return the stream; leaving the block closes it, or aborts it after an error."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close or abort."""
        if kind is None:
            await self.close()
        else:
            self.abort()

    def __aiter__(self) -> Self:
        """Iterate over chunks as they arrive, until the end."""
        return self

    async def __anext__(self) -> bytes:
        """Return the next chunk."""
        chunk = await self.read()
        if not chunk:
            raise StopAsyncIteration
        return chunk

    async def read(self, max_bytes: int = 65536) -> bytes:
        """Return 1 to ``max_bytes`` bytes as soon as there are any, or ``b""`` at the end.

        Raises:
            LinkClosed: the link ended, the peer aborted the stream, or it was aborted here.
            NotTrusted: the peer refused the stream (also Refused, Overloaded), and its opener did not wait for that.
            UsageError: another task is reading, or ``max_bytes`` is not positive.
        """
        if max_bytes <= 0:
            raise UsageError("max_bytes must be positive")
        if not self._received.size:
            await self._wait_for_data()
            if not self._received.size:
                return b""
        return self._take(max_bytes)

    async def read_exactly(self, size: int) -> bytes:
        """Return exactly ``size`` bytes.

        Raises:
            LinkClosed: the stream ended before; what did arrive is lost.
            UsageError: another task is reading.
        """
        parts: list[bytes] = []
        missing = size
        while missing > 0:
            part = await self.read(missing)
            if not part:
                raise LinkClosed(f"the stream ended {missing} bytes early")
            parts.append(part)
            missing -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def write(self, data: bytes) -> None:
        """Queue ``data``, waiting while the peer is behind.

        Raises:
            LinkClosed: the link ended, the peer stopped reading, or the stream was closed here.
            UsageError: another task is writing, or the end was written already.
        """
        if self._writer is not None:
            raise UsageError("another task is writing to this stream")
        start, size, high = 0, len(data), self._config.write_high_bytes
        while True:
            self._check_writable()
            room = high - self._carrier.unacknowledged_bytes(self.stream_id)
            if room > 0:
                part = data if start == 0 and size <= room else data[start : start + room]
                if not self._carrier.send(self.stream_id, part, False):
                    raise LinkClosed("the peer stopped reading")
                start += len(part)
            if start >= size:
                return
            await self._wait_for_acknowledgement(self._config.write_low_bytes)

    async def write_eof(self) -> None:
        """Say that nothing more will be written; reading goes on.

        Raises:
            LinkClosed: the link ended or the peer stopped reading.
        """
        if not self._is_last_sent:
            self._check_writable()
            self._send_last()

    async def drain(self) -> None:
        """Wait until the peer has acknowledged everything that was written.

        Raises:
            LinkClosed: the link ended before.
            UsageError: another task is writing.
        """
        while not self._carrier.is_delivered(self.stream_id):
            if self._failure is not None:
                raise self._error()
            await self._wait_for_acknowledgement(0)

    async def close(self) -> None:
        """End both directions: what was written is still delivered, what was not read is thrown away; idempotent."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._failure is None:
            if not self._is_last_sent:
                self._send_last()
            if not self._is_last_received:
                self._carrier.stop(self.stream_id, CloseCode.DONE)
        self._deafen()
        self._wake_all()

    def abort(self, code: CloseCode = CloseCode.ABORTED) -> None:
        """End both directions at once; the peer is told, and what is under way may be lost; idempotent."""
        if self._is_closed and self._failure is not None:
            return
        self._is_closed = True
        if self._failure is None:
            self._carrier.reset(self.stream_id, code)
            if not self._is_last_received:
                self._carrier.stop(self.stream_id, code)
            self._failure = (LinkClosed, "the stream was aborted")
        self._deafen()
        self._wake_all()

    async def wait_closed(self) -> None:
        """Wait until the stream was closed or aborted here, or failed; for one waiter."""
        if self._is_closed or self._failure is not None:
            return
        self._closed = asyncio.get_running_loop().create_future()
        await self._closed

    async def accepted(self, timeout_s: float) -> None:
        """Wait until the peer has accepted.

        Raises:
            NotTrusted: the peer does not trust this node.
            Refused: nothing listens there.
            Overloaded: the peer runs too many handlers.
            LinkClosed: the link ended.
            TimedOut: no answer in time.
        """
        if self.stage is StreamStage.ANSWER and self._failure is None:
            self._answered = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._answered
            except TimeoutError as error:
                raise TimedOut(f"no answer about port {self.port} within {timeout_s:g} s") from error
            finally:
                self._answered = None
        if self._failure is not None:
            raise self._error()

    # What follows is called by the link.

    def feed(self, data: bytes, is_last: bool) -> None:
        """Take in bytes from the peer."""
        if is_last:
            self._is_last_received = True
        if self.stage is StreamStage.OPEN:
            self._store(data)
        elif self.stage is StreamStage.HEADER:
            self._feed_header(data, is_last)
        elif self.stage is StreamStage.ANSWER:
            self._feed_answer(data, is_last)
        elif data:
            self._carrier.consumed(self.stream_id, len(data))
        if self._reader is not None:
            _wake(self._reader)

    def open(self, header: StreamHeader) -> None:
        """Note that this node accepts."""
        self.stage = StreamStage.OPEN
        self.port, self.options, self.traceparent = header.port, header.options, header.traceparent

    def refuse(self, answer: Answer) -> None:
        """Note that this node refuses."""
        self.stage = StreamStage.REFUSED
        self._is_closed = self._is_last_sent = True
        self._failure = _failure_of(answer, self.port)
        self._deafen()

    def on_reset(self) -> None:
        """Note that the peer gave up sending."""
        self._is_last_received = self._was_reset = True
        if self._failure is None:
            self._failure = (LinkClosed, "the peer aborted the stream")
        self._throw_away()
        self._wake_all()

    def on_stop_sending(self, code: int) -> None:
        """Note that the peer gave up reading."""
        self._stop_code = code
        if self._writer is not None:
            _wake(self._writer)

    def on_link_closed(self, kind: type[PilotError], text: str) -> None:
        """Note that the link is gone; what arrived before can still be read."""
        if self._failure is None and not (self._is_last_received and self._is_last_sent):
            self._failure = (kind, text)
        self._wake_all()

    def on_acknowledged(self) -> bool:
        """Wake the writer when the peer has caught up; True when there is nobody to wake any more."""
        writer = self._writer
        if writer is None:
            return True
        if self._carrier.unacknowledged_bytes(self.stream_id) <= self._low_mark and (
            self._low_mark > 0 or self._carrier.is_delivered(self.stream_id)
        ):
            _wake(writer)
            return True
        return False

    def _feed_header(self, data: bytes, is_last: bool) -> None:
        header = self._header
        header += data
        try:
            size = header_size_untrusted(header)
            if size == 0 or len(header) < size:
                if is_last:
                    raise BadMessage("header_truncated")
                return
            request = header_untrusted(bytes(header[2:size]))
        except BadMessage:
            self._carrier.consumed(self.stream_id, len(header))
            self._carrier.refuse(self, Answer.MALFORMED)
            return
        self._carrier.consumed(self.stream_id, size)
        rest = bytes(header[size:])
        self._header = bytearray()
        self.port = request.port
        if rest:
            self._store(rest)
        self._carrier.admit(self, request)

    def _feed_answer(self, data: bytes, is_last: bool) -> None:
        if not data:
            if is_last:
                self._fail(LinkClosed, "the stream ended without an answer")
            return
        self._carrier.consumed(self.stream_id, 1)
        try:
            answer = answer_untrusted(data[0])
        except BadMessage:
            answer = Answer.MALFORMED
        if answer is Answer.ACCEPTED:
            self.stage = StreamStage.OPEN
            self._store(data[1:])
            if self._answered is not None:
                _wake(self._answered)
            return
        self.stage = StreamStage.REFUSED
        if len(data) > 1:
            self._carrier.consumed(self.stream_id, len(data) - 1)
        if not self._is_last_sent:
            self._carrier.reset(self.stream_id, CloseCode.DONE)
        self._fail(*_failure_of(answer, self.port))

    def _store(self, data: bytes) -> None:
        if not data:
            return
        if self._is_deaf:
            self._carrier.consumed(self.stream_id, len(data))
        else:
            self._received.put(data)

    def _take(self, max_bytes: int) -> bytes:
        data = self._received.take(max_bytes)
        self._carrier.consumed(self.stream_id, len(data))
        return data

    async def _wait_for_data(self) -> None:
        if self._reader is not None:
            raise UsageError("another task is reading from this stream")
        while not self._received.size:
            if self._is_last_received and self.stage is StreamStage.OPEN and not (self._is_deaf or self._was_reset):
                return
            if self._failure is not None:
                raise self._error()
            if self._is_closed:
                raise LinkClosed("the stream was closed")
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None

    async def _wait_for_acknowledgement(self, low_mark: int) -> None:
        if self._writer is not None:
            raise UsageError("another task is writing to this stream")
        self._low_mark = low_mark
        self._writer = asyncio.get_running_loop().create_future()
        self._carrier.wake_when_acknowledged(self)
        try:
            await self._writer
        finally:
            self._writer = None

    def _check_writable(self) -> None:
        if self._failure is not None:
            raise self._error()
        if self._is_last_sent:
            raise UsageError("the end of this stream was written already")
        if self._is_closed:
            raise LinkClosed("the stream was closed")
        if self._stop_code is not None:
            raise LinkClosed("the peer stopped reading")

    def _send_last(self) -> None:
        self._is_last_sent = True
        if self._stop_code is None:
            self._carrier.send(self.stream_id, b"", True)

    def _fail(self, kind: type[PilotError], text: str) -> None:
        if self._failure is None:
            self._failure = (kind, text)
        self._wake_all()

    def _error(self) -> PilotError:
        assert self._failure is not None
        kind, text = self._failure
        return kind(text)

    def _deafen(self) -> None:
        self._is_deaf = True
        self._throw_away()

    def _throw_away(self) -> None:
        size = self._received.clear()
        if size:
            self._carrier.consumed(self.stream_id, size)

    def _wake_all(self) -> None:
        for waiter in (self._answered, self._reader, self._writer):
            if waiter is not None:
                _wake(waiter)
        if self._closed is not None and (self._is_closed or self._failure is not None):
            _wake(self._closed)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _failure_of(answer: Answer, port: int) -> tuple[type[PilotError], str]:
    if answer is Answer.NOT_TRUSTED:
        return NotTrusted, f"the peer does not let this node open port {port}"
    if answer is Answer.OVERLOADED:
        return Overloaded, f"the peer is too busy for another stream to port {port}"
    if answer is Answer.NOT_LISTENING:
        return Refused, f"nothing listens on port {port} of the peer"
    return Refused, "the peer does not understand this stream's header"
