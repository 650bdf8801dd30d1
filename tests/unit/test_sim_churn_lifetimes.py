"""Lifetimes: draws agree with the analytic mean, median and survival, and so do residuals.

Tolerances: 20,000 draws from a fixed seed. A share is then within 0.012 of its probability but once in 1,500 (3.4
standard deviations of at most 0.0035); means are compared by their own standard error, which is told where it stands.
"""

from __future__ import annotations

import math
from random import Random

import pytest

from pilotdht.errors import InvalidArgument
from simulations.churn.lifetimes import (
    DISTRIBUTIONS,
    Exponential,
    Fixed,
    Lifetimes,
    LogNormal,
    Weibull,
    lifetimes_named,
)

DRAWS = 20_000
SHARE_TOLERANCE = 0.012

ALL = [
    Weibull.with_mean(10_000.0, shape=0.5),
    Weibull.with_mean(600.0, shape=0.34),
    Weibull.with_mean(600.0, shape=0.59),
    LogNormal.with_mean(10_000.0, sigma=2.1),
    Exponential(300.0),
    Fixed(60.0),
]


def shares_above(values: list[float], limit: float) -> float:
    """Return the share of values that exceed a limit."""
    return sum(value > limit for value in values) / len(values)


@pytest.mark.parametrize("lifetimes", ALL, ids=str)
def test_draws_follow_survival(lifetimes: Lifetimes) -> None:
    """At seven points from 0.01 to 10 times the mean, as many draws are longer as the survival function says."""
    random = Random("survival")
    drawn = [lifetimes.draw(random) for _ in range(DRAWS)]
    for factor in (0.01, 0.1, 0.3, 0.9, 1.1, 3.0, 10.0):
        limit = factor * lifetimes.mean_s
        assert shares_above(drawn, limit) == pytest.approx(lifetimes.survival(limit), abs=SHARE_TOLERANCE)
    assert min(drawn) >= 0


@pytest.mark.parametrize("lifetimes", ALL, ids=str)
def test_mean_is_area_under_survival(lifetimes: Lifetimes) -> None:
    """The mean that is told is the integral of the survival function, by the midpoint rule on a log scale."""
    step = 0.01
    points = [math.exp((index + 0.5) * step) * lifetimes.mean_s for index in range(-2000, 1500)]
    area = sum(lifetimes.survival(point) * point * step for point in points)
    assert area == pytest.approx(lifetimes.mean_s, rel=0.01)


@pytest.mark.parametrize("lifetimes", ALL, ids=str)
def test_residuals_follow_stationary_law(lifetimes: Lifetimes) -> None:
    """A residual exceeds t with the share that the area under the survival function beyond t has of the whole."""
    random = Random("residual")
    drawn = [lifetimes.residual(random) for _ in range(DRAWS)]
    step = 0.01
    for factor in (0.1, 0.5, 2.0, 10.0):
        limit = factor * lifetimes.mean_s
        points = [limit * math.exp((index + 0.5) * step) for index in range(2000)]
        beyond = sum(lifetimes.survival(point) * point * step for point in points) / lifetimes.mean_s
        assert shares_above(drawn, limit) == pytest.approx(beyond, abs=SHARE_TOLERANCE + 0.005)


def test_residual_of_weibull_half_has_closed_form() -> None:
    """With shape 1/2 a residual is longer than t with probability (1 + y) exp(-y), y = sqrt(t / scale)."""
    lifetimes, random = Weibull.with_mean(10_000.0, shape=0.5), Random("closed form")
    drawn = [lifetimes.residual(random) for _ in range(DRAWS)]
    for limit in (100.0, 3_000.0, 10_000.0, 100_000.0):
        root = math.sqrt(limit / lifetimes.scale_s)
        assert shares_above(drawn, limit) == pytest.approx((1 + root) * math.exp(-root), abs=SHARE_TOLERANCE)


def test_weibull_of_literature_has_its_scale_and_median() -> None:
    """Shape 0.5 and a mean of 10,000 s mean a scale of 5,000 s, and a median of 5,000 ln(2)^2 s."""
    lifetimes = Weibull.with_mean(10_000.0, shape=0.5)
    assert lifetimes.scale_s == pytest.approx(5_000.0)
    assert lifetimes.survival(5_000.0 * math.log(2) ** 2) == pytest.approx(0.5)


def test_mean_of_draws_is_mean() -> None:
    """The mean of draws is within four standard errors of the mean: the deviation of Weibull 0.5 is sqrt(5) means."""
    lifetimes, random = Weibull.with_mean(10_000.0, shape=0.5), Random("mean")
    drawn = [lifetimes.draw(random) for _ in range(DRAWS)]
    error = math.sqrt(5) * 10_000 / math.sqrt(DRAWS)
    assert sum(drawn) / DRAWS == pytest.approx(10_000, abs=4 * error)


def test_mean_of_residuals_of_exponential_is_its_mean() -> None:
    """An exponential lifetime has no memory; the standard error of the mean is mean / sqrt(draws)."""
    lifetimes, random = Exponential(300.0), Random("memory")
    drawn = [lifetimes.residual(random) for _ in range(DRAWS)]
    assert sum(drawn) / DRAWS == pytest.approx(300.0, abs=4 * 300 / math.sqrt(DRAWS))


def test_lognormal_has_its_median() -> None:
    """Half of the draws are shorter than the median, whatever the sigma."""
    lifetimes, random = LogNormal(1452.0, 2.1), Random("median")
    drawn = [lifetimes.draw(random) for _ in range(DRAWS)]
    assert shares_above(drawn, 1452.0) == pytest.approx(0.5, abs=SHARE_TOLERANCE)
    assert lifetimes.survival(0.0) == 1.0


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_named_distribution_has_the_mean_asked_for(name: str) -> None:
    """Whatever the name, the mean is the one that was asked for."""
    assert lifetimes_named(name, mean_s=1234.0, shape=0.5).mean_s == pytest.approx(1234.0)


def test_unknown_distribution_is_refused_with_names() -> None:
    """The hint tells what there is."""
    with pytest.raises(InvalidArgument) as caught:
        lifetimes_named("pareto", mean_s=1.0, shape=0.5)
    assert "weibull, lognormal, exponential, fixed" in caught.value.hint


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_impossible_mean_is_refused(name: str, value: float) -> None:
    """A mean is positive and finite."""
    with pytest.raises(InvalidArgument):
        lifetimes_named(name, mean_s=value, shape=0.5)


def test_impossible_shape_is_refused() -> None:
    """A shape is positive."""
    with pytest.raises(InvalidArgument):
        Weibull.with_mean(1.0, shape=0.0)
