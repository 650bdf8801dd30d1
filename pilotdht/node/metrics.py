"""What a node counts of the rooms that have no counters of their own: names resolved, messages kept and refused."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from pilotdht.metrics import Counter, Gauge

RESOLUTIONS = (
    "found",
    "remembered",
    "not_found",
    "ambiguous",
    "key_changed",
    "invalid_argument",
    "failed",
)
"""Ways in which a name, address or key can be resolved, or not."""

MESSAGES = ("kept", "taken", "overloaded", "broken")
"""What becomes of a message that no program listens for."""


class NodeMetrics:
    """Counters of names and services; created once a start, in the node's registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        resolutions = Counter(
            "pilotdht_names_resolutions_total", "Names, addresses and keys resolved.", ["result"], registry=registry
        )
        self.resolutions = {result: resolutions.labels(result) for result in RESOLUTIONS}
        """Resolutions by result."""
        messages = Counter(
            "pilotdht_services_messages_total", "Messages to ports without a program.", ["result"], registry=registry
        )
        self.messages = {result: messages.labels(result) for result in MESSAGES}
        """Messages by what became of them."""
        self.waiting = Gauge(
            "pilotdht_services_waiting_messages", "Messages kept until somebody takes them.", registry=registry
        )
        """Messages that wait in inboxes."""
