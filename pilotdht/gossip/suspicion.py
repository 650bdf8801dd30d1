"""How long a suspicion waits for the suspect to object: the fewer agree with the accuser, the longer. Pure.

With ``k`` confirmations expected and ``c`` of them there, the time-out is::

    max(shortest, longest - (longest - shortest) * ln(c + 1) / ln(k + 1))

The first accuser may be the sick one: when nobody else agrees, the suspect gets ``longest``. In a group that is too
small for ``k`` others to agree, the shortest time counts at once.

Source: Lifeguard (2018), section IV-B (dynamic suspicion); its authors' memberlist, `suspicion.go`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from pilotdht.config.gossip import GossipConfig

CONFIRMATION_MARGIN = 2
"""Confirmations expected are the suspicion factor less this."""


class SuspicionTimes(NamedTuple):
    """What suspicions of a group of one size wait."""

    shortest_s: float
    """With all confirmations."""
    longest_s: float
    """Without any."""
    confirmations: int
    """Others that are expected to agree with the first accuser."""


def suspicion_times(members: int, config: GossipConfig) -> SuspicionTimes:
    """Return how long a suspicion waits in a group of so many members that are alive."""
    shortest_s = config.suspicion_factor * max(1.0, math.log10(max(1, members))) * config.probe_interval_s
    confirmations = max(0, config.suspicion_factor - CONFIRMATION_MARGIN)
    if members - 2 < confirmations or config.suspicion_spread == 1:
        confirmations = 0
    longest_s = config.suspicion_spread * shortest_s if confirmations else shortest_s
    return SuspicionTimes(shortest_s, longest_s, confirmations)


def timeout_s(times: SuspicionTimes, confirmed: int) -> float:
    """Return how long after its beginning a suspicion with so many confirmations becomes a verdict."""
    if times.confirmations <= 0:
        return times.shortest_s
    share = math.log(min(confirmed, times.confirmations) + 1) / math.log(times.confirmations + 1)
    return max(times.shortest_s, times.longest_s - (times.longest_s - times.shortest_s) * share)
