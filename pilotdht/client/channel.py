"""HTTP/1.1 to a daemon's control socket: single answers, lines of JSON, and byte pipes.

h11 reads and writes the protocol; connections are kept for the next request, few at a time. Cancelling a call closes
its connection, which makes the daemon stop the work. Errors come back as the classes they left the node as.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import h11

from pilotdht.daemon.envelope import parse_error
from pilotdht.daemon.frames import FrameReader
from pilotdht.daemon.paths import check_socket_directory, own_paths
from pilotdht.errors import InternalError, LinkClosed, NoDaemon, NodeClosed, PilotError

MAX_IDLE_CONNECTIONS = 8
"""Connections kept for the next request."""

MAX_ANSWER_BYTES = 64 << 20
"""Longest single answer: the largest routing table in JSON is far below."""

MAX_LINE_BYTES = 16 << 20
"""Longest line of a streamed answer."""

CONNECT_TIMEOUT_S = 2.0
"""A daemon on the same machine accepts at once or hangs."""

CLOSE_TIMEOUT_S = 2.0
"""How long closing a port, or taking a handler away, is waited for."""

_READ_BYTES = 65536
_CHUNK_BYTES = 65536


class ControlChannel:
    """Requests to one daemon; ``async with`` opens and closes it."""

    def __init__(self, socket: Path | str | None = None) -> None:
        self._path = Path(socket) if socket is not None else own_paths().socket
        self._idle: list[_Exchange] = []
        self._is_open = True
        self.daemon_version = ""
        """Version that the daemon told with its last answer, or empty before the first."""

    @property
    def path(self) -> Path:
        """The daemon's control socket."""
        return self._path

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close kept connections; safe to call twice."""
        self._is_open = False
        while self._idle:
            self._idle.pop().close()

    async def get(self, path: str) -> object:
        """Return what the daemon tells.

        Raises:
            NoDaemon: none answers.
            PilotError: what the daemon says.
        """
        return await self._ask("GET", path, b"")

    async def post(self, path: str, fields: Mapping[str, object]) -> object:
        """Have the daemon act, and return the outcome.

        Raises:
            NoDaemon: none answers.
            PilotError: what the daemon says.
        """
        return await self._ask("POST", path, json.dumps(dict(fields)).encode())

    async def text(self, path: str) -> str:
        """Return an answer that is not JSON, such as the metrics."""
        exchange = await self._start("GET", path, b"")
        with _closing(exchange):
            status = await self._read_head(exchange)
            body = await exchange.read_all()
            if status != 200:
                raise parse_error(_object(body))
        self._keep(exchange)
        return body.decode("utf-8", "replace")

    async def lines(self, path: str, fields: Mapping[str, object]) -> AsyncGenerator[dict[str, object], None]:
        """Yield the results of a streaming verb as they come; closing the iterator ends the verb.

        Raises:
            NoDaemon: none answers.
            PilotError: what the daemon says, at once or later.
        """
        exchange = await self._start("POST", path, json.dumps(dict(fields)).encode())
        try:
            async for data in self._read_results(exchange):
                yield data
        finally:
            exchange.close()

    async def listen(self, port: int) -> AsyncGenerator[dict[str, object], None]:
        """Yield the port once it is open, then what streams come in; closing the iterator closes the port.

        Raises:
            NoDaemon: none answers.
            PilotError: what the daemon says, at once or later.
        """
        async with aclosing(self.held(f"/v1/listen?port={port}")) as lines:
            async for data in lines:
                yield data

    async def held(self, path: str) -> AsyncGenerator[dict[str, object], None]:
        """Yield the results of a verb that lasts as long as its request; closing the iterator waits for its end.

        Raises:
            NoDaemon: none answers.
            PilotError: what the daemon says, at once or later.
        """
        exchange = await self._connect()
        try:
            await exchange.send_head("POST", path, [("Transfer-Encoding", "chunked")])
            async for data in self._read_results(exchange):
                yield data
        finally:
            with contextlib.suppress(PilotError, TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await exchange.send_end()
                    while await exchange.read_chunk() is not None:
                        pass  # the answer ends when the port is closed, the handler gone
            exchange.close()

    async def pipe(self, path: str) -> ControlPipe:
        """Open a byte pipe.

        Raises:
            NoDaemon: none answers.
            PilotError: what the daemon says.
        """
        exchange = await self._connect()
        with _closing(exchange):
            await exchange.send_head("POST", path, [("Transfer-Encoding", "chunked")])
            if await self._read_head(exchange) != 200:
                raise parse_error(_object(await exchange.read_all()))
        return ControlPipe(exchange)

    async def _ask(self, method: str, path: str, body: bytes) -> object:
        exchange = await self._start(method, path, body)
        with _closing(exchange):
            status = await self._read_head(exchange)
            envelope = _object(await exchange.read_all())
        self._keep(exchange)
        if status != 200 or envelope.get("status") != "ok":
            raise parse_error(envelope)
        return envelope.get("data")

    async def _read_results(self, exchange: _Exchange) -> AsyncIterator[dict[str, object]]:
        """Yield what the lines of an answer hold."""
        if await self._read_head(exchange) != 200:
            raise parse_error(_object(await exchange.read_all()))
        async for line in exchange.read_lines():
            envelope = _object(line)
            if envelope.get("status") != "ok":
                raise parse_error(envelope)
            yield cast("dict[str, object]", envelope["data"])

    async def _read_head(self, exchange: _Exchange) -> int:
        """Return the answer's status, and remember who answered."""
        status = await exchange.read_head()
        self.daemon_version = exchange.header("pilotdht-version")
        return status

    async def _start(self, method: str, path: str, body: bytes) -> _Exchange:
        """Send a request, on a kept connection when the daemon has not closed it meanwhile."""
        while self._idle:
            exchange = self._idle.pop()
            if exchange.is_usable():
                break
            exchange.close()
        else:
            exchange = await self._connect()
        with _closing(exchange):
            headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
            await exchange.send_head(method, path, headers)
            await exchange.send_body(body)
        return exchange

    async def _connect(self) -> _Exchange:
        if not self._is_open:
            raise NodeClosed("this client was closed")
        check_socket_directory(self._path)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                reader, writer = await asyncio.open_unix_connection(str(self._path))
        except (OSError, TimeoutError) as error:
            raise no_daemon(self._path) from error
        return _Exchange(reader, writer)

    def _keep(self, exchange: _Exchange) -> None:
        """Keep a connection for the next request, or close it."""
        if self._is_open and len(self._idle) < MAX_IDLE_CONNECTIONS and exchange.renew():
            self._idle.append(exchange)
        else:
            exchange.close()


