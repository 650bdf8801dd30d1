"""What theory says about groups of a size: to hold measured times against. Pure.

Source: SWIM (Das, Gupta, Motivala, 2002), section 5 (first detection); Demers and others (1987), Karp and others (2000)
(push epidemics); Lifeguard (2018), section IV-B (suspicion); the formulas of memberlist, whose defaults ours are.
"""

from __future__ import annotations

import math

from pilotdht.config.gossip import GossipConfig
from pilotdht.gossip.suspicion import suspicion_times


def first_probe_s(members: int, config: GossipConfig) -> float:
    """Return the mean time from a crash to the end of the period in which anybody probes the member: 1.58 periods."""
    others = max(1, members - 1)
    return config.probe_interval_s / (1 - (1 - 1 / max(2, others)) ** others)


def spread_s(members: int, config: GossipConfig) -> float:
    """Return the time in which news reaches everybody: a push epidemic without loss or latency."""
    fan_out = config.gossip_fan_out
    return config.gossip_interval_s * (math.log(members, fan_out + 1) + math.log(members) / fan_out)


def first_verdict_s(members: int, config: GossipConfig) -> float:
    """Return the time from a crash until the first member holds the crashed one for dead.

    The first probe, its interval, and the shortest suspicion: others confirm it before that has run out.
    """
    suspicion_s = suspicion_times(members, config).shortest_s
    return first_probe_s(members, config) + config.probe_interval_s + suspicion_s


def last_verdict_s(members: int, config: GossipConfig) -> float:
    """Return the time from a crash until everybody holds the crashed one for dead."""
    return first_verdict_s(members, config) + spread_s(members, config)
