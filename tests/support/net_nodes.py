"""Nodes that have a socket and requests and nothing above, and peers that speak the wire format by hand."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

import pytest
from prometheus_client import CollectorRegistry

from pilotdht.config.net import NetConfig
from pilotdht.identity.keys import KeyPair
from pilotdht.net.doors import Batch, DatagramNetwork, DatagramSocket, Doors, real_doors
from pilotdht.net.metrics import NetMetrics
from pilotdht.net.node_socket import NodeSocket
from pilotdht.net.rpc import Rpc
from pilotdht.net.socket import UdpNetwork
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.envelope import Envelope, envelope_untrusted
from pilotdht.wire.message import Reply, Request
from pilotdht.wire.seal import SEALED, Sealer, network_salt
from simulations.world.conditions import CONDITIONS, Conditions
from simulations.world.network import MemoryNetwork
from simulations.world.world import virtual_doors

LOOPBACK = Endpoint("127.0.0.1", 0)
SALT = network_salt(0, b"")
CALM = CONDITIONS["perfect"]
"""Every round trip takes 20 ms."""


class WatchedMetrics(NetMetrics):
    """Metrics of a node that tell a test when something was dropped."""

    def __init__(self) -> None:
        super().__init__(CollectorRegistry())
        self._changed = asyncio.Event()

    def drop(self, reason: str) -> None:
        """Count one, and wake whoever waits for it."""
        super().drop(reason)
        self._changed.set()

    async def dropped_at_least(self, count: int, *, reason: str = "") -> None:
        """Return once so many datagrams were dropped, for one reason or for any."""
        async with asyncio.timeout(10):
            while (self.dropped.get(reason, 0) if reason else sum(self.dropped.values())) < count:
                self._changed.clear()
                await self._changed.wait()


class NetNode:
    """One socket with requests; ``async with`` opens and closes it."""

    def __init__(
        self,
        doors: Doors,
        *,
        seed: int,
        listen: Endpoint = LOOPBACK,
        config: NetConfig | None = None,
        salt: bytes = SALT,
    ) -> None:
        self.keys = key_pair(seed)
        self.metrics = WatchedMetrics()
        config = NetConfig() if config is None else config
        self.socket = NodeSocket(self.keys, doors, config, self.metrics, salt=salt, listen=listen)

    @property
    def rpc(self) -> Rpc:
        """Its requests."""
        return self.socket.rpc

    @property
    def endpoint(self) -> Endpoint:
        """Where it listens."""
        return self.socket.local_endpoints[0]

    @property
    def contact(self) -> Contact:
        """Key and endpoint."""
        return Contact(self.keys.public_key, self.endpoint)

    async def __aenter__(self) -> Self:
        await self.socket.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.socket.close()


class RawPeer:
    """A socket and a key pair that follow no rules: every envelope is made by hand."""

    def __init__(self, network: DatagramNetwork, *, seed: int, listen: Endpoint = LOOPBACK) -> None:
        self.keys = key_pair(seed)
        self.received: asyncio.Queue[tuple[bytes, Endpoint]] = asyncio.Queue()
        self._network = network
        self._listen = listen
        self._sealer = Sealer(self.keys, salt=SALT, capacity=16)
        self._socket: DatagramSocket | None = None

    async def __aenter__(self) -> Self:
        self._socket = await self._network.open(self._listen, self._receive)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.socket.close()

    @property
    def socket(self) -> DatagramSocket:
        """Its socket."""
        assert self._socket is not None
        return self._socket

    @property
    def contact(self) -> Contact:
        """Key and endpoint."""
        return Contact(self.keys.public_key, self.socket.local_endpoints[0])

    def sealed(self, to: NetNode, envelope: Envelope, *, unix_time: float, size_bytes: int = 0) -> bytes:
        """Return the datagram that carries ``envelope``."""
        plaintext = envelope.encoded(size_bytes=size_bytes)
        return self._sealer.seal(to.keys.public_key, plaintext, nonce=os.urandom(12), unix_time=unix_time)

    async def take(self, *, unix_time: float, timeout_s: float = 5.0) -> tuple[Envelope, bytes, Endpoint]:
        """Return the next sealed datagram: what it says, its bytes, and where it came from."""
        async with asyncio.timeout(timeout_s):
            datagram, endpoint = await self.received.get()
        assert datagram[0] == SEALED
        _, plaintext = self._sealer.open_untrusted(datagram, unix_time=unix_time)
        return envelope_untrusted(plaintext), datagram, endpoint

    def _receive(self, batch: Batch) -> None:
        for item in batch:
            self.received.put_nowait(item)


def has_ipv6() -> bool:
    """Return whether this machine has an IPv6 loopback."""
    if not socket.has_ipv6:
        return False
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="no IPv6 loopback address on this machine")


def key_pair(seed: int) -> KeyPair:
    """Return the key pair number ``seed``."""
    return KeyPair.from_seed(seed.to_bytes(32, "big"))


def virtual_node(network: MemoryNetwork, seed: int, *, config: NetConfig | None = None, host: str = "") -> NetNode:
    """Return a node on a network in memory; each has an address of its own."""
    listen = Endpoint(host or f"10.0.0.{seed}", 4000)
    return NetNode(virtual_doors(network, seed=1, node=seed), seed=seed, listen=listen, config=config)


def real_node(
    seed: int, *, listen: Endpoint = LOOPBACK, config: NetConfig | None = None, salt: bytes = SALT
) -> NetNode:
    """Return a node with a real socket."""
    return NetNode(real_doors(UdpNetwork(config)), seed=seed, listen=listen, config=config, salt=salt)


@asynccontextmanager
async def virtual_pair(
    *, conditions: Conditions = CALM, config: NetConfig | None = None
) -> AsyncIterator[tuple[MemoryNetwork, NetNode, NetNode]]:
    """Open two nodes on a network in memory."""
    network = MemoryNetwork(seed=1, conditions=conditions)
    async with virtual_node(network, 1, config=config) as asker, virtual_node(network, 2, config=config) as answerer:
        yield network, asker, answerer


def reply_to(request: Envelope, message: Reply, *, seen: Endpoint, token: bytes = b"") -> Envelope:
    """Return the envelope that answers ``request``."""
    return Envelope(message, request.request_id, token=token, observed=seen)


def request_of(message: Request, *, request_id: bytes = b"\x01" * 8, token: bytes = b"") -> Envelope:
    """Return the envelope that asks ``message``."""
    return Envelope(message, request_id, token=token)


class LosesFirst:
    """A partition that loses the first ``count`` datagrams from one host and nothing else."""

    def __init__(self, host: str, count: int) -> None:
        self.host = host
        self.left = count

    def __call__(self, source: Endpoint, target: Endpoint) -> bool:
        """Return whether a datagram gets through."""
        if source.host == self.host and self.left > 0:
            self.left -= 1
            return False
        return True
