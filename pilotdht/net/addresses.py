"""Socket addresses to endpoints and back, at the door of the socket.

Inside, an IPv4 address is written as IPv4, whatever family the socket has: ``::ffff:a.b.c.d`` never passes here. Nor
does a malformed endpoint, so that none can ever reach the operating system.
"""

from __future__ import annotations

import socket
from typing import TypeAlias

from pilotdht.errors import InvalidArgument
from pilotdht.wire.endpoint import Endpoint

SocketAddress: TypeAlias = tuple[str, int] | tuple[str, int, int, int]
"""What the operating system gives and takes: host, port, and for IPv6 flow and scope."""

_MAPPED_PREFIX = "::ffff:"


def endpoint_of(address: SocketAddress) -> Endpoint | None:
    """Return where a datagram came from; absent for port 0 and for addresses that only mean something on one link."""
    host, port = address[0], address[1]
    if host.startswith(_MAPPED_PREFIX) and "." in host:
        host = host[len(_MAPPED_PREFIX) :]
    if port == 0 or "%" in host:
        return None
    return Endpoint(host, port)


def socket_address_of(endpoint: Endpoint, family: socket.AddressFamily) -> SocketAddress:
    """Return what to pass to ``sendto`` of a socket of ``family``.

    Only IP literals pass: a name would be looked up, and block the loop.

    Raises:
        InvalidArgument: there is no such thing.
    """
    try:
        host, port = endpoint
        is_ipv6 = ":" in host
        socket.inet_pton(socket.AF_INET6 if is_ipv6 else socket.AF_INET, host)
    except (OSError, TypeError, ValueError) as error:  # not a literal, not a text, or not a pair
        raise InvalidArgument(f"{endpoint!r} is not an endpoint") from error
    if type(port) is not int or not 0 < port < 65_536 or (is_ipv6 and family != socket.AF_INET6):
        raise InvalidArgument(f"{endpoint!r} is no endpoint that this socket can send to")
    if family == socket.AF_INET6:
        return (host if is_ipv6 else _MAPPED_PREFIX + host, port, 0, 0)
    return (host, port)


def local_endpoints_of(bound: socket.socket) -> tuple[Endpoint, ...]:
    """Return what a socket is bound to; one of both families has two endpoints, unspecified ones stay unspecified."""
    host, port = bound.getsockname()[:2]
    if host == "::":
        return (Endpoint("::", port), Endpoint("0.0.0.0", port))  # noqa: S104 - reports what is bound, binds nothing
    return (Endpoint(host, port),)