def no_daemon(path: Path) -> NoDaemon:
    """Return the error for a socket where nobody answers."""
    return NoDaemon(f"no daemon answers on {path}")


class ControlPipe:
    """A byte stream to a peer, through the daemon."""

    def __init__(self, exchange: _Exchange) -> None:
        self._exchange = exchange
        self._frames = FrameReader()
        self._data = bytearray()
        self._is_ended = False
        self._is_written = False
        self.address = exchange.header("pilotdht-address")
        """The peer's virtual address, as text."""
        self.peer = exchange.header("pilotdht-peer")
        """The peer's did:key."""

    async def read(self, max_bytes: int = 65536) -> bytes:
        """Return what has arrived, at most ``max_bytes``; ``b""`` when the peer has written all it will.

        Raises:
            PilotError: the stream broke.
        """
        while not self._data and not self._is_ended:
            chunk = await self._exchange.read_chunk()
            if chunk is None:
                raise LinkClosed("the daemon closed the stream")
            for frame in self._frames.feed_untrusted(chunk):
                if isinstance(frame, bytes):
                    self._data += frame
                elif frame.get("event") == "eof":
                    self._is_ended = True
                else:
                    self._is_ended = True
                    raise parse_error(frame)
        data = bytes(self._data[:max_bytes])
        del self._data[:max_bytes]
        return data

    async def read_exactly(self, count: int) -> bytes:
        """Return exactly ``count`` bytes.

        Raises:
            LinkClosed: the stream ended before.
        """
        data = bytearray()
        while len(data) < count:
            piece = await self.read(count - len(data))
            if not piece:
                raise LinkClosed("the stream ended early")
            data += piece
        return bytes(data)

    async def write(self, data: bytes) -> None:
        """Write all of ``data``; waits while the peer reads too slowly.

        Raises:
            LinkClosed: the stream is gone.
        """
        for start in range(0, len(data), _CHUNK_BYTES):
            await self._exchange.send_data(data[start : start + _CHUNK_BYTES])

    async def write_eof(self) -> None:
        """End the own direction; safe to call twice."""
        if not self._is_written:
            self._is_written = True
            await self._exchange.send_end()

    async def close(self) -> None:
        """End the own direction, wait for the daemon to have closed the stream, and close; safe to call twice."""
        try:
            await self.write_eof()
            while await self._exchange.read_chunk() is not None:
                pass
        except PilotError:
            pass  # it is being closed: how it ends does not matter any more
        finally:
            self._exchange.close()

    def abort(self) -> None:
        """Give both directions up at once."""
        self._exchange.close()


