"""What the status page counts; made when the page is first asked for."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

REFUSALS = ("user", "full", "host", "origin", "link", "session", "pages")
"""Why something was refused: another user's connection, too many connections, a foreign name or page, a link that does
not open, a browser that is not logged in, too many open pages."""


class UiMetrics:
    """Counters of the status page, created in the node's registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        requests = Counter(
            "pilotdht_ui_requests_total", "Requests to the status page, by outcome.", ["outcome"], registry=registry
        )
        refused = Counter(
            "pilotdht_ui_refused_total", "What the status page refused, by reason.", ["reason"], registry=registry
        )
        self.requests = {outcome: requests.labels(outcome) for outcome in ("ok", "error", "abandoned")}
        """Requests by outcome."""
        self.refused = {reason: refused.labels(reason) for reason in REFUSALS}
        """Refusals by reason."""
        self.pages = Gauge("pilotdht_ui_pages", "Pages that are told what changes.", registry=registry)
        """Open pages."""
