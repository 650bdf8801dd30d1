"""The doors to the outside world: all that a simulation replaces, and nothing else.

Below the daemon the only network, wall clock and entropy are the ones passed in here; the only timer clock is the
running loop's. A virtual-time loop and these doors run the very same node code in a simulator.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Protocol

from pilotdht.tracing.spans import OFF, Tracer
from pilotdht.values import dataclass
from pilotdht.wire.endpoint import Endpoint

Batch = Sequence[tuple[bytes, Endpoint]]
"""Datagrams that one readiness event delivered, each with the endpoint it came from."""

Receive = Callable[[Batch], None]
"""Called on the loop with each batch; must not raise and must not block."""


class DatagramSocket(Protocol):
    """One open UDP socket."""

    @property
    def local_endpoints(self) -> tuple[Endpoint, ...]:
        """What it is bound to; the unspecified address stays unspecified."""
        ...

    def send(self, datagram: bytes, endpoint: Endpoint) -> None:
        """Send one datagram; never raises, never blocks: what cannot be sent is lost, and counted."""
        ...

    def send_train(self, datagrams: Sequence[bytes], endpoint: Endpoint) -> None:
        """Send several datagrams to one endpoint, in one system call where the kernel can (UDP GSO)."""
        ...

    async def close(self) -> None:
        """Close it; safe to call twice. No batch is delivered afterwards."""
        ...


class DatagramNetwork(Protocol):
    """Whatever opens sockets: the real one is :class:`pilotdht.net.socket.UdpNetwork`."""

    async def open(self, listen: Endpoint, receive: Receive) -> DatagramSocket:
        """Bind to ``listen`` (port 0: any; host ``::``: both families) and deliver what arrives to ``receive``.

        Raises:
            ConfigError: the address cannot be bound.
        """
        ...


class Host(Protocol):
    """What the machine tells of its own place in the network; the real one is :class:`pilotdht.net.host.OwnHost`.

    Both calls are quick: they neither send anything nor wait for anybody.
    """

    def local_address(self, towards: str) -> str | None:
        """Return the own address that datagrams to ``towards`` leave from; absent when they go nowhere.

        Args:
            towards: an IP literal; nothing is sent to it.
        """
        ...

    def routing_table(self) -> str:
        """Return the IPv4 routes as Linux writes them in ``/proc/net/route``; empty where there is no such file."""
        ...


class PortForwarder(Protocol):
    """Whatever has the router map a port in a way of its own; the real one is :mod:`pilotdht.net.upnp`.

    Nothing raises but cancellation; each call ends within seconds.
    """

    async def forward(self, *, own: str, port: int, outside_port: int, lifetime_s: int) -> Endpoint | None:
        """Have a port mapped, or the mapping renewed.

        Args:
            own: our IPv4 address.
            port: our UDP port.
            outside_port: the port that is wished for.
            lifetime_s: for how long.

        Returns:
            Where it is mapped, as the router says; absent when that is not possible.
        """
        ...

    async def is_forwarded(self, *, own: str, port: int, outside: Endpoint) -> bool | None:
        """Return whether the mapping is still there; absent when the router does not say."""
        ...

    async def withdraw(self, outside: Endpoint) -> None:
        """Have a mapping deleted."""
        ...


class ByteStream(Protocol):
    """One open TLS 1.3 connection over TCP; neither side's certificate has been checked by anybody."""

    @property
    def remote(self) -> Endpoint:
        """Where the other end is; of a proxy, when the connection goes through one."""
        ...

    @property
    def local(self) -> Endpoint:
        """This end's own address and port."""
        ...

    @property
    def certificate(self) -> bytes:
        """The server's certificate (DER), as this end knows it: both know the same, unless somebody is in between."""
        ...

    @property
    def backlog_bytes(self) -> int:
        """Bytes written that the system has not taken yet."""
        ...

    async def read_exactly(self, count: int) -> bytes:
        """Return the next bytes; to be used before :meth:`deliver`.

        Raises:
            LinkClosed: the connection ended before.
        """
        ...

    def deliver(self, received: Callable[[bytes], None], ended: Callable[[], None]) -> None:
        """Hand over what arrives from now on, and tell once when the connection has ended; neither may block."""
        ...

    def write(self, data: bytes) -> None:
        """Send bytes; never raises, never blocks."""
        ...

    def close(self) -> None:
        """Send what waits, and close; safe to call twice. Nothing is delivered afterwards."""
        ...

    def abort(self) -> None:
        """Close at once; safe to call twice. Nothing is delivered afterwards."""
        ...


class Incoming(Protocol):
    """A TCP connection that somebody has opened to us, before any TLS."""

    @property
    def remote(self) -> Endpoint:
        """Where it comes from."""
        ...

    async def secure(self) -> ByteStream:
        """Do the TLS handshake.

        Raises:
            LinkClosed: the other end does not speak TLS 1.3, or went away.
        """
        ...

    def abort(self) -> None:
        """Close at once; safe to call twice."""
        ...


