"""What trunks count: plain integers on the way of each datagram, shown to prometheus when it asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

REFUSALS = ("full", "prefix", "rate", "handshakes", "handshakes_prefix", "no_socket", "tls", "mesh", "proof", "timeout")
"""Why a connection did not become a trunk."""

DROP_REASONS = (
    "kind",
    "oversized",
    "reach",
    "no_node",
    "budget",
    "crowded",
    "silent",
    "client_rate",
    "total_rate",
    "backlog",
)
"""Why a datagram went no further."""

END_REASONS = ("closed", "idle", "malformed", "replaced", "stopped")
"""Why a trunk that this node served ended."""

OPEN_RESULTS = ("opened", "unreachable", "refused", "unproven", "wrong_key", "timeout")
"""What became of an attempt to open a trunk."""

SWITCHES = ("udp_blocked", "udp_lost", "always", "reopened", "udp_back", "trunk_lost")
"""Why this node went onto a trunk, or back to UDP."""


class TrunkMetrics:
    """All that trunks count, for both ends; registers itself as a collector."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.datagrams = {"in": 0, "out": 0}
        """Datagrams carried for clients: ``out`` is from a client to the mesh."""
        self.bytes = {"in": 0, "out": 0}
        """Their bytes."""
        self.refused = dict.fromkeys(REFUSALS, 0)
        """Connections that did not become trunks, by reason."""
        self.dropped = dict.fromkeys(DROP_REASONS, 0)
        """Datagrams of clients, or for them, thrown away, by reason."""
        self.ended = dict.fromkeys(END_REASONS, 0)
        """Trunks served that ended, by reason."""
        self.greetings = 0
        """Unknown endpoints that were greeted for clients."""
        self.opened = dict.fromkeys(OPEN_RESULTS, 0)
        """Attempts to open a trunk, by result."""
        self.switches = dict.fromkeys(SWITCHES, 0)
        """Changes between UDP and trunk, by reason."""
        self.own_dropped = {"backlog": 0, "oversized": 0}
        """Datagrams of this node's own that its trunk did not take, by reason."""
        self._gauges: dict[str, tuple[str, Callable[[], int]]] = {}
        registry.register(self)

    def show(self, name: str, text: str, read: Callable[[], int]) -> None:
        """Show a number that ``read`` returns, as ``pilotdht_trunk_<name>``."""
        self._gauges[name] = (text, read)

    def collect(self) -> Iterable[Metric]:
        """Return all as prometheus takes it."""
        yield CounterMetricFamily(
            "pilotdht_trunk_greetings", "Unknown endpoints greeted for clients", value=self.greetings
        )
        for name, text, label, counts in (
            ("datagrams", "Datagrams carried for clients", "direction", self.datagrams),
            ("carried_bytes", "Bytes of datagrams carried for clients", "direction", self.bytes),
            ("refused", "Connections that did not become trunks", "reason", self.refused),
            ("dropped", "Datagrams of clients, or for them, thrown away", "reason", self.dropped),
            ("ended", "Trunks served that ended", "reason", self.ended),
            ("opened", "Attempts to open a trunk", "result", self.opened),
            ("switches", "Changes between UDP and trunk", "reason", self.switches),
            ("own_dropped", "Datagrams of this node that its trunk did not take", "reason", self.own_dropped),
        ):
            family = CounterMetricFamily(f"pilotdht_trunk_{name}", text, labels=(label,))
            for value, count in counts.items():
                family.add_metric((value,), count)
            yield family
        for name, (text, read) in self._gauges.items():
            yield GaugeMetricFamily(f"pilotdht_trunk_{name}", text, value=read())
