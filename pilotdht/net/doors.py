"""The doors to the outside world: all that a simulation replaces, and nothing else.

Below the daemon the only network, wall clock and entropy are the ones passed in here; the only timer clock is the
running loop's. A virtual-time loop and these doors run the very same node code in a simulator.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

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


def real_doors(network: DatagramNetwork, *, host: Host | None = None, forwarder: PortForwarder | None = None) -> Doors:
    """Return the doors of the real world around ``network``.

    Args:
        network: opens sockets.
        host: tells the machine's own place; absent when nothing shall ask it.
        forwarder: maps ports by UPnP; absent when it shall not.
    """
    return Doors(
        network=network,
        unix_time=time.time,
        random=random.SystemRandom(),
        token_bytes=os.urandom,
        host=host,
        forwarder=forwarder,
    )
