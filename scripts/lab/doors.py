"""Whole nodes of this process at hosts of a laboratory: the doors that put a node's socket where it belongs.

>>> async with Node(config, doors=doors_at(lab, "a")) as left, Node(other, doors=doors_at(lab, "b")) as right:
...     await left.ping("right")

Far cheaper than a daemon at each host, and a test can look into the nodes.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from pilotdht.config.net import NetConfig
from pilotdht.net.doors import DatagramNetwork, DatagramSocket, Doors, Receive, real_doors
from pilotdht.net.host import OwnHost
from pilotdht.net.socket import UdpNetwork
from pilotdht.wire.endpoint import Endpoint
from scripts.lab.laboratory import Lab
from scripts.lab.namespaces import LabError

_OWN_ROUTES = "/proc/thread-self/net/route"
"""Of the thread that asks; ``/proc/net`` is of the process's first thread."""


class HostNetwork:
    """Opens real UDP sockets at one host."""

    def __init__(self, lab: Lab, host: str, inner: DatagramNetwork) -> None:
        self._lab = lab
        self._host = host
        self._inner = inner

    async def open(self, listen: Endpoint, receive: Receive) -> DatagramSocket:
        """Bind to ``listen`` at the host, and deliver what arrives to ``receive``.

        Raises:
            ConfigError: the address cannot be bound there.
            LabError: opening waits for something, so it cannot be done inside a namespace.
        """
        opening: Coroutine[Any, Any, DatagramSocket] = self._inner.open(listen, receive)
        with self._lab.inside(self._host):
            try:
                opening.send(
                    None
                )  # to the end, as nothing is waited for: no other task runs while the thread is inside
            except StopIteration as done:
                opened: DatagramSocket = done.value
                return opened
        opening.close()
        raise LabError("a socket at a host must be opened without waiting")


class HostPlace:
    """What a host knows of its own place."""

    def __init__(self, lab: Lab, host: str) -> None:
        self._lab = lab
        self._host = host
        self._machine = OwnHost(routes_path=_OWN_ROUTES)

    def local_address(self, towards: str) -> str | None:
        """Return the own address that datagrams to ``towards`` leave from; absent when they go nowhere."""
        with self._lab.inside(self._host):
            return self._machine.local_address(towards)

    def routing_table(self) -> str:
        """Return the host's IPv4 routes."""
        with self._lab.inside(self._host):
            return self._machine.routing_table()


def doors_at(lab: Lab, host: str, config: NetConfig | None = None) -> Doors:
    """Return the doors of a node that runs in this process and is at a host.

    Args:
        lab: the laboratory; it must outlive the node.
        host: ``a``, ``b``, ``s1`` and so on.
        config: buffers and bounds of its sockets.
    """
    return real_doors(HostNetwork(lab, host, UdpNetwork(config)), host=HostPlace(lab, host))
