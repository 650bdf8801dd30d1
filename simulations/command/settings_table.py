"""The table of a sweep: a row for each setting."""

from __future__ import annotations

from collections.abc import Sequence

from simulations.command.output import Output, quantity
from simulations.results.result import Result
from simulations.sweep.spread import chosen_figures, settings_of


def show_settings(out: Output, results: Sequence[Result], figures: Sequence[str]) -> None:
    """Print a table: a row for each setting, the median of each figure, and its smallest and largest value.

    Args:
        out: where.
        results: of any number of settings.
        figures: names; empty: those that matter most.
    """
    settings = settings_of(results)
    if not settings:
        return
    varied = list(dict.fromkeys(name for one in settings for name in one.varied))
    names = list(figures) or chosen_figures(results)
    rows = []
    for one in settings:
        cells = [str(one.varied.get(name, "")) for name in varied]
        for name in names:
            spread = one.figures.get(name)
            cells.append(_spread_text(name, spread.median, spread.low, spread.high) if spread else "-")
        rows.append([*cells, f"{one.passed}/{len(one.seeds)}"])
    heads = [name.upper() for name in varied] + [name.upper() for name in names] + ["PASSED"]
    out.table(heads, rows, right=range(len(varied), len(heads)))


def _spread_text(name: str, median: float, low: float, high: float) -> str:
    if low == high:
        return quantity(name, median)
    return f"{quantity(name, median)} ({quantity(name, low)} .. {quantity(name, high)})"