class _Exchange:
    """One connection, and the request on it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT)
        self._headers: dict[str, str] = {}

    def header(self, name: str) -> str:
        """Return a header of the answer, or empty."""
        return self._headers.get(name, "")

    def is_usable(self) -> bool:
        """Return whether another request can be sent."""
        return not self._reader.at_eof() and not self._writer.is_closing()

    def renew(self) -> bool:
        """Make ready for the next request; false when the connection must be closed."""
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
            return True
        return False

    def close(self) -> None:
        """Close the connection at once."""
        self._writer.transport.abort()

    async def send_head(self, method: str, path: str, headers: list[tuple[str, str]]) -> None:
        """Send the request line and headers."""
        request = h11.Request(method=method, target=path, headers=[("Host", "pilotdht"), *headers])
        await self._send(self._http.send(request))

    async def send_body(self, body: bytes) -> None:
        """Send the whole body."""
        data = self._http.send(h11.Data(data=body)) if body else b""
        end = self._http.send(h11.EndOfMessage())
        await self._send((data or b"") + (end or b""))

    async def send_data(self, data: bytes) -> None:
        """Send a piece of the body."""
        await self._send(self._http.send(h11.Data(data=data)))

    async def send_end(self) -> None:
        """End the body."""
        await self._send(self._http.send(h11.EndOfMessage()))

    async def read_head(self) -> int:
        """Return the answer's status."""
        event = await self._next()
        if not isinstance(event, h11.Response):
            raise InternalError("the daemon closed the connection without an answer", hint="see 'pilotdht daemon logs'")
        self._headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in event.headers.raw_items()
        }
        return event.status_code

    async def read_chunk(self) -> bytes | None:
        """Return a piece of the answer, or ``None`` at its end."""
        event = await self._next()
        return bytes(event.data) if isinstance(event, h11.Data) else None

    async def read_all(self) -> bytes:
        """Return the whole answer."""
        body = bytearray()
        while (chunk := await self.read_chunk()) is not None:
            body += chunk
            if len(body) > MAX_ANSWER_BYTES:
                raise InternalError("the daemon's answer is too long")
        return bytes(body)

    async def read_lines(self) -> AsyncIterator[bytes]:
        """Yield the answer's lines."""
        rest = b""
        while (chunk := await self.read_chunk()) is not None:
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > MAX_LINE_BYTES:
                raise InternalError("a line of the daemon's answer is too long")
            for line in lines:
                yield line

    async def _send(self, data: bytes | None) -> None:
        try:
            if data:
                self._writer.write(data)
            await self._writer.drain()
        except (OSError, h11.LocalProtocolError) as error:
            raise LinkClosed("the daemon closed the connection") from error

    async def _next(self) -> object:
        while True:
            try:
                event = self._http.next_event()
                if event is not h11.NEED_DATA:
                    return event
                data = await self._reader.read(_READ_BYTES)
                self._http.receive_data(data)
            except (OSError, h11.RemoteProtocolError) as error:
                raise LinkClosed("the daemon closed the connection", hint="see 'pilotdht daemon logs'") from error


@contextlib.contextmanager
def _closing(exchange: _Exchange) -> Iterator[None]:
    """Close the connection when the block fails or is cancelled: half an exchange cannot be continued."""
    try:
        yield
    except BaseException:
        exchange.close()
        raise


def _object(body: bytes) -> dict[str, object]:
    """Read a JSON object from the daemon."""
    try:
        content = json.loads(body)
    except ValueError as error:
        raise InternalError("the daemon's answer is not JSON", hint="is it a daemon of pilotdht?") from error
    if not isinstance(content, dict):
        raise InternalError("the daemon's answer is not a JSON object", hint="is it a daemon of pilotdht?")
    return content
