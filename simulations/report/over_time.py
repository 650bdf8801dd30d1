"""Plots over virtual time: a line a group, the median of its runs, and a band between its lowest and highest run."""

from __future__ import annotations

import dataclasses
import math
import statistics
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from simulations.report.canvas import (
    Canvas,
    EndLabel,
    headroom,
    log_ticks,
    number_ticks,
    share_ticks,
    shown,
    styled,
)
from simulations.report.groups import Group, groups_of, runs_in_words
from simulations.report.quantities import duration, quantity_of, with_unit
from simulations.results.result import Mark, Result, Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BREAK = 3.5
"""A gap of so many usual intervals is drawn as a gap: nothing was measured there."""

MANY = 3
"""So many groups at most are drawn with several lines each."""

LEAST_S = 0.001
"""A logarithmic axis of times begins here at the lowest: faster answers came from the asker itself."""

NOT_MEASURED = "This run measured nothing of this."

_UNITS = ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))


@dataclass(frozen=True, slots=True)
class Curve:
    """A quantity of a group over time; lists of equal length, ``nan`` where nothing was measured."""

    times_s: list[float]
    """Virtual seconds."""
    middle: list[float]
    """Median over the runs."""
    low: list[float]
    """Lowest run."""
    high: list[float]
    """Highest run."""

    @property
    def last(self) -> float:
        """The last value that is there; ``nan`` when there is none."""
        return next((value for value in reversed(self.middle) if not math.isnan(value)), math.nan)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a panel."""

    series: str
    """Name of the series."""
    words: str
    """What distinguishes it from the panel's other lines; empty when it is alone."""
    strength: float = 1.0
    """Opacity, 0..1: of two lines of one colour the lesser one is paler."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel: lines of one unit."""

    title: str
    """What it shows, with its unit."""
    unit: str
    """As in :class:`Series`."""
    lines: tuple[Line, ...]
    """What is drawn."""


def success_and_latency(results: Sequence[Result]) -> Figure:
    """Draw the share of lookups that found, and how long they took."""
    return draw_panels(
        "Lookups over time",
        results,
        Panel(
            "Share of lookups that found the record its owner published last", "share", (Line("lookup_success", ""),)
        ),
        Panel(
            "Time a lookup took",
            "s",
            (Line("lookup_p50_s", "median"), Line("lookup_p95_s", "95th percentile", strength=0.55)),
        ),
    )


def traffic(results: Sequence[Result]) -> Figure:
    """Draw messages and bytes that a node sends a second."""
    return draw_panels(
        "Traffic over time",
        results,
        Panel("Messages that a node sends a second", "1/s", (Line("messages_per_node_s", ""),)),
        Panel(
            "Bytes that a node sends a second, UDP and IP headers included", "bytes/s", (Line("bytes_per_node_s", ""),)
        ),
    )


def tables(results: Sequence[Result]) -> Figure:
    """Draw contacts in a routing table, and the share of them that are dead."""
    return draw_panels(
        "Routing tables over time",
        results,
        Panel("Contacts in a node's routing table, mean", "", (Line("contacts", ""),)),
        Panel("Share of these contacts that are not up", "share", (Line("dead_contacts", ""),)),
    )


def population(results: Sequence[Result]) -> Figure:
    """Draw the number of nodes that are up."""
    return draw_panels("Nodes up over time", results, Panel("Nodes that are up", "", (Line("up", ""),)))


def heal(results: Sequence[Result]) -> Figure:
    """Draw how the network grows together again after a cut; time counts from the mark that says ``healed``."""
    names = [name for name in series_names(results) if name == "heal" or name.startswith("heal_")]
    lines = tuple(Line(name, name.removeprefix("heal").replace("_", " ").strip()) for name in names)
    panel = Panel("Share of lookups across the former cut that find", "share", lines or (Line("heal", ""),))
    shifted = [_since_healed(run, names) for run in results]
    has_mark = all(run.marks for run in shifted)
    since = "the cut was healed" if has_mark else "the run began"
    return draw_panels("Healing after the cut", shifted if has_mark else results, panel, since=since)


