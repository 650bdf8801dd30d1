"""Plots of single operations: how long they took, their hops, how many succeeded when, and why some failed."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulations.report.canvas import Canvas, EndLabel, headroom, log_ticks, share_ticks, shown, styled
from simulations.report.groups import Group, groups_of, runs_in_words
from simulations.report.over_time import LEAST_S, NOT_MEASURED, marks_of, time_unit
from simulations.report.palette import LIGHT
from simulations.report.quantities import duration, with_unit
from simulations.results.result import Result, Samples

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_POINTS = 600
"""Points of a curve: more than a plot has pixels for, and a page must stay small."""

MAX_HOPS = 24
"""Bars of a histogram; what is beyond is counted in the last one."""

WINDOWS = 40
"""Windows of time in which shares are counted."""

LEAST_SAMPLES = 10
"""A share of fewer operations says nothing, and is not drawn."""

_WORDS = {"lookup": "Lookups", "publish": "Writes", "join": "Joins"}


def lookup_latency(results: Sequence[Result]) -> Figure:
    """Draw the share of lookups that had found within a time."""
    return _latency(results, "lookup", "Lookup latency", "Share of lookups that had found within this time")


def publish_latency(results: Sequence[Result]) -> Figure:
    """Draw the share of writes that had succeeded within a time."""
    return _latency(results, "publish", "Write latency", "Share of writes that were acknowledged within this time")


def join_latency(results: Sequence[Result]) -> Figure:
    """Draw the share of newcomers that had joined within a time."""
    return _latency(
        results, "join", "Join latency", "Share of newcomers that were part of the network within this time"
    )


def hops(results: Sequence[Result]) -> Figure:
    """Draw how many hops the lookups made that found."""
    groups = groups_of(results)
    counted = [(group, _hop_counts(group)) for group in groups]
    silent = [group for group, counts in counted if not counts and group.samples("lookup")]
    counted = [(group, counts) for group, counts in counted if counts]
    with styled():
        canvas = Canvas("Hops of a lookup", runs_in_words(groups), panels=["Share of the lookups that found"])
        axes = canvas.axes[0]
        if not counted:
            return canvas.say_empty("No lookup tells its hops here." if silent else NOT_MEASURED)
        each = 0.8 / len(counted)
        first = min(min(counts) for _, counts in counted)
        last = max(max(counts) for _, counts in counted)
        for number, (group, counts) in enumerate(counted):
            total = sum(counts.values())
            places = [hop - 0.4 + each * (number + 0.5) for hop in counts]
            heights = [count / total for count in counts.values()]
            alpha = 1.0 - 0.25 * (group.rank % 4)
            axes.bar(places, heights, width=each * 0.92, color=group.colour, alpha=alpha, linewidth=0)
            if len(counted) <= 2:
                for x, height in zip(places, heights, strict=True):
                    axes.annotate(
                        with_unit(round(height, 3), "share"), (x, height), xytext=(0, 3), textcoords="offset points",
                        ha="center", fontsize=9, color=group.colour,
                    )  # fmt: skip
        axes.set_xlim(first - 0.7, last + 0.7)
        axes.set_xticks(
            range(first, last + 1), [f"{hop}+" if hop == MAX_HOPS else str(hop) for hop in range(first, last + 1)]
        )
        axes.set_ylim(0, axes.get_ylim()[1] * 1.06)
        share_ticks(axes)
        labels = [f"{shown(group.label, 40)}\nmean {_mean_hops(counts):.2f}" for group, counts in counted]
        ends = [
            EndLabel(axes.get_ylim()[1] * (0.9 - 0.18 * number), label, group.colour)
            for number, ((group, _), label) in enumerate(zip(counted, labels, strict=True))
        ]
        ends += [EndLabel(0.0, f"{shown(group.label, 40)}\ndoes not tell hops", group.colour) for group in silent]
        canvas.label_ends(axes, ends)
        canvas.label_x("Hops: rounds of contacts between the asker and the answer")
        return canvas.figure


def availability(results: Sequence[Result]) -> Figure:
    """Draw the share of lookups, writes and joins that succeeded in each window of time, a panel each."""
    groups = groups_of(results)
    marks = marks_of(groups)
    every = [samples for group in groups for name in _WORDS for samples in group.samples(name)]
    span_s = (
        min((min(samples.times_s) for samples in every), default=0.0),
        max((max(samples.times_s) for samples in every), default=1.0),
    )
    counted = {
        name: [(group, windows) for group in groups if (windows := _windows(group.samples(name), *span_s)).times_s]
        for name in _WORDS
    }
    counted = {name: found for name, found in counted.items() if any(len(one.times_s) > 1 for _, one in found)}
    panels = [f"Share of {_WORDS[name].lower()} begun in each window that succeeded" for name in counted]
    with styled():
        canvas = Canvas("Availability over time", runs_in_words(groups), panels=panels or [""])
        if not counted:
            return canvas.say_empty("Too few operations to speak of shares." if every else NOT_MEASURED)
        unit_s, unit = time_unit(span_s[1])
        for axes, found in zip(canvas.axes, counted.values(), strict=True):
            ends = []
            for group, windows in found:
                times = [time_s / unit_s for time_s in windows.times_s]
                axes.plot(times, windows.shares, color=group.colour, linestyle=group.dashes, linewidth=2.2)
                axes.fill_between(times, windows.low, windows.high, color=group.colour, alpha=0.13, linewidth=0)
                ends.append(EndLabel(windows.shares[-1], shown(group.label, 44).replace(", ", "\n", 1), group.colour))
            lowest = min(share for _, windows in found for share in windows.shares)
            axes.set_ylim(max(-0.02, min(0.895, lowest - 0.05)), 1.008)
            if axes is canvas.axes[0] and marks:
                headroom(axes)
            share_ticks(axes)
            canvas.label_ends(axes, ends)
        margin_s = 0.01 * (span_s[1] - span_s[0])
        canvas.axes[0].set_xlim((span_s[0] - margin_s) / unit_s, (span_s[1] + margin_s) / unit_s)
        canvas.draw_marks(marks, per_unit_s=unit_s)
        canvas.label_x(f"Virtual time since the run began, {unit}; bands: 95 % confidence")
        return canvas.figure


def errors(results: Sequence[Result]) -> Figure:
    """Draw why lookups failed."""
    groups = groups_of(results)
    shares = [_error_shares(group) for group in groups]
    worst: dict[str, float] = {}
    for code, part in ((code, part) for found in shares for code, part in found.items()):
        worst[code] = max(part, worst.get(code, 0.0))
    codes = sorted(worst, key=lambda code: (-worst[code], code))[:8]
    with styled():
        height_in = 1.9 + max(1.6, len(codes) * (0.3 * len(groups) + 0.3))
        canvas = Canvas(
            "Why lookups failed",
            runs_in_words(groups),
            panels=["Share of all lookups that ended so"],
            height_in=height_in if codes else 0.0,
        )
        axes = canvas.axes[0]
        if not codes:
            is_measured = any(group.samples("lookup") for group in groups)
            return canvas.say_empty("No lookup failed." if is_measured else NOT_MEASURED)
        each, top = 0.8 / len(groups), max(worst.values())
        for number, (group, found) in enumerate(zip(groups, shares, strict=True)):
            places = [row - 0.4 + each * (number + 0.5) for row in range(len(codes))]
            values = [found.get(code, 0.0) for code in codes]
            alpha = 1.0 - 0.25 * (group.rank % 4)
            axes.barh(places, values, height=each * 0.9, color=group.colour, alpha=alpha, linewidth=0)
            for place, value in zip(places, values, strict=True):
                text = f"{with_unit(value, 'share')}  {shown(group.label, 40)}"
                axes.text(value + top * 0.012, place, text, va="center", fontsize=9.5, color=group.colour)
        axes.set_yticks(range(len(codes)), [shown(code.replace("_", " "), 22) for code in codes], color=LIGHT["ink"])
        axes.set_position((0.2, 0.25 / height_in, 0.6, axes.get_position().y1 - 0.25 / height_in))
        axes.invert_yaxis()
        axes.grid(visible=False)
        axes.set_xlim(0, top * 1.05)
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
        return canvas.figure


def wilson(successes: int, total: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of a share.

    Source: Wilson, "Probable inference" (1927): true to its level for shares near 0 and 1, and for few samples.
    """
    z, share = 1.96, successes / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total)) / (1 + z * z / total)
    return max(0.0, middle - half), min(1.0, middle + half)


