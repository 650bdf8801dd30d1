"""When a second member is asked because the first is slow, and when that would do harm. Pure.

A second member is asked once the first has not begun to answer within the time in which 95 of 100 answers begin. That
costs one question in twenty and takes most of the slow ones away. A member that is silent because all are overloaded
looks the same, so hedges are paid from a budget that grows with the questions: without it a slow group would get twice
its load, and grow slower.

Source: Dean and Barroso, "The Tail at Scale", CACM 56(2), 2013 (hedged requests, tied to the 95th percentile); the
budget as in gRPC's retry throttling (gRFC A6).
"""

from __future__ import annotations

from pilotdht.config.query import QueryConfig

_NEARLY = 1e-9  # ten tenths are less than one in binary


class HedgeBudget:
    """Hedges that may still be spent: each question pays in a share of one."""

    __slots__ = ("_burst", "_share", "tokens")

    def __init__(self, config: QueryConfig) -> None:
        """Begin with a full budget."""
        self._share = config.hedge_share
        self._burst = config.hedge_burst
        self.tokens = config.hedge_burst
        """Hedges that may be spent now."""

    def note_question(self) -> None:
        """Pay in for one question."""
        self.tokens = min(max(self._burst, 1.0), self.tokens + self._share)

    def spend(self) -> bool:
        """Take one hedge out; return whether there was one."""
        if self.tokens < 1.0 - _NEARLY:
            return False
        self.tokens -= 1.0
        return True


def hedge_delay_s(expected_begin_s: float | None, config: QueryConfig) -> float:
    """Return how long a member may take to begin its answer before another one is asked.

    Args:
        expected_begin_s: within which time 95 of 100 answers begin, or ``None`` when too few are known.
        config: bounds, and the guess.
    """
    expected = config.hedge_guess_s if expected_begin_s is None else expected_begin_s
    return min(max(expected, config.hedge_low_s), config.hedge_high_s)