def one_series(results: Sequence[Result], name: str) -> Figure:
    """Draw a series that a scenario keeps of its own."""
    unit = next((run.series[name].unit for run in results if name in run.series), "")
    words = quantity_of(name).words
    title = f"{words[:1].upper()}{words[1:]}"
    return draw_panels(f"{shown(title, 60)} over time", results, Panel(shown(title, 90), unit, (Line(name, ""),)))


def series_names(results: Sequence[Result]) -> list[str]:
    """Return the names of all series that have points, each once."""
    return list(
        dict.fromkeys(
            name
            for run in results
            for name, one in run.series.items()
            if any(value is not None for value in one.values)
        )
    )


def median_curve(series: Sequence[Series]) -> Curve:
    """Return median, lowest and highest of several runs at the times of the first run.

    Runs are compared between the points that they have; where a run measured nothing it does not count.
    """
    points = [_points_of(one) for one in series]
    times = _with_breaks(points[0][0])
    middle, low, high = [], [], []
    for time_s in times:
        here = [] if math.isnan(time_s) else [value for one in points if (value := _at(one, time_s)) is not None]
        middle.append(statistics.median(here) if here else math.nan)
        low.append(min(here, default=math.nan))
        high.append(max(here, default=math.nan))
    return Curve(times, middle, low, high)


def time_unit(seconds: float) -> tuple[float, str]:
    """Return the unit that suits an axis of so many seconds: its length in seconds, and its name."""
    return next(((size, name) for size, name in _UNITS if seconds >= 3 * size), (1.0, "seconds"))


def marks_of(groups: Sequence[Group]) -> list[Mark]:
    """Return the marks of the first run that has any: runs of one scenario tell one story."""
    return next((run.marks for group in groups for run in group.runs if run.marks), [])


def say_ticks(axes: Axes, unit: str) -> None:
    """Label the y axis in its unit."""
    if unit == "share":
        share_ticks(axes)
    elif axes.get_yscale() == "log":
        log_ticks(axes, "y", lambda value: with_unit(value, unit))
    else:
        number_ticks(axes, lambda value: duration(value) if unit == "s" else with_unit(value, unit))


def _since_healed(run: Result, names: Sequence[str]) -> Result:
    """Return the run with some of its series alone, in time since it was healed; without marks when it never was."""
    healed_s = next((mark.time_s for mark in run.marks if "heal" in mark.label.lower()), None)
    if healed_s is None:
        return dataclasses.replace(run, marks=[])
    kept = {}
    for name, one in run.series.items():
        if name in names:
            pairs = [
                (at - healed_s, value) for at, value in zip(one.times_s, one.values, strict=True) if at >= healed_s
            ]
            times, values = [at for at, _ in pairs], [value for _, value in pairs]
            kept[name] = Series(unit=one.unit, times_s=times, values=values)
    return dataclasses.replace(run, series=kept, marks=[Mark(time_s=0.0, label="healed")])


def draw_panels(title: str, results: Sequence[Result], *panels: Panel, since: str = "the run began") -> Figure:
    """Draw series over time, with the marks of what happened.

    Args:
        title: of the plot.
        results: the runs; those that differ in their seed alone are one line.
        panels: from the top.
        since: what time counts from.
    """
    groups = groups_of(results)
    if len(groups) > MANY:  # lines of one panel that differ in strength alone could not be told apart any more
        panels = tuple(
            dataclasses.replace(
                panel, title=", ".join(filter(None, (panel.title, panel.lines[0].words))), lines=panel.lines[:1]
            )
            for panel in panels
        )
    marks = marks_of(groups)
    with styled():
        canvas = Canvas(title, runs_in_words(groups), panels=[panel.title for panel in panels])
        curves = {
            (index, line.series): median_curve(found)
            for index, group in enumerate(groups)
            for panel in panels
            for line in panel.lines
            if (found := group.series(line.series))
        }
        last_s = max((curve.times_s[-1] for curve in curves.values() if curve.times_s), default=None)
        if last_s is None:
            return canvas.say_empty(NOT_MEASURED)
        first_s = min(curve.times_s[0] for curve in curves.values() if curve.times_s)
        first_s = min([first_s, *(mark.time_s for mark in marks if mark.time_s >= 0)])
        unit_s, unit = time_unit(last_s)
        for axes, panel in zip(canvas.axes, panels, strict=True):
            ends = _draw_panel(axes, panel, groups, curves, unit_s)
            _fit(axes, panel, [curves[key] for key in curves if key[1] in [line.series for line in panel.lines]])
            if axes is canvas.axes[0] and marks:
                headroom(axes)
            say_ticks(axes, panel.unit)
            canvas.label_ends(axes, ends)
        span_s = (last_s - first_s) or 1.0
        canvas.axes[0].set_xlim((first_s - 0.01 * span_s) / unit_s, (last_s + 0.01 * span_s) / unit_s)
        canvas.draw_marks(marks, per_unit_s=unit_s)
        canvas.label_x(f"Virtual time since {since}, {unit}")
        return canvas.figure


