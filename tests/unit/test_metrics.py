"""Counters without locks say what the library's own say."""

from __future__ import annotations

import prometheus_client
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from pilotdht import metrics


def test_metrics_are_shown_as_the_library_shows_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same calls on both give the same text."""
    monkeypatch.setattr("prometheus_client.metrics._use_created", False)
    texts = []
    for made_by in (prometheus_client, metrics):
        registry = CollectorRegistry()
        counter = made_by.Counter("pilotdht_a_total", "A.", ["one", "two"], registry=registry)
        for labels, amount in ((("x", "y"), 2), (("x", "z"), 1), (("x", "y"), 3)):
            counter.labels(*labels).inc(amount)
        made_by.Counter("pilotdht_b_total", "B.", registry=registry).inc()
        gauge = made_by.Gauge("pilotdht_c", "C.", ["one"], registry=registry)
        gauge.labels("x").set(7.5)
        gauge.labels("x").dec()
        gauge.labels("y").set_function(lambda: 42.0)
        made_by.Gauge("pilotdht_d", "D.", registry=registry).set(-1)
        histogram = made_by.Histogram("pilotdht_e", "E.", ["one"], buckets=(0, 0.5, 10), registry=registry)
        for value in (0, 0.1, 0.5, 0.51, 11):
            histogram.labels("x").observe(value)
        made_by.Histogram("pilotdht_f", "F.", buckets=(1.0,), registry=registry).observe(1.0)
        texts.append(generate_latest(registry).decode())
    assert texts[0] == texts[1]
