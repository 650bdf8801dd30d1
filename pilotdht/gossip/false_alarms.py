"""Who accuses members that then prove to be well: a liar, or somebody too sick to judge. Pure.

After refuted accusations of some different members within a window an accuser's word is not enough to suspect anybody:
it only makes us look for ourselves. After as many of one member its word about that one is not enough. So a liar costs
a group a few refutations, and cannot keep it busy; and who answers nobody but always objects does not make all those
that it did not answer unreliable about others.
"""

from __future__ import annotations

from collections import OrderedDict, deque

from pilotdht.identity.ids import NodeId

_ACCUSERS_KEPT = 1024
"""Accusers remembered; the one that erred longest ago is forgotten first."""


class FalseAlarms:
    """Refuted accusations of the last minutes, by accuser."""

    def __init__(self, *, most: int, window_s: float) -> None:
        """Remember none yet.

        Args:
            most: so many suspects within the window make an accuser unreliable, and so many alarms about one of them
                unreliable about that one.
            window_s: how long each counts.
        """
        self._most = most
        self._window_s = window_s
        self._refuted: OrderedDict[NodeId, OrderedDict[NodeId, deque[float]]] = OrderedDict()

    def __len__(self) -> int:
        """Return how many accusers are remembered."""
        return len(self._refuted)

    def refuted(self, accuser: NodeId, suspect: NodeId, now: float) -> None:
        """Note that an accusation turned out to be wrong."""
        suspects = self._refuted.setdefault(accuser, OrderedDict())
        suspects.setdefault(suspect, deque(maxlen=self._most)).append(now)
        suspects.move_to_end(suspect)
        if len(suspects) > self._most:
            suspects.popitem(last=False)
        self._refuted.move_to_end(accuser)
        if len(self._refuted) > _ACCUSERS_KEPT:
            self._refuted.popitem(last=False)

    def is_unreliable(self, accuser: NodeId, suspect: NodeId, now: float) -> bool:
        """Return whether an accuser erred so often that its word about a suspect is not enough."""
        suspects = self._refuted.get(accuser)
        if suspects is None:
            return False
        oldest = now - self._window_s
        if sum(times[-1] > oldest for times in suspects.values()) >= self._most:
            return True
        times = suspects.get(suspect)
        return times is not None and len(times) == self._most and times[0] > oldest
