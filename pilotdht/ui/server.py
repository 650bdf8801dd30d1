"""Serves the status page on loopback: who may come in, which file or fact is asked for, which few things may be done.

The port is opened when the page is first asked for, and closed when nobody is logged in any more, unless the
configuration names a port. The page itself is the same for everybody; facts and deeds need a browser that is logged in.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import parse_qsl

from pilotdht.config.config import Config
from pilotdht.daemon.envelope import error_envelope, http_status, ok_envelope
from pilotdht.daemon.fields import Fields
from pilotdht.daemon.handlers import DOERS, Call, Handler, Surroundings
from pilotdht.daemon.http import JSON_TYPE, ClientGone, Exchange, HttpServer, as_pilot_error
from pilotdht.daemon.metrics import DaemonMetrics
from pilotdht.daemon.shapes import PageShape
from pilotdht.daemon.verbs import NodeVerbs
from pilotdht.errors import ConfigError, InvalidArgument, NotFound, NotTrusted, Overloaded, PilotError, TimedOut
from pilotdht.ui.assets import Asset, load_assets
from pilotdht.ui.guard import (
    LOOPBACK,
    PAGE_KEY_HEADER,
    SECURITY_HEADERS,
    check_request,
    cookie_of,
    set_cookie,
)
from pilotdht.ui.live import PARTS, LivePage
from pilotdht.ui.metrics import UiMetrics
from pilotdht.ui.owner import loopback_user_id, may_watch
from pilotdht.ui.sessions import Sessions
from pilotdht.ui.texts import harmless_value
from pilotdht.ui.views import Views

CLOSE_TIMEOUT_S = 0.5
"""Time that running requests have to end when the page is closed."""

MAX_TOKEN_CHARS = 200
MAX_QUERY_CHARS = 500

ASSETS_PREFIX = "/assets/"
DEEDS_PREFIX = "/api/do/"

DEEDS: Mapping[str, Handler] = {
    "approve": DOERS["/v1/trust/approve"],
    "reject": DOERS["/v1/trust/reject"],
    "untrust": DOERS["/v1/trust/untrust"],
    "handshake": DOERS["/v1/trust/handshake"],
    "find": DOERS["/v1/find"],
    "find-tag": DOERS["/v1/lookup"],
    "ping": DOERS["/v1/ping"],
    "disconnect": DOERS["/v1/disconnect"],
}
"""All that can be done on the page; everything else takes the command line."""

_NO_STORE = ("cache-control", "no-store")
_LOG_IN_AGAIN = "run 'pilotdht ui' for a new link"


class StatusPage:
    """The status page of one node."""

    def __init__(self, node: NodeVerbs, *, config: Config, around: Surroundings, metrics: DaemonMetrics) -> None:
        """Make it; nothing listens yet.

        Args:
            node: what is shown.
            config: the section ``ui`` of it, and the daemon's bounds of headers.
            around: the daemon.
            metrics: the daemon's counters of connections.
        """
        self._node = node
        self._config = config.ui
        self._around = around
        self._metrics = UiMetrics(node.registry)
        self._sessions = Sessions(config.ui, secrets.token_bytes)
        self._assets: Mapping[str, Asset] = {}
        bounds = replace(
            config.daemon,
            max_connections=config.ui.max_connections,
            max_body_bytes=config.ui.max_body_bytes,
            request_timeout_s=config.ui.request_timeout_s,
        )
        self._http = HttpServer(self._serve, admit=self._admit, config=bounds, metrics=metrics)
        self._server: asyncio.Server | None = None
        self._opening = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None
        self._port = 0
        self._pages = 0

    @property
    def port(self) -> int:
        """The TCP port that it listens on; 0 while it does not."""
        return 0 if self._server is None else self._port

    async def open(self) -> None:
        """Listen, unless it listens already.

        Raises:
            ConfigError: the port cannot be had.
        """
        async with self._opening:
            if self._server is not None:
                return
            if not self._assets:
                self._assets = load_assets()
            try:
                self._server = await asyncio.start_server(self._http.accept, LOOPBACK, self._config.port or 0)
            except OSError as error:
                raise ConfigError(
                    f"the status page cannot be served on port {self._config.port} of {LOOPBACK}: {error.strerror}",
                    hint="choose another ui.port, or none for a free one",
                ) from error
            self._port = self._server.sockets[0].getsockname()[1]

    async def link(self) -> PageShape:
        """Listen, and return a link that logs a browser in once.

        The token stands behind ``#``: a browser does not send that part, so neither a log nor a referrer has it.

        Raises:
            ConfigError: the port cannot be had.
        """
        await self.open()
        token = self._sessions.new_link(self._now())
        self._look_again()
        return {
            "url": f"http://{LOOPBACK}:{self._port}/#login={token}",
            "port": self._port,
            "expires": round(time.time() + self._config.link_s, 1),
        }

    async def close(self) -> None:
        """Stop listening and end all pages; safe to call twice."""
        self._stop_listening()
        await self._http.close(timeout_s=CLOSE_TIMEOUT_S)

    def _stop_listening(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        server, self._server = self._server, None
        if server is not None:
            server.close()

    def _look_again(self) -> None:
        """Close the port once nobody can be logged in any more, and look again when that may be."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        next_at = self._sessions.expire(self._now())
        if self._config.port is not None or self._server is None:
            return
        if next_at is None:
            self._stop_listening()
        else:
            self._timer = asyncio.get_running_loop().call_at(next_at, self._look_again)

    def _admit(self, writer: asyncio.StreamWriter) -> None:
        """Refuse other users of this machine, and connections above the bound."""
        peer, own = writer.get_extra_info("peername"), writer.get_extra_info("sockname")
        if not may_watch(loopback_user_id(peer[:2], own[:2])):
            self._metrics.refused["user"].inc()
            raise NotTrusted("this page belongs to another user", hint="start a daemon of your own")
        if not self._http.check_room():
            self._metrics.refused["full"].inc()
            raise Overloaded("too many connections to the status page", hint="close some of its tabs")

    async def _serve(self, exchange: Exchange) -> None:
        """Answer one request; the top of it: every error is told, and logged when unexpected."""
        try:
            await self._route(exchange)
            self._metrics.requests["ok"].inc()
        except ClientGone:
            self._metrics.requests["abandoned"].inc()
            raise
        except Exception as failure:  # noqa: BLE001
            self._metrics.requests["error"].inc()
            error = as_pilot_error(failure)
            if not exchange.is_started:
                await self._tell_error(exchange, error, http_status(error))

    async def _route(self, exchange: Exchange) -> None:
        """Find out what is asked and have it done."""
        request = exchange.request
        try:
            check_request(request.method, request.headers, port=self._port)
        except PilotError as error:
            self._metrics.refused["origin" if isinstance(error, NotTrusted) else "host"].inc()
            raise
        if request.method == "GET":
            await exchange.read_body(
                most_bytes=0, timeout_s=self._config.request_timeout_s
            )  # else it cannot be kept open
        if request.method == "GET" and (asset := self._asset(request.path)) is not None:
            await self._tell_asset(exchange, asset)
        elif request.method == "POST" and request.path == "/api/login":
            await self._log_in(exchange)
        elif not request.path.startswith("/api/"):
            raise NotFound("there is no such page", hint=f"open http://{LOOPBACK}:{self._port}/")
        elif not self._is_logged_in(exchange):
            self._metrics.refused["session"].inc()
            await self._tell_error(exchange, NotTrusted("this browser is not logged in", hint=_LOG_IN_AGAIN), 401)
        elif request.method == "POST" and request.path == "/api/logout":
            await self._log_out(exchange)
        elif request.method == "GET" and request.path == "/api/live":
            await self._live(exchange)
        elif request.method == "POST" and (deed := DEEDS.get(request.path.removeprefix(DEEDS_PREFIX))) is not None:
            await self._do(exchange, deed)
        else:
            raise NotFound("the page has no such verb", hint="reload the page: the daemon may be of another version")

    def _asset(self, path: str) -> Asset | None:
        if path == "/" or path.removeprefix("/") in PARTS:
            return self._assets["index.html"]
        return self._assets.get(path.removeprefix(ASSETS_PREFIX)) if path.startswith(ASSETS_PREFIX) else None

    async def _tell_asset(self, exchange: Exchange, asset: Asset) -> None:
        await self._tell(exchange, 200, asset.content_type, asset.body, [*SECURITY_HEADERS, _NO_STORE])

    async def _log_in(self, exchange: Exchange) -> None:
        fields = await self._fields(exchange)
        token = fields.text("token", most_chars=MAX_TOKEN_CHARS)
        fields.finish()
        entry = self._sessions.enter(token, self._now())
        if entry is None:
            self._metrics.refused["link"].inc()
            raise NotTrusted("this link was used already, or is too old", hint=_LOG_IN_AGAIN)
        self._look_again()
        cookie = set_cookie(self._port, entry.cookie, lifetime_s=self._config.session_s)
        await self._tell_ok(exchange, {"page_key": entry.page_key}, [cookie])

    async def _log_out(self, exchange: Exchange) -> None:
        (await self._fields(exchange)).finish()
        self._sessions.leave(cookie_of(exchange.request.headers, port=self._port))
        await self._tell_ok(exchange, {}, [set_cookie(self._port, "", lifetime_s=0)])
        self._look_again()

    async def _live(self, exchange: Exchange) -> None:
        if len(exchange.request.query) > MAX_QUERY_CHARS:
            raise InvalidArgument("the query is too long")
        asked = dict(parse_qsl(exchange.request.query, keep_blank_values=True))
        page = asked.get("page", "")
        if page not in PARTS:
            raise NotFound("there is no such page", hint="reload the page: the daemon may be of another version")
        if self._pages >= self._config.max_pages:
            self._metrics.refused["pages"].inc()
            raise Overloaded("too many status pages are open", hint="close some, or raise ui.max_pages")
        live = LivePage(
            self._node,
            Views(self._node, around=self._around, unix_time=time.time),
            page=page,
            group=asked.get("group", ""),
            tick_s=self._config.tick_s,
            answer_timeout_s=self._config.answer_timeout_s,
            is_welcome=lambda: self._is_logged_in(exchange),
            unix_time=time.time,
        )
        self._pages += 1
        self._metrics.pages.inc()
        try:
            await live.run(exchange, [*SECURITY_HEADERS, _NO_STORE])
        finally:
            self._pages -= 1
            self._metrics.pages.dec()

    async def _do(self, exchange: Exchange, deed: Handler) -> None:
        call = Call(node=self._node, fields=await self._fields(exchange), around=self._around)
        results: list[object] = []

        async def work() -> None:
            async with asyncio.timeout(self._config.answer_timeout_s):
                results.append(harmless_value(await deed(call)))

        try:
            await exchange.while_wanted(work)
        except TimeoutError as error:
            raise TimedOut(f"it took longer than {self._config.answer_timeout_s:g} s", hint="try again") from error
        await self._tell_ok(exchange, results[0])

    def _is_logged_in(self, exchange: Exchange) -> bool:
        headers = exchange.request.headers
        cookie = cookie_of(headers, port=self._port)
        return self._sessions.is_valid(cookie, headers.get(PAGE_KEY_HEADER, ""), self._now())

    async def _fields(self, exchange: Exchange) -> Fields:
        body = await exchange.read_body(
            most_bytes=self._config.max_body_bytes, timeout_s=self._config.request_timeout_s
        )
        if body and exchange.request.headers.get("content-type", "").partition(";")[0].strip() != JSON_TYPE:
            raise InvalidArgument("the request body is not JSON", hint="send a JSON object")
        return Fields.parse(body)

    async def _tell_ok(self, exchange: Exchange, data: object, extra: list[tuple[str, str]] | None = None) -> None:
        body = json.dumps(ok_envelope(data)).encode() + b"\n"
        await self._tell(exchange, 200, JSON_TYPE, body, [*SECURITY_HEADERS, _NO_STORE, *(extra or [])])

    async def _tell_error(self, exchange: Exchange, error: PilotError, status: int) -> None:
        body = json.dumps(harmless_value(error_envelope(error))).encode() + b"\n"
        await self._tell(exchange, status, JSON_TYPE, body, [*SECURITY_HEADERS, _NO_STORE])

    async def _tell(
        self, exchange: Exchange, status: int, content_type: str, body: bytes, headers: list[tuple[str, str]]
    ) -> None:
        """Answer; a client that does not read is cut off."""
        try:
            async with asyncio.timeout(self._config.answer_timeout_s):
                await exchange.answer(status, content_type, body, headers)
        except TimeoutError as error:
            raise ClientGone from error

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
