"""Plots of scenarios about groups: who sees whom, how soon it is known, who is held for dead, whom messages reach."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING

from simulations.report.canvas import Canvas, EndLabel, log_ticks, shown, styled
from simulations.report.groups import groups_of, runs_in_words
from simulations.report.over_time import NOT_MEASURED, Line, Panel, draw_panels
from simulations.report.palette import LIGHT
from simulations.report.quantities import duration, number
from simulations.results.result import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VARIANTS = {"plain": "plain SWIM", "lifeguard": "with Lifeguard", "default": "pilotdht"}
"""Failure detectors that are compared, by the prefix of their figures."""

CLASSES = {
    "false_about_healthy": "Healthy members that somebody held for dead",
    "false_at_healthy": "Healthy members that a healthy one held for dead",
    "false_about_stalled": "Stalled members that somebody held for dead",
}
"""Classes of false positives, by the end of their figures."""

TIMES = {
    "notice_first": "first to notice a crash",
    "notice_all": "all notice a crash",
    "join_all": "all know a newcomer",
    "update_all": "all know a change",
}
"""Times that are held against formulas, by the beginning of their figures."""


def agreement(results: Sequence[Result]) -> Figure:
    """Draw how far what members see of each other is true, over time."""
    return draw_panels(
        "Membership over time",
        results,
        Panel("Share of members that are seen rightly, mean over all members", "share", (Line("agreement", ""),)),
        Panel("Share of members that see everybody rightly", "share", (Line("agreement_whole", ""),)),
    )


def coverage(results: Sequence[Result]) -> Figure:
    """Draw the share of living members that each message reached."""
    return draw_panels(
        "Whom messages reached",
        results,
        Panel("Share of members alive in the end that the message reached", "share", (Line("coverage", ""),)),
    )


def detection(results: Sequence[Result]) -> Figure:
    """Draw measured times beside those of the formulas, against the number of members."""
    sizes = sorted(dict.fromkeys(map(_size, results)))
    with styled():
        canvas = Canvas(
            "How soon it is known",
            runs_in_words(groups_of(results)),
            panels=["Mean time, measured (full) and by the formula (dashed)"],
        )
        axes = canvas.axes[0]
        ends: list[EndLabel] = []
        for strength, (name, words) in zip((1.0, 0.7, 0.85, 0.5), TIMES.items(), strict=True):
            measured = _points(results, sizes, f"{name}_s")
            expected = _points(results, sizes, f"{name}_formula_s")
            if not measured or not expected:
                continue
            axes.plot(*zip(*measured, strict=True), color=LIGHT["ours"], alpha=strength, linewidth=2.2, marker="o")
            axes.plot(*zip(*expected, strict=True), color=LIGHT["soft"], alpha=strength, linestyle=(0, (5, 2)))
            last_s = measured[-1][1]
            ends.append(EndLabel(last_s, f"{words}\n{duration(last_s)}", LIGHT["ours"]))
        if not ends:
            return canvas.say_empty(NOT_MEASURED)
        axes.set_xscale("log")
        axes.set_yscale("log")
        log_ticks(axes, "x", number)
        log_ticks(axes, "y", duration)
        canvas.label_ends(axes, ends)
        canvas.label_x("Members")
        return canvas.figure


def false_positives(results: Sequence[Result]) -> Figure:
    """Draw how many members that were there were held for dead, by failure detector and class."""
    counts = {(variant, kind): _median(results, None, f"{variant}_{kind}") for variant in VARIANTS for kind in CLASSES}
    with styled():
        canvas = Canvas(
            "Members held for dead that were there", runs_in_words(groups_of(results)), panels=list(CLASSES.values())
        )
        if all(count is None for count in counts.values()):
            return canvas.say_empty(NOT_MEASURED)
        for axes, kind in zip(canvas.axes, CLASSES, strict=True):
            values = [counts[variant, kind] or 0.0 for variant in VARIANTS]
            colours = [LIGHT["baseline"], LIGHT["soft"], LIGHT["ours"]]
            axes.barh(range(len(VARIANTS)), values, color=colours, height=0.62)
            axes.invert_yaxis()
            axes.set_yticks(range(len(VARIANTS)), list(VARIANTS.values()))
            for place, value in enumerate(values):
                axes.annotate(number(value), (value, place), xytext=(5, 0), textcoords="offset points", va="center")
        canvas.axes[0].set_xlim(0, 1.1 * max([count or 0.0 for count in counts.values()] + [1.0]))
        canvas.label_x(shown("Events: one member held for dead by one other one, once", 90))
        return canvas.figure


def _points(results: Sequence[Result], sizes: Sequence[float], name: str) -> list[tuple[float, float]]:
    """Return the sizes at which a figure was measured, with its medians."""
    return [(size, value) for size in sizes if (value := _median(results, size, name)) is not None]


def _size(run: Result) -> float:
    nodes = run.options.get("nodes")
    return float(nodes) if isinstance(nodes, int | float) else 0.0


def _median(results: Sequence[Result], size: float | None, name: str) -> float | None:
    """Return the median of a figure over the runs of one size, or over all."""
    values = [
        value
        for run in results
        if (size is None or _size(run) == size) and (value := run.figures.get(name)) is not None
    ]
    return statistics.median(values) if values else None
