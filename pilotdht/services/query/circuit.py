"""Whether a peer is asked at all: a circuit breaker for each. Pure.

A peer that failed too often in a row, or too large a share of the last times, is left alone for a pause; then one
question is risked. If that is answered all is well again, if not the next pause is twice as long.

Source: Nygard, "Release It!" (2nd ed. 2018), section 5.2; the three states and their names are his.
"""

from __future__ import annotations

from collections import deque
from enum import Enum

from pilotdht.config.query import QueryConfig
from pilotdht.errors import InternalError


class CircuitState(Enum):
    """Whether a peer is asked."""

    CLOSED = "closed"
    """It is asked as any other."""
    OPEN = "open"
    """It is left alone."""
    HALF_OPEN = "half open"
    """One question is risked."""


class CircuitEvent(Enum):
    """What changes whether a peer is asked."""

    ANSWERED = "answered"
    """It answered."""
    FAILED = "failed"
    """It failed, as some do."""
    TRIPPED = "tripped"
    """It failed once too often."""
    WAITED = "waited"
    """The pause is over, and somebody wants to ask."""


_CLOSED, _OPEN, _HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN
_EVENT = CircuitEvent

TRANSITIONS: dict[tuple[CircuitState, CircuitEvent], CircuitState] = {
    (_CLOSED, _EVENT.ANSWERED): _CLOSED,
    (_CLOSED, _EVENT.FAILED): _CLOSED,
    (_CLOSED, _EVENT.TRIPPED): _OPEN,
    (_OPEN, _EVENT.ANSWERED): _CLOSED,  # a question from before answered after all: it lives
    (_OPEN, _EVENT.FAILED): _OPEN,  # one from before: the pause stands
    (_OPEN, _EVENT.TRIPPED): _OPEN,
    (_OPEN, _EVENT.WAITED): _HALF_OPEN,
    (_HALF_OPEN, _EVENT.ANSWERED): _CLOSED,
    (_HALF_OPEN, _EVENT.FAILED): _OPEN,
    (_HALF_OPEN, _EVENT.TRIPPED): _OPEN,
}
"""Every legal step."""


class Circuit:
    """The breaker of one peer."""

    __slots__ = ("_failures", "_is_trial_out", "_outcomes", "_pause_s", "_until", "state")

    def __init__(self, config: QueryConfig) -> None:
        """Make a closed one."""
        self.state = CircuitState.CLOSED
        """Whether the peer is asked."""
        self._outcomes: deque[bool] = deque(maxlen=config.circuit_window)
        self._failures = 0  # in a row
        self._pause_s = config.circuit_first_s
        self._until = 0.0
        self._is_trial_out = False

    def is_askable(self, now: float) -> bool:
        """Return whether the peer may be asked now."""
        if self.state is CircuitState.OPEN:
            return now >= self._until
        return self.state is CircuitState.CLOSED or not self._is_trial_out

    def ask(self, now: float) -> None:
        """Note that the peer is asked; whoever wants this very peer may ask though it is to be left alone."""
        if self.state is CircuitState.OPEN and self.is_askable(now):
            self._step(CircuitEvent.WAITED)
        self._is_trial_out = self.state is CircuitState.HALF_OPEN

    def abandon(self) -> None:
        """Note that nobody waits for the answer any more: it says nothing about the peer."""
        self._is_trial_out = False

    def note(self, is_answered: bool, now: float, config: QueryConfig) -> bool:
        """Note how a question ended; return whether the peer is left alone from now on."""
        self._is_trial_out = False
        self._outcomes.append(is_answered)
        if is_answered:
            self._failures = 0
            if self.state is not CircuitState.CLOSED:
                self._outcomes.clear()
                self._pause_s = config.circuit_first_s
            self._step(CircuitEvent.ANSWERED)
            return False
        self._failures += 1
        before = self.state
        self._step(CircuitEvent.TRIPPED if self._is_too_much(config) else CircuitEvent.FAILED)
        if self.state is CircuitState.OPEN and before is not CircuitState.OPEN:
            if before is CircuitState.HALF_OPEN:
                self._pause_s = min(2 * self._pause_s, config.circuit_most_s)
            self._until = now + self._pause_s
            return True
        return False

    def _is_too_much(self, config: QueryConfig) -> bool:
        if self._failures >= config.circuit_failures:
            return True
        count = len(self._outcomes)
        return 2 * count >= config.circuit_window and self._outcomes.count(False) >= config.circuit_share * count

    def _step(self, event: CircuitEvent) -> None:
        try:
            self.state = TRANSITIONS[self.state, event]
        except KeyError:
            raise InternalError(f"a circuit cannot go on from {self.state.value} by {event.value}") from None
