"""Suspicion times, local health, false alarms, how often and how far apart: the formulas, as tables."""

from __future__ import annotations

import math

import pytest

from pilotdht.config.gossip import GossipConfig
from pilotdht.gossip.awareness import Awareness
from pilotdht.gossip.false_alarms import FalseAlarms
from pilotdht.gossip.outbox import transmissions
from pilotdht.gossip.repair import compare_interval_s
from pilotdht.gossip.suspicion import SuspicionTimes, suspicion_times, timeout_s
from tests.support.gossip_town import id_of

LAN = GossipConfig()
WAN = GossipConfig(probe_interval_s=5.0, probe_timeout_s=3.0, suspicion_factor=6)


@pytest.mark.parametrize(
    ("members", "shortest_s", "longest_s"),
    [(10, 4, 24), (100, 8, 48), (200, 9.2, 55.2), (500, 10.8, 64.8), (1000, 12, 72), (10_000, 16, 96)],
)
def test_suspicion_times_in_one_data_centre_are_those_of_memberlist(
    members: int, shortest_s: float, longest_s: float
) -> None:
    """4 * log10 n intervals, and six times that."""
    times = suspicion_times(members, LAN)
    assert (shortest_s, longest_s) == pytest.approx((times.shortest_s, times.longest_s), rel=0.01)
    assert 2 == times.confirmations


@pytest.mark.parametrize(
    ("members", "shortest_s", "longest_s"),
    [(10, 30, 180), (100, 60, 360), (200, 69, 414), (500, 81, 486), (1000, 90, 540), (10_000, 120, 720)],
)
def test_suspicion_times_far_apart_are_those_of_memberlist(members: int, shortest_s: float, longest_s: float) -> None:
    """6 * log10 n intervals of 5 s, and six times that, with four confirmations."""
    times = suspicion_times(members, WAN)
    assert (shortest_s, longest_s) == pytest.approx((times.shortest_s, times.longest_s), rel=0.01)
    assert 4 == times.confirmations


@pytest.mark.parametrize(("members", "confirmations"), [(0, 0), (1, 0), (2, 0), (3, 0), (4, 2), (5, 2)])
def test_suspicion_in_a_group_too_small_for_others_to_agree_takes_the_shortest_time(
    members: int, confirmations: int
) -> None:
    """Two others besides accuser and suspect are needed."""
    times = suspicion_times(members, LAN)
    assert (confirmations, 4.0) == (times.confirmations, times.shortest_s)
    assert (24.0 if confirmations else 4.0) == timeout_s(times, 0)


def test_suspicion_without_lifeguard_has_one_time() -> None:
    """Plain SWIM waits the shortest time, whoever agrees."""
    times = suspicion_times(100, LAN.without_lifeguard())
    assert (8.0, 8.0, 0) == times
    assert 8.0 == timeout_s(times, 0)


@pytest.mark.parametrize(("confirmed", "expected"), [(0, 30.0), (1, 14.0), (2, 4.8), (3, 2.0), (4, 2.0), (50, 2.0)])
def test_timeout_falls_with_the_logarithm_of_confirmations(confirmed: int, expected: float) -> None:
    """The table of memberlist's own test: k 3, 2 to 30 s."""
    times = SuspicionTimes(2.0, 30.0, 3)
    share = math.log(min(confirmed, 3) + 1) / math.log(4)
    assert max(2.0, 30.0 - 28.0 * share) == pytest.approx(timeout_s(times, confirmed))
    assert pytest.approx(expected, abs=3.2) == timeout_s(times, confirmed)


def test_awareness_rises_and_falls_within_its_bounds() -> None:
    """0 to 8, and a wait is as many times longer, and once."""
    awareness = Awareness(8)
    awareness.better()
    assert (0, 0.5) == (awareness.score, awareness.scaled_s(0.5))
    awareness.worse(3)
    assert (3, 2.0) == (awareness.score, awareness.scaled_s(0.5))
    awareness.worse(20)
    assert (8, 9.0) == (awareness.score, awareness.scaled_s(1.0))
    awareness.better()
    assert 7 == awareness.score


def test_awareness_of_zero_never_doubts() -> None:
    """Plain SWIM."""
    awareness = Awareness(0)
    awareness.worse(5)
    assert 1.0 == awareness.scaled_s(1.0)


@pytest.mark.parametrize(
    ("members", "expected"), [(0, 4), (1, 4), (9, 4), (10, 8), (99, 8), (100, 12), (500, 12), (1000, 16), (10_000, 20)]
)
def test_transmissions_grow_with_the_logarithm(members: int, expected: int) -> None:
    """4 * ceil(log10(n + 1)), and never none."""
    assert expected == transmissions(members, 4)


@pytest.mark.parametrize(
    ("members", "expected"),
    [(1, 30), (32, 30), (33, 60), (100, 90), (200, 120), (500, 150), (1000, 180), (10_000, 300)],
)
def test_compare_interval_grows_with_the_logarithm(members: int, expected: float) -> None:
    """30 s up to 32 members, then 30 * (ceil(log2 n - 5) + 1)."""
    assert expected == compare_interval_s(members, LAN)


def test_alarms_about_different_members_make_an_accuser_unreliable_about_everybody() -> None:
    """The third different one within the window."""
    alarms = FalseAlarms(most=3, window_s=100.0)
    for suspect in (1, 2):
        alarms.refuted(id_of(9), id_of(suspect), 10.0)
    assert not alarms.is_unreliable(id_of(9), id_of(7), 10.0)
    alarms.refuted(id_of(9), id_of(3), 20.0)
    assert alarms.is_unreliable(id_of(9), id_of(7), 20.0)
    assert not alarms.is_unreliable(id_of(8), id_of(7), 20.0)
    assert not alarms.is_unreliable(id_of(9), id_of(7), 110.0)


def test_alarms_about_one_member_make_an_accuser_unreliable_about_that_one() -> None:
    """Who answers nobody but always objects discredits nobody about others."""
    alarms = FalseAlarms(most=3, window_s=100.0)
    for _ in range(5):
        alarms.refuted(id_of(9), id_of(1), 10.0)
    assert alarms.is_unreliable(id_of(9), id_of(1), 10.0)
    assert not alarms.is_unreliable(id_of(9), id_of(2), 10.0)
    assert not alarms.is_unreliable(id_of(9), id_of(1), 111.0)


def test_alarms_remember_a_bounded_number_of_accusers() -> None:
    """Who erred longest ago is forgotten first."""
    alarms = FalseAlarms(most=1, window_s=1000.0)
    for accuser in range(1100):
        alarms.refuted(accuser.to_bytes(20, "big"), id_of(1), float(accuser))  # type: ignore[arg-type]  # an id is bytes
    assert 1024 == len(alarms)
    assert not alarms.is_unreliable((0).to_bytes(20, "big"), id_of(1), 1100.0)  # type: ignore[arg-type]  # as above
    assert alarms.is_unreliable((1099).to_bytes(20, "big"), id_of(1), 1100.0)  # type: ignore[arg-type]  # as above
