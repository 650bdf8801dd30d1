"""Nodes that are nothing but tunnels: on a virtual wire, or on real sockets of the loopback interface."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from prometheus_client import CollectorRegistry

from pilotdht.config.tunnel import TunnelConfig
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import KeyPair
from pilotdht.net.doors import Doors
from pilotdht.tasks import TaskScope
from pilotdht.tunnel.listeners import StreamHandler
from pilotdht.tunnel.metrics import TunnelMetrics
from pilotdht.tunnel.stream import Stream
from pilotdht.tunnel.tunnels import Tunnels
from pilotdht.wire.endpoint import Endpoint
from tests.support.tunnel_virtual_time import Wire

ECHO_PORT = 7


def keys_of(number: int) -> KeyPair:
    """Return the key pair that belongs to a small number."""
    return KeyPair.from_seed(number.to_bytes(32, "big"))


def seeded_doors(seed: int) -> Doors:
    """Return doors whose entropy is a seeded generator's."""
    source = random.Random(seed)
    network: Any = None
    return Doors(network=network, unix_time=lambda: 1.8e9, random=random.Random(seed), token_bytes=source.randbytes)


class OpenGate:
    """Lets everybody open everything, but who is on its list."""

    def __init__(self) -> None:
        self.refused: set[tuple[PublicKey, int]] = set()
        self.asked: list[tuple[PublicKey, int]] = []

    def may_open(self, peer: PublicKey, port: int) -> bool:
        """Return whether the peer is not on the list."""
        self.asked.append((peer, port))
        return (peer, port) not in self.refused


class TunnelNode:
    """Tunnels with all that they need around them."""

    def __init__(
        self,
        number: int,
        endpoint: Endpoint,
        send_train: Callable[[Sequence[bytes], Endpoint], None],
        scope: TaskScope,
        config: TunnelConfig,
    ) -> None:
        self.keys = keys_of(number)
        self.endpoint = endpoint
        self.gate = OpenGate()
        self.registry = CollectorRegistry()
        self.metrics = TunnelMetrics(self.registry)
        self.scope = scope
        self.tunnels = Tunnels(
            keys=self.keys,
            config=config,
            doors=seeded_doors(number),
            metrics=self.metrics,
            send_train=send_train,
            gate=self.gate,
            scope=scope,
        )

    @property
    def key(self) -> PublicKey:
        """The node's public key."""
        return self.keys.public_key

    def count(self, name: str, **labels: str) -> float:
        """Return the value of a metric, 0 when it was never touched."""
        return self.registry.get_sample_value(f"pilotdht_tunnel_{name}", labels) or 0.0


@asynccontextmanager
async def virtual_node(
    wire: Wire, number: int, *, config: TunnelConfig | None = None, endpoint: Endpoint | None = None
) -> AsyncIterator[TunnelNode]:
    """A node on a virtual wire, at ``10.0.0.<number>:4433`` if not said otherwise."""
    place = endpoint or Endpoint(f"10.0.0.{number}", 4433)
    async with TaskScope(f"node-{number}") as scope:
        node = TunnelNode(number, place, wire.sender(place), scope, config or TunnelConfig())
        wire.receivers[place] = node.tunnels.datagrams_received
        try:
            yield node
        finally:
            await node.tunnels.close_all()
            wire.receivers.pop(place, None)


class _Socket(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.receive: Callable[[Sequence[tuple[bytes, Endpoint]]], None] = lambda batch: None

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self.receive([(data, Endpoint(addr[0], addr[1]))])

    def error_received(self, exc: Exception) -> None:
        pass


@asynccontextmanager
async def real_node(number: int, *, config: TunnelConfig | None = None) -> AsyncIterator[TunnelNode]:
    """A node on a real UDP socket of the loopback interface."""
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(_Socket, local_addr=("127.0.0.1", 0))
    host, port = transport.get_extra_info("sockname")[:2]

    def send_train(datagrams: Sequence[bytes], endpoint: Endpoint) -> None:
        for datagram in datagrams:
            transport.sendto(datagram, endpoint)

    async with TaskScope(f"node-{number}") as scope:
        node = TunnelNode(number, Endpoint(host, port), send_train, scope, config or TunnelConfig())
        protocol.receive = node.tunnels.datagrams_received
        try:
            yield node
        finally:
            await node.tunnels.close_all()
            transport.close()


async def echo(stream: Stream) -> None:
    """Send back whatever comes."""
    async for chunk in stream:
        await stream.write(chunk)
    await stream.write_eof()


def serve_echo(*nodes: TunnelNode, handler: StreamHandler = echo) -> None:
    """Listen on the echo port of each node."""
    for node in nodes:
        node.tunnels.listen(ECHO_PORT, handler)


async def read_all(stream: Stream) -> bytes:
    """Return everything until the end."""
    return b"".join([chunk async for chunk in stream])
