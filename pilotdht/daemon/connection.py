"""One connection to the control socket: who may open it, how many there may be, how long it may dawdle.

uvicorn's HTTP/1.1 protocol does the talking. This subclass adds what uvicorn leaves open: the peer's credentials, a
bound that refuses at once, a deadline for the head of each request, and answers in our own form to malformed ones. The
names of uvicorn that are used here are pinned by a contract test.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
import sys
from collections.abc import Callable
from typing import Any

import h11
from uvicorn.config import Config as UvicornConfig
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from pilotdht.config.daemon import DaemonConfig
from pilotdht.daemon.envelope import error_envelope, http_status
from pilotdht.daemon.metrics import DaemonMetrics
from pilotdht.errors import InvalidArgument, NotTrusted, Overloaded, PilotError

SOL_LOCAL = 0
LOCAL_PEERCRED = 1


def peer_user_id(connection: socket.socket, *, platform: str = sys.platform) -> int | None:
    """Return the user id of the process at the other end, or ``None`` where the system does not tell."""
    if hasattr(socket, "SO_PEERCRED"):  # Linux
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return int(struct.unpack("3i", credentials)[1])
    if platform == "darwin":
        # struct xucred: version, user id, number of groups, groups
        credentials = connection.getsockopt(SOL_LOCAL, LOCAL_PEERCRED, 76)
        return int(struct.unpack_from("2i", credentials)[1])
    return None


def may_control(user_id: int | None) -> bool:
    """Return whether a user may give orders: root and our own; an unknown one has passed the directory's mode."""
    return user_id is None or user_id in (0, os.geteuid())


class ControlServer:
    """What all connections of one listening socket share."""

    def __init__(
        self,
        app: Callable[..., Any],
        *,
        config: DaemonConfig,
        metrics: DaemonMetrics,
        check_user: Callable[[int | None], bool] | None,
    ) -> None:
        self.config = config
        """Bounds and times."""
        self.metrics = metrics
        """Counters."""
        self.check_user = check_user
        """Decides by user id; ``None`` for a TCP socket, where there is none."""
        self.state = ServerState()
        """uvicorn's record of connections and running requests."""
        self.uvicorn = UvicornConfig(
            app,
            http=ControlConnection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=int(config.idle_connection_s),
            h11_max_incomplete_event_size=config.max_header_bytes,
        )
        """uvicorn's settings."""
        self.uvicorn.load()

    def connection(self) -> ControlConnection:
        """Return the protocol of a new connection."""
        return ControlConnection(self)

    async def close(self, *, timeout_s: float) -> None:
        """Let running requests end within ``timeout_s``, then cut what is left."""
        for connection in list(self.state.connections):
            connection.shutdown()
        if self.state.tasks:
            await asyncio.wait(list(self.state.tasks), timeout=timeout_s)
        for connection in list(self.state.connections):
            connection.transport.abort()
        for task in list(self.state.tasks):
            task.cancel()
        if self.state.tasks:
            await asyncio.wait(list(self.state.tasks), timeout=1.0)


class ControlConnection(H11Protocol):
    """One connection."""

    def __init__(self, server: ControlServer) -> None:
        super().__init__(server.uvicorn, server.state, {})
        self._server = server
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn narrows it
        """Admit the peer, or tell it why not."""
        super().connection_made(transport)
        self._server.metrics.connections.inc()
        error: PilotError | None = None
        if self._server.check_user is not None:
            connection = transport.get_extra_info("socket")
            if not self._server.check_user(peer_user_id(connection)):
                self._server.metrics.refused_credentials.inc()
                error = NotTrusted("this daemon belongs to another user", hint="start a daemon of your own")
        if error is None and len(self.connections) > self._server.config.max_connections:
            self._server.metrics.refused_full.inc()
            error = Overloaded("too many connections to the daemon", hint="close some, or raise daemon.max_connections")
        if error is not None:
            self._refuse(error)
            return
        self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._server.metrics.connections.dec()
        self._stop_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes from the client."""
        if self.transport.is_closing():
            return
        before = self.cycle
        try:
            super().data_received(data)
        except h11.LocalProtocolError:  # malformed in the middle of an answer: there is no way to say so any more
            self._server.metrics.refused_malformed.inc()
            self.transport.abort()
            return
        if self.cycle is not before:
            self._stop_deadline()
        elif self._is_between_requests() and self.conn.trailing_data[0]:
            self._await_request()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, in the form of every error, and close."""
        self._server.metrics.refused_malformed.inc()
        self._stop_deadline()
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.abort()
            return
        self._refuse(InvalidArgument(msg.rstrip("."), hint="speak HTTP/1.1 to the control socket"))

    def _refuse(self, error: PilotError) -> None:
        """Write an error without a request to it, and close."""
        body = json.dumps(error_envelope(error)).encode()
        head = (
            f"HTTP/1.1 {http_status(error)} Refused\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode("ascii") + body)
        self.transport.close()

    def _await_request(self) -> None:
        """Give the client its time to send a request's head; started once, so that trickling does not extend it."""
        if self._deadline is None:
            self._deadline = self.loop.call_later(self._server.config.request_timeout_s, self._too_slow)

    def _is_between_requests(self) -> bool:
        """Return whether no request is being answered."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is None or cycle.response_complete

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        if self._is_between_requests():
            self._server.metrics.refused_slow.inc()
            self.transport.abort()
