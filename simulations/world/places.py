"""Where simulated hosts stand: an address each, in a network prefix of its own.

Addresses look public, as limits that count network prefixes do not apply inside private ranges: a simulated adversary
must meet them.
"""

from __future__ import annotations

from pilotdht.wire.endpoint import Endpoint

PORT = 4433
"""Where simulated nodes listen."""

MAX_HOSTS = 79 * 65_536
"""First octets 20..98: all of them public unicast."""


def address_of(number: int, *, host: int = 1) -> str:
    """Return an address in the ``number``-th /24; two numbers never share one.

    Args:
        number: 0..MAX_HOSTS - 1.
        host: last octet, 1..254: hosts that share a prefix differ in it alone.
    """
    assert 0 <= number < MAX_HOSTS, "so many prefixes are not there"
    return f"{20 + (number >> 16)}.{number >> 8 & 255}.{number & 255}.{host}"


def endpoint_of(number: int, *, host: int = 1) -> Endpoint:
    """Return where the participant with this number listens."""
    return Endpoint(address_of(number, host=host), PORT)


def private_address_of(number: int) -> str:
    """Return the private address of a participant behind a NAT; no two share one, as a network wants it.

    Args:
        number: 0..2^24 - 1.
    """
    assert 0 <= number < 1 << 24, "so many private addresses are not there"
    return f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
