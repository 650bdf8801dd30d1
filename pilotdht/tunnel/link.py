"""One link: one QUIC connection with one peer, and the streams and messages on it.

The link notes what its connection tells it and wakes whoever waits; it decides nothing about who may do what. That is
for the :class:`LinkOwner`, and moving datagrams for the :class:`LinkDriver`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping

from pilotdht.config.tunnel import TunnelConfig
from pilotdht.errors import InternalError, InvalidArgument, LinkClosed, Overloaded, TimedOut
from pilotdht.identity.ids import PublicKey
from pilotdht.tunnel.header import MAX_PORT, Answer, OptionValue, StreamHeader, check_port, opening
from pilotdht.tunnel.link_roles import LinkDriver, LinkOwner
from pilotdht.tunnel.link_state import LinkState, error_of, step
from pilotdht.tunnel.pings import Pings
from pilotdht.tunnel.quic.connection import NodeConnection
from pilotdht.tunnel.quic.events import CloseCode, ConnectionClosed
from pilotdht.tunnel.stream import Stream, StreamStage
from pilotdht.wire.endpoint import Endpoint

MESSAGE_PORT_BYTES = 2
_STREAMS_QUEUED_FACTOR = 4  # streams beyond the peer's limit wait for others to finish; this many times the limit


class Link:
    """A connection with a peer whose key is proved once :attr:`is_up`."""

    __slots__ = (
        "_awaiting_header",
        "_closed",
        "_config",
        "_delivered",
        "_pings",
        "_state",
        "_streams",
        "_waiting_writers",
        "bytes_in",
        "bytes_out",
        "connection",
        "connection_ids",
        "dialled_key",
        "driver",
        "heard_at",
        "is_touched",
        "loop",
        "opened_at",
        "owner",
        "reset_token",
        "retired_ids",
        "road",
        "settled",
        "surplus_since",
        "timer",
        "timer_at",
        "up_at",
        "used_at",
    )

    def __init__(
        self,
        *,
        connection: NodeConnection,
        driver: LinkDriver,
        owner: LinkOwner,
        config: TunnelConfig,
        dialled_key: PublicKey | None,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        now = loop.time()
        self.connection = connection
        """The QUIC connection; for the endpoint only."""
        self.driver = driver
        """Moves the datagrams."""
        self.owner = owner
        """Decides about streams and messages."""
        self.loop = loop
        """The loop whose time is used."""
        self.dialled_key = dialled_key
        """The key this node insists on, or ``None`` when the peer dialled."""
        self.opened_at = now
        """When the handshake began: time of the loop, in seconds."""
        self.up_at: float | None = None
        """When the handshake was done, or ``None``."""
        self.heard_at = now
        """When the last datagram came from the peer."""
        self.used_at = now
        """When a stream or message was last begun or ended."""
        self.bytes_in = 0
        """Bytes of datagrams received."""
        self.bytes_out = 0
        """Bytes of datagrams sent."""
        self.settled: asyncio.Future[None] = loop.create_future()
        """Done when the link is up or closed."""
        self.surplus_since: float | None = None
        """Since when another link to the peer is preferred, or ``None``."""
        self.connection_ids: dict[bytes, None] = {}
        """Ids under which the endpoint routes to this link; kept by the endpoint."""
        self.retired_ids: deque[bytes] = deque()
        """Kept by the endpoint."""
        self.timer: asyncio.TimerHandle | None = None
        """Kept by the endpoint."""
        self.timer_at = 0.0
        """Kept by the endpoint."""
        self.is_touched = False
        """Kept by the endpoint."""
        self.reset_token: bytes | None = None
        """Kept by the endpoint."""
        self.road: Endpoint | None = None
        """Where datagrams go since the link was moved; absent: where the handshake went."""
        self._config = config
        self._state = LinkState.CONNECTING
        self._closed: ConnectionClosed | None = None
        self._streams: dict[int, Stream] = {}
        self._awaiting_header: dict[int, Stream] = {}
        self._waiting_writers: dict[int, Stream] = {}
        self._pings = Pings(now)
        self._delivered: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        """Show direction and state."""
        return f"<Link {'to' if self.is_dialled else 'from'} {self.endpoint} {self._state.value}>"

    # Facts.

    @property
    def state(self) -> LinkState:
        """Where the link stands."""
        return self._state

    @property
    def is_up(self) -> bool:
        """Whether streams can be opened."""
        return self._state is LinkState.UP or self._state is LinkState.DRAINING

    @property
    def is_dialled(self) -> bool:
        """Whether this node dialled."""
        return self.dialled_key is not None

    @property
    def peer_key(self) -> PublicKey:
        """The peer's key, 32 bytes; proved when the link is or was up.

        Raises:
            InternalError: the peer dialled, and has not proved a key yet.
        """
        key = self.dialled_key or self.connection.peer_key
        if key is None:
            raise InternalError("the peer has not proved its key yet")
        return key

    @property
    def endpoint(self) -> Endpoint | None:
        """Where the peer is at the moment, or ``None`` when nothing was received."""
        endpoint: Endpoint | None = self.road or self.connection.get_peer_address()
        return endpoint

    @property
    def rtt_s(self) -> float | None:
        """Smoothed round-trip time, or ``None`` before it was measured."""
        return self.connection.rtt_s

    @property
    def stream_count(self) -> int:
        """Streams that are not finished."""
        return len(self._streams)

    @property
    def max_message_bytes(self) -> int:
        """Largest message that :meth:`send_message` takes."""
        return max(0, self.connection.max_message_bytes - MESSAGE_PORT_BYTES)

    @property
    def closed(self) -> ConnectionClosed | None:
        """Why the link ended, or ``None`` while it has not."""
        return self._closed

    # What applications call.

    async def open_stream(
        self,
        port: int,
        *,
        options: Mapping[str, OptionValue] | None = None,
        traceparent: str | None = None,
        is_optimistic: bool = False,
        timeout_s: float | None = None,
    ) -> Stream:
        """Open a stream to a port of the peer.

        Args:
            port: virtual port, 1..65535.
            options: few small values for the service behind the port.
            traceparent: W3C trace context.
            is_optimistic: return at once; a refusal is then raised by the first read.
            timeout_s: time for the answer; absent: from the configuration.

        Raises:
            NotTrusted: the peer does not trust this node.
            Refused: nothing listens there.
            Overloaded: too many streams, on either side.
            LinkClosed: the link is or was closed.
            TimedOut: no answer in time.
        """
        header = opening(port, options, traceparent or self.owner.traceparent())
        self._check_up()
        if len(self._streams) >= _STREAMS_QUEUED_FACTOR * self._config.max_streams_per_link:
            raise Overloaded("too many streams are open on this link")
        stream_id = self.connection.get_next_available_stream_id()
        now = self.loop.time()
        stream = Stream(self, self._config, stream_id=stream_id, port=port, opened_at=now)
        self._streams[stream_id] = stream
        self.used_at = now
        self.connection.send_stream_data(stream_id, header)
        self.driver.touch(self)
        if not is_optimistic:
            try:
                await stream.accepted(self._config.open_timeout_s if timeout_s is None else timeout_s)
            except BaseException:
                stream.abort()
                raise
        return stream

    def send_message(self, port: int, data: bytes) -> None:
        """Send an unreliable message: it may be lost, doubled by nobody, and overtakes streams.

        Raises:
            InvalidArgument: the port is out of range, or the message too large.
            LinkClosed: the link is not up.
        """
        check_port(port)
        self._check_up()
        if len(data) > self.max_message_bytes:
            raise InvalidArgument(
                f"a message of {len(data)} bytes is too large",
                hint=f"at most {self.max_message_bytes} bytes; use a stream",
            )
        self.used_at = self.loop.time()
        if not self.connection.send_message(port.to_bytes(MESSAGE_PORT_BYTES, "big") + data):
            self.owner.on_message_dropped("queue_full")
        self.driver.touch(self)

    async def ping(self, timeout_s: float | None = None) -> float:
        """Return the round-trip time of a QUIC PING, in seconds.

        Raises:
            LinkClosed: the link is or was closed.
            TimedOut: no answer in time.
        """
        self._check_up()
        waiter: asyncio.Future[float] = self.loop.create_future()
        uid = self._send_ping(waiter)
        limit_s = self._config.open_timeout_s if timeout_s is None else timeout_s
        started = self.loop.time()
        try:
            async with asyncio.timeout(limit_s):
                return await waiter - started
        except TimeoutError as error:
            raise TimedOut(f"no answer to a ping within {limit_s:g} s") from error
        finally:
            self._pings.forget(uid)

    async def close(self, code: CloseCode = CloseCode.DONE, text: str = "") -> None:
        """Deliver what was written, then end the link; idempotent."""
        if self.is_up and self._has_undelivered():
            self._delivered = self._delivered or self.loop.create_future()
            try:
                async with asyncio.timeout(self._config.linger_s):
                    await asyncio.shield(self._delivered)
            except TimeoutError:
                pass
        self.close_now(code, text)

    def close_now(self, code: CloseCode, text: str = "") -> None:
        """End the link at once; what was not delivered is lost; idempotent."""
        if self._state is not LinkState.CLOSED:
            self.connection.close_with(code, text)
            self.driver.touch(self)
            self.connection.deliver(self)

    def move(self, endpoint: Endpoint) -> None:
        """Send along a road that is new, or has changed; the peer is proven to be there, and QUIC does not notice."""
        if self.is_up:
            self.road = endpoint
            self.connection.begin_path()
            self._send_ping(None)

    def drain(self, now: float) -> None:
        """Prefer another link to the peer from now on."""
        if self._state is LinkState.UP:
            self._step(LinkState.DRAINING)
            self.surplus_since = now

    def prefer(self) -> None:
        """Prefer this link again: the other one ended."""
        if self._state is LinkState.DRAINING:
            self._step(LinkState.UP)
            self.surplus_since = None

    def sweep(self, now: float) -> None:
        """Do what is due by time: keepalive, late headers, idle or surplus links."""
        if not self.is_up:
            return
        config = self._config
        for stream in [s for s in self._awaiting_header.values() if now - s.opened_at > config.header_timeout_s]:
            self.refuse(stream, Answer.MALFORMED)
        if not self._streams:
            if self.surplus_since is not None and now - max(self.surplus_since, self.used_at) > config.drain_s:
                self.close_now(CloseCode.SURPLUS)
                return
            if now - self.used_at > config.idle_close_s:
                self.close_now(CloseCode.IDLE)
                return
        if now - max(self.heard_at, self._pings.sent_at) >= config.keepalive_s:
            self._send_ping(None)

    # What streams call.

    def admit(self, stream: Stream, header: StreamHeader) -> None:
        """Decide about an incoming stream whose header is complete."""
        answer = self.owner.admit(self, stream, header)
        if answer is not Answer.ACCEPTED:
            self.refuse(stream, answer)
            return
        self._awaiting_header.pop(stream.stream_id, None)
        stream.open(header)
        self.send(stream.stream_id, bytes((Answer.ACCEPTED,)), False)
        self.owner.serve(self, stream)

    def refuse(self, stream: Stream, answer: Answer) -> None:
        """Refuse an incoming stream."""
        self._awaiting_header.pop(stream.stream_id, None)
        self.owner.on_refused(answer)
        stream.refuse(answer)
        self.send(stream.stream_id, bytes((answer,)), True)
        self.stop(stream.stream_id, CloseCode.DONE)

    def send(self, stream_id: int, data: bytes, is_last: bool) -> bool:
        """Queue bytes of a stream; False when it cannot take any more."""
        is_taken = self.connection.write(stream_id, data, is_last)
        if is_taken:
            self.driver.touch(self)
        return is_taken

    def unacknowledged_bytes(self, stream_id: int) -> int:
        """Return how many bytes of a stream were written and not acknowledged."""
        return self.connection.unacknowledged_bytes(stream_id)

    def is_delivered(self, stream_id: int) -> bool:
        """Return whether all that was written to a stream was acknowledged."""
        return self.connection.is_delivered(stream_id)

    def consumed(self, stream_id: int, size: int) -> None:
        """Give the peer credit for bytes that the application is done with."""
        if self.connection.consumed(stream_id, size):
            self.driver.touch(self)

    def reset(self, stream_id: int, code: CloseCode) -> None:
        """Give up sending on a stream."""
        self.connection.give_up_sending(stream_id, code)
        self.driver.touch(self)

    def stop(self, stream_id: int, code: CloseCode) -> None:
        """Ask the peer to give up sending on a stream."""
        self.connection.give_up_receiving(stream_id, code)
        self.driver.touch(self)

    def wake_when_acknowledged(self, stream: Stream) -> None:
        """Ask the stream after each acknowledgement."""
        self._waiting_writers[stream.stream_id] = stream

    # What the endpoint calls.

    def after_receive(self) -> None:
        """Wake who waited for acknowledgements."""
        if self._waiting_writers:
            for stream_id, stream in list(self._waiting_writers.items()):
                if stream.on_acknowledged():
                    del self._waiting_writers[stream_id]
        if self._delivered is not None and not self._delivered.done() and not self._has_undelivered():
            self._delivered.set_result(None)

    # What the connection calls (ConnectionSink).

    def on_proved(self) -> None:
        """The peer has proved its key, and our own proof goes out before all that is sent from now on.

        Waiting for the peer's word that it has our proof would cost each first message a round trip more.
        """
        if self._state is LinkState.CONNECTING:
            self._step(LinkState.UP)
            self.up_at = self.used_at = self.loop.time()
            self.driver.on_link_up(self)
            if not self.settled.done():
                self.settled.set_result(None)

    def on_stream_data(self, stream_id: int, data: bytes, is_last: bool) -> None:
        """Hand bytes to their stream; a new one begins with its header."""
        stream = self._streams.get(stream_id)
        if stream is None:
            if self._state is LinkState.CLOSED:
                return
            now = self.loop.time()
            stream = Stream(self, self._config, stream_id=stream_id, port=None, opened_at=now)
            self._streams[stream_id] = self._awaiting_header[stream_id] = stream
            self.used_at = now
        stream.feed(data, is_last)

    def on_stream_reset(self, stream_id: int, code: int) -> None:
        """The peer gave up sending."""
        stream = self._streams.get(stream_id)
        if stream is not None:
            if stream.stage is StreamStage.HEADER:
                self._awaiting_header.pop(stream_id, None)
                self.reset(stream_id, CloseCode.DONE)
            stream.on_reset()

    def on_stop_sending(self, stream_id: int, code: int) -> None:
        """The peer gave up reading."""
        stream = self._streams.get(stream_id)
        if stream is not None:
            stream.on_stop_sending(code)

    def on_stream_gone(self, stream_id: int) -> None:
        """Both directions of a stream are finished."""
        self.used_at = self.loop.time()
        self._awaiting_header.pop(stream_id, None)
        stream = self._streams.pop(stream_id, None)
        waiting = self._waiting_writers.pop(stream_id, None)
        if stream is not None and waiting is not None:
            stream.on_acknowledged()

    def on_message(self, data: bytes) -> None:
        """An unreliable message arrived."""
        port = data[0] << 8 | data[1] if len(data) >= MESSAGE_PORT_BYTES else 0
        if not 1 <= port <= MAX_PORT or not self.is_up:
            self.owner.on_message_dropped("malformed")
            return
        self.used_at = self.loop.time()
        self.owner.on_message(self, port, data[MESSAGE_PORT_BYTES:])

    def on_ping_acknowledged(self, uid: int) -> None:
        """A ping was answered."""
        self._pings.answered(uid, self.loop.time())

    def on_id_issued(self, connection_id: bytes) -> None:
        """The peer may write to this connection id."""
        self.driver.route(connection_id, self)

    def on_id_retired(self, connection_id: bytes) -> None:
        """The peer does not use this connection id any more."""
        self.driver.unroute(connection_id, self)

    def on_closed(self, closed: ConnectionClosed) -> None:
        """End every stream, and tell whoever waits."""
        if self._state is LinkState.CLOSED:
            return
        self._step(LinkState.CLOSED)
        self._closed = closed
        kind, text = error_of(closed)
        for stream in list(self._streams.values()):
            stream.on_link_closed(kind, text)
        self._streams.clear()
        self._awaiting_header.clear()
        self._waiting_writers.clear()
        self._pings.fail(kind, text)
        for future in (self.settled, self._delivered):
            if future is not None and not future.done():
                future.set_result(None)
        self.driver.on_link_closed(self, closed)

    def on_terminated(self) -> None:
        """Nothing more will be sent or understood."""
        self.driver.forget(self)

    def _send_ping(self, waiter: asyncio.Future[float] | None) -> int:
        uid = self._pings.begin(self.loop.time(), waiter)
        self.connection.send_ping(uid)
        self.driver.touch(self)
        return uid

    def _has_undelivered(self) -> bool:
        return not all(self.connection.is_delivered(stream_id) for stream_id in self._streams)

    def _check_up(self) -> None:
        if self._closed is not None:
            kind, text = error_of(self._closed)
            raise kind(text)
        if not self.is_up:
            raise LinkClosed("the link is not up yet")

    def _step(self, state: LinkState) -> None:
        self._state = step(self._state, state)
