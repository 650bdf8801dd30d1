"""The server's side: accepts connections, proves itself, has clients prove themselves, and lends each a UDP socket.

Nothing is spent on a connection before there is a place for it; a handshake that takes its time holds one of a bounded
number of places for a bounded time. A client that comes back by another connection gets its socket back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from pilotdht.config.net import NetConfig
from pilotdht.config.trunk import TrunkConfig
from pilotdht.errors import BadMessage, ConfigError, LinkClosed
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import SEED_BYTES, KeyPair
from pilotdht.net.doors import ByteStream, Doors, Incoming, StreamListener
from pilotdht.net.limits import PrefixLimiter, TokenBucket
from pilotdht.net.metrics import NetMetrics
from pilotdht.net.prefixes import prefix_of
from pilotdht.tasks import TaskScope
from pilotdht.traversal.relay.channel import ByteBucket
from pilotdht.traversal.trunk.allocation import Allocation, Lender
from pilotdht.traversal.trunk.frames import HEARTBEAT, FrameReader
from pilotdht.traversal.trunk.liveness import Due, Liveness, Patience
from pilotdht.traversal.trunk.metrics import TrunkMetrics
from pilotdht.traversal.trunk.places import Places
from pilotdht.traversal.trunk.proof import (
    ASK_BYTES,
    CLIENT_PROOF_BYTES,
    NONCE_BYTES,
    Welcome,
    ask_untrusted,
    client_proof_untrusted,
    encode_server_proof,
    encode_welcome,
)
from pilotdht.traversal.trunk.targets import Reach, reach_of
from pilotdht.wire.endpoint import Endpoint

LOOKS_IN_IDLE = 4
"""How often in the time after which a silent client is gone somebody looks."""

PREFIXES_TRACKED = 4096
"""Source prefixes with an allowance of their own, 1 MB; the others share one."""

_logger = logging.getLogger(__name__)


class TrunkServer:
    """Serves trunks; :meth:`start` and :meth:`stop` bound its life."""

    def __init__(
        self,
        keys: KeyPair,
        doors: Doors,
        *,
        salt: bytes,
        config: TrunkConfig,
        net: NetConfig,
        metrics: TrunkMetrics,
        net_metrics: NetMetrics,
        scope: TaskScope,
        own_hosts: Callable[[], Sequence[str]],
        own_ports: Callable[[], Sequence[int]],
    ) -> None:
        """Make one that serves nobody yet.

        Args:
            keys: who we are.
            doors: opens sockets and connections; source of unpredictable bytes.
            salt: the mesh's, :func:`pilotdht.wire.seal.network_salt`.
            config: bounds and rates.
            net: of greetings.
            metrics: where trunks are counted.
            net_metrics: where greetings are counted.
            scope: owner of the connections.
            own_hosts: returns the addresses at which this node is, as it knows itself and as others see it.
            own_ports: returns the UDP ports at which this node itself is.
        """
        self._keys = keys
        self._doors = doors
        self._salt = salt
        self._config = config
        self._metrics = metrics
        self._scope = scope
        self._own_hosts = own_hosts
        self._own_ports = own_ports
        self._listener: StreamListener | None = None
        self._host = ""
        self._lent: dict[PublicKey, Allocation] = {}
        self._trunks = Places(most=config.max_trunks, per_prefix=config.trunks_per_prefix)
        self._handshakes = Places(most=config.max_handshakes, per_prefix=config.handshakes_per_prefix)
        self._patience = Patience(keepalive_s=0.0, idle_s=config.idle_s, silence_s=config.silence_s)
        now = asyncio.get_running_loop().time()
        self._rate = TokenBucket(rate_per_s=config.handshakes_per_s, burst=config.handshake_burst, now=now)
        self._prefix_rate = PrefixLimiter(
            rate_per_s=config.prefix_handshakes_per_s, burst=config.prefix_handshake_burst, capacity=PREFIXES_TRACKED
        )
        rate, burst = config.total_bytes_per_s, config.total_burst_bytes
        self._lender = Lender(
            keys=keys,
            salt=salt,
            token_bytes=doors.token_bytes,
            network=doors.network,
            config=config,
            net=net,
            metrics=metrics,
            net_metrics=net_metrics,
            scope=scope,
            up=ByteBucket(rate_per_s=rate, burst=burst, now=now),
            down=ByteBucket(rate_per_s=rate, burst=burst, now=now),
            reach=self._reach,
        )

    async def start(self, listen: Endpoint, *, udp: Endpoint) -> None:
        """Serve from now on; where the wished port is not to be had, at the TCP port of the number of the UDP port.

        Args:
            listen: the wished TCP address.
            udp: what the node's own socket is bound to; lent sockets are bound to the same address.

        Raises:
            ConfigError: neither can be bound, or the certificate cannot be used.
        """
        self._host = udp.host
        try:
            self._listener = await self._listen(listen)
        except ConfigError as error:
            other = Endpoint(listen.host, udp.port)
            if other == listen:
                raise
            self._listener = await self._listen(other)
            _logger.warning(
                "trunks are served at the UDP port's number, as the wished TCP port is not to be had",
                extra={"endpoint": str(other), "reason": error.message},
            )
        self._metrics.show("open", "Trunks served now", lambda: len(self._lent))
        self._metrics.show("handshakes", "Connections that have not proven themselves", lambda: len(self._handshakes))
        _logger.info("trunks are served", extra={"endpoint": str(self.endpoints[0])})

    async def stop(self) -> None:
        """Serve nobody any more; safe to call twice."""
        listener, self._listener = self._listener, None
        if listener is not None:
            await listener.close()
        lent, self._lent = self._lent, {}
        for allocation in lent.values():
            self._metrics.ended["stopped"] += 1
            allocation.stream.abort()
            await allocation.close()

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """TCP addresses at which trunks are served; empty when none are."""
        return () if self._listener is None else self._listener.local_endpoints

    def __len__(self) -> int:
        """Return how many trunks stand."""
        return len(self._lent)

    @property
    def allocations(self) -> tuple[Allocation, ...]:
        """The sockets that are lent now."""
        return tuple(self._lent.values())

    @property
    def places_taken(self) -> tuple[int, int]:
        """How many connections hold a place for a handshake, and how many one for a trunk."""
        return len(self._handshakes), len(self._trunks)

    async def _listen(self, listen: Endpoint) -> StreamListener:
        streams, config = self._doors.streams, self._config
        if streams is None:
            raise ConfigError("there is no TCP here")
        return await streams.listen(
            listen,
            self._accept,
            certificate_file=str(config.certificate_file or ""),
            key_file=str(config.key_file or ""),
            seed=self._doors.token_bytes(SEED_BYTES),
        )

    def _reach(self, target: Endpoint) -> Reach:
        ports = (*self._own_ports(), *(allocation.port for allocation in self._lent.values()))
        return reach_of(target, self._own_hosts(), ports)

    def _accept(self, incoming: Incoming) -> None:
        """Take a connection in, or refuse it before it has cost anything.

        A server without a place for one more trunk does so as well: it may be a client that comes back.
        """
        host = incoming.remote.host
        reason = self._refusal(host)
        if reason:
            self._metrics.refused[reason] += 1
            incoming.abort()
            return
        self._handshakes.take(host)
        self._scope.start(self._serve(incoming), name="trunk")

    def _refusal(self, host: str) -> str:
        """Return why a connection from a host is not even looked at; empty when it is."""
        now = asyncio.get_running_loop().time()
        if self._handshakes.is_full:
            return "handshakes"
        if self._handshakes.is_full_for(host):
            return "handshakes_prefix"
        if not (self._prefix_rate.take(prefix_of(host), now) and self._rate.take(now)):
            return "rate"
        return ""

    async def _serve(self, incoming: Incoming) -> None:
        """Serve one connection from its first byte to its last."""
        host = incoming.remote.host
        try:
            proven = await self._prove(incoming)
        finally:
            self._handshakes.leave(host)
        if proven is None:
            incoming.abort()
            return
        stream, client = proven
        result = self._room_for(client, host)
        if result is Welcome.OK:
            self._trunks.take(host)
            try:
                result = await self._lend(stream, client)
                stream.write(encode_welcome(result, self._config.keepalive_s))
                if result is Welcome.OK:
                    await self._carry(stream, client)
            finally:
                self._trunks.leave(host)
                stream.close()
        else:
            stream.write(encode_welcome(result, self._config.keepalive_s))
            stream.close()

    async def _prove(self, incoming: Incoming) -> tuple[ByteStream, PublicKey] | None:
        """Return a connection whose ends have proven themselves, and whose it is; absent when they did not."""
        reason = "tls"
        try:
            async with asyncio.timeout(self._config.handshake_timeout_s):
                stream = await incoming.secure()
                reason = "mesh"
                client_nonce = ask_untrusted(await stream.read_exactly(ASK_BYTES), self._salt)
                reason = "proof"
                server_nonce, certificate = self._doors.token_bytes(NONCE_BYTES), stream.certificate
                stream.write(
                    encode_server_proof(
                        self._keys,
                        salt=self._salt,
                        client_nonce=client_nonce,
                        server_nonce=server_nonce,
                        certificate=certificate,
                    )
                )
                client = client_proof_untrusted(
                    await stream.read_exactly(CLIENT_PROOF_BYTES),
                    salt=self._salt,
                    client_nonce=client_nonce,
                    server_nonce=server_nonce,
                    certificate=certificate,
                    server=self._keys.public_key,
                )
        except TimeoutError:
            reason = "timeout"
        except (BadMessage, LinkClosed):
            pass
        else:
            return stream, client
        self._metrics.refused[reason] += 1
        _logger.debug("a connection did not become a trunk", extra={"reason": reason})
        return None

    def _room_for(self, client: PublicKey, host: str) -> Welcome:
        """Return whether there is a place; one that has a trunk already gives it up for the new one."""
        if client in self._lent:
            return Welcome.OK
        if self._trunks.is_full:
            self._metrics.refused["full"] += 1
            return Welcome.FULL
        if self._trunks.is_full_for(host):
            self._metrics.refused["prefix"] += 1
            return Welcome.QUOTA
        return Welcome.OK

    async def _lend(self, stream: ByteStream, client: PublicKey) -> Welcome:
        """Lend the client a socket: the one that it had, or a new one."""
        before = self._lent.get(client)
        if before is not None:
            self._metrics.ended["replaced"] += 1
            before.move(stream)
            return Welcome.OK
        allocation = self._lent[client] = Allocation(client, stream, self._lender)
        try:
            await allocation.open(self._host)
        except ConfigError:
            self._metrics.refused["no_socket"] += 1
            del self._lent[client]
            return Welcome.FAILED
        except BaseException:
            del self._lent[client]
            raise
        return Welcome.OK

    async def _carry(self, stream: ByteStream, client: PublicKey) -> None:
        """Carry frames until the connection is over."""
        loop = asyncio.get_running_loop()
        allocation = self._lent[client]
        liveness, reader = Liveness(self._patience, now=loop.time()), FrameReader()
        over: asyncio.Future[str] = loop.create_future()

        def end(reason: str) -> None:
            if not over.done():
                over.set_result(reason)

        def received(data: bytes) -> None:
            if over.done() or allocation.stream is not stream:
                return
            liveness.heard(loop.time())
            try:
                frames, heartbeats = reader.take_untrusted(data)
            except BadMessage:
                end("malformed")
                return
            if heartbeats and stream.backlog_bytes <= self._config.backlog_bytes:
                stream.write(HEARTBEAT)
            allocation.send(frames)

        allocation.on_replaced = lambda: end("replaced")
        try:
            stream.deliver(received, lambda: end("closed"))
            while not over.done():
                if liveness.due(loop.time()) is Due.GIVE_UP:
                    end("idle")
                else:
                    await asyncio.wait((over,), timeout=self._config.idle_s / LOOKS_IN_IDLE)
        finally:
            if self._lent.get(client) is allocation and allocation.stream is stream:
                del self._lent[client]
                self._metrics.ended[over.result() if over.done() else "stopped"] += 1
                await allocation.close()