def _latency(results: Sequence[Result], name: str, title: str, panel: str) -> Figure:
    groups = groups_of(results)
    with styled():
        canvas = Canvas(title, runs_in_words(groups), panels=[panel])
        axes = canvas.axes[0]
        curves = []
        for group in groups:
            runs = group.samples(name)
            total = sum(len(samples.are_ok) for samples in runs)
            found = sorted(
                max(duration_s, LEAST_S)
                for samples in runs
                for duration_s, is_ok in zip(samples.durations_s, samples.are_ok, strict=True)
                if is_ok
            )
            if found:
                curves.append((group, found, total))
        if not curves:
            is_measured = any(group.samples(name) for group in groups)
            return canvas.say_empty(f"None of the {_WORDS[name].lower()} succeeded." if is_measured else NOT_MEASURED)
        low = min(found[0] for _, found, _ in curves) / 1.15
        high = max(found[-1] for _, found, _ in curves) * 1.15
        axes.set_xscale("log")
        axes.set_xlim(low, high)
        axes.set_ylim(0, 1.015)
        ends = [_draw_distribution(axes, group, found, total, high) for group, found, total in curves]
        log_ticks(axes, "x", duration)
        share_ticks(axes)
        canvas.label_ends(axes, ends)
        canvas.label_x(
            "Time, logarithmic, at least 1 ms; what failed never arrives, so a curve ends at the share that succeeded"
        )
        return canvas.figure


