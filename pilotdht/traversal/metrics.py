"""What roads cost and bring, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from pilotdht.metrics import Counter

CALL_RESULTS = ("opened", "refused", "silent", "overloaded")
"""What can come of a call through a server."""

MEETING_RESULTS = ("met", "silent", "asked", "stranger")
"""Ours are met or silent; those that peers asked for are heeded (asked) or not (stranger)."""

PROBE_RESULTS = ("answered", "silent", "limited")
"""What can come of trying an endpoint; limited ones were not tried, as peers without trust name too many."""

ROADS = ("direct", "relayed")
"""Kinds of roads."""


class RoadMetrics:
    """Counters of calls, meetings, probes and moves."""

    def __init__(self, registry: CollectorRegistry) -> None:
        calls = Counter(
            "pilotdht_road_calls_total", "Peers called through servers, by result.", ["result"], registry=registry
        )
        meetings = Counter(
            "pilotdht_road_meetings_total", "Questions where to meet, by result.", ["result"], registry=registry
        )
        probes = Counter("pilotdht_road_probes_total", "Endpoints tried, by result.", ["result"], registry=registry)
        moves = Counter(
            "pilotdht_road_moves_total", "Links moved to another road, by its kind.", ["road"], registry=registry
        )
        self.calls = {result: calls.labels(result) for result in CALL_RESULTS}
        """Calls through servers."""
        self.meetings = {result: meetings.labels(result) for result in MEETING_RESULTS}
        """Questions where to meet, ours and those of peers."""
        self.probes = {result: probes.labels(result) for result in PROBE_RESULTS}
        """Endpoints tried."""
        self.moves = {road: moves.labels(road) for road in ROADS}
        """Links moved."""
