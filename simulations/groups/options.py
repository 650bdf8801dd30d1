"""What scenarios about groups have in common, and how their members are configured."""

from __future__ import annotations

from dataclasses import dataclass

from pilotdht.config.fields import tunable
from simulations.scenarios.scenario import Options


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupOptions(Options):
    """Those of every scenario; members of a group look nothing up."""

    minutes: float = tunable(10.0, unit="min", low=0.1, high=60 * 24 * 7, reason="hundreds of probes of each member")
    """Virtual duration of the measured part."""
    joins_per_s: float = tunable(20.0, unit="1/s", low=0.01, high=1000, reason="a thousand members within a minute")
    """Rate at which the group is built up."""
