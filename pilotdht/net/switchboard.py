"""Ways to peers that are no addresses: what is sent to a *virtual endpoint* goes to whoever made it.

Everything above the socket knows peers by endpoints. A channel through a relay gets an endpoint as well, with an
address that is never routed (RFC 6666), so that requests and tunnels go through it without knowing. Virtual endpoints
mean something inside one node only: no record, message or routing table holds one, and none is taken from outside.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence

from pilotdht.net.doors import Batch, Receive
from pilotdht.wire.endpoint import DISCARD_PREFIX, Endpoint

Carry = Callable[[Sequence[bytes]], None]
"""Takes datagrams that were sent to a virtual endpoint; must not raise and must not block."""

_RELAYED_PORT = 1
_DIRECT_PORT = 2
_FIRST = int(ipaddress.IPv6Address(DISCARD_PREFIX))


HIDDEN = Endpoint("192.0.0.8", _RELAYED_PORT)
"""What a peer is told of its own virtual endpoint here: the dummy address (RFC 7600), which says nothing."""


def is_virtual(endpoint: Endpoint) -> bool:
    """Return whether an endpoint was made by a switchboard."""
    return endpoint.host.startswith(DISCARD_PREFIX)


def is_relayed(endpoint: Endpoint) -> bool:
    """Return whether what is sent to an endpoint goes through another node."""
    return endpoint.port == _RELAYED_PORT and is_virtual(endpoint)


class Switchboard:
    """The virtual endpoints of one node."""

    def __init__(self, receive: Receive) -> None:
        """Make it without any.

        Args:
            receive: takes what comes from virtual endpoints, as it takes what comes from the socket.
        """
        self._receive = receive
        self._carriers: dict[Endpoint, Carry] = {}
        self._made = 0

    def __len__(self) -> int:
        """Return how many are connected."""
        return len(self._carriers)

    def connect(self, carry: Carry, *, is_direct: bool = False) -> Endpoint:
        """Return a new virtual endpoint; what is sent there goes to ``carry``.

        Args:
            carry: takes what is sent there.
            is_direct: whether that goes straight to the peer, by a socket of its own; otherwise through another node.
        """
        self._made += 1
        host = str(ipaddress.IPv6Address(_FIRST + self._made))
        endpoint = Endpoint(host, _DIRECT_PORT if is_direct else _RELAYED_PORT)
        self._carriers[endpoint] = carry
        return endpoint

    def disconnect(self, endpoint: Endpoint) -> None:
        """Lose what is sent to an endpoint from now on; it is never made again. Safe to call twice."""
        self._carriers.pop(endpoint, None)

    def deliver(self, batch: Batch) -> None:
        """Take in datagrams from virtual endpoints; from disconnected ones nothing is taken."""
        known = [item for item in batch if item[1] in self._carriers]
        if known:
            self._receive(known)

    def carry(self, datagrams: Sequence[bytes], endpoint: Endpoint) -> bool:
        """Carry datagrams when they go to a virtual endpoint; false when they go to a real one."""
        carry = self._carriers.get(endpoint)
        if carry is not None:
            carry(datagrams)
            return True
        return is_virtual(endpoint)
