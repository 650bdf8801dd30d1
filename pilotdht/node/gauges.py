"""Where a node stands, shown to prometheus when it asks: read from the rooms at each scrape, counted nowhere.

What is told here belongs to several rooms at once, as the road of a link, or is known already and would only be counted
a second time. Labels are members of enumerations and constants: never a peer, an address, a hostname or a group.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from pilotdht.net.prefixes import is_loopback, is_private
from pilotdht.net.switchboard import is_relayed, is_virtual
from pilotdht.node.rooms import Rooms
from pilotdht.traversal.behaviour import Filtering
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.traversal_messages import NatMapping

ROADS = ("loopback", "lan", "direct", "relayed")
"""Ways that the datagrams of a link can go: this machine, a private network, the Internet, another node."""


class RoomGauges:
    """A collector over the rooms of one running node."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    def collect(self) -> Iterator[Metric]:
        """Return all as prometheus takes it."""
        rooms = self._rooms
        is_joined = len(rooms.dht.table) > 0
        yield GaugeMetricFamily("pilotdht_node_joined", "1 while this node knows others of the mesh.", is_joined)
        links = dict.fromkeys(ROADS, 0)
        for link in rooms.tunnels.links():
            if link.endpoint is not None:
                links[road_kind(link.endpoint)] += 1
        roads = GaugeMetricFamily("pilotdht_road_links", "Live links, by the road they take.", labels=["road"])
        for road, count in links.items():
            roads.add_metric([road], count)
        yield roads
        yield CounterMetricFamily(
            "pilotdht_road_punches_sent",
            "Datagrams sent to meet peers by chance across random NATs.",
            rooms.traversal.punches_sent,
        )
        yield from self._nat()

    def _nat(self) -> Iterator[Metric]:
        """Return what stands in front of this node, one series a possibility of which one is 1."""
        mapping = GaugeMetricFamily(
            "pilotdht_nat_mapping", "1 for how the NAT in front of this node maps ports.", labels=["family", "mapping"]
        )
        filtering = GaugeMetricFamily(
            "pilotdht_nat_filtering", "1 for whom the NAT lets in.", labels=["family", "filtering"]
        )
        for family, is_ipv6 in (("ipv4", False), ("ipv6", True)):
            behaviour = self._rooms.traversal.behaviour(is_ipv6=is_ipv6)
            for one in NatMapping:
                mapping.add_metric([family, one.name.lower()], behaviour.mapping is one)
            for other in Filtering:
                filtering.add_metric([family, other.name.lower()], behaviour.filtering is other)
        yield mapping
        yield filtering


def road_kind(endpoint: Endpoint) -> str:
    """Return which of :data:`ROADS` datagrams to an endpoint take."""
    if is_virtual(endpoint):
        return "relayed" if is_relayed(endpoint) else "direct"
    if is_loopback(endpoint.host):
        return "loopback"
    return "lan" if is_private(endpoint.host) else "direct"
