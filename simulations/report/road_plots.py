"""Plots of scenarios about tunnels: which road each pair of surroundings gets, and how soon there is an answer."""

from __future__ import annotations

import statistics
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulations.report.canvas import Canvas, EndLabel, log_ticks, share_ticks, styled
from simulations.report.groups import groups_of, runs_in_words
from simulations.report.over_time import LEAST_S, NOT_MEASURED
from simulations.report.palette import LIGHT
from simulations.report.quantities import duration, number
from simulations.results.result import Links, Result
from simulations.roads.mix import SURROUNDINGS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROADS = {
    "local": ("in one network", "third"),
    "direct": ("direct", "ours"),
    "punched": ("punched", "fourth"),
    "chance": ("by chance", "adversary3"),
    "relayed": ("through a server", "baseline"),
    "": ("failed", "bad"),
}
"""What each kind of road is called, and the role whose colour it has."""

PLACES = (0.525, 0.055)
"""Where the two panels of the matrix begin, from below: names of columns stand below each."""

MAX_POINTS = 400
"""Points of a curve: more than a plot has pixels for."""


@dataclass(frozen=True, slots=True)
class _Row:
    """One tunnel."""

    pair: tuple[str, str]
    road: str
    first_byte_s: float | None
    direct_s: float | None


def roads(results: Sequence[Result]) -> Figure:
    """Draw for each pair of surroundings the shares of the roads that tunnels had in the end, and the median answer."""
    rows = list(_rows(results))
    with styled():
        panels = [
            "Roads in the end, with the number of tunnels: who stands behind what (rows) dials whom (columns)",
            "Median time from the name's answer to the first byte",
        ]
        canvas = Canvas("Roads between NATs", runs_in_words(groups_of(results)), panels=panels, height_in=12.0)
        if not rows:
            return canvas.say_empty(NOT_MEASURED)
        kinds = [name for name in SURROUNDINGS if any(name in row.pair for row in rows)]
        pairs: dict[tuple[str, str], list[_Row]] = {}
        for row in rows:
            pairs.setdefault(row.pair, []).append(row)
        for axes, lower in zip(canvas.axes, PLACES, strict=True):
            _draw_grid(axes, kinds)
            axes.set_position((0.115, lower, 0.71, 0.38))
        for pair, found in pairs.items():
            _draw_shares(canvas.axes[0], kinds, pair, found)
            times = [row.first_byte_s for row in found if row.first_byte_s is not None]
            if times:
                _draw_time(canvas.axes[1], kinds, pair, statistics.median(times))
        used = [road for road in ROADS if any(row.road == road for row in rows)]
        for place, road in enumerate(used):
            text, colour = _label(rows, road)
            whole = canvas.axes[0].transAxes
            canvas.axes[0].text(1.015, 0.98 - 0.1 * place, text, transform=whole, color=colour, va="top")
        return canvas.figure


def road_times(results: Sequence[Result]) -> Figure:
    """Draw the share of tunnels that had answered, and that were direct, within a time."""
    rows = list(_rows(results))
    with styled():
        panels = [
            "Share of all dialled tunnels that had answered within this time, by what the called one lets in",
            "Share of all dialled tunnels that were direct within this time, by how",
        ]
        canvas = Canvas(
            "Times to the first byte and to a direct road", runs_in_words(groups_of(results)), panels=panels
        )
        if not any(row.first_byte_s is not None for row in rows):
            return canvas.say_empty(NOT_MEASURED)
        open_rows = [row for row in rows if SURROUNDINGS[row.pair[1]].is_open]
        closed = [row for row in rows if not SURROUNDINGS[row.pair[1]].is_open]
        answers = [
            ("strangers reach it", "ours", [row.first_byte_s for row in open_rows], len(open_rows)),
            ("strangers do not", "baseline", [row.first_byte_s for row in closed], len(closed)),
        ]
        directs = [
            (words, role, [row.direct_s for row in rows if row.road == road], len(rows))
            for road, (words, role) in ROADS.items()
            if road not in ("relayed", "")
        ]
        every = [row.first_byte_s for row in rows] + [row.direct_s for row in rows]
        times = [max(one, LEAST_S) for one in every if one is not None]
        canvas.axes[0].set_xscale("log")
        canvas.axes[0].set_xlim(min(times) / 1.15, max(times) * 1.15)
        for axes, curves in zip(canvas.axes, (answers, directs), strict=True):
            axes.set_ylim(0, 1.015 if curves is answers else None)
            canvas.label_ends(axes, [end for curve in curves if (end := _draw_curve(axes, *curve)) is not None])
            share_ticks(axes)
        log_ticks(canvas.axes[1], "x", duration)
        canvas.label_x("Time since the name was answered, logarithmic")
        return canvas.figure


