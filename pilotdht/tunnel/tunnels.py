"""All links of a node: dialled, accepted, and who may do what on them.

One link a peer (see :mod:`pilotdht.tunnel.peers` for how that comes about), many streams on it. One gate is asked
before any incoming stream or message is accepted; this is the only place that asks it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from pilotdht.config.tunnel import TunnelConfig
from pilotdht.errors import LinkClosed, NodeClosed, PilotError, TimedOut, Unreachable, UsageError
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import KeyPair
from pilotdht.net.doors import Doors
from pilotdht.tasks import TaskScope
from pilotdht.tracing.spans import Kind
from pilotdht.tunnel.dialling import Dial
from pilotdht.tunnel.endpoint import SendTrain, TunnelEndpoint
from pilotdht.tunnel.header import Answer, OptionValue, StreamHeader
from pilotdht.tunnel.link import Link
from pilotdht.tunnel.link_roles import RoadWatcher
from pilotdht.tunnel.listeners import Listeners, Message, MessageBox, StreamHandler
from pilotdht.tunnel.metrics import LiveLinks, TunnelMetrics
from pilotdht.tunnel.peers import PeerLinks
from pilotdht.tunnel.quic.events import CloseCode
from pilotdht.tunnel.stream import Stream
from pilotdht.wire.endpoint import Endpoint

_logger = logging.getLogger(__name__)

LinkCallback = Callable[[Link], None]
"""Told about a link; must not raise and must not block."""

_REFUSALS = {
    Answer.NOT_TRUSTED: "not_trusted",
    Answer.NOT_LISTENING: "not_listening",
    Answer.OVERLOADED: "overloaded",
    Answer.MALFORMED: "malformed",
}


class Gate(Protocol):
    """Says which peer may open which port."""

    def may_open(self, peer: PublicKey, port: int) -> bool:
        """Return whether ``peer`` may open ``port`` of this node now."""
        ...


class Tunnels:
    """Dials, accepts and keeps links.

    Args:
        keys: who this node is.
        config: bounds and times.
        doors: entropy.
        metrics: counters.
        send_train: sends datagrams to one endpoint; never raises, never blocks.
        gate: asked before any incoming stream or message is accepted.
        scope: owner of the tasks that run handlers and dials.
    """

    def __init__(
        self,
        *,
        keys: KeyPair,
        config: TunnelConfig,
        doors: Doors,
        metrics: TunnelMetrics,
        send_train: SendTrain,
        gate: Gate,
        scope: TaskScope,
    ) -> None:
        self._own_key = keys.public_key
        self._config = config
        self._metrics = metrics
        metrics.live = self._live_links
        self._tracer = doors.tracer
        self._gate = gate
        self._scope = scope
        self._loop = asyncio.get_running_loop()
        self._endpoint = TunnelEndpoint(
            keys=keys,
            config=config,
            doors=doors,
            metrics=metrics,
            send_train=send_train,
            owner=self,
            on_up=self._on_up,
            on_down=self._on_down,
        )
        self._listeners = Listeners(message_capacity=config.max_messages_queued)
        self._peers: dict[PublicKey, PeerLinks] = {}
        self._dials: dict[PublicKey, Dial] = {}
        self._up_callbacks: list[LinkCallback] = []
        self._down_callbacks: list[LinkCallback] = []
        self._handlers_running = 0
        self._sweep_handle: asyncio.TimerHandle | None = None
        self._is_closed = False
        self.datagrams_received = self._endpoint.datagrams_received
        """Takes in the QUIC datagrams of one readiness event: ``(batch of (bytes, Endpoint))``; never raises."""

    # Listening.

    def listen(self, port: int, handler: StreamHandler) -> None:
        """Serve incoming streams to ``port``: ``handler`` runs as a task for each.

        Raises:
            AlreadyExists: something listens there.
            InvalidArgument: the port is out of range.
            NodeClosed: the tunnels are closed.
        """
        self._check_open()
        self._listeners.listen(port, handler)

    def unlisten(self, port: int) -> None:
        """Refuse further streams to ``port``; those under way go on; idempotent."""
        self._listeners.unlisten(port)

    def open_messages(self, port: int) -> MessageBox:
        """Collect unreliable messages to ``port`` until the box is closed.

        Raises:
            AlreadyExists: they are collected already.
            InvalidArgument: the port is out of range.
            NodeClosed: the tunnels are closed.
        """
        self._check_open()
        return self._listeners.open_messages(port)

    @property
    def ports(self) -> tuple[int, ...]:
        """Ports that streams can be opened to, ascending."""
        return self._listeners.ports

    def on_link_up(self, callback: LinkCallback) -> None:
        """Call ``callback`` with each link that comes up."""
        self._up_callbacks.append(callback)

    def on_link_down(self, callback: LinkCallback) -> None:
        """Call ``callback`` with each link that was up and ended; :meth:`link_to` says whether another one stays."""
        self._down_callbacks.append(callback)

    def watch_roads(self, watcher: RoadWatcher) -> None:
        """Let ``watcher`` decide along which roads links go."""
        self._endpoint.road_watcher = watcher

    # Dialling.

    async def dial(
        self, public_key: PublicKey, endpoints: Sequence[Endpoint] = (), *, timeout_s: float | None = None
    ) -> Link:
        """Return the link to a peer, dialling when there is none; concurrent calls share one dial.

        Args:
            public_key: who must answer.
            endpoints: where to try, best first; may be empty when a link may exist.
            timeout_s: time for this caller; absent: from the configuration.

        Raises:
            Unreachable: nobody who proves that key answers there.
            Overloaded: too many links.
            TimedOut: ``timeout_s`` passed; the dial goes on for other callers.
            NodeClosed: the tunnels are closed.
        """
        self._check_open()
        link = self.link_to(public_key)
        if link is not None:
            return link
        if public_key == self._own_key:
            raise UsageError("a node does not dial itself")
        dial = self._dials.get(public_key)
        if dial is not None and not dial.outcome.done():
            dial.add(endpoints)
        else:
            if not endpoints:
                raise Unreachable("no endpoint of the peer is known")
            dial = self._dials[public_key] = Dial(
                public_key,
                endpoints,
                start=self._endpoint.dial,
                stagger_s=self._config.dial_stagger_s,
                timeout_s=self._config.handshake_timeout_s,
                loop=self._loop,
            )
            self._scope.start(self._run_dial(dial), name="dial")
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.shield(dial.outcome)
        except TimeoutError as error:
            raise TimedOut(f"the peer did not answer within {timeout_s:g} s") from error

    async def open_stream(
        self,
        public_key: PublicKey,
        endpoints: Sequence[Endpoint],
        port: int,
        *,
        options: Mapping[str, OptionValue] | None = None,
        traceparent: str | None = None,
        timeout_s: float | None = None,
    ) -> Stream:
        """Dial if needed and open a stream; an older link that turns out to be dead is dialled anew, once.

        Raises:
            PilotError: as :meth:`dial` and :meth:`Link.open_stream`.
        """
        started = self._loop.time()
        link = await self.dial(public_key, endpoints, timeout_s=timeout_s)
        is_older = link.up_at is not None and link.up_at < started
        if is_older and endpoints:
            wait_s = max(self._config.suspect_s, 4 * (link.rtt_s or 0.0))
            suspicion = self._loop.call_later(wait_s, self._suspect, link, started)
            try:
                return await link.open_stream(port, options=options, traceparent=traceparent, timeout_s=timeout_s)
            except LinkClosed:
                if link.closed is None:  # the stream alone ended
                    raise
            finally:
                suspicion.cancel()
            link = await self.dial(public_key, endpoints, timeout_s=timeout_s)
        return await link.open_stream(port, options=options, traceparent=traceparent, timeout_s=timeout_s)

    # Links.

    def link_to(self, public_key: PublicKey) -> Link | None:
        """Return the live link to a peer, or ``None``."""
        links = self._peers.get(public_key)
        return None if links is None else links.current

    def links(self) -> Iterator[Link]:
        """Iterate over all live links, surplus ones included, in the order their peers were first met."""
        for links in list(self._peers.values()):
            yield from links

    @property
    def half_open_count(self) -> int:
        """Incoming handshakes under way."""
        return self._endpoint.half_open_count

    @property
    def footprint(self) -> tuple[int, int]:
        """Links that are remembered, half-open and closing ones included, and connection ids that are routed."""
        return self._endpoint.link_count, self._endpoint.route_count

    def drop_peer(self, public_key: PublicKey, reason: str = "") -> int:
        """Cut every link to a peer at once, because it is not trusted any more.

        Returns:
            How many links were cut.
        """
        links = list(self._peers.get(public_key, ()))
        for link in links:
            link.close_now(CloseCode.NOT_TRUSTED, reason)
        return len(links)

    def drop_silent(self, public_key: PublicKey, *, since: float) -> None:
        """Close the link to a peer unless it was heard from after ``since`` (loop time): it is known to have moved."""
        link = self.link_to(public_key)
        if link is not None:
            self._suspect(link, since)

    async def close_all(self) -> None:
        """Deliver what was written, close every link, and stop; idempotent."""
        if self._is_closed:
            return
        self._is_closed = True
        self._listeners.close()
        if self._sweep_handle is not None:
            self._sweep_handle.cancel()
            self._sweep_handle = None
        for dial in list(self._dials.values()):
            if not dial.outcome.done():
                dial.outcome.set_exception(NodeClosed("the node is closed"))
        try:
            async with asyncio.TaskGroup() as group:
                for link in self.links():
                    group.create_task(link.close(CloseCode.SHUTDOWN))
        finally:
            for link in self.links():
                link.close_now(CloseCode.SHUTDOWN)
            self._endpoint.close()

    # What links call (LinkOwner).

    def admit(self, link: Link, stream: Stream, header: StreamHeader) -> Answer:
        """Say whether an incoming stream is accepted."""
        if not self._gate.may_open(link.peer_key, header.port):
            return Answer.NOT_TRUSTED
        if self._listeners.handler(header.port) is None:
            return Answer.NOT_LISTENING
        if self._handlers_running >= self._config.max_handlers or self._is_closed:
            return Answer.OVERLOADED
        return Answer.ACCEPTED

    def serve(self, link: Link, stream: Stream) -> None:
        """Run the handler of a stream that was accepted."""
        handler = self._listeners.handler(stream.port)
        assert handler is not None
        self._metrics.streams_accepted.inc()
        self._handlers_running += 1
        self._scope.start(self._run_handler(handler, stream), name=f"port-{stream.port}")

    def on_refused(self, answer: Answer) -> None:
        """Count an incoming stream that was refused."""
        self._metrics.refused[_REFUSALS[answer]].inc()

    def on_message(self, link: Link, port: int, data: bytes) -> None:
        """Hand an unreliable message to whoever listens."""
        peer = link.peer_key
        if not self._gate.may_open(peer, port):
            self.on_message_dropped("not_trusted")
            return
        box = self._listeners.box(port)
        if box is None:
            self.on_message_dropped("not_listening")
        elif not box.put(Message(peer, port, data)):
            self.on_message_dropped("queue_full")

    def on_message_dropped(self, reason: str) -> None:
        """Count an unreliable message that was dropped."""
        self._metrics.messages_dropped[reason].inc()

    def traceparent(self) -> str | None:
        """Return the trace context of the task that runs; absent when nothing is recorded."""
        return self._tracer.traceparent()

    # Inside.

    async def _run_dial(self, dial: Dial) -> None:
        try:
            await dial.run()
        finally:
            if self._dials.get(dial.public_key) is dial:
                del self._dials[dial.public_key]

    async def _run_handler(self, handler: StreamHandler, stream: Stream) -> None:
        try:
            with self._tracer.span("serve", traceparent=stream.traceparent, kind=Kind.ANSWERS, port=stream.port or 0):
                await handler(stream)
        except PilotError as error:
            _logger.debug("a handler ended with an error", extra={"port": stream.port, "reason": error.code})
            stream.abort()
        except BaseException:
            stream.abort()
            raise
        else:
            await stream.close()
        finally:
            self._handlers_running -= 1

    def _suspect(self, link: Link, since: float) -> None:
        if link.heard_at <= since:
            link.close_now(CloseCode.ABORTED)

    def _on_up(self, link: Link) -> None:
        peer = link.peer_key
        if self._is_closed or peer == self._own_key:
            link.close_now(CloseCode.SHUTDOWN if self._is_closed else CloseCode.PROTOCOL)
            return
        links = self._peers.get(peer)
        if links is None:
            links = self._peers[peer] = PeerLinks(self._own_key, peer)
        suspect = links.add(link, self._loop.time())
        if suspect is not None:
            self._scope.start(self._prove(links, suspect), name="prove")
        if self._sweep_handle is None:
            self._sweep_handle = self._loop.call_later(self._config.housekeeping_s, self._sweep)
        dial = self._dials.get(peer)
        if dial is not None:
            dial.on_link_up(link)
        for callback in self._up_callbacks:
            callback(link)

    def _on_down(self, link: Link) -> None:
        peer = link.peer_key
        links = self._peers.get(peer)
        if links is not None:
            links.remove(link, self._loop.time())
            packets, size_bytes = link.connection.losses
            self._metrics.lost_packets += packets  # the link's own are not seen from now on
            self._metrics.lost_bytes += size_bytes
            if not links:
                del self._peers[peer]
        for callback in self._down_callbacks:
            callback(link)

    async def _prove(self, links: PeerLinks, link: Link) -> None:
        """Find out whether an older link survived what made the peer dial."""
        try:
            await link.ping()
        except PilotError:
            link.close_now(CloseCode.SURPLUS)
        else:
            links.prove(link, self._loop.time())

    def _live_links(self) -> LiveLinks:
        links = list(self.links())
        losses = [link.connection.losses for link in links]
        return LiveLinks(
            streams=sum(link.stream_count for link in links),
            lost_packets=sum(packets for packets, _ in losses),
            lost_bytes=sum(size_bytes for _, size_bytes in losses),
        )

    def _sweep(self) -> None:
        self._sweep_handle = None
        now = self._loop.time()
        for link in self.links():
            link.sweep(now)
            rtt_s = link.rtt_s
            if rtt_s is not None:
                self._metrics.rtt_seconds.observe(rtt_s)
        if self._peers and not self._is_closed:
            self._sweep_handle = self._loop.call_later(self._config.housekeeping_s, self._sweep)

    def _check_open(self) -> None:
        if self._is_closed:
            raise NodeClosed("the node is closed")
