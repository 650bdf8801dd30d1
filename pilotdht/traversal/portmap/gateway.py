"""Which router to ask for a port mapping. Pure.

Linux shows its routes as text, see :meth:`pilotdht.net.doors.Host.routing_table`. Elsewhere the router is guessed from
our own address: in nearly every home it is the first or the last of the /24. A wrong guess costs a small datagram to a
neighbour, so only private addresses are guessed. Last comes the anycast address that RFC 7723 reserves for PCP: routers
that know it answer there, all others drop it, and no network routes it to a stranger.

IPv4 only: with IPv6 there is nothing to map, and few routers open their firewall when asked.
"""

from __future__ import annotations

import ipaddress

from pilotdht.net.prefixes import is_private

PCP_ANYCAST = "192.0.0.9"
"""RFC 7723, section 2: every PCP server may answer there."""

MAX_GATEWAYS = 4
"""Routers asked in turn; a machine with more is a router itself."""

_UP_AND_GATEWAY = 0x3  # RTF_UP | RTF_GATEWAY of linux/route.h
_COLUMNS = 8


def default_gateways(routes: str) -> tuple[str, ...]:
    """Return the gateways of the default routes, the one with the lowest metric first; each once, at most 4.

    Args:
        routes: content of ``/proc/net/route``: a line of titles, then one route a line in columns; addresses are
            hexadecimal in the byte order of the machine, which is the lowest byte first on all that matter.
            Lines that do not look like that are passed over.
    """
    found: list[tuple[int, str]] = []
    for line in routes.splitlines()[1:]:
        columns = line.split()
        if len(columns) < _COLUMNS:
            continue
        try:
            target, gateway, flags = (int(columns[at], 16) for at in (1, 2, 3))
            metric, mask = int(columns[6]), int(columns[7], 16)
            host = str(ipaddress.IPv4Address(gateway.to_bytes(4, "little")))
        except (OverflowError, ValueError):
            continue
        if target == mask == 0 and gateway and flags & _UP_AND_GATEWAY == _UP_AND_GATEWAY:
            found.append((metric, host))
    found.sort(key=lambda item: item[0])
    return tuple(dict.fromkeys(host for _, host in found))[:MAX_GATEWAYS]


def guessed_gateways(own: str | None) -> tuple[str, ...]:
    """Return where a router may be when the system does not tell, most likely first.

    Args:
        own: our own IPv4 address; absent when unknown.
    """
    if own is None or ":" in own or not is_private(own):
        return ()
    network = own.rpartition(".")[0]
    return tuple(guess for guess in (f"{network}.1", f"{network}.254", PCP_ANYCAST) if guess != own)


def gateways_to_ask(*, configured: str, routes: str, own: str | None) -> tuple[str, ...]:
    """Return which routers to ask, in this order: what the operator said, what the system says, or guesses."""
    if configured:
        return (configured,)
    return default_gateways(routes) or guessed_gateways(own)
