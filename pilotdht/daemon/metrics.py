"""What the daemon counts, and how a registry becomes text."""

from __future__ import annotations

import asyncio
import platform

from prometheus_client import CollectorRegistry, Info
from prometheus_client.exposition import generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST as OPENMETRICS_TYPE
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from pilotdht.metrics import Counter, Gauge, Histogram

LAG_BUCKETS_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Upper bounds of the buckets of the loop's lag; up to 5 ms is what the system's own scheduler does."""

TARGET_RESULTS = ("told", "declined", "silent", "malformed", "relayed")
"""What comes of asking a peer where it may be scraped."""

TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class DaemonMetrics:
    """Counters of the control API, created in the node's registry."""

    def __init__(self, registry: CollectorRegistry, *, version: str) -> None:
        build = {"version": version, "python": platform.python_version()}
        Info("pilotdht_build", "Version of the running daemon.", registry=registry).info(build)
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        self.lag_seconds = Histogram(
            "pilotdht_loop_lag_seconds",
            "How much too late the event loop ran a timer, looked at once a second.",
            buckets=LAG_BUCKETS_S,
            registry=registry,
        )
        """How late the event loop was."""
        tasks = Gauge("pilotdht_loop_tasks", "Tasks of the event loop.", registry=registry)
        tasks.set_function(lambda: float(len(asyncio.all_tasks())))
        requests = Counter(
            "pilotdht_daemon_requests_total", "Control requests answered, by outcome.", ["outcome"], registry=registry
        )
        refused = Counter(
            "pilotdht_daemon_refused_total",
            "Control connections, streams and questions refused, by reason.",
            ["reason"],
            registry=registry,
        )
        self.requests_ok = requests.labels("ok")
        """Requests that succeeded."""
        self.requests_failed = requests.labels("error")
        """Requests answered with an error."""
        self.requests_abandoned = requests.labels("abandoned")
        """Requests whose client went away first."""
        self.refused_credentials = refused.labels("credentials")
        """Connections of other users."""
        self.refused_full = refused.labels("full")
        """Connections above the bound."""
        self.refused_slow = refused.labels("slow")
        """Connections whose request did not arrive in time."""
        self.refused_malformed = refused.labels("malformed")
        """Connections that do not speak HTTP."""
        self.refused_unclaimed = refused.labels("unclaimed")
        """Incoming streams that their listener did not claim."""
        self.refused_questions = refused.labels("questions")
        """Questions that their program did not claim, or had no room for."""
        self.connections = Gauge(
            "pilotdht_daemon_connections", "Open connections to the control socket.", registry=registry
        ).labels()
        """Open connections."""
        asked = Counter(
            "pilotdht_targets_asked_total", "Peers asked where they may be scraped.", ["result"], registry=registry
        )
        self.targets_asked = {result: asked.labels(result) for result in TARGET_RESULTS}
        """Peers asked for their metrics endpoint, by what came of it."""
        self.targets = Gauge("pilotdht_targets_known", "Peers that told where they may be scraped.", registry=registry)
        """Peers that are listed for scraping."""
        self.targets_left_out = Counter(
            "pilotdht_targets_left_out_total", "Peers not asked: the list is full.", registry=registry
        )
        """Peers not asked, because there is no room for more."""


def render(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """Return all metrics as text, and its content type: OpenMetrics when ``accept`` asks for it, else Prometheus."""
    if "application/openmetrics-text" in accept:
        return generate_openmetrics(registry), OPENMETRICS_TYPE  # type: ignore[no-untyped-call]  # as the library has it
    return generate_latest(registry), TEXT_TYPE
