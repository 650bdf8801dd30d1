"""Tunables of tracing."""

from __future__ import annotations

from pilotdht.config.fields import Section, tunable
from pilotdht.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TracingConfig(Section):
    """Whether spans are recorded, and where they go."""

    is_enabled: bool = tunable(False, reason="most nodes have nobody who looks, and nothing is loaded for it")
    """Whether dials, lookups, streams and questions are recorded with OpenTelemetry (``pilotdht[otel]``)."""

    endpoint: str = tunable("", reason="the standard variables OTEL_EXPORTER_OTLP_… name it, or localhost:4318")
    """URL of an OTLP/HTTP collector's traces, such as ``http://127.0.0.1:4318/v1/traces``; empty: the environment's."""

    share: float = tunable(
        1.0, low=0.0, high=1.0, reason="a small mesh is seen whole; a busy one should record one in a hundred"
    )
    """Share of the traces that begin here which are recorded; those that others began are as they say."""
