"""How datagrams travel: latency, jitter, loss, bandwidth. A few sets of conditions have names."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import lru_cache
from math import exp
from statistics import NormalDist

from pilotdht.config.fields import Section, tunable
from pilotdht.errors import ConfigError, InvalidArgument

HEADER_BYTES = 28
"""IPv4 and UDP put so much in front of each datagram."""

JITTER_STEPS = 4096
"""Jitter is drawn from so many equally likely values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions(Section):
    """How datagrams travel between any two hosts. Latencies are of one way."""

    has_regions: bool = tunable(True, reason="a network of agents spans the world")
    """Whether latency follows :mod:`simulations.world.regions`; else the range below."""
    latency_low_s: float = tunable(0.010, unit="s", low=0, high=10, reason="round trips of 20 ms: the next city")
    """Between hosts that are close; only without regions."""
    latency_high_s: float = tunable(0.060, unit="s", low=0, high=10, reason="round trips of 120 ms: the next continent")
    """Between hosts that are far apart; only without regions."""
    home_share: float = tunable(0.4, low=0, high=1, reason="agents run on machines of people as well as in clouds")
    """Share of hosts behind the access line of a home."""
    home_access_s: float = tunable(
        0.008,
        unit="s",
        low=0,
        high=10,
        reason="fixed lines add 10 to 30 ms a round trip (FCC, Measuring Broadband America)",
    )
    """Median that a home's line adds at its end."""
    cloud_access_s: float = tunable(0.0003, unit="s", low=0, high=10, reason="a few hops inside a data centre")
    """Median that a data centre adds at its end."""
    jitter_s: float = tunable(0.0008, unit="s", low=0, high=10, reason="idle paths vary by less than a millisecond")
    """Median of what is added to each datagram at random; never negative."""
    jitter_sigma: float = tunable(
        0.9, low=0, high=3, reason="queues make a long tail: the 99th percentile is eight times the median"
    )
    """Standard deviation of the logarithm of the jitter: skewed to the right."""
    loss: float = tunable(
        0.001,
        low=0,
        high=1,
        reason="backbone operators promise monthly losses of at most 0.1 %, access lines add little",
    )
    """Share of datagrams lost, each on its own."""
    duplicate: float = tunable(0.0, low=0, high=1, reason="rare on paths that work")
    """Share of datagrams that arrive twice."""
    reorder: float = tunable(0.0, low=0, high=1, reason="rare on paths that work, apart from what jitter does")
    """Share of datagrams that take a detour."""
    reorder_s: float = tunable(0.02, unit="s", low=0, high=10, reason="a dozen later datagrams of a stream overtake")
    """How much longer the detour takes."""
    up_bps: float = tunable(0.0, unit="bits/s", low=0, high=1e12, reason="unlimited: signed records are small")
    """What each host can send, headers included; 0: unlimited."""
    down_bps: float = tunable(0.0, unit="bits/s", low=0, high=1e12, reason="unlimited: signed records are small")
    """What each host can receive, headers included; 0: unlimited."""
    queue_bytes: int = tunable(
        256 * 1024, unit="bytes", low=1500, high=2**30, reason="100 ms at 20 Mbit/s, as home routers have"
    )
    """What waits for a limited line at most; what comes then is lost."""
    mtu_bytes: int = tunable(1500, unit="bytes", low=576, high=65_535, reason="Ethernet")
    """Largest packet, headers included; larger ones are lost, as with fragments forbidden."""

    def __post_init__(self) -> None:
        """Check every number, and that they go together.

        Raises:
            ConfigError: out of range, or they contradict each other.
        """
        super(Conditions, self).__post_init__()  # a class with slots is another one than the one defined here
        if self.latency_low_s > self.latency_high_s:
            raise ConfigError("latency_low_s is greater than latency_high_s", hint="swap them")
        if self.loss + self.duplicate + self.reorder > 1:
            raise ConfigError(
                "loss, duplicate and reorder are more than 1 together", hint="they are shares: 5 % is 0.05"
            )

    @property
    def fate_limit(self) -> float:
        """Share of datagrams that something happens to."""
        return self.loss + self.duplicate + self.reorder

    def jitter_ticks(self) -> tuple[int, ...]:
        """Return microseconds of jitter, by ``int(draw * JITTER_STEPS)``.

        One draw from 0..1 decides on both: below ``fate_limit`` something happens to the datagram, and how far
        above it the draw is tells the jitter.
        """
        return _jitter_ticks(self.jitter_s, self.jitter_sigma, self.fate_limit)


@lru_cache(maxsize=64)
def _jitter_ticks(median_s: float, sigma: float, above: float) -> tuple[int, ...]:
    if median_s == 0:
        return (0,) * JITTER_STEPS
    normal = NormalDist()
    least, most = 0.5 / JITTER_STEPS, 1 - 0.5 / JITTER_STEPS
    ticks = []
    for step in range(JITTER_STEPS):
        rank = ((step + 0.5) / JITTER_STEPS - above) / (1 - above) if above < 1 else 0.5
        ticks.append(int(median_s * exp(sigma * normal.inv_cdf(min(most, max(least, rank)))) * 1e6))
    return tuple(ticks)


CONDITIONS: dict[str, Conditions] = {
    "wan": Conditions(),
    "lan": Conditions(
        has_regions=False,
        latency_low_s=0.00005,
        latency_high_s=0.0002,
        home_share=0.0,
        cloud_access_s=0.0,
        jitter_s=0.00005,
        loss=0.0,
    ),
    "lossy": Conditions(loss=0.05, duplicate=0.01, reorder=0.02),
    "mobile": Conditions(home_share=1.0, home_access_s=0.025, jitter_s=0.006, loss=0.01, reorder=0.002),
    "uniform": Conditions(has_regions=False, home_share=0.0, cloud_access_s=0.0, jitter_s=0.001, loss=0.0),
    "perfect": Conditions(
        has_regions=False,
        latency_low_s=0.010,
        latency_high_s=0.010,
        home_share=0.0,
        cloud_access_s=0.0,
        jitter_s=0.0,
        loss=0.0,
    ),
}
"""By name.

* ``wan``: twelve regions of the world, homes and clouds, paths that work;
* ``lan``: one building;
* ``lossy``: the same world on bad days: 5 % lost, 1 % doubled, 2 % late;
* ``mobile``: everybody on a radio network: 50 ms a round trip at each end, jitter, 1 % lost;
* ``uniform``: round trips of 20 to 120 ms by distance, nothing lost;
* ``perfect``: each round trip takes 20 ms, nothing else happens.
"""


def conditions_named(name: str) -> Conditions:
    """Return conditions by name.

    Raises:
        InvalidArgument: there are none of that name.
    """
    known = CONDITIONS.get(name)
    if known is None:
        near = difflib.get_close_matches(name, CONDITIONS, n=1)
        meant = f"did you mean {near[0]!r}? " if near else ""
        raise InvalidArgument(
            f"{name[:80]!r} is no name of network conditions", hint=f"{meant}there are {', '.join(CONDITIONS)}"
        )
    return known
