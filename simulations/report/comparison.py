"""Plots of single numbers: ours beside the baseline, and a figure against what a sweep varied."""

from __future__ import annotations

import statistics
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulations.report.canvas import Canvas, EndLabel, log_ticks, shown, styled
from simulations.report.groups import Group, groups_of, in_phase, runs_in_words
from simulations.report.over_time import NOT_MEASURED, say_ticks
from simulations.report.palette import LIGHT
from simulations.report.quantities import KEY_FIGURES, Better, number, quantity_of, with_unit
from simulations.results.result import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_ROWS = 14
"""Groups in one comparison; beyond, its labels could not be read."""

_ARROWS = {Better.HIGHER: "higher is better", Better.LOWER: "lower is better", Better.NEITHER: ""}


def bars(results: Sequence[Result], figures: Sequence[str] = KEY_FIGURES) -> Figure:
    """Draw figures as bars, ours beside the baseline, a column a figure and a row a group.

    Args:
        results: of one or several scenarios.
        figures: names of figures; those that no run has are left out.
    """
    groups = groups_of(results)
    rows = _rows_of(groups, figures)[:MAX_ROWS]
    figures = [name for name in figures if any(row.figures(name) for row in rows)][:5]
    places = _places_of(rows)
    with styled():
        height_in = 2.3 + 0.36 * max(4.0, max(places, default=0) + 1)
        canvas = Canvas("Side by side", runs_in_words(groups), panels=[""], height_in=height_in)
        if not figures:
            return canvas.say_empty("These runs left no figures to compare.")
        canvas.axes[0].set_axis_off()
        left, gap = 0.2, 0.012
        width = (0.99 - left - gap * (len(figures) - 1)) / len(figures)
        for column, name in enumerate(figures):
            place = (left + column * (width + gap), 0.3 / height_in, width, 1 - 2.15 / height_in)
            axes = canvas.figure.add_axes(place)
            axes.set_ylim(max(places) + 0.5, -0.5 + (0.3 if places[0] else 0.0))
            _draw_bars(axes, rows, places, name)
            if column == 0:
                _label_rows(axes, rows, places)
        return canvas.figure


def sweep(results: Sequence[Result], figure: str, over: str) -> Figure:
    """Draw a figure against a numeric option: a dot a run, a line through the medians.

    Args:
        results: runs that differ in the option.
        figure: name of the figure.
        over: name of the option.
    """
    quantity = quantity_of(figure)
    words = f"{quantity.words[:1].upper()}{quantity.words[1:]}"
    with styled():
        canvas = Canvas(
            shown(f"{words} against {_option(over)}", 80), runs_in_words(groups_of(results)), panels=[shown(words, 90)]
        )
        axes = canvas.axes[0]
        ends: list[EndLabel] = []
        every: list[float] = []
        places: list[float] = []
        for group in groups_of(results, ignoring=(over,)):
            at: dict[float, list[float]] = {}
            for run in group.runs:
                x, y = run.options.get(over), run.figures.get(figure)
                if isinstance(x, int | float) and y is not None:
                    at.setdefault(float(x), []).append(y)
            if not at:
                continue
            xs = sorted(at)
            medians = [statistics.median(at[x]) for x in xs]
            axes.plot(xs, medians, color=group.colour, linewidth=2.2, linestyle=group.dashes)
            axes.fill_between(
                xs, [min(at[x]) for x in xs], [max(at[x]) for x in xs], color=group.colour, alpha=0.13, linewidth=0
            )
            axes.plot(
                [x for x in xs for _ in at[x]],
                [y for x in xs for y in at[x]],
                "o",
                color=group.colour,
                markersize=5,
                alpha=0.6,
            )
            ends.append(
                EndLabel(
                    medians[-1], f"{shown(group.label, 40)}\n{with_unit(medians[-1], quantity.unit)}", group.colour
                )
            )
            every += [y for values in at.values() for y in values]
            places += xs
        if not every:
            return canvas.say_empty(NOT_MEASURED)
        _fit_sweep(axes, every, quantity.unit, places)
        say_ticks(axes, quantity.unit)
        canvas.label_ends(axes, ends)
        canvas.label_x(
            f"{_option(over)}; a dot a run, a line through the medians, a band from the lowest to the highest run"
        )
        return canvas.figure


