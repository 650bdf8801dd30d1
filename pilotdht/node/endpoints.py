"""Where a node tells others to find it. Pure.

What the operator said comes first, then the address that the socket is bound to, when it is public: nobody knows
better. Otherwise what peers see comes before a private address: a NAT stands in between. A node behind an unspecified
bind does not ask the system for its interfaces: its peers tell it which of its addresses work. Private addresses are
told only as long as nobody sees a public one: see :mod:`pilotdht.traversal.lan.telling`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from pilotdht.net.prefixes import is_local
from pilotdht.traversal.lan.telling import for_everybody
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.records import MAX_ENDPOINTS


def published_endpoints(
    *,
    advertised: Sequence[Endpoint],
    bound: Sequence[Endpoint],
    observed: Iterable[tuple[Endpoint, int]],
    agreement: int,
    is_translated: bool = False,
) -> tuple[Endpoint, ...]:
    """Return up to 8 endpoints, best first.

    Args:
        advertised: what the operator said.
        bound: what the socket is bound to; unspecified addresses are left out.
        observed: what peers see, each with how many independent peers name it, most first.
        agreement: how many peers must name a public endpoint; a private one is believed from the first, as it is
            only useful to those who share the network.
        is_translated: whether peers see this node at a public address that is not its own.
    """
    specific = [endpoint for endpoint in bound if not ipaddress.ip_address(endpoint.host).is_unspecified]
    seen = [
        endpoint
        for endpoint, count in observed
        if count >= agreement or not ipaddress.ip_address(endpoint.host).is_global
    ]
    if any(is_local(endpoint.host) for endpoint in specific):
        specific = [*seen, *specific]
    found = tuple(dict.fromkeys([*advertised, *(specific or seen)]))
    return for_everybody(found, advertised=advertised, is_translated=is_translated)[:MAX_ENDPOINTS]
