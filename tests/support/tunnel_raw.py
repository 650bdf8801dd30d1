"""A bare connection on a virtual wire: for peers that do not behave like nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from pilotdht.config.tunnel import TunnelConfig
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import KeyPair
from pilotdht.tunnel.quic.connection import NodeConnection
from pilotdht.tunnel.quic.events import ConnectionClosed
from pilotdht.tunnel.quic.settings import ConnectionSettings
from pilotdht.wire.endpoint import Endpoint
from tests.support.tunnel_virtual_time import Wire


class RecordingSink:
    """Notes what a connection tells."""

    def __init__(self) -> None:
        self.is_terminated = False
        self.closed: ConnectionClosed | None = None
        self.data: dict[int, bytearray] = {}
        self.ended: list[int] = []
        self.resets: list[tuple[int, int]] = []
        self.stops: list[tuple[int, int]] = []
        self.gone: list[int] = []
        self.messages: list[bytes] = []
        self.pings: list[int] = []

    def on_proved(self) -> None:
        """Ignore it: tests ask the connection whether the handshake is confirmed."""

    def on_stream_data(self, stream_id: int, data: bytes, is_last: bool) -> None:
        """Note it."""
        self.data.setdefault(stream_id, bytearray()).extend(data)
        if is_last:
            self.ended.append(stream_id)

    def on_stream_reset(self, stream_id: int, code: int) -> None:
        """Note it."""
        self.resets.append((stream_id, code))

    def on_stop_sending(self, stream_id: int, code: int) -> None:
        """Note it."""
        self.stops.append((stream_id, code))

    def on_stream_gone(self, stream_id: int) -> None:
        """Note it."""
        self.gone.append(stream_id)

    def on_message(self, data: bytes) -> None:
        """Note it."""
        self.messages.append(data)

    def on_ping_acknowledged(self, uid: int) -> None:
        """Note it."""
        self.pings.append(uid)

    def on_id_issued(self, connection_id: bytes) -> None:
        """Ignore it."""

    def on_id_retired(self, connection_id: bytes) -> None:
        """Ignore it."""

    def on_closed(self, closed: ConnectionClosed) -> None:
        """Note it."""
        self.closed = closed

    def on_terminated(self) -> None:
        """Note it."""
        self.is_terminated = True


class RawPeer:
    """One end of one connection, driven by the wire and by a timer."""

    def __init__(self, wire: Wire, endpoint: Endpoint) -> None:
        self.wire = wire
        self.endpoint = endpoint
        self.sink = RecordingSink()
        self.loop = asyncio.get_running_loop()
        self.connection: NodeConnection | None = None
        self.before_first: Callable[[NodeConnection], None] = lambda connection: None
        self._send = wire.sender(endpoint)
        self._timer: asyncio.TimerHandle | None = None
        wire.receivers[endpoint] = self.receive

    def dial(self, settings: ConnectionSettings, expected_key: PublicKey, endpoint: Endpoint) -> NodeConnection:
        """Begin a handshake."""
        self.connection = NodeConnection.dial(
            settings, expected_key=expected_key, endpoint=endpoint, now=self.loop.time()
        )
        self.flush()
        return self.connection

    def accept(self, settings: ConnectionSettings) -> None:
        """Answer the first handshake that comes."""
        self._server = settings

    def receive(self, batch: Sequence[tuple[bytes, Endpoint]]) -> None:
        """Take in datagrams."""
        for datagram, source in batch:
            if self.connection is None:
                self.connection = NodeConnection.accept(self._server, original_id=datagram[6 : 6 + datagram[5]])
                self.before_first(self.connection)
            self.connection.receive_datagram(datagram, source, self.loop.time())
        self.flush()

    def flush(self) -> None:
        """Send and set the timer."""
        connection = self.connection
        assert connection is not None
        connection.deliver(self.sink)
        for datagrams, destination in connection.trains(self.loop.time()):
            self._send(datagrams, destination)
        connection.deliver(self.sink)
        if self._timer is not None:
            self._timer.cancel()
        deadline = connection.deadline()
        self._timer = None if deadline is None else self.loop.call_at(deadline + 2e-6, self._fire)

    def close(self) -> None:
        """Vanish."""
        if self._timer is not None:
            self._timer.cancel()
        self.wire.receivers.pop(self.endpoint, None)

    def _fire(self) -> None:
        assert self.connection is not None
        self.connection.fire(self.loop.time())
        self.flush()


def settings_of(keys: KeyPair, config: TunnelConfig | None = None) -> ConnectionSettings:
    """Return what an honest node would use, to be spoilt."""
    return ConnectionSettings(keys, config or TunnelConfig())
