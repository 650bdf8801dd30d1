"""How much a member doubts itself: who misses many answers is more likely sick than surrounded by the dead. Pure.

The score rises by one for each suspicion of ourselves that we had to refute, and for each nack that did not come while
a probe of ours failed; where nobody could be asked for one, for the failed probe itself. It falls by one for each probe
that was answered. Probes are spaced and waited for ``score + 1`` times as long, and a suspicion that has run out
becomes a verdict only after so many times its wait: who misses answers also misses objections. (The last rule is ours.)

Why nacks and not every failed probe: when those asked to help say in time that the target is silent, we hear well.

Source: Lifeguard (2018), section IV-A (local health aware probes); its authors' memberlist, `awareness.go`, `state.go`.
"""

from __future__ import annotations


class Awareness:
    """The score of one member of one group."""

    __slots__ = ("_most", "score")

    def __init__(self, most: int) -> None:
        """Begin healthy; ``most`` is the worst score, 0 for a member that never doubts itself."""
        self._most = most
        self.score = 0
        """0: healthy."""

    def worse(self, amount: int = 1) -> None:
        """Count signs that this member is slow."""
        self.score = min(self._most, self.score + amount)

    def better(self) -> None:
        """Count a sign that it is not."""
        self.score = max(0, self.score - 1)

    def scaled_s(self, duration_s: float) -> float:
        """Return a duration as a member in this state waits it."""
        return duration_s * (self.score + 1)
