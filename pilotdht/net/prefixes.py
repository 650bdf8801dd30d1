"""Which addresses belong together: the network prefix that one owner is taken to hold. Pure.

An attacker has one address of an IPv4 /24 about as cheaply as all of them, and a whole IPv6 /48 by default, so limits
and caps count prefixes, never single addresses.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache

_IPV6_PREFIX_BYTES = 6
_HOSTS_KEPT = 16_384


@lru_cache(_HOSTS_KEPT)
def prefix_of(host: str) -> str | bytes:
    """Return the /24 of an IPv4 literal or the /48 of an IPv6 literal, as something to compare and hash."""
    if ":" in host:
        return _packed(host)[:_IPV6_PREFIX_BYTES]
    return host.rpartition(".")[0]


def is_loopback(host: str) -> bool:
    """Return whether an IP literal is of this host only (RFC 1122, section 3.2.1.3; RFC 4291, section 2.5.3)."""
    return host.startswith("127.") or host == "::1"


@lru_cache(_HOSTS_KEPT)
def is_private(host: str) -> bool:
    """Return whether an IP literal is private, shared, or link-local (RFC 1918, 6598, 3927, 4193, 4291).

    Loopback addresses are not among them.
    """
    if ":" in host:
        address = _packed(host)
        return address[0] & 0xFE == 0xFC or (address[0] == 0xFE and address[1] & 0xC0 == 0x80)
    first, second = (int(part) for part in host.split(".", 2)[:2])
    return (
        first == 10
        or (first == 172 and 16 <= second < 32)
        or (first == 192 and second == 168)
        or (first == 169 and second == 254)
        or (first == 100 and 64 <= second < 128)
    )


@lru_cache(_HOSTS_KEPT)
def is_local(host: str) -> bool:
    """Return whether an IP literal is loopback or private."""
    return is_loopback(host) or is_private(host)


def group_of(host: str, member: bytes) -> str | bytes:
    """Return what makes a peer independent of others: its prefix, or on loopback and private ranges ``member``.

    A laboratory's peers share one prefix, so there the keys are counted.
    """
    return member if is_local(host) else prefix_of(host)


@lru_cache(_HOSTS_KEPT)
def _packed(host: str) -> bytes:
    return ipaddress.IPv6Address(host).packed
