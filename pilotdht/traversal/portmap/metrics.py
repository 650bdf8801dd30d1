"""Counters of port mapping."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from pilotdht.metrics import Counter, Gauge


class PortMapMetrics:
    """What the keeper of the mapping counts; made once a node."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "pilotdht_portmap_requests_total", "Requests sent to routers, repetitions included", registry=registry
        )
        """Requests sent."""
        self.outcomes = Counter(
            "pilotdht_portmap_outcomes_total", "What became of attempts to map a port", ("outcome",), registry=registry
        )
        """Attempts, by what the router said, or ``silent``."""
        self.dropped = Counter(
            "pilotdht_portmap_dropped_total", "Datagrams on the router's socket thrown away", ("reason",),
            registry=registry,
        )  # fmt: skip
        """Datagrams thrown away, by reason; reasons are constants of the code."""
        self.restarts = Counter(
            "pilotdht_portmap_router_restarts_total", "Restarts of the router found out", registry=registry
        )
        """Restarts of the router."""
        self.is_mapped = Gauge("pilotdht_portmap_mapped", "1 while the router maps our port", registry=registry)
        """Whether a port is mapped now."""
