"""Arrivals: as many come as the rates say, when they say it.

Tolerances: a count of independent comers with mean m deviates by more than four times sqrt(m) less than once in 15,000.
"""

from __future__ import annotations

import math
from itertools import pairwise
from random import Random

import pytest

from pilotdht.errors import InvalidArgument
from simulations.churn.arrivals import Arrivals, Diurnal, Poisson, crowd_times


def moments(arrivals: Arrivals, *, until_s: float, seed: str) -> list[float]:
    """Return all moments from zero on."""
    random, found, at_s = Random(seed), [], 0.0
    while (at_s := arrivals.next_after(at_s, random)) < until_s:
        found.append(at_s)
    return found


def test_poisson_comes_at_its_rate_without_memory() -> None:
    """Ten thousand seconds at 2 a second bring 20,000, and 1/e of the gaps exceed the mean gap."""
    found = moments(Poisson(2.0), until_s=10_000, seed="poisson")
    assert len(found) == pytest.approx(20_000, abs=4 * math.sqrt(20_000))
    gaps = [later - earlier for earlier, later in pairwise(found)]
    assert sum(gap > 0.5 for gap in gaps) / len(gaps) == pytest.approx(math.exp(-1), abs=0.014)


def test_diurnal_comes_by_day() -> None:
    """Over twenty days, each of eight parts of the day brings what the integral of its rate says."""
    day = Diurnal(mean_per_s=1.0, swing=0.8, day_s=1000.0, busiest_s=250.0)
    found = moments(day, until_s=20_000, seed="diurnal")
    for part in range(8):
        start, end = part * 125.0, (part + 1) * 125.0
        swing = 0.8 * 1000 / (2 * math.pi)
        turns = [math.sin(2 * math.pi * (edge - 250) / 1000) for edge in (start, end)]
        expected = 20 * (125 + swing * (turns[1] - turns[0]))
        came = sum(start <= at_s % 1000 < end for at_s in found)
        assert came == pytest.approx(expected, abs=4 * math.sqrt(expected))


def test_diurnal_is_busiest_when_told() -> None:
    """The rate is 1 + swing times the mean at the busiest moment, 1 - swing half a day later, and repeats daily."""
    day = Diurnal(mean_per_s=3.0, swing=0.5, day_s=86_400.0, busiest_s=50_000.0)
    assert day.rate_at(50_000.0) == pytest.approx(4.5)
    assert day.rate_at(50_000.0 + 43_200) == pytest.approx(1.5)
    assert day.rate_at(10.0) == pytest.approx(day.rate_at(86_410.0))


@pytest.mark.parametrize("arrivals", [Poisson(0.0), Diurnal(mean_per_s=0.0, swing=1.0)], ids=str)
def test_nobody_ever_comes_at_rate_zero(arrivals: Arrivals) -> None:
    """The next moment is infinity, not an error."""
    assert arrivals.next_after(5.0, Random(1)) == math.inf


def test_impossible_rates_are_refused() -> None:
    """Rates are not negative, a swing is a share, a day lasts."""
    with pytest.raises(InvalidArgument):
        Poisson(-1.0)
    with pytest.raises(InvalidArgument):
        Diurnal(mean_per_s=1.0, swing=1.5)
    with pytest.raises(InvalidArgument):
        Diurnal(mean_per_s=1.0, swing=0.5, day_s=0.0)


def test_crowd_grows_exponentially() -> None:
    """From 100 to 10,000 within 100 s: the first tenfold takes half of the time, as the second does."""
    times = crowd_times(100, 9_900, over_s=100.0, random=Random("crowd"))
    assert len(times) == 9_900
    assert times == sorted(times)
    assert 0 <= times[0]
    assert times[-1] <= 100.0
    came = sum(at_s < 50 for at_s in times)
    assert came == pytest.approx(900, abs=4 * math.sqrt(900))


def test_crowd_of_nobody_and_crowd_to_nobody() -> None:
    """None may come, but somebody has to be there."""
    assert crowd_times(5, 0, over_s=10.0, random=Random(1)) == []
    with pytest.raises(InvalidArgument):
        crowd_times(0, 5, over_s=10.0, random=Random(1))
