"""Hosts on a simulated network that keep what they receive, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from pilotdht.net.doors import Batch
from pilotdht.wire.endpoint import Endpoint
from simulations.engine.trace import TraceWriter
from simulations.world.conditions import CONDITIONS
from simulations.world.network import MemoryNetwork
from simulations.world.places import endpoint_of
from simulations.world.socket import MemorySocket


class Listener:
    """One socket, and what came in by it."""

    def __init__(self, network: MemoryNetwork, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.received: list[tuple[float, bytes, Endpoint]] = []
        self.socket: MemorySocket = network.bind(endpoint, self._receive)

    @property
    def host(self) -> str:
        """Its address."""
        return self.endpoint.host

    @property
    def datagrams(self) -> list[bytes]:
        """What it received, in order."""
        return [datagram for _, datagram, _ in self.received]

    @property
    def senders(self) -> list[Endpoint]:
        """From where, in order."""
        return [sender for _, _, sender in self.received]

    def send(self, to: Listener | Endpoint, datagram: bytes = b"\x20 hello") -> None:
        """Send a datagram to another one."""
        self.socket.send(datagram, to if isinstance(to, Endpoint) else to.endpoint)

    def _receive(self, batch: Batch) -> None:
        now = asyncio.get_running_loop().time()
        self.received.extend((now, datagram, sender) for datagram, sender in batch)


def listeners(network: MemoryNetwork, count: int) -> Sequence[Listener]:
    """Return so many, each on an address of its own."""
    return [Listener(network, endpoint_of(number)) for number in range(count)]


def perfect_network(*, seed: int = 1, trace: TraceWriter | None = None, **changes: float) -> MemoryNetwork:
    """Return a network where each way takes 10 ms and nothing happens but the changes to that."""
    conditions = replace(CONDITIONS["perfect"], **changes)  # type: ignore[arg-type]  # an int where it is one
    return MemoryNetwork(seed=seed, conditions=conditions, trace=trace)


async def settled() -> None:
    """Let everything that is under way arrive."""
    await asyncio.sleep(5.0)
