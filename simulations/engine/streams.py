"""Streams of randomness: one seed, and a stream of its own for everything that draws.

A stream is named by what draws from it, so that adding a link, a node or a probe does not reshuffle the others.
"""

from __future__ import annotations

import random


def stream(seed: int, *names: object) -> random.Random:
    """Return the generator that belongs to ``names`` under ``seed``; the same in every process.

    Args:
        seed: of the whole run.
        names: what draws: ``stream(7, "churn", 42)``.
    """
    return random.Random("/".join(str(part) for part in (seed, *names)))
