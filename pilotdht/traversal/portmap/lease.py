"""The times of a port mapping: of renewals, of attempts after failures, and what a router's clock tells. Pure."""

from __future__ import annotations

from enum import Enum

from pilotdht.config.traversal import TraversalConfig
from pilotdht.traversal.portmap.packets import Outcome, Protocol

LEAST_RENEWAL_S = 4.0
"""RFC 6887, section 11.2.1: renewals must not follow each other faster."""

LEAST_LIFETIME_S = 30
"""A mapping granted for less is none: what is published of it would be wrong before anybody reads it."""

MOST_LIFETIME_S = 86_400
"""RFC 6887, section 15: clients should not believe in more than a day."""

SHORT_REFUSAL_S = 30.0
"""RFC 6887, section 7.4: suggested lifetime of errors that may pass by themselves."""


class PortMapState(Enum):
    """How far the keeper is; the values are shown to people and programs."""

    OFF = "off"
    """It does not run."""
    SEARCHING = "searching"
    """It asks for the first time."""
    MAPPED = "mapped"
    """A router maps our port."""
    REFUSED = "refused"
    """A router answers and will not do it; :attr:`PortMapKeeper.refusal` says why."""
    SILENT = "silent"
    """No router answers: it speaks neither protocol, or they are switched off."""
    NOWHERE = "nowhere"
    """There is no router to ask."""


def renewal_pause_s(remaining_s: float, chance: float) -> float:
    """Return how long to wait before a renewal.

    Each attempt comes after 1/2 to 5/8 of what is left, so that the first comes at half of the lifetime, the second
    after three quarters, and so on (RFC 6887, section 11.2.1).

    Args:
        remaining_s: until the mapping ends.
        chance: 0..1, so that a house full of nodes does not ask at once.
    """
    return max(LEAST_RENEWAL_S, remaining_s * (0.5 + chance / 8))


def failure_pause_s(failures: int, chance: float, config: TraversalConfig) -> float:
    """Return how long to wait after the given number (1..) of attempts in a row that nobody answered.

    Doubled each time, plus or minus a tenth (RFC 6887, section 8.1.1).
    """
    pause_s = config.port_mapping_pcp_wait_s * 2.0 ** min(failures - 1, 32)
    return min(pause_s, config.port_mapping_pause_most_s) * (0.9 + chance / 5)


def refusal_pause_s(outcome: Outcome, retry_after_s: int, config: TraversalConfig) -> float:
    """Return how long to wait after a refusal: what the router says, in bounds, else by the kind of error."""
    most_s = config.port_mapping_refused_s
    if retry_after_s == 0 and outcome in (Outcome.FORBIDDEN, Outcome.VERSION):
        return most_s
    return min(max(float(retry_after_s), SHORT_REFUSAL_S), most_s)


class EpochRule:
    """Compares a router's clock with ours: when it went back or stood still, the router has lost its mappings.

    Source: RFC 6887, section 8.5; RFC 6886, section 3.6.
    """

    def __init__(self) -> None:
        """Make it; the first reply only sets what is compared with."""
        self._last: tuple[float, int] | None = None

    def has_restarted(self, epoch_s: int, *, protocol: Protocol, now: float) -> bool:
        """Take in a reply; return whether the router's tables were emptied since the one before.

        Args:
            epoch_s: as the router says.
            protocol: in which it says so; each has its own rule, the clock is the same.
            now: time of the loop.
        """
        last, self._last = self._last, (now, epoch_s)
        if last is None:
            return False
        ours_s, theirs_s = now - last[0], epoch_s - last[1]
        if protocol is Protocol.NATPMP:
            return epoch_s < last[1] + ours_s * 7 / 8 - 2
        if theirs_s < -1:
            return True
        return ours_s + 2 < theirs_s * 15 / 16 or theirs_s + 2 < ours_s * 15 / 16
