"""Whether the other end of a trunk is still there, and when to show that we are. Pure.

TCP itself tells soon when the other process has ended, and after many minutes when the machine or the way to it is
gone. So a client that has sent something and heard nothing asks for a sign of life, and gives up when none comes.
"""

from __future__ import annotations

from enum import Enum

from pilotdht.values import dataclass


class Due(Enum):
    """What has to be done now."""

    NOTHING = "nothing"
    """Look again later."""
    SHOW = "show"
    """Send an empty frame: to show that we are there, or to be answered."""
    GIVE_UP = "give_up"
    """The other end is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long is waited for what, in seconds."""

    keepalive_s: float
    """Silence of our own after which we show that we are there; zero for a server, which only answers."""
    idle_s: float
    """Silence of the other end after which it is gone, whether or not it had anything to answer."""
    silence_s: float
    """Silence after something was sent, until an answer is asked for, and again until it is given up."""


class Liveness:
    """What was sent and heard last on one trunk."""

    def __init__(self, patience: Patience, *, now: float) -> None:
        self._patience = patience
        self._heard_at = now
        self._sent_at = now
        self._waits_since: float | None = None
        self._asked_at: float | None = None

    def heard(self, now: float) -> None:
        """Take in that anything came."""
        self._heard_at = now
        self._waits_since = self._asked_at = None

    def sent(self, now: float) -> None:
        """Take in that anything was sent."""
        self._sent_at = now
        if self._waits_since is None:
            self._waits_since = now

    def doubt(self, now: float) -> None:
        """Take in that the way may be gone: an answer is asked for at once."""
        self._waits_since = now - self._patience.silence_s

    def due(self, now: float) -> Due:
        """Return what has to be done; to be asked several times in each wait."""
        patience = self._patience
        if now - self._heard_at >= patience.idle_s:
            return Due.GIVE_UP
        if patience.keepalive_s <= 0:
            return Due.NOTHING
        if self._asked_at is not None:
            return Due.GIVE_UP if now - self._asked_at >= patience.silence_s else Due.NOTHING
        is_unanswered = self._waits_since is not None and now - self._waits_since >= patience.silence_s
        if is_unanswered or now - self._sent_at >= patience.keepalive_s:
            self._asked_at = now
            return Due.SHOW
        return Due.NOTHING
