"""A bound socket on the network in memory, as our node uses one and as asyncio's datagram protocols do."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pilotdht.net.doors import Batch
from pilotdht.wire.endpoint import Endpoint
from simulations.world.hosts import Port

if TYPE_CHECKING:
    from simulations.world.network import MemoryNetwork


class MemorySocket:
    """One bound socket; see :class:`pilotdht.net.doors.DatagramSocket`."""

    __slots__ = ("_carry", "_is_closed", "_network", "_port")

    def __init__(self, network: MemoryNetwork, port: Port) -> None:
        self._network = network
        self._carry = network.carry
        self._port = port
        self._is_closed = False

    @property
    def local_endpoints(self) -> tuple[Endpoint, ...]:
        """What it is bound to."""
        return (self._port.endpoint,)

    def send(self, datagram: bytes, endpoint: Endpoint) -> None:
        """Send one datagram."""
        if not self._is_closed:
            self._carry(datagram, self._port, endpoint)

    def send_train(self, datagrams: Sequence[bytes], endpoint: Endpoint) -> None:
        """Send several datagrams to one endpoint."""
        for datagram in datagrams:
            self.send(datagram, endpoint)

    async def close(self) -> None:
        """Close it; what is under way to it is lost."""
        self.shut()

    def shut(self) -> None:
        """Do what :meth:`close` does, at once."""
        if not self._is_closed:
            self._is_closed = True
            self._network.release(self._port)


class MemoryTransport(asyncio.DatagramTransport):
    """The same for a protocol of asyncio; made by :meth:`simulations.world.network.MemoryNetwork.create_endpoint`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: asyncio.DatagramProtocol) -> None:
        super().__init__()
        self._loop = loop
        self._protocol = protocol
        self._socket: MemorySocket | None = None

    def attach(self, socket: MemorySocket) -> None:
        """Use a socket, and tell the protocol that it is connected."""
        self._socket = socket
        self._extra["sockname"] = socket.local_endpoints[0]  # type: ignore[attr-defined]  # where asyncio keeps it
        self._protocol.connection_made(self)

    def receive(self, batch: Batch) -> None:
        """Hand datagrams to the protocol."""
        for datagram, endpoint in batch:
            self._protocol.datagram_received(datagram, endpoint)

    def sendto(self, data: object, addr: object = None) -> None:
        """Send one datagram; a target is always named, as nothing is connected."""
        if self._socket is not None:
            self._socket.send(bytes(data), Endpoint(*addr[:2]))  # type: ignore[call-overload,index]  # as asyncio has it

    def close(self) -> None:
        """Close the socket; the protocol is told afterwards."""
        socket, self._socket = self._socket, None
        if socket is not None:
            socket.shut()
            self._loop.call_soon(self._protocol.connection_lost, None)

    def abort(self) -> None:
        """Do the same: nothing waits to be sent."""
        self.close()

    def is_closing(self) -> bool:
        """Return whether it was closed."""
        return self._socket is None

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the protocol."""
        return self._protocol
