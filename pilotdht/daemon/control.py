"""The control API: HTTP/1.1 and JSON on a unix socket that only the daemon's own user can reach.

Versioned paths under ``/v1/``; ``GET`` tells, ``POST`` acts. Every error is an envelope with code and hint. The same
application serves ``/metrics``; a second one, with nothing but ``/metrics``, may listen on a TCP port.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import json
import os
import socket
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from pilotdht.config.daemon import DaemonConfig
from pilotdht.daemon.connection import ControlServer, may_control
from pilotdht.daemon.envelope import error_envelope
from pilotdht.daemon.fields import Fields
from pilotdht.daemon.handlers import DOERS, READERS, Call, Handler, Surroundings
from pilotdht.daemon.metrics import DaemonMetrics, render
from pilotdht.daemon.paths import make_private_directory
from pilotdht.daemon.pipes import Pipes
from pilotdht.daemon.requests import ClientGone, as_pilot_error, read_body, send_body, send_error, send_ok, while_wanted
from pilotdht.daemon.verbs import NodeVerbs
from pilotdht.errors import AlreadyExists, ConfigError, UsageError
from pilotdht.wire.endpoint import Endpoint

CLOSE_TIMEOUT_S = 0.5
"""Time that running requests have to end when the daemon stops."""

Streaming = Callable[[Scope, Receive, Send], Awaitable[None]]


class Control:
    """The control API of one node."""

    def __init__(self, node: NodeVerbs, *, config: DaemonConfig, around: Surroundings, metrics: DaemonMetrics) -> None:
        self._node = node
        self._config = config
        self._around = around
        self._metrics = metrics
        self._pipes = Pipes(node, config=config, metrics=metrics)

    @contextlib.asynccontextmanager
    async def serve(self, path: Path) -> AsyncIterator[None]:
        """Listen on a unix socket, and on the metrics port when one is configured.

        Raises:
            AlreadyExists: a daemon answers there already.
            ConfigError: the socket or the port cannot be bound.
        """
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self._pipes.close)
            listening = bind_control_socket(path)
            stack.callback(_unlink_socket, path, os.stat(path).st_ino)
            loop = asyncio.get_running_loop()
            server = ControlServer(
                self.application(), config=self._config, metrics=self._metrics, check_user=may_control
            )
            stack.push_async_callback(server.close, timeout_s=CLOSE_TIMEOUT_S)
            unix_server = await loop.create_unix_server(server.connection, sock=listening)
            stack.callback(unix_server.close)
            if self._config.metrics is not None:
                await self._serve_metrics(self._config.metrics, stack)
            yield

    def application(self) -> ASGIApp:
        """Return the whole API."""
        routes = [
            *(Route(path, self._answering(handler), methods=["GET"]) for path, handler in READERS.items()),
            *(Route(path, self._answering(handler), methods=["POST"]) for path, handler in DOERS.items()),
            Route("/v1/dial", self._guarded(self._pipes.dial), methods=["POST"]),
            Route("/v1/streams/{name}", self._guarded(self._pipes.claim), methods=["POST"]),
            Route("/v1/listen", self._guarded(self._listen), methods=["POST"]),
            Route("/v1/receive", self._guarded(self._receive), methods=["POST"]),
            Route("/metrics", self._guarded(self._tell_metrics), methods=["GET"]),
        ]
        return _starlette(routes)

    def metrics_application(self) -> ASGIApp:
        """Return an application that serves ``/metrics`` and nothing else."""
        return _starlette([Route("/metrics", self._guarded(self._tell_metrics), methods=["GET"])])

    async def _serve_metrics(self, endpoint: Endpoint, stack: contextlib.AsyncExitStack) -> None:
        server = ControlServer(self.metrics_application(), config=self._config, metrics=self._metrics, check_user=None)
        stack.push_async_callback(server.close, timeout_s=CLOSE_TIMEOUT_S)
        loop = asyncio.get_running_loop()
        try:
            listening = await loop.create_server(server.connection, endpoint.host, endpoint.port)
        except OSError as error:
            raise ConfigError(
                f"metrics cannot be served on {endpoint}: {error.strerror}", hint="choose another --metrics"
            ) from error
        stack.callback(listening.close)

    def _guarded(self, streaming: Streaming) -> _Endpoint:
        """Answer errors of a streaming verb, count its outcome."""
        return _Endpoint(functools.partial(self._guard, streaming))

    def _answering(self, handler: Handler) -> _Endpoint:
        """Serve a verb that answers once."""
        return self._guarded(functools.partial(self._answer, handler))

    async def _guard(self, streaming: Streaming, scope: Scope, receive: Receive, send: Send) -> None:
        is_started = False

        async def watched_send(message: dict[str, object]) -> None:
            nonlocal is_started
            is_started = True
            await send(message)

        try:
            await streaming(scope, receive, watched_send)  # type: ignore[arg-type]  # starlette's Message is a mapping
            self._metrics.requests_ok.inc()
        except ClientGone:
            self._metrics.requests_abandoned.inc()
            if not is_started:  # nobody reads it; uvicorn wants each request answered
                await send_error(send, UsageError("the client went away"))
        except Exception as failure:  # noqa: BLE001 - the top of a request: told to the client, logged when unexpected
            self._metrics.requests_failed.inc()
            error = as_pilot_error(failure)
            if not is_started:
                await send_error(send, error)

    async def _answer(self, handler: Handler, scope: Scope, receive: Receive, send: Send) -> None:
        call = Call(node=self._node, fields=await self._fields(receive), around=self._around)

        async def work() -> None:
            await send_ok(send, await handler(call))

        await while_wanted(receive, work)

    async def _listen(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._pipes.listen(await self._fields(receive), receive, send)

    async def _receive(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._pipes.receive(await self._fields(receive), receive, send)

    async def _tell_metrics(self, scope: Scope, receive: Receive, send: Send) -> None:
        accept = dict(scope["headers"]).get(b"accept", b"").decode("latin-1")
        body, content_type = render(self._node.registry, accept)
        await send_body(send, 200, (b"content-type", content_type.encode("ascii")), body)

    async def _fields(self, receive: Receive) -> Fields:
        body = await read_body(
            receive, most_bytes=self._config.max_body_bytes, timeout_s=self._config.request_timeout_s
        )
        return Fields.parse(body)


class _Endpoint:
    """An ASGI application as starlette's router wants it: an object, not a function."""

    def __init__(self, streaming: Streaming) -> None:
        self._streaming = streaming

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._streaming(scope, receive, send)


