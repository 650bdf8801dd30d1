"""What is heard on the link, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry

from pilotdht.metrics import Counter, Gauge
from pilotdht.traversal.lan.neighbours import Heard
from pilotdht.traversal.lan.notices import REASONS

NOTICE_RESULTS = (*(heard.value for heard in Heard), "gone", "rate", *REASONS)
"""What can come of an announcement: taken or known, withdrawn, or dropped and why."""

GREETING_RESULTS = ("answered", "silent", "wrong_key")
"""What can come of greeting a neighbour."""


class LanMetrics:
    """Counters of announcements and greetings."""

    def __init__(self, registry: CollectorRegistry, neighbours: Callable[[], int]) -> None:
        """Register them.

        Args:
            registry: where metrics are kept.
            neighbours: returns how many are remembered now.
        """
        notices = Counter(
            "pilotdht_lan_notices_total", "Announcements heard on the link, by result.", ["result"], registry=registry
        )
        greetings = Counter(
            "pilotdht_lan_greetings_total", "Neighbours that were greeted, by result.", ["result"], registry=registry
        )
        self.notices = {result: notices.labels(result) for result in NOTICE_RESULTS}
        """Announcements."""
        self.greetings = {result: greetings.labels(result) for result in GREETING_RESULTS}
        """Greetings."""
        gauge = Gauge("pilotdht_lan_neighbours", "Announcements remembered.", registry=registry)
        gauge.set_function(neighbours)
