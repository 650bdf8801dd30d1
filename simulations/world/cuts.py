"""Which hosts cannot reach each other: partitions by side, and rules of a scenario's own.

Pure: each rule is asked once for a host or a pair, and its answer kept.
"""

from __future__ import annotations

from collections.abc import Callable

SideOf = Callable[[str], int]
"""On which side of a cut a host is."""

Rule = Callable[[str, str], bool]
"""Whether datagrams from the first host to the second are kept back."""


class Cuts:
    """All that lies between hosts at present."""

    def __init__(self) -> None:
        """Make it with nothing in the way."""
        self._side_rule: SideOf | None = None
        self._is_one_way = False
        self._sides: dict[str, int] = {}
        self._rule: Rule | None = None
        self._pairs: dict[tuple[str, str], bool] = {}

    @property
    def is_whole(self) -> bool:
        """Whether everybody reaches everybody."""
        return self._side_rule is None and self._rule is None

    def cut(self, side_of: SideOf, *, one_way: bool) -> None:
        """Put hosts on sides; replaces an earlier cut."""
        self._side_rule, self._is_one_way = side_of, one_way
        self._sides = {}

    def block(self, rule: Rule) -> None:
        """Keep back what a rule says, besides a cut; replaces an earlier rule."""
        self._rule = rule
        self._pairs = {}

    def heal(self) -> None:
        """Take everything away."""
        self._side_rule, self._rule = None, None
        self._sides, self._pairs = {}, {}

    def side_of(self, host: str) -> int:
        """Return the side that a host is on; 0 when there is no cut."""
        if self._side_rule is None:
            return 0
        side = self._sides.get(host)
        if side is None:
            side = self._sides[host] = self._side_rule(host)
        return side

    def is_between(self, source: str, target: str) -> bool:
        """Return whether something keeps datagrams from the first host from the second."""
        if self._side_rule is not None:
            from_side, to_side = self.side_of(source), self.side_of(target)
            if from_side > to_side or (from_side < to_side and not self._is_one_way):
                return True
        if self._rule is None:
            return False
        is_kept_back = self._pairs.get((source, target))
        if is_kept_back is None:
            is_kept_back = self._pairs[source, target] = self._rule(source, target)
        return is_kept_back
