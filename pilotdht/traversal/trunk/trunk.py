"""The client's end of one trunk: carries this node's datagrams once both ends have proven who they are."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Sequence

from pilotdht.config.trunk import TrunkConfig
from pilotdht.errors import BadMessage
from pilotdht.identity.ids import PublicKey
from pilotdht.net.doors import ByteStream, Receive
from pilotdht.net.prefixes import is_local
from pilotdht.traversal.trunk.candidates import Candidate
from pilotdht.traversal.trunk.frames import HEARTBEAT, MAX_CARRIED_BYTES, FrameReader, encode_frames
from pilotdht.traversal.trunk.liveness import Due, Liveness, Patience
from pilotdht.traversal.trunk.metrics import TrunkMetrics
from pilotdht.wire.endpoint import Endpoint

LOOKS_IN_SILENCE = 4
"""How often in the time of silence after which the server is asked whether it is there somebody looks."""


class Trunk:
    """One open trunk; :meth:`run` keeps it, :meth:`close` ends it."""

    def __init__(
        self,
        stream: ByteStream,
        candidate: Candidate,
        server: PublicKey,
        *,
        keepalive_s: float,
        config: TrunkConfig,
        metrics: TrunkMetrics,
        receive: Receive,
    ) -> None:
        """Make it of a connection whose ends have proven themselves.

        Args:
            stream: the connection; owned from now on.
            candidate: where it was opened.
            server: who is at the other end.
            keepalive_s: how often the server wants to see that we are there.
            config: bounds and waits.
            metrics: where all is counted.
            receive: takes the datagrams that come out of it.
        """
        self.candidate = candidate
        """Where it was opened."""
        self.server = server
        """Who is at the other end."""
        self._stream = stream
        self._config = config
        self._metrics = metrics
        self._receive = receive
        self._loop = asyncio.get_running_loop()
        patience = Patience(
            keepalive_s=min(config.keepalive_s, keepalive_s), idle_s=config.idle_s, silence_s=config.silence_s
        )
        self._liveness = Liveness(patience, now=self._loop.time())
        self._reader = FrameReader()
        self._is_mesh_local = _is_local(candidate.host)
        self._over: asyncio.Future[str] = self._loop.create_future()

    @property
    def remote(self) -> Endpoint:
        """The TCP endpoint that it is connected to: the server's, or a proxy's."""
        return self._stream.remote

    def takes(self, endpoint: Endpoint) -> bool:
        """Return whether it carries what goes to an endpoint; this machine reaches those of its own network itself."""
        return not self._over.done() and (self._is_mesh_local or not is_local(endpoint.host))

    def carry(self, datagrams: Sequence[bytes], endpoint: Endpoint) -> bool:
        """Carry datagrams to an endpoint; false when this machine reaches that by itself, or the trunk is over."""
        if not self.takes(endpoint):
            return False
        fitting = [(datagram, endpoint) for datagram in datagrams if len(datagram) <= MAX_CARRIED_BYTES]
        self._metrics.own_dropped["oversized"] += len(datagrams) - len(fitting)
        if self._stream.backlog_bytes > self._config.backlog_bytes:
            self._metrics.own_dropped["backlog"] += len(fitting)
        elif fitting:
            self._liveness.sent(self._loop.time())
            self._stream.write(encode_frames(fitting))
        return True

    async def run(self) -> str:
        """Deliver what comes until the trunk is over; return why it is: ``closed``, ``silent`` or ``malformed``."""
        self._stream.deliver(self._received, lambda: self._end("closed"))
        while not self._over.done():
            due = self._liveness.due(self._loop.time())
            if due is Due.GIVE_UP:
                self._end("silent")
                break
            if due is Due.SHOW:
                self._liveness.sent(self._loop.time())
                self._stream.write(HEARTBEAT)
            await asyncio.wait((self._over,), timeout=self._config.silence_s / LOOKS_IN_SILENCE)
        return self._over.result()

    def doubt(self) -> None:
        """Ask the server at once whether it is there: the way to it may be gone."""
        self._liveness.doubt(self._loop.time())

    def close(self) -> None:
        """End it; safe to call twice."""
        self._end("closed")
        self._stream.close()

    def _received(self, data: bytes) -> None:
        if self._over.done():
            return
        self._liveness.heard(self._loop.time())
        try:
            frames, _ = self._reader.take_untrusted(data)
        except BadMessage:
            self._end("malformed")
            return
        if frames:
            self._receive(frames)

    def _end(self, reason: str) -> None:
        if not self._over.done():
            self._over.set_result(reason)


def _is_local(host: str) -> bool:
    """Return whether a host is written as a private or loopback address: then the whole mesh is reached by it."""
    try:
        return is_local(str(ipaddress.ip_address(host)))
    except ValueError:
        return host == "localhost"
