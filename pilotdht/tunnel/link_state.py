"""Where a link stands, which steps it may take, and what its end means to whoever used it. Pure."""

from __future__ import annotations

import enum

from pilotdht.errors import InternalError, LinkClosed, NotTrusted, PilotError
from pilotdht.tunnel.quic.events import CloseCause, CloseCode, ConnectionClosed


class LinkState(enum.Enum):
    """Where a link stands."""

    CONNECTING = "connecting"
    """The handshake is under way."""
    UP = "up"
    """Both sides have proved their keys."""
    DRAINING = "draining"
    """Another link to the peer stays; streams on this one go on to their end."""
    CLOSED = "closed"
    """Of no more use."""


_STEPS: dict[LinkState, frozenset[LinkState]] = {
    LinkState.CONNECTING: frozenset({LinkState.UP, LinkState.CLOSED}),
    LinkState.UP: frozenset({LinkState.DRAINING, LinkState.CLOSED}),
    LinkState.DRAINING: frozenset({LinkState.UP, LinkState.CLOSED}),
    LinkState.CLOSED: frozenset(),
}


def step(current: LinkState, following: LinkState) -> LinkState:
    """Return ``following``.

    Raises:
        InternalError: a link does not go from ``current`` to ``following``.
    """
    if following not in _STEPS[current]:
        raise InternalError(f"a link cannot go from {current.value} to {following.value}")
    return following


def error_of(closed: ConnectionClosed) -> tuple[type[PilotError], str]:
    """Return the error, and its text, that the end of a link means to whoever used it."""
    if closed.is_application and closed.code == CloseCode.NOT_TRUSTED:
        return NotTrusted, "trust between this node and the peer was withdrawn"
    if closed.cause is CloseCause.IDLE:
        return LinkClosed, "the peer was not heard of for too long"
    if closed.cause is CloseCause.RESET:
        return LinkClosed, "the peer was restarted"
    if closed.cause is CloseCause.REMOTE:
        return LinkClosed, "the peer closed the link"
    if closed.cause is CloseCause.FAILED:
        return LinkClosed, "the peer does not obey the protocol"
    return LinkClosed, "the link was closed"
