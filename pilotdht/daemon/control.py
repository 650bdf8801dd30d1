"""The control API: HTTP/1.1 and JSON on a unix socket that only the daemon's own user can reach.

Versioned paths under ``/v1/``; ``GET`` tells, ``POST`` acts. Every error is an envelope with code and hint. The same
socket serves ``/metrics``; a TCP port that serves nothing else may be opened beside it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path

from pilotdht.config.daemon import DaemonConfig
from pilotdht.daemon.asking import QUERY_DOERS, stream
from pilotdht.daemon.credentials import may_control, peer_user_id
from pilotdht.daemon.discovery import TargetKeeper, announce_metrics
from pilotdht.daemon.feeds import Feeds
from pilotdht.daemon.fields import Fields
from pilotdht.daemon.group_handlers import GROUP_DOERS, GROUP_READERS
from pilotdht.daemon.handlers import DOERS, READERS, Call, Handler, Surroundings
from pilotdht.daemon.http import JSON_TYPE, ClientGone, Exchange, HttpServer, as_pilot_error
from pilotdht.daemon.metrics import DaemonMetrics, render
from pilotdht.daemon.pipes import Pipes
from pilotdht.daemon.questions import Questions
from pilotdht.daemon.targets import described
from pilotdht.daemon.unix_socket import bind_control_socket, unlink_socket
from pilotdht.daemon.verbs import NodeVerbs
from pilotdht.errors import ConfigError, NotTrusted, Overloaded, UsageError
from pilotdht.tasks import TaskScope
from pilotdht.wire.endpoint import Endpoint

CLOSE_TIMEOUT_S = 0.5
"""Time that running requests have to end when the daemon stops."""

STREAMS_PREFIX = "/v1/streams/"
ANSWERS_PREFIX = "/v1/query/answers/"
METRICS_PATH = "/metrics"
TARGETS_PATH = "/targets"

_READERS = {**READERS, **GROUP_READERS}
_DOERS = {**DOERS, **GROUP_DOERS, **QUERY_DOERS}


class Control:
    """The control API of one node."""

    def __init__(self, node: NodeVerbs, *, config: DaemonConfig, around: Surroundings, metrics: DaemonMetrics) -> None:
        self._node = node
        self._config = config
        self._around = around
        self._metrics = metrics
        self._pipes = Pipes(node, config=config, metrics=metrics)
        self._questions = Questions(node, config=config, metrics=metrics)
        feeds = Feeds(node)
        self._streams: Mapping[str, Callable[[Exchange, Fields], Awaitable[None]]] = {
            "/v1/receive": self._pipes.receive,
            "/v1/groups/subscribe": feeds.subscribe,
            "/v1/groups/changes": feeds.changes,
            "/v1/query/stream": partial(stream, node),
        }
        self._targets = TargetKeeper(node, config=config, metrics=metrics)
        self._control = HttpServer(self._serve, admit=self._admit, config=config, metrics=metrics)
        self._exporter = HttpServer(self._serve_metrics, admit=self._admit_to_metrics, config=config, metrics=metrics)

    @contextlib.asynccontextmanager
    async def serve(self, path: Path) -> AsyncIterator[None]:
        """Listen on a unix socket, and on the metrics port when one is configured.

        Raises:
            AlreadyExists: a daemon answers there already.
            ConfigError: the socket or the port cannot be bound.
        """
        async with contextlib.AsyncExitStack() as stack:
            listening = bind_control_socket(path)
            stack.callback(unlink_socket, path, os.stat(path).st_ino)
            stack.callback(self._pipes.close)
            stack.callback(self._questions.close)
            unix_server = await asyncio.start_unix_server(self._control.accept, sock=listening)
            stack.push_async_callback(self._control.close, timeout_s=CLOSE_TIMEOUT_S)
            stack.callback(unix_server.close)
            if self._config.metrics is not None:
                await self._listen_for_metrics(self._config.metrics, stack)
            yield

    async def _listen_for_metrics(self, endpoint: Endpoint, stack: contextlib.AsyncExitStack) -> None:
        try:
            server = await asyncio.start_server(self._exporter.accept, endpoint.host, endpoint.port)
        except OSError as error:
            raise ConfigError(
                f"metrics cannot be served on {endpoint}: {error.strerror}", hint="choose another --metrics"
            ) from error
        stack.push_async_callback(self._exporter.close, timeout_s=CLOSE_TIMEOUT_S)
        stack.callback(server.close)
        bound = Endpoint(endpoint.host, server.sockets[0].getsockname()[1])
        self._targets.own = bound
        if self._config.is_metrics_announced:
            scope = await stack.enter_async_context(TaskScope("targets"))
            timeout_s = self._config.target_timeout_s
            scope.start(announce_metrics(self._node, bound, timeout_s=timeout_s), name="announce")

    def _admit(self, writer: asyncio.StreamWriter) -> None:
        """Refuse other users, and connections above the bound."""
        if not may_control(peer_user_id(writer.get_extra_info("socket"))):
            self._metrics.refused_credentials.inc()
            raise NotTrusted("this daemon belongs to another user", hint="start a daemon of your own")
        if not self._control.check_room():
            self._metrics.refused_full.inc()
            raise Overloaded("too many connections to the daemon", hint="close some, or raise daemon.max_connections")

    def _admit_to_metrics(self, writer: asyncio.StreamWriter) -> None:
        """Refuse connections above the bound."""
        if not self._exporter.check_room():
            self._metrics.refused_full.inc()
            raise Overloaded("too many connections to the metrics port")

    async def _serve(self, exchange: Exchange) -> None:
        """Answer one request; the top of it: every error is told, and logged when unexpected."""
        try:
            await self._route(exchange)
            self._metrics.requests_ok.inc()
        except ClientGone:
            self._metrics.requests_abandoned.inc()
            raise
        except Exception as failure:  # noqa: BLE001
            self._metrics.requests_failed.inc()
            error = as_pilot_error(failure)
            if not exchange.is_started:
                await exchange.answer_error(error)

    async def _serve_metrics(self, exchange: Exchange) -> None:
        """Answer one request to the metrics port."""
        if exchange.request.path == METRICS_PATH:
            await self._tell_metrics(exchange)
        elif exchange.request.path == TARGETS_PATH and self._config.is_listing_targets:
            await exchange.answer(200, JSON_TYPE, described(await self._targets.targets()))
        else:
            await exchange.answer_error(UsageError("there is nothing but /metrics here"), status=404)

    async def _route(self, exchange: Exchange) -> None:
        """Find out what is asked and have it done."""
        method, path = exchange.request.method, exchange.request.path
        if (method == "GET" and (handler := _READERS.get(path))) or (
            method == "POST" and (handler := _DOERS.get(path))
        ):
            await self._answer(exchange, handler)
        elif method == "GET" and path == METRICS_PATH:
            await self._tell_metrics(exchange)
        elif method == "GET" and path == "/v1/metrics/targets":
            await exchange.answer_ok({"targets": [target.described() for target in await self._targets.targets()]})
        elif method == "POST" and path == "/v1/dial":
            await self._pipes.dial(exchange)
        elif method == "POST" and path.startswith(STREAMS_PREFIX):
            await self._pipes.claim(exchange, path.removeprefix(STREAMS_PREFIX))
        elif method == "POST" and path.startswith(ANSWERS_PREFIX):
            await self._questions.answer(exchange, path.removeprefix(ANSWERS_PREFIX))
        elif method == "POST" and path == "/v1/listen":
            await self._pipes.listen(exchange)
        elif method == "POST" and path == "/v1/query/serve":
            await self._questions.serve(exchange)
        elif method == "POST" and (serve := self._streams.get(path)):
            await serve(exchange, await self._fields(exchange))
        else:
            self._metrics.requests_failed.inc()
            wrong = UsageError(
                f"no verb {method} {path[:200]}",
                hint="the daemon may be of another version than the client: run 'pilotdht daemon restart'",
            )
            await exchange.answer_error(wrong, status=404)

    async def _answer(self, exchange: Exchange, handler: Handler) -> None:
        call = Call(node=self._node, fields=await self._fields(exchange), around=self._around)

        async def work() -> None:
            await exchange.answer_ok(await handler(call))

        await exchange.while_wanted(work)

    async def _tell_metrics(self, exchange: Exchange) -> None:
        body, content_type = render(self._node.registry, exchange.request.headers.get("accept", ""))
        await exchange.answer(200, content_type, body)

    async def _fields(self, exchange: Exchange) -> Fields:
        body = await exchange.read_body(
            most_bytes=self._config.max_body_bytes, timeout_s=self._config.request_timeout_s
        )
        return Fields.parse(body)
