"""What messages to groups count, for all groups of a node together.

The redundancy of the tree is ``duplicates / (received - duplicates)``: copies of events that a member did not need.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from pilotdht.metrics import Counter, Gauge, Histogram

WAYS = ("pushed", "grafted", "fetched")
"""How an event can come: along the tree, asked for after an announcement, or found by comparing."""

DROP_REASONS = (
    "rate", "sender_rate", "stranger", "signer", "old", "future", "malformed", "forged", "full", "body", "announcement",
    "walk", "busy",
)  # fmt: skip
"""Reasons for which something is not taken or not sent."""

BODY_RESULTS = ("fetched", "failed", "served", "refused")
"""What can become of a request for content that does not fit in an event."""


_DELAY_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class BroadcastMetrics:
    """Counters of this part; created once a node, in the node's registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.published = Counter(
            "pilotdht_broadcast_published_total", "Events published by this node.", registry=registry
        ).labels()
        """Events published here."""
        self.delivered = Counter(
            "pilotdht_broadcast_delivered_total", "Events that became ready for readers.", registry=registry
        ).labels()
        """Events that became ready for readers, whether there are any or not."""
        self.delay_seconds = Histogram(
            "pilotdht_broadcast_delay_seconds",
            "Time from publishing an event elsewhere to having it here, by both clocks; what was fetched is left out.",
            buckets=_DELAY_BUCKETS_S,
            registry=registry,
        ).labels()
        """Time on the way along the tree; clocks that differ shift it, and a negative time counts as none."""
        received = Counter(
            "pilotdht_broadcast_received_total", "New events received, by how they came.", ["way"], registry=registry
        )
        self.received = {way: received.labels(way) for way in WAYS}
        """New events received, by how they came; those that were fetched were repaired."""
        self.duplicates = Counter(
            "pilotdht_broadcast_duplicates_total", "Events received that were known.", registry=registry
        ).labels()
        """Events received that were known."""
        self.pushes = Counter(
            "pilotdht_broadcast_pushes_total", "Events sent to neighbours.", registry=registry
        ).labels()
        """Events sent to neighbours along the tree."""
        self.announced = Counter(
            "pilotdht_broadcast_announced_total", "Ids of events announced to neighbours.", registry=registry
        ).labels()
        """Ids announced to neighbours."""
        self.grafts = Counter(
            "pilotdht_broadcast_grafts_total", "Announced events asked for.", registry=registry
        ).labels()
        """Announced events asked for."""
        self.prunes = Counter(
            "pilotdht_broadcast_prunes_total", "Links taken out of the tree.", registry=registry
        ).labels()
        """Links taken out of the tree."""
        self.skipped = Counter(
            "pilotdht_broadcast_skipped_total", "Events given up that never came.", registry=registry
        ).labels()
        """Events given up."""
        self.missed = Counter(
            "pilotdht_broadcast_missed_total", "Events dropped because a reader was slow.", registry=registry
        ).labels()
        """Events dropped because a reader was slow."""
        self.comparisons = Counter(
            "pilotdht_broadcast_comparisons_total", "Comparisons with other members.", registry=registry
        ).labels()
        """Comparisons begun."""
        self.received_bytes = Counter(
            "pilotdht_broadcast_received_bytes_total", "Bytes of events received, copies included.", registry=registry
        ).labels()
        """Bytes of events received, copies and fetched contents included."""
        self.sent_bytes = Counter(
            "pilotdht_broadcast_sent_bytes_total", "Bytes of events handed out, copies included.", registry=registry
        ).labels()
        """Bytes of events handed out, contents included."""
        self.lost_neighbours = Counter(
            "pilotdht_broadcast_lost_neighbours_total", "Neighbours that did not answer.", registry=registry
        ).labels()
        """Neighbours that did not answer."""
        self.neighbours = Gauge(
            "pilotdht_broadcast_neighbours", "Neighbours in all groups.", registry=registry
        ).labels()
        """Neighbours in all groups."""
        dropped = Counter(
            "pilotdht_broadcast_dropped_total", "What was not taken or not sent.", ["reason"], registry=registry
        )
        self.dropped = {reason: dropped.labels(reason) for reason in DROP_REASONS}
        """What was not taken, or not sent, by reason."""
        bodies = Counter(
            "pilotdht_broadcast_bodies_total", "Requests for contents, by what became of them.", ["result"],
            registry=registry,
        )  # fmt: skip
        self.bodies = {result: bodies.labels(result) for result in BODY_RESULTS}
        """Requests for contents, by what became of them."""
