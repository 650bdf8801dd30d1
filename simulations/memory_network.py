"""A datagram network in memory: latency, jitter and loss from one seed, and a trace of every datagram.

The trace holds times, endpoints, kinds and sizes, never contents: tunnels draw their own entropy, so two runs with one
seed agree on everything but the bytes.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pilotdht.errors import ConfigError
from pilotdht.net.doors import Doors, Receive
from pilotdht.wire.endpoint import Endpoint

UNIX_START_S = 1_800_000_000.0
"""What the wall clock of a simulation shows when its loop's clock shows zero."""

Allows = Callable[[Endpoint, Endpoint], bool]
"""Whether a datagram from the first endpoint can reach the second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """How datagrams travel."""

    latency_s: tuple[float, float] = (0.010, 0.060)
    """Least and greatest one-way latency of a pair; a pair keeps its own."""
    jitter_s: float = 0.002
    """Added at random to each datagram."""
    loss: float = 0.0
    """Share of datagrams lost, 0..1."""


class MemoryNetwork:
    """All sockets of one simulation."""

    def __init__(self, *, seed: int, weather: Weather | None = None) -> None:
        """Make a network whose every draw follows from ``seed``."""
        self.weather = Weather() if weather is None else weather
        self.allows: Allows | None = None
        """A partition, when set."""
        self.sent = 0
        """Datagrams handed in."""
        self.sent_bytes = 0
        """Their bytes."""
        self.delivered = 0
        """Datagrams that arrived."""
        self._random = random.Random(f"network {seed}")
        self._sockets: dict[Endpoint, MemorySocket] = {}
        self._places: dict[str, complex] = {}
        self._next_port = 20_000
        self._trace = hashlib.sha256()

    async def open(self, listen: Endpoint, receive: Receive) -> MemorySocket:
        """Bind a socket; see :class:`pilotdht.net.doors.DatagramNetwork`.

        Raises:
            ConfigError: the endpoint is taken.
        """
        if listen.port == 0:
            listen = Endpoint(listen.host, self._next_port)
            self._next_port += 1
        if listen in self._sockets:
            raise ConfigError(f"{listen} is in use")
        socket = MemorySocket(self, listen, receive)
        self._sockets[listen] = socket
        return socket

    def carry(self, datagram: bytes, source: Endpoint, target: Endpoint) -> None:
        """Take one datagram from a socket and deliver it later, or lose it."""
        loop = asyncio.get_running_loop()
        self.sent += 1
        self.sent_bytes += len(datagram)
        kind = datagram[0] >> 6 or datagram[0]  # QUIC protects the lower bits of its first byte with random ones
        self._trace.update(f"{loop.time():.6f} {source} {target} {kind} {len(datagram)}\n".encode())
        lost = self.weather.loss > 0 and self._random.random() < self.weather.loss
        if lost or (self.allows is not None and not self.allows(source, target)):
            return
        delay = self._latency(source.host, target.host) + self._random.random() * self.weather.jitter_s
        loop.call_later(delay, self._deliver, datagram, source, target)

    def release(self, endpoint: Endpoint) -> None:
        """Forget a closed socket."""
        self._sockets.pop(endpoint, None)

    def trace_digest(self) -> str:
        """Return a digest of every datagram so far: when, from where, to where, of which kind, how large."""
        return self._trace.hexdigest()

    def _deliver(self, datagram: bytes, source: Endpoint, target: Endpoint) -> None:
        socket = self._sockets.get(target)
        if socket is not None:
            self.delivered += 1
            socket.receive([(datagram, source)])

    def _latency(self, one: str, other: str) -> float:
        low, high = self.weather.latency_s
        return low + (high - low) * min(1.0, abs(self._place(one) - self._place(other)))

    def _place(self, host: str) -> complex:
        place = self._places.get(host)
        if place is None:
            place = self._places[host] = complex(self._random.random(), self._random.random())
        return place


class MemorySocket:
    """One bound socket; see :class:`pilotdht.net.doors.DatagramSocket`."""

    def __init__(self, network: MemoryNetwork, endpoint: Endpoint, receive: Receive) -> None:
        self.receive = receive
        """Where batches go."""
        self._network = network
        self._endpoint = endpoint
        self._is_closed = False

    @property
    def local_endpoints(self) -> tuple[Endpoint, ...]:
        """What it is bound to."""
        return (self._endpoint,)

    def send(self, datagram: bytes, endpoint: Endpoint) -> None:
        """Send one datagram."""
        if not self._is_closed:
            self._network.carry(datagram, self._endpoint, endpoint)

    def send_train(self, datagrams: Sequence[bytes], endpoint: Endpoint) -> None:
        """Send several datagrams to one endpoint."""
        for datagram in datagrams:
            self.send(datagram, endpoint)

    async def close(self) -> None:
        """Close it; what is under way to it is lost."""
        self._is_closed = True
        self._network.release(self._endpoint)


def virtual_doors(network: MemoryNetwork, *, seed: int, node: int) -> Doors:
    """Return the doors of one simulated node; its draws follow from the seed and its number alone."""
    secrets = random.Random(f"secrets {seed} {node}")
    return Doors(
        network=network,
        unix_time=lambda: UNIX_START_S + asyncio.get_running_loop().time(),
        random=random.Random(f"choices {seed} {node}"),
        token_bytes=secrets.randbytes,
    )
