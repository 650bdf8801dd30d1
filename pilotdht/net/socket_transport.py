"""The same socket on loops that cannot watch file descriptors (Windows' proactor): over an asyncio transport.

Without batches, offload or a backlog of our own; kept small because it is the way of last resort.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Sequence
from typing import cast

from pilotdht.errors import InvalidArgument
from pilotdht.net.addresses import endpoint_of, local_endpoints_of, socket_address_of
from pilotdht.net.doors import Receive
from pilotdht.wire.endpoint import Endpoint

_logger = logging.getLogger(__name__)


class TransportSocket(asyncio.DatagramProtocol):
    """One open UDP socket over a transport of the loop."""

    def __init__(self, bound: socket.socket, receive: Receive) -> None:
        self._receive = receive
        self._family = bound.family
        self._local_endpoints = local_endpoints_of(bound)
        self._transport: asyncio.DatagramTransport | None = None
        self._is_paused = False
        self.lost: dict[str, int] = {}
        """Datagrams that could not be sent, by reason."""
        self.receive_errors = 0
        """Errors that the network reported; ignored."""
        self.receiver_failures = 0
        """Errors out of the receiver; logged."""

    @classmethod
    async def open(cls, loop: asyncio.AbstractEventLoop, bound: socket.socket, receive: Receive) -> TransportSocket:
        """Start to read from a bound socket, owned from now on."""
        opened = cls(bound, receive)
        try:
            await loop.create_datagram_endpoint(lambda: opened, sock=bound)
        except BaseException:
            bound.close()
            raise
        return opened

    @property
    def local_endpoints(self) -> tuple[Endpoint, ...]:
        """What it is bound to."""
        return self._local_endpoints

    def send(self, datagram: bytes, endpoint: Endpoint) -> None:
        """Send one datagram; never raises, never blocks: what cannot be sent is lost, and counted."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._is_paused:
            self._count("backlog")
            return
        try:
            transport.sendto(datagram, socket_address_of(endpoint, self._family))
        except InvalidArgument:
            self._count("endpoint")

    def send_train(self, datagrams: Sequence[bytes], endpoint: Endpoint) -> None:
        """Send datagrams to one endpoint in their order."""
        for datagram in datagrams:
            self.send(datagram, endpoint)

    async def close(self) -> None:
        """Close it; safe to call twice."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.DatagramTransport", transport)  # asyncio's own do not derive from it

    def datagram_received(self, data: bytes, addr: tuple[str, int] | tuple[str, int, int, int]) -> None:
        """Hand one datagram on."""
        endpoint = endpoint_of(addr)
        if endpoint is None or self._transport is None:
            self.receive_errors += 1
            return
        try:
            self._receive([(data, endpoint)])
        except Exception:
            self.receiver_failures += 1
            _logger.exception("receiver of datagrams failed")

    def error_received(self, exc: Exception) -> None:
        """Ignore what the network reports about something sent earlier."""
        self.receive_errors += 1

    def pause_writing(self) -> None:
        """Lose what is sent from now on: the transport's buffer is full."""
        self._is_paused = True

    def resume_writing(self) -> None:
        """Send again."""
        self._is_paused = False

    def _count(self, reason: str) -> None:
        self.lost[reason] = self.lost.get(reason, 0) + 1
