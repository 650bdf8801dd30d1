"""What each member sees of all others, held against the truth: as bit masks, bit ``n`` for member ``n``. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far what members see is true."""

    pairs: float | None
    """Share (0..1) of pairs of an observer and a member that is there, or is seen, in which it is both."""
    observers: float | None
    """Share of observers that see everybody rightly."""


def mask_of(numbers: Iterable[int]) -> int:
    """Return the mask of some members."""
    mask = 0
    for number in numbers:
        mask |= 1 << number
    return mask


def agreement(views: Mapping[int, int], truth: Mapping[int, int], undecided: int = 0) -> Agreement:
    """Compare views with what is true for each observer.

    Args:
        views: what each member sees, itself included.
        truth: what each should see; who is missing here is no observer.
        undecided: members about whom nothing is right or wrong, as they are just coming.
    """
    decided = ~undecided
    wrong = whole = pairs = 0
    for number, wanted in truth.items():
        seen, there = views.get(number, 0) & decided, wanted & decided
        errors = (seen ^ there).bit_count()
        wrong += errors
        whole += errors == 0
        pairs += (seen | there).bit_count()
    if not truth or not pairs:
        return Agreement(None, None)
    return Agreement(1 - wrong / pairs, whole / len(truth))
