"""The node's one socket with all that lives on it: demultiplexing, greetings, requests, and QUIC by a handler."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from pilotdht.config.net import NetConfig
from pilotdht.errors import ConfigError, NodeClosed
from pilotdht.identity.keys import KeyPair
from pilotdht.net.datagrams import HELLO, HELLO_REPLY, HandleDatagram
from pilotdht.net.demux import Demultiplexer
from pilotdht.net.doors import Batch, DatagramSocket, Doors, Receive
from pilotdht.net.metrics import NetMetrics
from pilotdht.net.rpc import Rpc
from pilotdht.net.switchboard import Switchboard
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.seal import SEALED


class Detour(Protocol):
    """Another way for datagrams where UDP does not pass."""

    def carry(self, datagrams: Sequence[bytes], endpoint: Endpoint) -> bool:
        """Carry datagrams to a real endpoint; false when the socket is to send them. Must not raise or block."""
        ...


class NodeSocket:
    """Owner of the socket; ``async with`` opens and closes it. Handlers may be set before it is open."""

    def __init__(
        self,
        keys: KeyPair,
        doors: Doors,
        config: NetConfig,
        metrics: NetMetrics,
        *,
        salt: bytes,
        listen: Endpoint,
        preferred_port: int = 0,
    ) -> None:
        """Make it; nothing is opened yet.

        Args:
            keys: who we are.
            doors: the world.
            config: bounds and waits.
            metrics: where everything is counted.
            salt: the mesh's, :func:`pilotdht.wire.seal.network_salt`.
            listen: where to bind; port 0 for any, host ``::`` for both families.
            preferred_port: the port to try first when any will do; 0 for none.
        """
        self.rpc = Rpc(keys, doors, config, metrics, salt=salt)
        """Requests and replies."""
        self._network = doors.network
        self._listen = [listen]
        if preferred_port and listen.port == 0:
            self._listen.insert(0, Endpoint(listen.host, preferred_port))
        self.metrics = metrics
        """What is counted."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._socket: DatagramSocket | None = None
        self._demultiplexer = Demultiplexer(config, metrics, now=self._now)
        self.switchboard = Switchboard(self._demultiplexer.receive)
        """Ways to peers that are no addresses."""
        self.detour: Detour | None = None
        """What is asked first to carry datagrams to real endpoints; absent: the socket sends all of them."""
        self._demultiplexer.set_handler(SEALED, self.rpc.receive_untrusted)
        self._demultiplexer.set_handler(HELLO, self._hello)
        self._demultiplexer.set_handler(HELLO_REPLY, self.rpc.greeter.receive_reply_untrusted)

    async def __aenter__(self) -> Self:
        """Open the socket.

        Raises:
            ConfigError: no address can be bound.
        """
        self._loop = asyncio.get_running_loop()
        for number, listen in enumerate(self._listen, 1):
            try:
                self._socket = await self._network.open(listen, self._demultiplexer.receive)
                break
            except ConfigError:
                if number == len(self._listen):
                    raise
        assert self._socket is not None, "there is at least one address"
        self.metrics.watch(self._socket)
        self.rpc.open(self._transmit)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End all that waits, and close the socket; safe to call twice."""
        self.rpc.close()
        if self._socket is not None:
            await self._socket.close()

    @property
    def local_endpoints(self) -> tuple[Endpoint, ...]:
        """What the socket is bound to.

        Raises:
            NodeClosed: it was never opened.
        """
        if self._socket is None:
            raise NodeClosed("the node's socket is not open")
        return self._socket.local_endpoints

    def send(self, datagram: bytes, endpoint: Endpoint) -> None:
        """Send one datagram; never raises, never blocks."""
        self.send_train((datagram,), endpoint)

    def send_train(self, datagrams: Sequence[bytes], endpoint: Endpoint) -> None:
        """Send several datagrams to one endpoint, in one system call where the kernel can; never raises or blocks."""
        if self._socket is not None and not self.switchboard.carry(datagrams, endpoint):
            self.metrics.datagrams_out += len(datagrams)
            self.metrics.bytes_out += sum(map(len, datagrams))
            self.rpc.reachability.sent_to(endpoint, now=self._now())
            if self.detour is None or not self.detour.carry(datagrams, endpoint):
                self._socket.send_train(datagrams, endpoint)

    def receive_detoured(self, batch: Batch) -> None:
        """Take in datagrams that came by the detour, as if the socket had received them."""
        self._demultiplexer.receive(batch)

    def set_quic_handler(self, handler: Receive | None) -> None:
        """Hand QUIC datagrams to ``handler``, all of one readiness event at a time; ``None`` drops them."""
        self._demultiplexer.set_quic_handler(handler)

    def set_relayed_handler(self, handler: Receive | None) -> None:
        """Hand relayed datagrams to ``handler``, all of one readiness event at a time; ``None`` drops them."""
        self._demultiplexer.set_relayed_handler(handler)

    def set_handler(self, first_byte: int, handler: HandleDatagram) -> None:
        """Hand datagrams of another kind to ``handler``; it may raise ``BadMessage`` to have one counted."""
        self._demultiplexer.set_handler(first_byte, handler)

    def _transmit(self, datagram: bytes, endpoint: Endpoint) -> None:
        if self._socket is not None and not self.switchboard.carry((datagram,), endpoint):
            self.metrics.datagrams_out += 1
            self.metrics.bytes_out += len(datagram)
            if self.detour is None or not self.detour.carry((datagram,), endpoint):
                self._socket.send(datagram, endpoint)

    def _hello(self, datagram: bytes, endpoint: Endpoint) -> None:
        self._transmit(self.rpc.greeter.answer_untrusted(datagram, endpoint, self._now()), endpoint)

    def _now(self) -> float:
        assert self._loop is not None, "datagrams arrive after opening only"
        return self._loop.time()
