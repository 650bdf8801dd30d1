"""What the DHT counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from pilotdht.dht.routing import RoutingTable
from pilotdht.dht.store import RecordStore
from pilotdht.metrics import Counter, Histogram
from pilotdht.wire.dht_messages import StoreCode

OPERATIONS = ("find_node", "get_record", "get_entries", "put", "refresh")
"""What a lookup is for."""

RESULTS = ("found", "not_found", "done", "failed")
"""How an operation ends."""

REQUESTS_SERVED = ("find_node", "find_record", "find_entries", "store", "store_entry")
"""Requests that this room answers."""

BACKGROUND_WRITES = ("repair", "path_cache", "handover", "dropped")
"""Writes that nobody waits for, and those given up because too many were under way."""

_DURATION_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_HOPS_BUCKETS = (0, 1, 2, 3, 4, 5, 6, 8, 10, 15, 20)


class DhtMetrics:
    """Counters of this room; created once a node, in the node's registry.

    What is counted with each request is a plain integer that the registry reads when it is scraped.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        operations = Counter(
            "pilotdht_dht_operations_total",
            "Lookups, reads and writes by result.",
            ["operation", "result"],
            registry=registry,
        )
        self.operations = {(one, result): operations.labels(one, result) for one in OPERATIONS for result in RESULTS}
        """Operations by name and result."""
        durations = Histogram(
            "pilotdht_dht_operation_duration_seconds",
            "What lookups, reads and writes took.",
            ["operation"],
            buckets=_DURATION_BUCKETS_S,
            registry=registry,
        )
        self.durations = {one: durations.labels(one) for one in OPERATIONS}
        """Durations by operation."""
        hops = Histogram(
            "pilotdht_dht_lookup_hops",
            "Longest chain of contacts of a lookup.",
            ["operation"],
            buckets=_HOPS_BUCKETS,
            registry=registry,
        )
        self.hops = {one: hops.labels(one) for one in OPERATIONS}
        """Hops by operation."""
        self.served = dict.fromkeys(REQUESTS_SERVED, 0)
        """Requests answered, by type."""
        self.background = dict.fromkeys(BACKGROUND_WRITES, 0)
        """Writes that nobody waits for, by reason."""
        self.rejected: dict[str, int] = {}
        """What others sent and was not used, by reason."""
        self.candidates_dropped = 0
        """Contacts heard of and dropped because the queue was full."""
        self.gauges: Callable[[], dict[str, float]] = dict
        """Returns what only the DHT itself knows; set by it, as are the next two."""
        self.table: RoutingTable | None = None
        """The routing table."""
        self.store: RecordStore | None = None
        """What is kept for others."""
        registry.register(_Scrape(self))

    def reject(self, reason: str) -> None:
        """Count something that others sent and that was not used; reasons are constants of the code."""
        self.rejected[reason] = self.rejected.get(reason, 0) + 1


class _Scrape:
    """Reads the plain counters when the registry is collected."""

    def __init__(self, metrics: DhtMetrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        metrics = self._metrics
        for name, label, help_text, counts in (
            ("pilotdht_dht_served", "request", "Requests answered.", metrics.served),
            ("pilotdht_dht_background_writes", "reason", "Writes that nobody waits for.", metrics.background),
            ("pilotdht_dht_rejected", "reason", "What others sent and was not used.", metrics.rejected),
        ):
            family = CounterMetricFamily(name, help_text, labels=[label])
            for value, count in sorted(counts.items()):
                family.add_metric([value], count)
            yield family
        yield CounterMetricFamily(
            "pilotdht_dht_candidates_dropped", "Contacts heard of and not looked at.", metrics.candidates_dropped
        )
        gauges = metrics.gauges()
        if metrics.table is not None:
            yield from _of_table(metrics.table, gauges)
        if metrics.store is not None:
            yield from _of_store(metrics.store, gauges)
        for name, help_text in (
            ("contacts", "Contacts in the routing table."),
            ("live_contacts", "Contacts in the routing table that did not fail lately."),
            ("buckets", "Parts of the key space that the routing table tells apart."),
            ("records", "Records and entries kept for others."),
            ("record_bytes", "Memory of records and entries, about."),
            ("store_limit_bytes", "Memory that records and entries may take."),
            ("cached_copies", "Copies of records left by lookups."),
            ("mesh_size", "Nodes of the mesh, estimated from the nearest contacts."),
            ("candidates", "Contacts heard of that wait to be pinged."),
            ("is_server", "Whether this node serves others."),
        ):
            yield GaugeMetricFamily(f"pilotdht_dht_{name}", help_text, gauges.get(name, 0.0))


def _of_table(table: RoutingTable, gauges: dict[str, float]) -> Iterator[Metric]:
    """Add what the routing table tells to the gauges; return its counters."""
    gauges |= {"contacts": len(table), "live_contacts": table.live_count(), "buckets": len(table.buckets)}
    yield CounterMetricFamily(
        "pilotdht_dht_contacts_refused",
        "Verified contacts not taken: their network has its share of the table.",
        table.refused_similar,
    )


def _of_store(store: RecordStore, gauges: dict[str, float]) -> Iterator[Metric]:
    """Add what the store tells to the gauges; return its counters."""
    gauges |= {"records": len(store), "record_bytes": store.size_bytes, "cached_copies": len(store.cache)}
    refused = CounterMetricFamily("pilotdht_dht_store_refused", "Writes of others refused.", labels=["reason"])
    for code in StoreCode:
        if code is not StoreCode.STORED:
            refused.add_metric([code.name.lower()], store.refused[code])
    yield refused
    yield CounterMetricFamily("pilotdht_dht_store_evicted", "Records dropped to make room.", store.evicted)
    yield CounterMetricFamily("pilotdht_dht_store_expired", "Records whose time was over.", store.expired)
