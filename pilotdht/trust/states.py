"""Where trust with one peer stands, and every step it can take: one table.

Trust is symmetric: both sides end ``TRUSTED`` when both want it, whoever asked first. ``REJECTED`` and ``NONE`` differ
only in what a person is told; from both a fresh request leads on, so that trust can be given again as often as it was
taken.

Pure.
"""

from __future__ import annotations

from enum import Enum

from pilotdht.errors import InternalError


class TrustState(Enum):
    """Where trust with one peer stands on this side."""

    NONE = "none"
    """Nothing was asked or given."""
    PENDING_IN = "pending_in"
    """The peer asked; the answer is ours to give."""
    PENDING_OUT = "pending_out"
    """We asked; the answer is the peer's to give."""
    TRUSTED = "trusted"
    """Both sides want it: the peer may open streams here."""
    REJECTED = "rejected"
    """One side refused the other's request."""


class TrustEvent(Enum):
    """What changes trust: three words of ours, then what the peer said or answered."""

    ASKED = "asked"
    """We asked for trust."""
    APPROVED = "approved"
    """We approved the peer's request."""
    DECLINED = "declined"
    """We rejected the peer's request."""
    WITHDRAWN = "withdrawn"
    """We took our trust, or our request, back."""
    PEER_ASKED = "peer_asked"
    """The peer asked for trust."""
    PEER_APPROVED = "peer_approved"
    """The peer trusts us."""
    PEER_HOLDS = "peer_holds"
    """The peer has our request waiting, and does not trust us."""
    PEER_DECLINED = "peer_declined"
    """The peer rejected us."""
    PEER_WITHDREW = "peer_withdrew"
    """The peer neither trusts us nor holds a request of ours."""


_NONE, _IN, _OUT = TrustState.NONE, TrustState.PENDING_IN, TrustState.PENDING_OUT
_TRUSTED, _REJECTED = TrustState.TRUSTED, TrustState.REJECTED
_EVENT = TrustEvent

TRANSITIONS: dict[tuple[TrustState, TrustEvent], TrustState] = {
    (_NONE, _EVENT.ASKED): _OUT,
    (_OUT, _EVENT.ASKED): _OUT,
    (_IN, _EVENT.ASKED): _TRUSTED,  # both asked: mutual
    (_TRUSTED, _EVENT.ASKED): _TRUSTED,  # a peer that lost its book is asked anew
    (_REJECTED, _EVENT.ASKED): _OUT,
    (_IN, _EVENT.APPROVED): _TRUSTED,
    (_TRUSTED, _EVENT.APPROVED): _TRUSTED,
    (_IN, _EVENT.DECLINED): _REJECTED,
    (_REJECTED, _EVENT.DECLINED): _REJECTED,
    (_NONE, _EVENT.WITHDRAWN): _NONE,
    (_OUT, _EVENT.WITHDRAWN): _NONE,
    (_IN, _EVENT.WITHDRAWN): _NONE,
    (_TRUSTED, _EVENT.WITHDRAWN): _NONE,
    (_REJECTED, _EVENT.WITHDRAWN): _NONE,
    (_NONE, _EVENT.PEER_ASKED): _IN,
    (_OUT, _EVENT.PEER_ASKED): _TRUSTED,  # both asked: mutual
    (_IN, _EVENT.PEER_ASKED): _IN,
    (_TRUSTED, _EVENT.PEER_ASKED): _TRUSTED,  # the peer lost its book; ours stands
    (_REJECTED, _EVENT.PEER_ASKED): _IN,
    (_NONE, _EVENT.PEER_APPROVED): _NONE,  # nobody becomes trusted without having been asked for
    (_OUT, _EVENT.PEER_APPROVED): _TRUSTED,
    (_IN, _EVENT.PEER_APPROVED): _IN,
    (_TRUSTED, _EVENT.PEER_APPROVED): _TRUSTED,
    (_REJECTED, _EVENT.PEER_APPROVED): _REJECTED,
    (_NONE, _EVENT.PEER_HOLDS): _NONE,
    (_OUT, _EVENT.PEER_HOLDS): _OUT,
    (_IN, _EVENT.PEER_HOLDS): _IN,
    (_TRUSTED, _EVENT.PEER_HOLDS): _OUT,  # we believed in trust that the peer does not have any more
    (_REJECTED, _EVENT.PEER_HOLDS): _REJECTED,
    (_NONE, _EVENT.PEER_DECLINED): _NONE,
    (_OUT, _EVENT.PEER_DECLINED): _REJECTED,
    (_IN, _EVENT.PEER_DECLINED): _NONE,
    (_TRUSTED, _EVENT.PEER_DECLINED): _REJECTED,
    (_REJECTED, _EVENT.PEER_DECLINED): _REJECTED,
    (_NONE, _EVENT.PEER_WITHDREW): _NONE,
    (_OUT, _EVENT.PEER_WITHDREW): _NONE,
    (_IN, _EVENT.PEER_WITHDREW): _NONE,
    (_TRUSTED, _EVENT.PEER_WITHDREW): _NONE,
    (_REJECTED, _EVENT.PEER_WITHDREW): _REJECTED,
}
"""Every legal step; only approving and declining need a request to be there."""


def is_legal(state: TrustState, event: TrustEvent) -> bool:
    """Return whether ``event`` can happen in ``state``."""
    return (state, event) in TRANSITIONS


def after(state: TrustState, event: TrustEvent) -> TrustState:
    """Return the state that ``event`` leads to.

    Raises:
        InternalError: the step is not in the table; the caller asks :func:`is_legal` where a person can cause it.
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise InternalError(f"trust cannot go on from {state.value} by {event.value}") from None
