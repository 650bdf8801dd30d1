"""Whether UDP passes, judged by what was asked and what was answered. Pure.

Silence means something only when somebody was asked. At the start, and at a new place, a few seconds of it are enough,
as all bootstrap nodes have been asked by then; where UDP has passed before, peers that went away are likelier than a
firewall that has changed its mind, so more is asked for.
"""

from __future__ import annotations

from pilotdht.config.trunk import TrunkConfig

ASKED_TO_DOUBT = 8
"""So many questions in a row without an answer make doubt whether UDP still passes; fewer may be about one peer."""


class UdpJudge:
    """What is known of one place in the network."""

    def __init__(self, config: TrunkConfig) -> None:
        self._config = config
        self._asked_then = 0
        self._asked = 0
        self._silent_since: float | None = None
        self._has_passed = False

    @property
    def has_passed(self) -> bool:
        """Whether anything was answered at this place."""
        return self._has_passed

    def moved(self) -> None:
        """Take in that this node is at another place: what was learnt does not hold there."""
        self._has_passed = False
        self._silent_since = None
        self._asked_then = self._asked

    def answered(self) -> None:
        """Take in that somebody answered."""
        self._has_passed = True
        self._silent_since = None
        self._asked_then = self._asked

    def is_silent(self, *, asked: int, now: float) -> bool:
        """Return whether so much was asked in vain that UDP seems not to pass.

        Args:
            asked: how many questions were sent so far in all.
            now: time of the loop.
        """
        self._asked = asked
        in_vain = asked - self._asked_then
        if in_vain <= 0:
            return False
        if self._silent_since is None:
            self._silent_since = now
        silent_s = now - self._silent_since
        if not self._has_passed:
            return silent_s >= self._config.blocked_after_s
        return silent_s >= self._config.lost_after_s and in_vain >= ASKED_TO_DOUBT
