"""How long a node waits."""

from __future__ import annotations

import pytest

from pilotdht.config.net import NetConfig
from pilotdht.net.rtt import RecentRoundTrips, RoundTripEstimate, waits_for

CONFIG = NetConfig()


def estimate_of(*rtts_s: float) -> RoundTripEstimate:
    """Return an estimate that has seen these round trips."""
    estimate = RoundTripEstimate()
    for rtt_s in rtts_s:
        estimate.measured(rtt_s)
    return estimate


def recent_of(rtt_s: float, count: int = 32) -> RecentRoundTrips:
    """Return the memory of a node whose round trips all took ``rtt_s``."""
    recent = RecentRoundTrips()
    for _ in range(count):
        recent.measured(rtt_s)
    return recent


def test_estimate_first_measurement_sets_half_as_deviation() -> None:
    """RFC 6298, rule 2.2."""
    estimate = estimate_of(0.1)
    assert (0.1, 0.05) == (estimate.srtt_s, estimate.rttvar_s)


def test_estimate_further_measurement_is_smoothed() -> None:
    """RFC 6298, rule 2.3: the deviation first, with the old average."""
    estimate = estimate_of(0.1, 0.2)
    assert estimate.srtt_s == pytest.approx(0.1 + 0.1 / 8)
    assert estimate.rttvar_s == pytest.approx(0.05 + (0.1 - 0.05) / 4)


def test_waits_nothing_measured_are_the_configured_first_timeout() -> None:
    """A node that knows nothing waits the first time-out twice."""
    waits = waits_for(None, RecentRoundTrips(), CONFIG)
    assert (0.8, 1.6) == (waits.slow_s, waits.silent_s)


def test_waits_fast_contact_is_slow_at_the_floor_and_silent_after_the_least_timeout() -> None:
    """On loopback slots come back after 25 ms, and giving up takes 150 ms more."""
    waits = waits_for(estimate_of(*[0.0005] * 20), recent_of(0.0005), CONFIG)
    assert waits.slow_s == pytest.approx(0.025)
    assert waits.silent_s == pytest.approx(0.175)


def test_waits_stranger_follows_from_what_others_took() -> None:
    """Silence takes three times the 95th percentile of the node's round trips, after half as long for being slow."""
    recent = recent_of(0.06, 112)
    for _ in range(16):
        recent.measured(0.1)
    waits = waits_for(None, recent, CONFIG)
    assert waits.slow_s == pytest.approx(0.15)
    assert waits.silent_s == pytest.approx(0.15 + 0.3)


def test_waits_fast_contact_of_a_delayed_node_is_at_least_twice_the_median() -> None:
    """An estimate from quieter times does not make a busy node impatient."""
    waits = waits_for(estimate_of(*[0.0005] * 20), recent_of(0.2), CONFIG)
    assert waits.slow_s == pytest.approx(0.4)


def test_waits_very_slow_contact_is_bounded() -> None:
    """Neither transmission waits longer than the maximum."""
    waits = waits_for(estimate_of(30.0), recent_of(30.0), CONFIG)
    assert (2.0, 4.0) == (waits.slow_s, waits.silent_s)


def test_recent_few_measurements_give_no_percentiles() -> None:
    """Seven are too few, eight are enough."""
    assert recent_of(0.1, 7).p95_s is None
    assert recent_of(0.1, 8).p95_s == 0.1


def test_recent_old_measurements_are_forgotten() -> None:
    """The percentiles are those of the last 128."""
    recent = recent_of(5.0, 200)
    for _ in range(128 + 16):
        recent.measured(0.01)
    assert (0.01, 0.01) == (recent.median_s, recent.p95_s)