class StreamListener(Protocol):
    """One open TCP port."""

    @property
    def local_endpoints(self) -> tuple[Endpoint, ...]:
        """What it is bound to."""
        ...

    async def close(self) -> None:
        """Accept nobody any more; safe to call twice. Connections live on."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectProxy:
    """An HTTP proxy that opens connections for us (RFC 9110, section 9.3.6)."""

    host: str
    """IP literal or DNS name."""
    port: int
    """1..65535."""
    authorization: str = field(default="", repr=False)
    """Value of the header ``Proxy-Authorization``, or empty; never shown."""


class StreamNetwork(Protocol):
    """Whatever opens TLS connections: the real one is :class:`pilotdht.net.streams.TcpNetwork`."""

    async def connect(self, host: str, port: int, *, proxy: ConnectProxy | None = None) -> ByteStream:
        """Open a connection, whoever answers; the caller bounds the time.

        Args:
            host: IP literal or DNS name; with a proxy, a name is looked up there.
            port: 1..65535.
            proxy: whom to ask for the connection; absent: it is opened directly.

        Raises:
            Unreachable: nobody answers there with TLS 1.3, or the proxy refuses.
        """
        ...

    async def listen(
        self, listen: Endpoint, accept: Callable[[Incoming], None], *, certificate_file: str, key_file: str, seed: bytes
    ) -> StreamListener:
        """Hand over connections that others open.

        Args:
            listen: where; port 0 for any, host ``::`` for both families.
            accept: takes each; must not raise or block.
            certificate_file: PEM file of the certificate to present; empty: one is made from ``seed``.
            key_file: PEM file of its private key; empty as well then.
            seed: 32 unpredictable bytes: the private key of the certificate that is made.

        Raises:
            ConfigError: the address cannot be bound, or a file cannot be used.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkNotice:
    """What somebody on the same link announces of itself: a claim, made of bytes that nobody has checked."""

    name: str
    """Of the announcement; another one of the same name takes its place."""
    addresses: tuple[str, ...]
    """IP literals, as they were written."""
    port: int
    """UDP port, as it was written."""
    text: Mapping[str, bytes]
    """Further facts by their names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkPost:
    """What is to be announced on the links of this machine, and on which."""

    name: str
    """Of the announcement."""
    port: int
    """UDP port."""
    text: Mapping[str, str]
    """Further facts by their names."""
    is_told: bool
    """Whether it is announced at all; otherwise others are only listened to."""
    interfaces: tuple[str, ...]
    """Own addresses of the interfaces to use; empty: all but loopback."""
    has_ipv4: bool
    """Whether IPv4 addresses are announced."""
    has_ipv6: bool
    """Whether IPv6 addresses are announced."""


class OpenLink(Protocol):
    """The links of this machine, as they were when they were opened."""

    @property
    def networks(self) -> tuple[str, ...]:
        """What is reached there without a router, as ``192.168.1.0/24``."""
        ...

    async def begin(self, *, on_notice: Callable[[LinkNotice], None], on_gone: Callable[[str], None]) -> None:
        """Announce what is to be told, and listen to others.

        Args:
            on_notice: takes what was announced, again when it has changed; must not raise and must not block.
            on_gone: takes the name of what was withdrawn or has expired.

        Raises:
            ConfigError: no interface can be listened to.
        """
        ...

    async def close(self) -> None:
        """Withdraw what was announced, and listen no more; safe to call twice, bounded in time."""
        ...


class LinkBoard(Protocol):
    """Whatever tells neighbours on the same link of each other; the real one is :mod:`pilotdht.net.mdns`."""

    async def open(self, post: LinkPost) -> OpenLink:
        """Find out what links there are; nothing is sent yet.

        Args:
            post: what to announce and where.

        Raises:
            ConfigError: there is no such interface.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """What a node gets from the world around it."""

    network: DatagramNetwork
    """Opens the node's socket."""

    unix_time: Callable[[], float]
    """Seconds since 1970: for what other nodes must agree on (expiry of records, day of a sealing key)."""

    random: random.Random
    """For choices that need not be secret: jitter, sampling."""

    token_bytes: Callable[[int], bytes]
    """Unpredictable bytes: request ids, nonces, secrets."""

    host: Host | None = None
    """The machine's own place; absent where there is no machine, as in a simulation."""

    forwarder: PortForwarder | None = None
    """Maps ports where routers speak neither PCP nor NAT-PMP; absent when there is none."""

    streams: StreamNetwork | None = None
    """Opens TLS connections for nodes whose UDP is blocked; absent where there is no TCP, as in a simulation."""

    link_board: LinkBoard | None = None
    """Finds neighbours on the same link; absent when there is none."""

    tracer: Tracer = OFF
    """Records what takes how long, over several nodes; nothing unless somebody wants to see it."""


def real_doors(
    network: DatagramNetwork,
    *,
    host: Host | None = None,
    forwarder: PortForwarder | None = None,
    streams: StreamNetwork | None = None,
    link_board: LinkBoard | None = None,
) -> Doors:
    """Return the doors of the real world around ``network``.

    Args:
        network: opens sockets.
        host: tells the machine's own place; absent when nothing shall ask it.
        forwarder: maps ports by UPnP; absent when it shall not.
        streams: opens TLS connections; absent when there shall be none.
        link_board: finds neighbours by multicast DNS; absent when it shall not.
    """
    return Doors(
        network=network,
        unix_time=time.time,
        random=random.SystemRandom(),
        token_bytes=os.urandom,
        host=host,
        forwarder=forwarder,
        streams=streams,
        link_board=link_board,
    )
