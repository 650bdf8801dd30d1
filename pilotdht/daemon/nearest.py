"""The known name that somebody meant who wrote another one. Pure."""

from __future__ import annotations

from collections.abc import Iterable

ALIKE = 0.5
"""Least likeness of two names, of 1, that makes one a guess at the other."""


def nearest(name: str, known: Iterable[str], *, otherwise: str) -> str:
    """Return a hint towards the nearest known name, or ``otherwise`` when none is like it."""
    import difflib  # some 100 KiB, for mistakes alone

    near = difflib.get_close_matches(name, list(known), n=1, cutoff=ALIKE)
    return f"did you mean {near[0]!r}?" if near else otherwise
