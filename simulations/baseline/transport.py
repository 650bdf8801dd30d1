"""A datagram transport, as asyncio hands it to protocols, on a socket of the simulated network; and the fuse in it.

The fuse stands outside of the package. On its own the package falls into store loops in networks of about 700 nodes and
more: a peer whose bucket is full stays "new" for ever, is sent a value with every message, and answers, which is a
message; with two values it doubles each round trip. On a real machine the loop runs as fast as socket buffers and
uplink let it; in virtual time, where work takes none, it would never end. So each node has what a home router has: a
limit past which its datagrams are dropped, and counted. Below the limits the fuse changes nothing.

What it drops looks to the package like a peer that is silent for five seconds: it forgets the peer, and the loop ends.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from typing import Any, Protocol

from pilotdht.net.doors import Batch, DatagramNetwork, DatagramSocket
from pilotdht.wire.endpoint import Endpoint
from simulations.baseline.package import Tally

STORES_PER_PAIR = 20
"""STORE requests that one node may send another one within :data:`STORE_WINDOW_S`.

A hand-over of all values that a node holds by itself is about as many; a loop passes it within seconds.
"""

STORE_WINDOW_S = 10.0
"""So long that a loop over the slowest link (a few round trips a second) trips too."""

DATAGRAMS_PER_S = 2000
"""Datagrams that one node may send within one second, whatever they are: 300 times what upkeep needs, 4 Mbit/s."""

_STORE = b"\x92\xa5store"  # as a request of rpcudp goes on after its first byte and 20 bytes of message id
_STORE_AT = slice(21, 21 + len(_STORE))


class Receiver(Protocol):
    """What of a datagram protocol is used."""

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        """Take the transport."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Hear that it is gone."""

    def datagram_received(self, data: bytes, addr: Endpoint) -> None:
        """Take a datagram."""


class Fuse:
    """Keeps back what one node sends beyond all reason."""

    def __init__(self, tally: Tally, *, stores_per_pair: int = STORES_PER_PAIR, per_s: int = DATAGRAMS_PER_S) -> None:
        """Make one for one node.

        Args:
            tally: where drops are counted.
            stores_per_pair: STORE requests to one target within :data:`STORE_WINDOW_S`.
            per_s: datagrams within one second.
        """
        self._tally = tally
        self._stores_per_pair = stores_per_pair
        self._per_s = per_s
        self._second = -1
        self._sent = 0
        self._window = -1
        self._stores: dict[Endpoint, int] = {}

    def lets_through(self, datagram: bytes, target: Endpoint, now_s: float) -> bool:
        """Return whether a datagram may leave now; count it when not."""
        second = int(now_s)
        if second != self._second:
            self._second, self._sent = second, 0
        self._sent += 1
        is_let = self._sent <= self._per_s
        if datagram[_STORE_AT] == _STORE and datagram[0] == 0:
            window = int(now_s / STORE_WINDOW_S)
            if window != self._window:
                self._window = window
                self._stores.clear()
            count = self._stores[target] = self._stores.get(target, 0) + 1
            is_let = is_let and count <= self._stores_per_pair
        if not is_let:
            self._tally.dropped += 1
        return is_let


class SimulatedTransport(asyncio.DatagramTransport):
    """The transport of one server; made by :func:`open_endpoint`."""

    def __init__(self, protocol: Receiver, fuse: Fuse) -> None:
        """Make it; it sends nothing before it has a socket."""
        super().__init__()
        self._protocol = protocol
        self._fuse = fuse
        self._loop = asyncio.get_running_loop()
        self._context = contextvars.copy_context()  # deliveries come from the network, and run on this node's behalf
        self._socket: DatagramSocket | None = None
        self._is_closing = False

    def attach(self, socket: DatagramSocket) -> None:
        """Take the open socket, and tell the protocol."""
        self._socket = socket
        self._protocol.connection_made(self)

    def receive(self, batch: Batch) -> None:
        """Hand datagrams that arrived to the protocol."""
        for datagram, source in batch:
            if not self._is_closing:
                self._context.run(self._protocol.datagram_received, datagram, source)

    def sendto(self, data: Any, addr: Any = None) -> None:  # noqa: ANN401 - as wide as what it overrides
        """Send a datagram, unless the transport is closed or the fuse keeps it back."""
        if self._is_closing or self._socket is None or addr is None:
            return
        host, port = addr
        assert isinstance(port, int), "nobody here invents other addresses"
        target, datagram = Endpoint(host, port), bytes(data)
        if self._fuse.lets_through(datagram, target, self._loop.time()):
            self._socket.send(datagram, target)

    def close(self) -> None:
        """Send and hand on nothing from now on; :meth:`release` gives the endpoint back."""
        if not self._is_closing:
            self._is_closing = True
            self._loop.call_soon(self._protocol.connection_lost, None)

    abort = close

    def is_closing(self) -> bool:
        """Return whether it was closed."""
        return self._is_closing

    async def release(self) -> None:
        """Close it, and give the endpoint back to the network."""
        self.close()
        socket, self._socket = self._socket, None
        if socket is not None:
            await socket.close()


async def open_endpoint(
    network: DatagramNetwork, endpoint: Endpoint, make_protocol: Callable[[], Receiver], fuse: Fuse
) -> tuple[SimulatedTransport, Receiver]:
    """Bind an endpoint as ``loop.create_datagram_endpoint`` does, on a simulated network.

    Args:
        network: where.
        endpoint: what to bind.
        make_protocol: makes the protocol that takes what arrives.
        fuse: of this node.

    Returns:
        Transport and protocol, connected.

    Raises:
        ConfigError: the endpoint is taken.
    """
    protocol = make_protocol()
    transport = SimulatedTransport(protocol, fuse)
    transport.attach(await network.open(endpoint, transport.receive))
    return transport, protocol
