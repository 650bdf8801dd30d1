"""HTTP/1.1 for the control socket: h11 parses and writes, this module bounds.

h11 alone, and no server framework: those at hand cost 60 ms of start and 4 MB of memory, more than a tenth of what a
daemon may take of both. Each connection is one task of asyncio's own stream server; requests follow one another on it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

import h11

from pilotdht import __version__
from pilotdht.config.daemon import DaemonConfig
from pilotdht.daemon.envelope import error_envelope, http_status, ok_envelope
from pilotdht.daemon.metrics import DaemonMetrics
from pilotdht.errors import InternalError, InvalidArgument, PilotError, TimedOut
from pilotdht.values import dataclass

JSON_TYPE = "application/json"

VERSION_HEADER = ("pilotdht-version", __version__)
"""On every answer, so that a client of another version can say so."""

_READ_BYTES = 65536
_CLOSE_LIMIT_S = 1.0

_logger = logging.getLogger(__name__)


class ClientGone(Exception):
    """The client closed its connection before it had its answer; never leaves the daemon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The head of a request."""

    method: str
    """``GET``, ``POST``, …"""
    path: str
    """Without the query."""
    query: str
    """Behind the question mark, or empty."""
    headers: Mapping[str, str]
    """By lower-case name; the last of several counts."""


class Exchange:
    """One request and its answer."""

    def __init__(
        self, http: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: h11.Request
    ) -> None:
        path, _, query = head.target.decode("ascii", "replace").partition("?")
        self.request = Request(
            method=head.method.decode("ascii"),
            path=path,
            query=query,
            headers={name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers},
        )
        """What is asked."""
        self.is_started = False
        """Whether the answer has begun."""
        self._http = http
        self._reader = reader
        self._writer = writer

    async def read_chunk(self) -> bytes | None:
        """Return a piece of the request's body, or ``None`` at its end.

        Raises:
            ClientGone: the connection ended, or what came is not HTTP.
        """
        if self._http.they_are_waiting_for_100_continue:
            await self._send(h11.InformationalResponse(status_code=100, headers=[]))
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                raise ClientGone from error
            if isinstance(event, h11.Data):
                return bytes(event.data)
            if event is not h11.NEED_DATA:
                return None
            self._http.receive_data(await self._receive())

    async def read_body(self, *, most_bytes: int, timeout_s: float) -> bytes:
        """Return the whole body.

        Raises:
            InvalidArgument: it is too long.
            TimedOut: it did not arrive in time.
            ClientGone: the client went away.
        """
        body = bytearray()
        try:
            async with asyncio.timeout(timeout_s):
                while (chunk := await self.read_chunk()) is not None:
                    body += chunk
                    if len(body) > most_bytes:
                        raise InvalidArgument(
                            f"the request body is longer than {most_bytes} bytes", hint="send large data through a pipe"
                        )
        except TimeoutError as error:
            raise TimedOut("the request body did not arrive in time") from error
        return bytes(body)

    async def until_gone(self) -> None:
        """Wait until the client closes the connection; call it after the body was read.

        Raises:
            ClientGone: always.
        """
        while True:
            self._http.receive_data(await self._receive())  # the next request; it waits for this one's end
            if len(self._http.trailing_data[0]) > _READ_BYTES:
                raise ClientGone

    async def until_body_ends(self) -> None:
        """Wait until the client ends the request's body.

        Raises:
            ClientGone: it closed the connection instead.
        """
        while await self.read_chunk() is not None:
            pass

    async def while_wanted(
        self, work: Callable[[], Awaitable[None]], *, until: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """Run ``work`` until it ends, or the client does not want it any more.

        Args:
            work: what the client waits for.
            until: returns when the client wants ``work`` to end; absent: it wants it as long as it is there, and the
                body has been read.

        Raises:
            ClientGone: the client closed first, and the work was cancelled.
            PilotError: what the work raised.
        """
        is_done = False

        async def run() -> None:
            nonlocal is_done
            await work()
            is_done = True
            watcher.cancel()

        async def watch() -> None:
            await (self.until_gone if until is None else until)()
            worker.cancel()

        try:
            async with asyncio.TaskGroup() as group:
                watcher = group.create_task(watch())
                worker = group.create_task(run())
        except BaseExceptionGroup as errors:
            if not is_done:  # a client that closes once it has all is not gone
                raise first_error(errors) from errors

    async def answer(self, status: int, content_type: str, body: bytes, extra: Sequence[tuple[str, str]] = ()) -> None:
        """Answer with one body of known length."""
        self.is_started = True
        headers = [VERSION_HEADER, ("content-type", content_type), ("content-length", str(len(body))), *extra]
        if self._http.their_state not in (h11.DONE, h11.IDLE):
            headers.append(("connection", "close"))  # what is left of the request is not waited for
        await self._send(h11.Response(status_code=status, headers=headers), h11.Data(data=body), h11.EndOfMessage())

    async def answer_ok(self, data: object) -> None:
        """Answer with a result."""
        await self.answer(200, JSON_TYPE, json.dumps(ok_envelope(data)).encode() + b"\n")

    async def answer_error(self, error: PilotError, *, status: int | None = None) -> None:
        """Answer with an error."""
        body = json.dumps(error_envelope(error)).encode() + b"\n"
        await self.answer(http_status(error) if status is None else status, JSON_TYPE, body)

    async def start(self, content_type: str, headers: Sequence[tuple[str, str]] = ()) -> None:
        """Begin an answer of unknown length."""
        self.is_started = True
        all_headers = [VERSION_HEADER, ("content-type", content_type), *headers]
        await self._send(h11.Response(status_code=200, headers=all_headers))

    async def write(self, data: bytes) -> None:
        """Send a piece of the answer; waits while the client reads too slowly."""
        await self._send(h11.Data(data=data))

    async def finish(self) -> None:
        """End an answer of unknown length."""
        await self._send(h11.EndOfMessage())

    async def _receive(self) -> bytes:
        try:
            data = await self._reader.read(_READ_BYTES)
        except OSError as error:
            raise ClientGone from error
        if not data:
            raise ClientGone
        return data

    async def _send(self, *events: h11.Event) -> None:
        try:
            self._writer.write(b"".join(self._http.send(event) or b"" for event in events))
            await self._writer.drain()
        except OSError as error:
            raise ClientGone from error


def first_error(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first error of a group that may be nested."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def as_pilot_error(error: Exception) -> PilotError:
    """Return ``error`` when it is ours, else log it and return an :class:`InternalError` that stands for it."""
    if isinstance(error, PilotError):
        return error
    _logger.error("control request failed", exc_info=error)
    internal = InternalError(f"the daemon failed: {type(error).__name__}", hint="the daemon's log has the details")
    internal.__cause__ = error
    return internal


class HttpServer:
    """All connections of one listening socket."""

    def __init__(
        self,
        serve: Callable[[Exchange], Awaitable[None]],
        *,
        admit: Callable[[asyncio.StreamWriter], None],
        config: DaemonConfig,
        metrics: DaemonMetrics,
    ) -> None:
        """Make it; :meth:`accept` is what asyncio's stream servers call.

        Args:
            serve: answers one request; must not raise.
            admit: raises a :class:`PilotError` to refuse a connection.
            config: bounds and times.
            metrics: counters.
        """
        self._serve = serve
        self._admit = admit
        self._config = config
        self._metrics = metrics
        self._is_closed = False
        self._tasks: dict[asyncio.Task[None], bool] = {}
        """Each connection's task, and whether a request is being answered on it."""

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until it ends."""
        if self._is_closed:  # accepted by the loop in the turn in which the socket was closed
            writer.close()
            return
        task = asyncio.current_task()
        assert task is not None, "a coroutine runs in a task"
        self._tasks[task] = False
        self._metrics.connections.inc()
        http = h11.Connection(h11.SERVER, max_incomplete_event_size=self._config.max_header_bytes)
        try:
            self._admit(writer)
            await self._serve_requests(task, http, reader, writer)
        except PilotError as error:
            await _refuse(http, writer, error)
        except (ClientGone, OSError):
            pass  # gone is gone
        except asyncio.CancelledError:
            pass  # only close() cancels, and the task ends here: there is nobody above to tell
        finally:
            self._metrics.connections.dec()
            del self._tasks[task]
            writer.close()

    def check_room(self) -> bool:
        """Return whether one more connection fits."""
        return len(self._tasks) <= self._config.max_connections

    async def close(self, *, timeout_s: float) -> None:
        """Let running requests end within ``timeout_s``, then cut what is left."""
        self._is_closed = True
        for task, is_busy in list(self._tasks.items()):
            if not is_busy:
                task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=timeout_s)
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=_CLOSE_LIMIT_S)

    async def _serve_requests(
        self,
        task: asyncio.Task[None],
        http: h11.Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Answer one request after the other."""
        while True:
            head = await self._read_head(http, reader)
            if head is None:
                return
            self._tasks[task] = True
            await self._serve(Exchange(http, reader, writer, head))
            self._tasks[task] = False
            if self._is_closed or http.our_state is not h11.DONE or http.their_state is not h11.DONE:
                return  # the client, or we, want it closed; or the request was not read to its end
            http.start_next_cycle()

    async def _read_head(self, http: h11.Connection, reader: asyncio.StreamReader) -> h11.Request | None:
        """Return the head of the next request, or ``None`` when the client is done.

        Raises:
            InvalidArgument: what came is not HTTP, or too long.
        """
        try:
            if not http.trailing_data[0]:
                async with asyncio.timeout(self._config.idle_connection_s):
                    http.receive_data(await reader.read(_READ_BYTES))
        except TimeoutError:
            return None  # idle for too long: clients expect that
        try:
            async with asyncio.timeout(self._config.request_timeout_s):
                while (event := http.next_event()) is h11.NEED_DATA:
                    http.receive_data(await reader.read(_READ_BYTES))
        except TimeoutError:
            self._metrics.refused_slow.inc()
            raise TimedOut("the request did not arrive in time", hint="send it at once") from None
        except h11.RemoteProtocolError as error:
            self._metrics.refused_malformed.inc()
            raise InvalidArgument(f"no HTTP request: {error}", hint="speak HTTP/1.1 to the control socket") from error
        return event if isinstance(event, h11.Request) else None


async def _refuse(http: h11.Connection, writer: asyncio.StreamWriter, error: PilotError) -> None:
    """Answer a connection that is not served, if it is still possible to answer at all."""
    if http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
        return
    body = json.dumps(error_envelope(error)).encode() + b"\n"
    head = f"HTTP/1.1 {http_status(error)} Refused\r\ncontent-type: {JSON_TYPE}\r\ncontent-length: {len(body)}\r\n"
    try:
        writer.write(head.encode("ascii") + b"connection: close\r\n\r\n" + body)
        async with asyncio.timeout(_CLOSE_LIMIT_S):
            await writer.drain()
    except (OSError, TimeoutError):
        return  # it does not read: then it is not told