def bind_control_socket(path: Path) -> socket.socket:
    """Return a socket bound to ``path`` with mode 0600 from its first instant.

    Raises:
        AlreadyExists: somebody answers there.
        ConfigError: the path cannot be used.
    """
    make_private_directory(path.parent)
    if path.exists() or path.is_symlink():
        _remove_dead_socket(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    previous = os.umask(0o177)
    try:
        listening.bind(str(path))
    except OSError as error:
        listening.close()
        raise ConfigError(f"{path} cannot be bound: {error.strerror}", hint="set PILOTDHT_SOCKET") from error
    finally:
        os.umask(previous)
    listening.setblocking(False)
    return listening


def _remove_dead_socket(path: Path) -> None:
    """Remove what a daemon that died left behind; never a live one's socket, never a file of another kind."""
    if not stat.S_ISSOCK(path.lstat().st_mode):
        raise ConfigError(f"{path} is not a socket", hint="remove it, or set PILOTDHT_SOCKET")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except OSError as error:
            if error.errno not in (errno.ECONNREFUSED, errno.ENOENT):
                raise ConfigError(f"{path} is in use: {error.strerror}", hint="set PILOTDHT_SOCKET") from error
        else:
            raise AlreadyExists(f"a daemon answers on {path} already", hint="run 'pilotdht daemon stop' first")
    path.unlink(missing_ok=True)


def _unlink_socket(path: Path, inode: int) -> None:
    """Remove our own socket, not one that a successor has bound meanwhile."""
    with contextlib.suppress(FileNotFoundError):
        if path.lstat().st_ino == inode:
            path.unlink()


def _starlette(routes: list[Route]) -> ASGIApp:
    """Return the router, with its own refusals in our form."""

    async def refuse(request: Request, error: Exception) -> Response:
        status = getattr(error, "status_code", 404)
        wrong = UsageError(
            f"no verb {request.method} {request.url.path[:200]}",
            hint="the daemon may be of another version than the client: run 'pilotdht daemon restart'",
        )
        return Response(json.dumps(error_envelope(wrong)), status_code=status, media_type="application/json")

    return Starlette(routes=routes, exception_handlers={404: refuse, 405: refuse})
