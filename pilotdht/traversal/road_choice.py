"""Which of several roads to a peer is taken. Pure.

A *road* is an endpoint, real or virtual (through a relay), at which the peer has answered a request of ours. Direct
roads go before relayed ones, then the shorter round trip counts; another road is taken only when it is clearly better,
so that two that are alike do not make a link jump. A private address goes before a public one that is as quick: what
stays on the local network does not depend on the router, nor on the provider.

Source: iroh (paths are chosen with hysteresis); RFC 8445, section 6.1.2 (direct before relayed).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence

from pilotdht.net.prefixes import is_local
from pilotdht.net.switchboard import is_relayed, is_virtual
from pilotdht.values import dataclass
from pilotdht.wire.endpoint import Endpoint

CLEARLY_S = 0.005
"""A round trip must be shorter by this much, and by a tenth, to be worth a change."""
CLEARLY_SHARE = 0.1

KEPT = 8
"""Roads remembered to one peer; the one proven longest ago goes first."""


@dataclass(slots=True)
class Road:
    """One endpoint at which the peer has answered."""

    endpoint: Endpoint
    """Where."""
    rtt_s: float
    """The round trip as it was measured last, in seconds."""
    proven_at: float
    """When it answered last: time of the loop."""

    @property
    def is_direct(self) -> bool:
        """Whether no relay is in between."""
        return not is_relayed(self.endpoint)


class RoadChoice:
    """The roads to one peer that are known to work."""

    def __init__(self) -> None:
        self._roads: OrderedDict[Endpoint, Road] = OrderedDict()

    def __iter__(self) -> Iterator[Road]:
        """Go through the roads, proven longest ago first."""
        return iter(tuple(self._roads.values()))

    def __contains__(self, endpoint: Endpoint) -> bool:
        """Return whether a road is known to work."""
        return endpoint in self._roads

    def proven(self, endpoint: Endpoint, rtt_s: float, now: float) -> None:
        """Take in that the peer answered there."""
        self._roads[endpoint] = Road(endpoint, rtt_s, now)
        self._roads.move_to_end(endpoint)
        if len(self._roads) > KEPT:
            self._roads.popitem(last=False)

    def forget(self, endpoint: Endpoint) -> None:
        """Take in that the peer does not answer there any more, or that the road is gone."""
        self._roads.pop(endpoint, None)

    def best(self, current: Endpoint | None) -> Endpoint | None:
        """Return the road to take; ``current`` unless another one is clearly better; absent when none is known."""
        best: Road | None = self._roads.get(current) if current is not None else None
        for road in self._roads.values():
            if best is None or _is_clearly_better(road, best):
                best = road
        return None if best is None else best.endpoint


def _is_clearly_better(road: Road, than: Road) -> bool:
    if road.is_direct != than.is_direct:
        return road.is_direct
    if is_local(road.endpoint.host) and not is_local(than.endpoint.host):
        return road.rtt_s < than.rtt_s + CLEARLY_S / 2  # half of what it takes to go back, so that no link swings
    return road.rtt_s < than.rtt_s - max(CLEARLY_S, CLEARLY_SHARE * than.rtt_s)


def worth_trying(endpoints: Iterable[Endpoint], own: Sequence[Endpoint]) -> list[Endpoint]:
    """Return those endpoints of a peer that this node may reach, in their order.

    Private and loopback addresses mean something only to those who share a network: behind the same public address, or
    where neither side has one. A node that does not know where it is itself tries none.
    """
    offered = list(dict.fromkeys(endpoints))
    own_hosts = {endpoint.host for endpoint in own}
    shares_public = any(endpoint.host in own_hosts for endpoint in offered if not is_local(endpoint.host))
    is_own_local = bool(own_hosts) and all(is_local(host) for host in own_hosts)
    return [
        endpoint
        for endpoint in offered
        if not is_virtual(endpoint) and (not is_local(endpoint.host) or shares_public or is_own_local)
    ]
