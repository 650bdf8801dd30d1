"""Where in the world hosts stand, and how far apart the regions are.

A host's place follows from the seed and its address alone, so that it is the same in each of its lives.
"""

from __future__ import annotations

from bisect import bisect
from dataclasses import dataclass
from itertools import accumulate
from math import exp

from simulations.engine.streams import stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """One part of the world."""

    name: str
    """As it stands in results."""
    weight: int
    """Share of hosts, in percent."""


REGIONS = (
    Region(name="us-east", weight=17),
    Region(name="us-central", weight=6),
    Region(name="us-west", weight=12),
    Region(name="south-america", weight=4),
    Region(name="eu-west", weight=14),
    Region(name="eu-central", weight=15),
    Region(name="eu-north", weight=6),
    Region(name="south-africa", weight=2),
    Region(name="india", weight=7),
    Region(name="singapore", weight=6),
    Region(name="japan", weight=7),
    Region(name="australia", weight=4),
)
"""About a third in North America, a third in Europe, a quarter in Asia and Oceania.

Crawls of open peer-to-peer networks (Trautwein et al., "Design and Evaluation of IPFS", SIGCOMM 2022; public crawls of
Ethereum's nodes) find these proportions outside of China.
"""

_ROUND_TRIPS_MS = (
    (3,),
    (30, 3),
    (65, 38, 3),
    (115, 140, 175, 3),
    (76, 92, 135, 185, 3),
    (92, 105, 145, 203, 15, 3),
    (112, 125, 160, 215, 32, 23, 3),
    (225, 240, 275, 335, 152, 156, 175, 3),
    (190, 212, 218, 300, 112, 122, 140, 258, 3),
    (215, 195, 163, 325, 165, 160, 178, 312, 58, 3),
    (150, 130, 97, 257, 210, 225, 240, 355, 125, 70, 3),
    (198, 175, 140, 310, 265, 250, 270, 400, 146, 92, 104, 3),
)
"""Round trips between regions, in the order of :data:`REGIONS`; the lower half and the diagonal.

Rounded medians between sites of public clouds, as operators and public ping pages publish them (Virginia, Iowa, Oregon,
São Paulo, London, Frankfurt, Stockholm, Cape Town, Mumbai, Singapore, Tokyo, Sydney).
"""

LEAST_SPREAD, GREATEST_SPREAD = 0.25, 4.0
"""A host's own access takes so many times the median at least and at most."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one host stands."""

    region: int
    """Index into :data:`REGIONS`."""
    home_rank: float
    """0..1: it sits behind a home's access line when this is below the share of homes, else in a data centre."""
    slowness: float
    """Its access takes so many times the median of its sort."""
    spot: complex
    """A point of the unit square, for conditions without regions."""


def round_trip_ms(one: int, other: int) -> int:
    """Return the round trip between two regions in milliseconds, the access of hosts left out."""
    return _ROUND_TRIPS_MS[one][other] if one >= other else _ROUND_TRIPS_MS[other][one]


_BORDERS = tuple(accumulate(region.weight for region in REGIONS))


def place_of(seed: int, host: str) -> Place:
    """Return the place of the host with this address in the run with this seed."""
    random = stream(seed, "place", host)
    region = bisect(_BORDERS, random.random() * _BORDERS[-1])
    home_rank = random.random()
    slowness = min(GREATEST_SPREAD, max(LEAST_SPREAD, exp(random.gauss(0.0, 0.5))))
    return Place(region, home_rank, slowness, complex(random.random(), random.random()))