def _draw_panel(
    axes: Axes, panel: Panel, groups: Sequence[Group], curves: dict[tuple[int, str], Curve], unit_s: float
) -> list[EndLabel]:
    ends = []
    for index, group in enumerate(groups):
        for line in panel.lines:
            curve = curves.get((index, line.series))
            if curve is None:
                continue
            times = [time_s / unit_s for time_s in curve.times_s]
            axes.plot(
                times, curve.middle, color=group.colour, linewidth=2.2 if line.strength == 1 else 1.6,
                linestyle=group.dashes, alpha=line.strength, solid_capstyle="round", solid_joinstyle="round",
                marker="o" if len(times) < 4 else "", markersize=5,
            )  # fmt: skip
            if len(group.runs) > 1:
                axes.fill_between(times, curve.low, curve.high, color=group.colour, alpha=0.13, linewidth=0)
            name = shown(group.label, 44).replace(", ", "\n", 1)
            ends.append(EndLabel(curve.last, f"{name}\n{line.words}" if line.words else name, group.colour))
    return ends


def _fit(axes: Axes, panel: Panel, curves: Sequence[Curve]) -> None:
    """Choose limits that neither hide a loss nor make noise look like one."""
    values = [value for curve in curves for value in (*curve.low, *curve.high) if math.isfinite(value)]
    if not values:
        axes.set_ylim(0, 1)
        return
    low, high = min(values), max(values)
    least = min((value for value in values if value > 0), default=1.0)
    if panel.unit == "share" and high > 0.5:
        axes.set_ylim(max(-0.02, min(0.895, low - 0.05 * (1.05 - low))), 1.008)
    elif panel.unit == "share":
        axes.set_ylim(0, max(0.052, high * 1.1))
    elif panel.unit == "s" and high / least > 20:
        axes.set_yscale("log", nonpositive="clip")
        axes.set_ylim(max(least, LEAST_S) / 1.4, high * 1.4)
    else:
        axes.set_ylim(min(0.0, low * 1.05), high * 1.1 or 1.0)


def _with_breaks(times: list[float]) -> list[float]:
    steps = [later - earlier for earlier, later in pairwise(times)]
    usual = statistics.median(steps) if steps else 0.0
    broken: list[float] = times[:1]
    for step, time_s in zip(steps, times[1:], strict=True):
        if step > BREAK * usual > 0:
            broken.append(math.nan)
        broken.append(time_s)
    return broken


def _points_of(series: Series) -> tuple[list[float], list[float | None]]:
    pairs = sorted(dict(zip(series.times_s, series.values, strict=False)).items())
    return [time_s for time_s, _ in pairs], [value for _, value in pairs]


def _at(points: tuple[list[float], list[float | None]], time_s: float) -> float | None:
    """Return a run's value at a time, between its neighbours; absent outside of what it measured."""
    times, values = points
    after = bisect_left(times, time_s)
    if after == len(times):
        return values[-1] if times and time_s - times[-1] < 1.0 else None
    if times[after] == time_s or after == 0:
        return values[after] if times[after] - time_s < 1.0 else None
    earlier, later = values[after - 1], values[after]
    if earlier is None or later is None:
        return None
    part = (time_s - times[after - 1]) / (times[after] - times[after - 1])
    return earlier + (later - earlier) * part


Draw = Callable[[Sequence[Result]], "Figure"]
"""A plot: from results to a figure."""
