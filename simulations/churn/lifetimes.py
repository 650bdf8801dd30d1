"""How long participants stay, or stay away: distributions, and what is left of a stay met half-way. Pure.

Measured sessions are heavy-tailed, neither exponential nor Pareto: most visits are short, and who has stayed for long
goes on staying. Nodes that trust old contacts more than new ones live from that, so an exponential model alone would
judge them wrongly.

Source: Stutzbach and Rejaie, "Understanding churn in peer-to-peer networks", IMC 2006: Weibull with shapes 0.34..0.59.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random
from typing import Protocol

from pilotdht.errors import InvalidArgument


class Lifetimes(Protocol):
    """A distribution of durations in seconds."""

    @property
    def mean_s(self) -> float:
        """The mean."""
        ...

    def draw(self, random: Random) -> float:
        """Return a whole duration."""
        ...

    def residual(self, random: Random) -> float:
        """Return what is left of a duration that is found running at a random moment.

        Such a moment falls into long durations more often than into short ones: the one that it falls into has the
        density ``x f(x) / mean`` (length-biased), and the moment lies anywhere in it.

        Source: Feller, "An introduction to probability theory and its applications", volume II, sections I.4 and XI.4.
        """
        ...

    def survival(self, t_s: float) -> float:
        """Return the probability (0..1) that a whole duration exceeds ``t_s`` seconds."""
        ...


@dataclass(frozen=True, slots=True)
class Weibull:
    """``P(X > t) = exp(-(t / scale) ** shape)``: with a shape below 1 the longer one stayed, the longer one will stay.

    Source: Stutzbach and Rejaie (2006): shapes 0.34, 0.38, 0.59 for three torrents. Heep, "R/Kademlia: recursive and
    topology-aware overlay routing", ATNAC 2010: shape 0.5 and a mean of 10,000 s, the usual setting of simulators.
    """

    shape: float
    """Above 0; 1 is the exponential distribution."""
    scale_s: float
    """63 % of the durations are shorter."""

    def __post_init__(self) -> None:
        """Check both.

        Raises:
            InvalidArgument: one is not positive.
        """
        _positive("shape", self.shape)
        _positive("scale", self.scale_s)

    @classmethod
    def with_mean(cls, mean_s: float, *, shape: float) -> Weibull:
        """Return the one with this mean: the scale is ``mean / Gamma(1 + 1 / shape)``."""
        _positive("shape", shape)
        return cls(shape, mean_s / math.gamma(1 + 1 / shape))

    @property
    def mean_s(self) -> float:
        """The mean."""
        return self.scale_s * math.gamma(1 + 1 / self.shape)

    def draw(self, random: Random) -> float:
        """Return a whole duration."""
        return random.weibullvariate(self.scale_s, self.shape)

    def residual(self, random: Random) -> float:
        """Return what is left: ``(X / scale) ** shape`` is exponential, for the length-biased X Gamma-distributed."""
        biased = self.scale_s * math.pow(random.gammavariate(1 + 1 / self.shape, 1.0), 1 / self.shape)
        return random.random() * biased

    def survival(self, t_s: float) -> float:
        """Return the probability of more than ``t_s``."""
        return math.exp(-((max(0.0, t_s) / self.scale_s) ** self.shape))


@dataclass(frozen=True, slots=True)
class LogNormal:
    """The logarithm is normal: as good a fit of measured sessions as Weibull's, with a longer tail.

    Source: Stutzbach and Rejaie (2006). ProbeLab's measurements of IPFS in 2021 and 2022 mean a sigma of 2.1..2.6: a
    median of 24 minutes in one region, 87.6 % of all visits below 8 hours and 97.5 % below a day.
    """

    median_s: float
    """Half of the durations are shorter."""
    sigma: float
    """Standard deviation of the natural logarithm."""

    def __post_init__(self) -> None:
        """Check both.

        Raises:
            InvalidArgument: one is not positive.
        """
        _positive("median", self.median_s)
        _positive("sigma", self.sigma)

    @classmethod
    def with_mean(cls, mean_s: float, *, sigma: float = 2.1) -> LogNormal:
        """Return the one with this mean: the median is ``mean / exp(sigma ** 2 / 2)``."""
        return cls(mean_s / math.exp(sigma**2 / 2), sigma)

    @property
    def mean_s(self) -> float:
        """The mean."""
        return self.median_s * math.exp(self.sigma**2 / 2)

    def draw(self, random: Random) -> float:
        """Return a whole duration."""
        return self.median_s * math.exp(random.gauss(0.0, self.sigma))

    def residual(self, random: Random) -> float:
        """Return what is left; length-biased it is log-normal again, its logarithm moved by the variance."""
        return random.random() * self.draw(random) * math.exp(self.sigma**2)

    def survival(self, t_s: float) -> float:
        """Return the probability of more than ``t_s``."""
        if t_s <= 0:
            return 1.0
        return 0.5 * math.erfc(math.log(t_s / self.median_s) / (self.sigma * math.sqrt(2)))


@dataclass(frozen=True, slots=True)
class Exponential:
    """Who stayed for long leaves as soon as who just came: the easy model, for comparison with literature that uses it.

    Source: Rhea and others, "Handling churn in a DHT", USENIX 2004, whose departures are a Poisson process.
    """

    mean_s: float
    """The mean."""

    def __post_init__(self) -> None:
        """Check it.

        Raises:
            InvalidArgument: it is not positive.
        """
        _positive("mean", self.mean_s)

    def draw(self, random: Random) -> float:
        """Return a whole duration."""
        return random.expovariate(1 / self.mean_s)

    def residual(self, random: Random) -> float:
        """Return what is left: as much as of a new one."""
        return self.draw(random)

    def survival(self, t_s: float) -> float:
        """Return the probability of more than ``t_s``."""
        return math.exp(-max(0.0, t_s) / self.mean_s)


@dataclass(frozen=True, slots=True)
class Fixed:
    """Always the same: leases, nightly restarts, and tests."""

    mean_s: float
    """The duration."""

    def __post_init__(self) -> None:
        """Check it.

        Raises:
            InvalidArgument: it is not positive.
        """
        _positive("duration", self.mean_s)

    def draw(self, random: Random) -> float:
        """Return it."""
        return self.mean_s

    def residual(self, random: Random) -> float:
        """Return what is left: any part of it."""
        return random.random() * self.mean_s

    def survival(self, t_s: float) -> float:
        """Return 1 before its end and 0 from there on."""
        return 1.0 if t_s < self.mean_s else 0.0


DISTRIBUTIONS = ("weibull", "lognormal", "exponential", "fixed")
"""Names that :func:`lifetimes_named` knows."""


def lifetimes_named(name: str, *, mean_s: float, shape: float) -> Lifetimes:
    """Return a distribution by name.

    Args:
        name: one of :data:`DISTRIBUTIONS`.
        mean_s: its mean.
        shape: of Weibull's; the others do not have one.

    Raises:
        InvalidArgument: there is none of that name, or a number is not positive.
    """
    if name == "weibull":
        return Weibull.with_mean(mean_s, shape=shape)
    if name == "lognormal":
        return LogNormal.with_mean(mean_s)
    if name == "exponential":
        return Exponential(mean_s)
    if name == "fixed":
        return Fixed(mean_s)
    raise InvalidArgument(f"{name[:80]!r} is no distribution", hint=f"there are {', '.join(DISTRIBUTIONS)}")


def _positive(what: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise InvalidArgument(f"a {what} of {value!r} makes no distribution", hint="take a positive number")
