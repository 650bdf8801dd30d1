"""All QUIC connections of a node behind its one socket.

Datagrams of one readiness event are handed to their links by connection id, then each touched link is flushed once.
Each link has one timer handle; it is moved only when a deadline comes *earlier*, and a handle that fires too early
looks again. Before any cryptography is done for a stranger its source prefix pays a token, and above a number of
half-open handshakes it must first prove its address. A datagram for a link that is not known any more is answered by a
stateless reset, so that the peer of a node that was restarted learns at once.

Runs on any event loop, virtual time included: the clock is the loop's, made non-decreasing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable, Sequence

from pilotdht.config.tunnel import TunnelConfig
from pilotdht.errors import BadMessage, Overloaded
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import KeyPair
from pilotdht.net.doors import Doors
from pilotdht.net.limits import PrefixLimiter
from pilotdht.net.prefixes import is_loopback, prefix_of
from pilotdht.net.switchboard import is_virtual
from pilotdht.tunnel.link import Link
from pilotdht.tunnel.link_roles import LinkOwner, RoadWatcher
from pilotdht.tunnel.metrics import TunnelMetrics
from pilotdht.tunnel.quic.connection import NodeConnection
from pilotdht.tunnel.quic.events import CloseCause, CloseCode, ConnectionClosed
from pilotdht.tunnel.quic.initial import Initial, initial_untrusted
from pilotdht.tunnel.quic.retry import RetryTokens
from pilotdht.tunnel.quic.settings import CONNECTION_ID_BYTES, RESET_TOKEN_BYTES, ConnectionSettings
from pilotdht.wire.endpoint import Endpoint

_logger = logging.getLogger(__name__)

SendTrain = Callable[[Sequence[bytes], Endpoint], None]
"""Sends datagrams to one endpoint; never raises, never blocks."""

MIN_RESET_BYTES = 5 + RESET_TOKEN_BYTES
"""Shorter datagrams are neither packets nor stateless resets (RFC 9000, section 10.3)."""
MAX_RESET_BYTES = 43
RESETS_PER_SECOND = 20.0
RESET_BURST = 40
"""Bounds on resets per source prefix: an answer to a forged datagram must not be worth forging one."""
MAX_PREFIXES = 4096
"""Source prefixes remembered at once; the others share one bucket."""
TICK_S = 2e-6
"""A timer fires this much after its deadline, never at it: see :mod:`pilotdht.tunnel.quic.connection`."""
DOUBTED_PROBES = 2
"""Probes in a row that were not answered, from which a road is doubted: a lost one is no reason."""
RETIRED_IDS_KEPT = 8
"""Ids of a link that stay routed after they were retired: packets on their way are no reason for a reset."""


class TunnelEndpoint:
    """Routes datagrams between links and the socket.

    Args:
        keys: who this node is.
        config: bounds and times.
        doors: entropy.
        metrics: counters.
        send_train: sends datagrams to one endpoint.
        owner: decides about streams and messages of links.
        on_up: called when a link's handshake is done.
        on_down: called when a link that was up ended.
    """

    def __init__(
        self,
        *,
        keys: KeyPair,
        config: TunnelConfig,
        doors: Doors,
        metrics: TunnelMetrics,
        send_train: SendTrain,
        owner: LinkOwner,
        on_up: Callable[[Link], None],
        on_down: Callable[[Link], None],
    ) -> None:
        self.road_watcher: RoadWatcher | None = None
        """Decides along which roads links go; absent: each goes where its handshake went, or where QUIC moves it."""
        self._loop = asyncio.get_running_loop()
        self._config = config
        self._metrics = metrics
        self._send_train = send_train
        self._owner = owner
        self._on_up = on_up
        self._on_down = on_down
        self._token_bytes = doors.token_bytes
        self._settings = ConnectionSettings(keys, config)
        self._admission = PrefixLimiter(
            rate_per_s=config.accept_per_second, burst=config.accept_burst, capacity=MAX_PREFIXES
        )
        self._resets = PrefixLimiter(rate_per_s=RESETS_PER_SECOND, burst=RESET_BURST, capacity=MAX_PREFIXES)
        self._retry = RetryTokens(doors.token_bytes)
        self._routes: dict[bytes, Link] = {}
        self._reset_tokens: dict[bytes, Link] = {}
        self._links: dict[Link, None] = {}
        self._half_open: dict[Link, asyncio.TimerHandle] = {}
        self._touched: list[Link] = []
        self._is_flush_due = False
        self._is_closed = False
        self._now = self._loop.time()

    @property
    def link_count(self) -> int:
        """Links that are remembered, half-open and closing ones included."""
        return len(self._links)

    @property
    def half_open_count(self) -> int:
        """Incoming handshakes under way."""
        return len(self._half_open)

    @property
    def route_count(self) -> int:
        """Connection ids that are routed."""
        return len(self._routes)

    def dial(self, public_key: PublicKey, endpoint: Endpoint) -> Link:
        """Begin a handshake with the node that must own ``public_key``.

        Raises:
            Overloaded: too many links.
        """
        if len(self._links) >= self._config.max_links:
            raise Overloaded("too many links are open", hint="close some, or raise tunnel.max_links")
        connection = NodeConnection.dial(
            self._settings, expected_key=public_key, endpoint=endpoint, now=self._read_clock()
        )
        link = self._add(connection, dialled_key=public_key)
        self.touch(link)
        return link

    def datagrams_received(self, batch: Sequence[tuple[bytes, Endpoint]]) -> None:
        """Take in the QUIC datagrams of one readiness event; never raises."""
        if self._is_closed:
            return
        now = self._read_clock()
        routes, touched, metrics = self._routes, self._touched, self._metrics
        size_in = 0
        for datagram, endpoint in batch:
            size = len(datagram)
            size_in += size
            if size < MIN_RESET_BYTES:
                metrics.dropped["short"] += 1
                continue
            if datagram[0] & 0x80:
                link = routes.get(datagram[6 : 6 + datagram[5]])
            else:
                link = routes.get(datagram[1 : 1 + CONNECTION_ID_BYTES])
            if link is None:
                link = self._receive_unrouted(datagram, endpoint, now)
                if link is None:
                    continue
            else:
                try:
                    if endpoint == link.endpoint and link.road is None:
                        link.connection.receive_datagram(datagram, endpoint, now)
                    elif not self._receive_by_another_road(link, datagram, endpoint, now):
                        continue
                except Exception as error:  # noqa: BLE001 - logged; one link must never stop the node
                    self._fail(link, error)
                    continue
            link.heard_at = now
            link.bytes_in += size
            if not link.is_touched:
                link.is_touched = True
                touched.append(link)
        metrics.bytes_in += size_in
        metrics.datagrams_in += len(batch)
        for link in touched:
            try:
                link.connection.deliver(link)
                link.after_receive()
            except Exception as error:  # noqa: BLE001 - logged; one link must never stop the node
                self._fail(link, error)
        if touched and not self._is_flush_due:
            # Not at once: who was woken by what came runs first, and its answer shares a packet with our ACK.
            self._is_flush_due = True
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        """Stop every timer and forget every link; what is under way is lost. Close links first."""
        self._flush()
        self._is_closed = True
        for link in list(self._links):
            self.forget(link)

    # What links call (LinkDriver).

    def touch(self, link: Link) -> None:
        """Send what the link has to send before the loop sleeps."""
        if not link.is_touched:
            link.is_touched = True
            self._touched.append(link)
            if not self._is_flush_due:
                self._is_flush_due = True
                self._loop.call_soon(self._flush)

    def route(self, connection_id: bytes, link: Link) -> None:
        """Hand datagrams with this connection id to the link."""
        self._routes[connection_id] = link
        link.connection_ids[connection_id] = None

    def unroute(self, connection_id: bytes, link: Link) -> None:
        """Forget a retired connection id, a little later."""
        link.retired_ids.append(connection_id)
        if len(link.retired_ids) > RETIRED_IDS_KEPT:
            oldest = link.retired_ids.popleft()
            link.connection_ids.pop(oldest, None)
            self._routes.pop(oldest, None)

    def forget(self, link: Link) -> None:
        """Stop the link's timer and forget its connection ids."""
        if link not in self._links:
            return
        del self._links[link]
        for connection_id in link.connection_ids:
            self._routes.pop(connection_id, None)
        link.connection_ids.clear()
        if link.reset_token is not None:
            self._reset_tokens.pop(link.reset_token, None)
        if link.timer is not None:
            link.timer.cancel()
            link.timer = None
        self._end_half_open(link)

    def on_link_up(self, link: Link) -> None:
        """Count the handshake and tell the tunnels."""
        self._end_half_open(link)
        assert link.up_at is not None
        metrics = self._metrics
        metrics.handshake_seconds.observe(link.up_at - link.opened_at)
        (metrics.handshakes_dialled if link.is_dialled else metrics.handshakes_accepted)["ok"].inc()
        (metrics.links_dialled if link.is_dialled else metrics.links_accepted).inc()
        self._on_up(link)

    def on_link_closed(self, link: Link, closed: ConnectionClosed) -> None:
        """Count how the link ended and tell the tunnels."""
        self._end_half_open(link)
        metrics = self._metrics
        if link.up_at is None:
            counters = metrics.handshakes_dialled if link.is_dialled else metrics.handshakes_accepted
            counters[closed.handshake_result].inc()
            return
        (metrics.links_dialled if link.is_dialled else metrics.links_accepted).dec()
        metrics.links_closed[closed.cause.value].inc()
        self._on_down(link)

    # Roads.

    def _receive_by_another_road(self, link: Link, datagram: bytes, endpoint: Endpoint, now: float) -> bool:
        """Take in a datagram that did not come from where the handshake went; return whether it was taken in.

        Without a watcher QUIC's own rules hold: who dialled may move, and its new path is validated (RFC 9000, section
        9). With one, QUIC is not told of roads, and only the watcher changes where we send.
        """
        connection, watcher = link.connection, self.road_watcher
        if watcher is None and link.is_dialled:
            self._metrics.dropped["moved"] += 1
            return False
        if watcher is None or not (link.is_up or link.is_dialled):
            connection.receive_datagram(datagram, endpoint, now)
            return True
        newest = connection.newest_received if link.is_up else None
        connection.receive_datagram(datagram, connection.get_peer_address(), now)
        if newest is not None and endpoint != link.endpoint and connection.newest_received > newest:
            watcher.astray(link, endpoint)
        return True

    # Strangers.

    def _receive_unrouted(self, datagram: bytes, endpoint: Endpoint, now: float) -> Link | None:
        """Take in a datagram whose connection id is not known; return the link it belongs to after all."""
        if not datagram[0] & 0x80:
            return self._receive_unknown_short(datagram, endpoint, now)
        try:
            return self._accept_untrusted(datagram, endpoint, now)
        except BadMessage as error:
            self._metrics.dropped[error.reason] += 1
            return None

    def _receive_unknown_short(self, datagram: bytes, endpoint: Endpoint, now: float) -> Link | None:
        link = self._reset_tokens.get(datagram[-RESET_TOKEN_BYTES:])
        if link is not None:
            link.connection.lose()
            return link
        self._metrics.dropped["unknown_link"] += 1
        # Always smaller than what it answers, or two nodes could go on for ever (RFC 9000, section 10.3.3).
        size = min(len(datagram) - 1, MAX_RESET_BYTES)
        if size >= MIN_RESET_BYTES and self._resets.take(_source_of(endpoint), now):
            noise = self._token_bytes(size - RESET_TOKEN_BYTES)
            token = self._settings.reset_token(datagram[1 : 1 + CONNECTION_ID_BYTES])
            self._metrics.resets_sent.inc()
            self._send((bytes((0x40 | noise[0] & 0x3F,)) + noise[1:] + token,), endpoint)
        return None

    def _accept_untrusted(self, datagram: bytes, endpoint: Endpoint, now: float) -> Link | None:
        initial = initial_untrusted(datagram)
        if not self._admission.take(_source_of(endpoint), now):
            raise BadMessage("rate")
        if len(self._links) >= self._config.max_links:
            raise BadMessage("links_full")
        original_id = initial.destination_id
        if initial.token:
            original_id = self._retry.original_id_untrusted(initial, endpoint, now)
        elif len(self._half_open) >= self._config.retry_above_half_open:
            self._metrics.retries.inc()
            self._send((self._retry.answer(initial, endpoint, now),), endpoint)
            return None
        if len(self._half_open) >= self._config.max_half_open:
            raise BadMessage("half_open")
        return self._begin(datagram, endpoint, now, initial, original_id)

    def _begin(
        self, datagram: bytes, endpoint: Endpoint, now: float, initial: Initial, original_id: bytes
    ) -> Link | None:
        connection = NodeConnection.accept(
            self._settings, original_id=original_id, retry_id=initial.destination_id if initial.token else None
        )
        try:
            connection.receive_datagram(datagram, endpoint, now)
        except Exception:
            _logger.exception("a first datagram was not understood", extra={"endpoint": str(endpoint)})
            raise BadMessage("internal") from None
        if connection.is_unborn:
            raise BadMessage("undecryptable")
        link = self._add(connection, dialled_key=None)
        self.route(initial.destination_id, link)
        self._half_open[link] = self._loop.call_later(self._config.handshake_timeout_s, self._give_up, link)
        self._metrics.half_open.set(len(self._half_open))
        return link

    def _give_up(self, link: Link) -> None:
        link.close_now(CloseCode.ABORTED)

    def _end_half_open(self, link: Link) -> None:
        handle = self._half_open.pop(link, None)
        if handle is not None:
            handle.cancel()
            self._metrics.half_open.set(len(self._half_open))

    # Sending and timers.

    def _add(self, connection: NodeConnection, *, dialled_key: PublicKey | None) -> Link:
        link = Link(
            connection=connection,
            driver=self,
            owner=self._owner,
            config=self._config,
            dialled_key=dialled_key,
            loop=self._loop,
        )
        self._links[link] = None
        self.route(connection.host_cid, link)
        return link

    def _flush(self) -> None:
        self._is_flush_due = False
        while self._touched:
            now = self._read_clock()
            touched, self._touched = self._touched, []
            for link in touched:
                link.is_touched = False
                try:
                    self._serve(link, now)
                except Exception as error:  # noqa: BLE001 - logged; one link must never stop the node
                    self._fail(link, error)

    def _serve(self, link: Link, now: float) -> None:
        """Tell the link what happened, send what it has to send, and set its timer."""
        connection = link.connection
        connection.deliver(link)
        link.after_receive()
        for datagrams, endpoint in connection.trains(now):
            link.bytes_out += self._send(datagrams, link.road or endpoint)
        connection.deliver(link)  # connection ids that were just announced
        if link not in self._links:
            return
        token = connection.peer_reset_token
        if token is not link.reset_token:
            if link.reset_token is not None:
                self._reset_tokens.pop(link.reset_token, None)
            link.reset_token = token
            if token is not None:
                self._reset_tokens[token] = link
        self._set_timer(link, now)

    def _send(self, datagrams: Sequence[bytes], endpoint: Endpoint) -> int:
        size = sum(map(len, datagrams))
        self._metrics.bytes_out += size
        self._metrics.datagrams_out += len(datagrams)
        self._send_train(datagrams, endpoint)
        return size

    def _set_timer(self, link: Link, now: float) -> None:
        deadline = link.connection.deadline()
        if deadline is None:
            return
        if link.timer is not None:
            if link.timer_at <= deadline:
                return  # it fires too early, and looks again
            link.timer.cancel()
        link.timer_at = deadline
        link.timer = self._loop.call_at(max(deadline + TICK_S, now), self._on_timer, link)

    def _on_timer(self, link: Link) -> None:
        link.timer = None
        now = self._read_clock()
        try:
            deadline = link.connection.deadline()
            if deadline is not None and now <= deadline:
                self._set_timer(link, now)
                return
            link.connection.fire(now)
            if link.is_up and self.road_watcher is not None and link.connection.unanswered_probes >= DOUBTED_PROBES:
                self.road_watcher.in_doubt(link)
            self._serve(link, now)
        except Exception as error:  # noqa: BLE001 - logged; one link must never stop the node
            self._fail(link, error)

    def _fail(self, link: Link, error: Exception) -> None:
        """End a link whose connection failed in a way that nobody foresaw; the node goes on."""
        _logger.error("a link failed", exc_info=error, extra={"endpoint": str(link.endpoint)})
        self._metrics.dropped["internal"] += 1
        link.on_closed(ConnectionClosed(cause=CloseCause.FAILED, code=1, is_application=False, text="internal error"))
        self.forget(link)

    def _read_clock(self) -> float:
        now = self._loop.time()
        if now > self._now:
            self._now = now
        return self._now


def _source_of(endpoint: Endpoint) -> Hashable:
    """Return what limits count by: the prefix, but on loopback (a laboratory) and for channels the endpoint itself."""
    return endpoint if is_loopback(endpoint.host) or is_virtual(endpoint) else prefix_of(endpoint.host)
