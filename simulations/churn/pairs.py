"""Who asks for whom while the network is in trouble: choices of pairs for measured lookups."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from simulations.population.population import Slot
from simulations.workload.probes import Choose

TRIES = 64
"""Pairs drawn before it is said that there is none: with one of ten fitting, 64 miss once in a thousand."""

Side = Callable[[str], int]
"""Tells the side of a cut by host."""


def pairs_where(choose: Choose, fits: Callable[[Slot, Slot], bool]) -> Choose:
    """Return a choice among the pairs of another that fit: the asker, and who is asked for."""

    def narrowed(random: Random) -> tuple[Slot, Slot] | None:
        for _ in range(TRIES):
            pair = choose(random)
            if pair is None or fits(*pair):
                return pair
        return None

    return narrowed


def inside_sides(choose: Choose, side_of: Side) -> Choose:
    """Return a choice of pairs on one side."""
    return pairs_where(choose, lambda asker, other: _side(asker, side_of) == _side(other, side_of))


def across_sides(choose: Choose, side_of: Side) -> Choose:
    """Return a choice of pairs on two sides."""
    return pairs_where(choose, lambda asker, other: _side(asker, side_of) != _side(other, side_of))


def has_joined(slot: Slot) -> bool:
    """Return whether a participant runs and knows anybody."""
    return slot.member is not None and slot.is_up and len(slot.member.contacts()) > 0


def _side(slot: Slot, side_of: Side) -> int:
    return side_of(slot.identity.endpoint.host)