def _rows(results: Sequence[Result]) -> Iterator[_Row]:
    """Yield the tunnels of all runs between surroundings that are known here; a file may name others."""
    for links in (run.links for run in results if run.links is not None):
        yield from _rows_of(links)


def _rows_of(links: Links) -> Iterator[_Row]:
    for pair, road, first_byte_s, direct_s in zip(
        zip(links.callers, links.called, strict=True), links.roads, links.first_byte_s, links.direct_s, strict=True
    ):
        if all(name in SURROUNDINGS for name in pair) and road in ROADS:
            yield _Row(pair, road, first_byte_s, direct_s)


def _draw_grid(axes: Axes, kinds: Sequence[str]) -> None:
    words = [name.replace("_", "\n") for name in kinds]
    axes.set_xlim(0, len(kinds))
    axes.set_ylim(len(kinds), 0)
    places = [place + 0.5 for place in range(len(kinds))]
    axes.set_xticks(places, words, fontsize=9.5)
    axes.set_yticks(places, words, fontsize=9.5)
    axes.tick_params(axis="both", length=0, labelbottom=True)
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)


def _draw_shares(axes: Axes, kinds: Sequence[str], pair: tuple[str, str], found: Sequence[_Row]) -> None:
    from matplotlib.patches import Rectangle

    left, top = float(kinds.index(pair[1])), float(kinds.index(pair[0]))
    for road, (_, role) in ROADS.items():
        width = 0.94 * sum(1 for row in found if row.road == road) / len(found)
        if width:
            axes.add_patch(
                Rectangle((left + 0.03, top + 0.04), width, 0.92, color=LIGHT[role], alpha=0.55, linewidth=0)
            )
            left += width
    middle = (kinds.index(pair[1]) + 0.5, top + 0.5)
    axes.text(*middle, number(float(len(found))), ha="center", va="center", fontsize=9.5, color=LIGHT["ink"])


def _draw_time(axes: Axes, kinds: Sequence[str], pair: tuple[str, str], median_s: float) -> None:
    from matplotlib.patches import Rectangle

    left, top = kinds.index(pair[1]), kinds.index(pair[0])
    strength = min(0.8, median_s)  # a second and more is as bad as it gets
    axes.add_patch(
        Rectangle((left + 0.03, top + 0.04), 0.94, 0.92, color=LIGHT["baseline"], alpha=strength, linewidth=0)
    )
    text = duration(median_s)
    axes.text(left + 0.5, top + 0.5, text, ha="center", va="center", fontsize=9.5, color=LIGHT["ink"])


def _label(rows: Sequence[_Row], road: str) -> tuple[str, str]:
    words, role = ROADS[road]
    part = sum(1 for row in rows if row.road == road) / len(rows)
    return f"{words}\n{part * 100:.3g} %", LIGHT[role]


def _draw_curve(axes: Axes, words: str, role: str, values: Sequence[float | None], total: int) -> EndLabel | None:
    """Draw the share of ``total`` that had come within each time; nothing when none came."""
    found = sorted(max(value, LEAST_S) for value in values if value is not None)
    if not found:
        return None
    count = len(found)
    ranks = dict.fromkeys(round(one * (count - 1) / MAX_POINTS) for one in range(MAX_POINTS + 1))
    xs = [found[rank] for rank in ranks]
    ys = [bisect_right(found, x) / total for x in xs]
    end = axes.get_xlim()[1]
    axes.plot([xs[0], *xs, end], [0.0, *ys, ys[-1]], drawstyle="steps-post", color=LIGHT[role], linewidth=2.2)
    return EndLabel(ys[-1], f"{words}\nhalf of them in {duration(found[(count - 1) // 2])}", LIGHT[role])
