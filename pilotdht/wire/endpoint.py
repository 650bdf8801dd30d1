"""Where a datagram goes: an IP literal and a UDP port, checked once, used as it is by the socket.

Names are never resolved here. IPv4 addresses mapped into IPv6 are written as IPv4, so that one place has one spelling.
"""

from __future__ import annotations

import ipaddress
import socket
from functools import lru_cache
from typing import NamedTuple

from pilotdht.errors import BadMessage, InvalidArgument

PACKED_IPV4_BYTES = 6
PACKED_IPV6_BYTES = 18
REMEMBERED = 16_384
"""Endpoints that are packed, and unpacked, only once: tokens and replies name the same ones over and over. 3 MB."""

DISCARD_PREFIX = "100::"
"""Addresses that are never routed (100::/64, RFC 6666): nobody outside can be there."""

_DISCARD_BYTES = socket.inet_pton(socket.AF_INET6, DISCARD_PREFIX)[:8]
_MAPPED_PREFIX = b"\0" * 10 + b"\xff\xff"


class Endpoint(NamedTuple):
    """An IP literal and a UDP port; a tuple, as sockets take it."""

    host: str
    """IPv4 or IPv6 literal in its canonical spelling."""

    port: int
    """1..65535."""

    @property
    def is_ipv6(self) -> bool:
        """True for IPv6."""
        return ":" in self.host

    def __str__(self) -> str:
        """Return ``127.0.0.1:4000`` or ``[::1]:4000``."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def packed(self) -> bytes:
        """Return 6 bytes (IPv4) or 18 bytes (IPv6): the address, then the port, most significant byte first."""
        return _packed(self)


@lru_cache(maxsize=REMEMBERED)
def _packed(endpoint: Endpoint) -> bytes:
    family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
    return socket.inet_pton(family, endpoint.host) + endpoint.port.to_bytes(2, "big")


def unpack_endpoint_untrusted(data: object) -> Endpoint:
    """Read what :meth:`Endpoint.packed` writes.

    Raises:
        BadMessage: wrong type or length, port 0, a mapped IPv4 address, an unspecified, multicast or discard-only one.
    """
    if type(data) is not bytes or len(data) not in (PACKED_IPV4_BYTES, PACKED_IPV6_BYTES):
        raise BadMessage("endpoint")
    return _unpacked_untrusted(data)


@lru_cache(maxsize=REMEMBERED)
def _unpacked_untrusted(data: bytes) -> Endpoint:
    port = data[-2] << 8 | data[-1]
    if port == 0:
        raise BadMessage("endpoint_port")
    if len(data) == PACKED_IPV4_BYTES:
        first = data[0]
        if first == 0 or first >= 224:  # "this network", multicast, reserved, broadcast: nobody can be reached there
            raise BadMessage("endpoint_address")
        return Endpoint(socket.inet_ntop(socket.AF_INET, data[:4]), port)
    address = data[:16]
    is_nowhere = address == b"\0" * 16 or address[:8] == _DISCARD_BYTES
    if address[0] == 0xFF or address[:12] == _MAPPED_PREFIX or is_nowhere:
        raise BadMessage("endpoint_address")
    return Endpoint(socket.inet_ntop(socket.AF_INET6, address), port)


def parse_endpoint(text: str, *, allow_port_zero: bool = False) -> Endpoint:
    """Read ``127.0.0.1:4000`` or ``[::1]:4000``.

    Args:
        text: an IP literal with a port.
        allow_port_zero: accept port 0, which lets the system choose one when listening.

    Raises:
        InvalidArgument: not an IP literal with a port.
    """
    host, separator, port_text = text.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    lowest = 0 if allow_port_zero else 1
    try:
        address = ipaddress.ip_address(host)
        port = int(port_text)
    except ValueError:
        separator = ""
        address, port = ipaddress.IPv4Address(0), 0
    if not separator or not lowest <= port <= 65535:
        raise InvalidArgument(
            f"{text!r} is not an endpoint", hint="endpoints look like 192.0.2.7:4000 or [2001:db8::7]:4000"
        )
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return Endpoint(str(mapped or address), port)
