"""When participants come: rates over time, and the moments that follow from them. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random
from typing import Protocol

from pilotdht.errors import InvalidArgument

DAY_S = 86_400.0
"""Seconds of a day."""


class Arrivals(Protocol):
    """A stream of moments."""

    def rate_at(self, t_s: float) -> float:
        """Return how many come a second at ``t_s``."""
        ...

    def next_after(self, t_s: float, random: Random) -> float:
        """Return the first moment after ``t_s`` at which somebody comes; infinity when nobody ever does."""
        ...


@dataclass(frozen=True, slots=True)
class Poisson:
    """Independent comers at a constant rate."""

    rate_per_s: float
    """On average, 0 or more."""

    def __post_init__(self) -> None:
        """Check it.

        Raises:
            InvalidArgument: it is negative or not finite.
        """
        if not 0 <= self.rate_per_s < math.inf:
            raise InvalidArgument(f"{self.rate_per_s!r} is no rate", hint="take 0 or more a second")

    def rate_at(self, t_s: float) -> float:
        """Return the rate."""
        return self.rate_per_s

    def next_after(self, t_s: float, random: Random) -> float:
        """Return the next moment."""
        return t_s + random.expovariate(self.rate_per_s) if self.rate_per_s else math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Diurnal:
    """Independent comers whose rate swings with the hour of the day as a sine does.

    Drawn by thinning: moments at the greatest rate, each kept with the share that the present rate is of it.

    Source: Lewis and Shedler, "Simulation of nonhomogeneous Poisson processes by thinning", 1979.
    """

    mean_per_s: float
    """Comers a second, averaged over a day; 0 or more."""
    swing: float
    """0..1: at the busiest moment ``1 + swing`` times the mean come, at the quietest ``1 - swing`` times."""
    day_s: float = DAY_S
    """Length of a day."""
    busiest_s: float = 0.0
    """A moment at which most come; one day later it is so again."""

    def __post_init__(self) -> None:
        """Check all.

        Raises:
            InvalidArgument: a value is out of range.
        """
        if not 0 <= self.mean_per_s < math.inf or not 0 <= self.swing <= 1 or not 0 < self.day_s < math.inf:
            raise InvalidArgument(
                f"no day has {self.mean_per_s!r} comers a second, a swing of {self.swing!r} and {self.day_s!r} s",
                hint="the rate is 0 or more, the swing 0..1, the day longer than nothing",
            )

    def rate_at(self, t_s: float) -> float:
        """Return the rate at a moment."""
        return self.mean_per_s * self.level_at(t_s)

    def level_at(self, t_s: float) -> float:
        """Return the rate at a moment as a multiple of the mean, 0..2."""
        return 1 + self.swing * math.cos(2 * math.pi * (t_s - self.busiest_s) / self.day_s)

    def next_after(self, t_s: float, random: Random) -> float:
        """Return the next moment."""
        most = self.mean_per_s * (1 + self.swing)
        if not most:
            return math.inf
        while True:
            t_s += random.expovariate(most)
            if random.random() * most < self.rate_at(t_s):
                return t_s


def crowd_times(before: int, count: int, *, over_s: float, random: Random) -> list[float]:
    """Return the moments at which a flash crowd comes: a population that grows exponentially, as news spread.

    Args:
        before: how many there are already, at least 1: they bring the first ones.
        count: how many come.
        over_s: from the first moment to the last.
        random: who comes when.

    Returns:
        ``count`` moments in ascending order, 0..over_s. Independent ones: each has the density of exponential growth
        from ``before`` to ``before + count``.

    Raises:
        InvalidArgument: nobody is there before, or a number is negative.
    """
    if before < 1 or count < 0 or over_s < 0:
        raise InvalidArgument(f"{count} cannot come to {before} within {over_s} s", hint="somebody must be there first")
    growth = math.log((before + count) / before)
    return sorted(
        over_s * math.log1p(random.random() * count / before) / growth if growth else 0.0 for _ in range(count)
    )