def _draw_distribution(axes: Axes, group: Group, found: list[float], total: int, high: float) -> EndLabel:
    count = len(found)
    ranks = sorted(dict.fromkeys([*(round(one * (count - 1) / MAX_POINTS) for one in range(MAX_POINTS + 1))]))
    xs = [found[rank] for rank in ranks]
    ys = [bisect_right(found, x) / total for x in xs]
    axes.plot(
        [xs[0], *xs, high], [0.0, *ys, ys[-1]], drawstyle="steps-post", color=group.colour, linewidth=2.2,
        linestyle=group.dashes,
    )  # fmt: skip
    words = [f"{shown(group.label, 44)}"]
    for share, name in ((0.5, "half"), (0.95, "95 %")):
        rank = math.ceil(share * total) - 1
        if rank < count:
            axes.plot([found[rank]], [share], marker="o", markersize=7, color=group.colour, markeredgecolor="white")
            words.append(f"{name} in {duration(found[rank])}")
    words.append(f"{with_unit(count / total, 'share')} ever")
    return EndLabel(count / total, "\n".join(words), group.colour)


def _hop_counts(group: Group) -> dict[int, int]:
    counts: dict[int, int] = {}
    for samples in group.samples("lookup"):
        for hop, is_ok in zip(samples.hops, samples.are_ok, strict=True):
            if hop is not None and is_ok:
                held = min(max(0, hop), MAX_HOPS)
                counts[held] = counts.get(held, 0) + 1
    return dict(sorted(counts.items()))


def _mean_hops(counts: dict[int, int]) -> float:
    return sum(hop * count for hop, count in counts.items()) / sum(counts.values())


def _error_shares(group: Group) -> dict[str, float]:
    runs = group.samples("lookup")
    total = sum(len(samples.are_ok) for samples in runs)
    shares: dict[str, float] = {}
    for samples in runs:
        for code, count in samples.errors.items():
            shares[code] = shares.get(code, 0.0) + count / total
    return shares


@dataclass(frozen=True, slots=True)
class _Windows:
    times_s: list[float]
    shares: list[float]
    low: list[float]
    high: list[float]


def _windows(runs: Sequence[Samples], first_s: float, last_s: float) -> _Windows:
    """Return the share that succeeded in each window, and its confidence; windows with few operations are left out."""
    operations = sum(len(samples.times_s) for samples in runs)
    count = min(WINDOWS, max(8, operations // 60))
    width_s = ((last_s - first_s) or 1.0) / count
    totals, successes = [0] * count, [0] * count
    for samples in runs:
        for time_s, is_ok in zip(samples.times_s, samples.are_ok, strict=True):
            window = min(count - 1, int((time_s - first_s) / width_s))
            totals[window] += 1
            successes[window] += is_ok
    windows = _Windows([], [], [], [])
    for window, total in enumerate(totals):
        if total >= LEAST_SAMPLES:
            low, high = wilson(successes[window], total)
            windows.times_s.append(first_s + (window + 0.5) * width_s)
            windows.shares.append(successes[window] / total)
            windows.low.append(low)
            windows.high.append(high)
    return windows