@dataclass(frozen=True, slots=True)
class _Row:
    """A group in one of its phases."""

    group: Group
    phase: str
    heading: str

    def figures(self, name: str) -> list[float]:
        return self.group.figures(in_phase(self.phase, name))


def _rows_of(groups: Sequence[Group], figures: Sequence[str]) -> list[_Row]:
    """Return a row a group and phase, ours beside the baseline in each phase, a heading for scenario and phase."""
    several = len(dict.fromkeys(group.scenario for group in groups)) > 1
    rows = []
    for scenario in dict.fromkeys(group.scenario for group in groups):
        members = [group for group in groups if group.scenario == scenario]
        for phase in dict.fromkeys(phase for group in members for phase in group.phases(figures)):
            parts = (scenario if several else "", phase.replace("_", " "))
            heading = ": ".join(part for part in parts if part)
            rows += [_Row(group, phase, heading) for group in members if phase in group.phases(figures)]
    return rows


def _places_of(rows: Sequence[_Row]) -> list[float]:
    """Return the place of each row: one a row, and one for each heading."""
    places, place, heading = [], 0.0, ""
    for row in rows:
        if row.heading != heading:
            place += 1.15
            heading = row.heading
        places.append(place)
        place += 1.0
    return places


def _label_rows(axes: Axes, rows: Sequence[_Row], places: Sequence[float]) -> None:
    heading = ""
    across = axes.get_yaxis_transform()
    for place, row in zip(places, rows, strict=True):
        group = row.group
        text = shown(", ".join(filter(None, (group.implementation, group.variant))), 27)
        axes.text(-0.06, place, text, transform=across, ha="right", va="center", fontsize=10, color=group.colour)
        if row.heading != heading:
            heading = row.heading
            name = shown(heading, 24)
            axes.text(-0.06, place - 0.95, name, transform=across, ha="right", va="center", weight="bold")


def _draw_bars(axes: Axes, rows: Sequence[_Row], places: Sequence[float], name: str) -> None:
    quantity = quantity_of(name)
    top = max((max(values) for row in rows if (values := row.figures(name))), default=0.0) or 1.0
    for place, row in zip(places, rows, strict=True):
        values = row.figures(name)
        if not values:
            axes.text(top * 0.03, place, "not measured", va="center", fontsize=9, color=LIGHT["soft"])
            continue
        value = statistics.median(values)
        axes.barh(place, value, height=0.66, color=row.group.colour, linewidth=0)
        if max(values) - min(values) > top * 0.01:
            axes.plot([min(values), max(values)], [place, place], color=LIGHT["ink"], linewidth=1.4)
        axes.text(max(value, *values) + top * 0.04, place, with_unit(value, quantity.unit), va="center", fontsize=9.5)
    words = textwrap.fill(quantity.words[:1].upper() + quantity.words[1:], 15)
    axes.annotate(
        words, (0, 1), xytext=(0, 22), xycoords="axes fraction", textcoords="offset points", fontsize=10.5,
        weight="bold", linespacing=1.2, va="bottom",
    )  # fmt: skip
    axes.annotate(
        _ARROWS[quantity.better], (0, 1), xytext=(0, 8), xycoords="axes fraction", textcoords="offset points",
        fontsize=9, color=LIGHT["soft"],
    )  # fmt: skip
    axes.set_xlim(0, top * 1.62)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[["top", "right", "bottom"]].set_visible(False)


def _option(name: str) -> str:
    return name.removesuffix("_s").replace("_", " ")


def _fit_sweep(axes: Axes, every: Sequence[float], unit: str, places: Sequence[float]) -> None:
    low, high = min(every), max(every)
    if unit == "share" and high > 0.5:
        axes.set_ylim(max(-0.02, min(0.895, low - 0.05)), 1.008)
    elif unit == "s" and low > 0 and high / low > 20:
        axes.set_yscale("log")
        axes.set_ylim(low / 1.4, high * 1.4)
    else:
        axes.set_ylim(min(0.0, low * 1.05), high * 1.1 or 1.0)
    if min(places) > 0 and max(places) / min(places) > 8:
        axes.set_xscale("log")
        axes.set_xlim(min(places) / 1.1, max(places) * 1.1)
        log_ticks(axes, "x", number)
    elif len(dict.fromkeys(places)) <= 12:
        axes.set_xticks(sorted(dict.fromkeys(places)), [number(x) for x in sorted(dict.fromkeys(places))])
