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


def real_doors(network: DatagramNetwork) -> Doors:
    """Return the doors of the real world around ``network``."""
    return Doors(network=network, unix_time=time.time, random=random.SystemRandom(), token_bytes=os.urandom)
