"""Wall clocks of hosts, which are never quite right.

Pure: offset and drift follow from the seed and the host's number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from simulations.engine.streams import stream

UNIX_START_S = 1_800_000_000.0
"""What a true wall clock shows when the loop's clock shows zero."""


@dataclass(frozen=True, slots=True)
class WallClock:
    """One host's clock."""

    offset_s: float
    """How far it is ahead when the loop's clock shows zero; negative: behind."""
    drift: float
    """Seconds that it gains each second."""

    def unix_time(self, loop_time_s: float) -> float:
        """Return what it shows at a loop time, in seconds since 1970."""
        return UNIX_START_S + loop_time_s + self.offset_s + self.drift * loop_time_s

    def reading(self, loop_time: Callable[[], float]) -> Callable[[], float]:
        """Return a function that reads it, by the loop's own clock."""
        start_s, rate = UNIX_START_S + self.offset_s, 1.0 + self.drift
        if rate == 1.0:
            return lambda: start_s + loop_time()
        return lambda: start_s + rate * loop_time()


def drawn_clock(seed: int, number: int, *, skew_s: float, drift_ppm: float) -> WallClock:
    """Return the clock of one host.

    Args:
        seed: of the run.
        number: of the participant; each of its lives has the same clock.
        skew_s: offsets are drawn evenly from minus to plus this.
        drift_ppm: drifts are drawn evenly from minus to plus this, in microseconds a second.
    """
    random = stream(seed, "clock", number)
    return WallClock(random.uniform(-skew_s, skew_s), random.uniform(-drift_ppm, drift_ppm) / 1e6)
