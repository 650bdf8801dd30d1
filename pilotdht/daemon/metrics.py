"""What the daemon counts, and how a registry becomes text."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Info
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST as OPENMETRICS_TYPE
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.process_collector import ProcessCollector

TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class DaemonMetrics:
    """Counters of the control API, created in the node's registry."""

    def __init__(self, registry: CollectorRegistry, *, version: str) -> None:
        Info("pilotdht_build", "Version of the running daemon.", registry=registry).info({"version": version})
        ProcessCollector(registry=registry)
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
        )
        """Open connections."""


def render(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """Return all metrics as text, and its content type: OpenMetrics when ``accept`` asks for it, else Prometheus."""
    if "application/openmetrics-text" in accept:
        return generate_openmetrics(registry), OPENMETRICS_TYPE  # type: ignore[no-untyped-call]  # as the library has it
    return generate_latest(registry), TEXT_TYPE
