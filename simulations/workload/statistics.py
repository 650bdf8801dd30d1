"""Figures from samples: shares, quantiles, means; ``None`` where nothing was measured."""

from __future__ import annotations

from collections.abc import Sequence


def quantile(values: Sequence[float], share: float) -> float | None:
    """Return the value below which ``share`` (0..1) of the sorted values lie, by the nearest-rank rule."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def mean(values: Sequence[float]) -> float | None:
    """Return the mean."""
    return sum(values) / len(values) if values else None


def share(flags: Sequence[bool]) -> float | None:
    """Return the share of true ones, 0..1."""
    return sum(flags) / len(flags) if flags else None
