"""The paper of every plot: size, type, title, calm axes, labels at the ends of lines, marks of what happened.

matplotlib is imported when the first plot is drawn, through its object interface and the Agg renderer alone: no window
system, no global figures, and a command line that starts without it.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from pilotdht.errors import ConfigError
from simulations.report.palette import LIGHT
from simulations.results.result import Mark

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_IN = 10.0
"""Width of every plot, inches."""

DOTS_PER_INCH = 120
"""1,200 pixels wide."""

MAX_MARKS = 8
"""Marks with a label at most; more would cover the plot, and the rest is drawn as bare lines."""

_LINE_IN = 0.19
_STYLE: dict[Any, Any] = {  # its keys are literals to matplotlib alone
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 11.0,
    "text.parse_math": False,  # labels come from files: a dollar sign is a dollar sign
    "axes.formatter.use_mathtext": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "pilotdht",  # equal data, equal file
    "path.simplify": True,
    "text.color": LIGHT["ink"],
    "axes.edgecolor": LIGHT["line"],
    "axes.labelcolor": LIGHT["soft"],
    "xtick.color": LIGHT["soft"],
    "ytick.color": LIGHT["soft"],
    "axes.facecolor": LIGHT["paper"],
    "figure.facecolor": LIGHT["paper"],
}


_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class EndLabel:
    """A label beside the end of a line."""

    y: float
    """Where the line ends, in data units."""
    text: str
    """What to say."""
    colour: str
    """The line's."""


class Canvas:
    """One plot: a title, a line of facts, and panels that share their x axis."""

    def __init__(self, title: str, subtitle: str, *, panels: Sequence[str], height_in: float = 0.0) -> None:
        """Make it; used inside :func:`styled`.

        Args:
            title: the idea.
            subtitle: who ran, how large, how often.
            panels: what each panel shows, with its unit.
            height_in: inches; absent: by the number of panels.
        """
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        height_in = height_in or (5.6 if len(panels) == 1 else 2.0 + 2.7 * len(panels))
        self.figure: Figure = Figure(figsize=(WIDTH_IN, height_in), dpi=DOTS_PER_INCH)
        """What is drawn on."""
        FigureCanvasAgg(self.figure)
        self.axes: list[Axes] = []
        """One a panel, from the top."""
        self._left, self._width = 0.075, 0.745
        top, bottom, gap = 1 - 1.25 / height_in, 0.62 / height_in, 0.5 / height_in
        each = (top - bottom - gap * (len(panels) - 1)) / len(panels)
        self.figure.text(0.025, 1 - 0.28 / height_in, title, fontsize=17, weight="bold", va="center")
        colour = LIGHT["bad"] if "UNFINISHED" in subtitle else LIGHT["soft"]
        self.figure.text(0.025, 1 - 0.62 / height_in, shown(subtitle, 130), color=colour, va="center")
        for number, name in enumerate(panels):
            lower = top - each - number * (each + gap)
            axes = self.figure.add_axes(
                (self._left, lower, self._width, each), sharex=self.axes[0] if self.axes else None
            )
            axes.set_title(name, loc="left", fontsize=11, color=LIGHT["soft"], pad=7)
            axes.spines[["top", "right", "left"]].set_visible(False)
            axes.grid(axis="y", color=LIGHT["grid"], linewidth=1)
            axes.set_axisbelow(True)
            axes.tick_params(length=0, labelbottom=number == len(panels) - 1, pad=6)
            axes.tick_params(axis="x", length=4, color=LIGHT["line"])
            self.axes.append(axes)

    def say_empty(self, why: str) -> Figure:
        """Say across the panels that there is nothing to show, and why; return the figure."""
        for axes in self.axes:
            axes.set_axis_off()
            axes.set_title("", loc="left")
        self.figure.text(0.5, 0.45, why, fontsize=14, color=LIGHT["soft"], ha="center", va="center")
        return self.figure

    def label_x(self, text: str) -> None:
        """Name the x axis, unit included."""
        self.axes[-1].set_xlabel(text, labelpad=7)

    def label_ends(self, axes: Axes, labels: Sequence[EndLabel]) -> None:
        """Write labels right of the axes, each as near to the end of its line as the others leave room."""
        if not labels:
            return
        low, high = axes.get_ylim()
        scale = math.log10 if axes.get_yscale() == "log" else float
        bottom, top = scale(low), scale(high)
        line = _LINE_IN / (axes.get_position().height * self.figure.get_figheight())
        texts = [label.text for label in labels]
        if sum(text.count("\n") + 1.5 for text in texts) * line > 1.1:  # so many that each has one line
            texts = [shown(text.replace("\n", " "), 30) for text in texts]
            labels, texts = _thinned(labels, int(1.1 / line / 1.3)), _thinned(texts, int(1.1 / line / 1.3))
        heights = [line * (text.count("\n") + 1.35) for text in texts]
        wished = [(scale(min(max(label.y, low), high)) - bottom) / ((top - bottom) or 1.0) for label in labels]
        for label, text, y in zip(labels, texts, spread(wished, heights), strict=True):
            axes.text(
                1.015, y, text, transform=axes.transAxes, color=label.colour, va="center",
                fontsize=10.5 if len(labels) < 7 else 9, linespacing=1.25,
            )  # fmt: skip

    def draw_marks(self, marks: Sequence[Mark], *, per_unit_s: float) -> None:
        """Draw a vertical line for each mark in every panel, and label the first ones at the top of the first panel.

        Args:
            marks: what happened.
            per_unit_s: seconds of one unit of the x axis.
        """
        if not marks:
            return
        low, high = self.axes[0].get_xlim()
        visible = [mark for mark in marks if low <= mark.time_s / per_unit_s <= high]
        for axes in self.axes:
            for mark in visible:
                axes.axvline(
                    mark.time_s / per_unit_s, color=LIGHT["soft"], linewidth=0.9, linestyle=(0, (2, 3)), zorder=1
                )
        ends = [-math.inf] * 3
        for mark in visible[:MAX_MARKS]:
            at, text = (mark.time_s / per_unit_s - low) / (high - low), shown(mark.label, 28)
            row = next((row for row, end in enumerate(ends) if end < at), None)
            if row is None:
                continue
            width = 0.0128 * len(text)
            is_last = at + width > 1.02
            self.axes[0].annotate(
                text, (at, 1.0), xycoords="axes fraction", fontsize=9.5, color=LIGHT["ink"], annotation_clip=False,
                xytext=(-5 if is_last else 5, -3 - 14 * row), textcoords="offset points", va="top",
                ha="right" if is_last else "left",
                bbox={"facecolor": LIGHT["paper"], "edgecolor": "none", "pad": 1.2, "alpha": 0.85},
            )  # fmt: skip
            ends[row] = at + width


def spread(wished: Sequence[float], heights: Sequence[float]) -> list[float]:
    """Return places near the wished ones at which things of these heights do not overlap, in their order.

    Neighbours that would overlap are joined into a block, which stands where its members wish on average.
    """
    order = sorted(range(len(wished)), key=lambda one: wished[one])
    blocks: list[tuple[list[int], float, float]] = []  # members, middle, height
    for one in order:
        blocks.append(([one], wished[one], heights[one]))
        while len(blocks) > 1 and blocks[-1][1] - blocks[-2][1] < (blocks[-1][2] + blocks[-2][2]) / 2:
            above, below = blocks.pop(), blocks.pop()
            members = below[0] + above[0]
            total = below[2] + above[2]
            middle = (below[1] * len(below[0]) + above[1] * len(above[0])) / len(members)
            blocks.append((members, middle, total))
    places = [0.0] * len(wished)
    for members, middle, total in blocks:
        lower = min(max(middle - total / 2, -0.08), max(-0.08, 1.08 - total))
        for one in members:
            places[one] = lower + heights[one] / 2
            lower += heights[one]
    return places


def shown(text: str, length: int) -> str:
    """Return a text from a file fit for a plot: printable, of one line, not longer than ``length``."""
    clean = "".join(one if one.isprintable() else " " for one in text)
    return clean if len(clean) <= length else clean[: length - 1] + "…"


def _thinned(items: Sequence[_Item], most: int) -> list[_Item]:
    """Return items at even distances, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    return [items[round(one * (len(items) - 1) / max(1, most - 1))] for one in range(max(1, most))]


def headroom(axes: Axes) -> None:
    """Leave room above the data for the labels of marks."""
    low, high = axes.get_ylim()
    if axes.get_yscale() == "log":
        axes.set_ylim(low, high * (high / low) ** 0.2)
    else:
        axes.set_ylim(low, high + (high - low) * 0.2)


def log_ticks(axis_of: Axes, which: str, label: Callable[[float], str]) -> None:
    """Label a logarithmic axis at 1, and at 2 and 5 where it spans little, in words of ``label``."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axis = axis_of.xaxis if which == "x" else axis_of.yaxis
    low, high = axis_of.get_xlim() if which == "x" else axis_of.get_ylim()
    decades = math.log10(high / low)
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades < 2.6 else (1.0,), numticks=20))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _place: label(value)))


def share_ticks(axes: Axes) -> None:
    """Label the y axis in percent, and never above 100 %."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _place: "" if value > 1.0001 or value < -0.0001 else f"{value * 100:.6g} %")
    )


def number_ticks(axes: Axes, label: Callable[[float], str]) -> None:
    """Label the y axis at a few round values in words of ``label``."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _place: label(value)))


@contextmanager
def styled() -> Iterator[None]:
    """Draw inside this: fonts, colours, and no mathematics in labels.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise ConfigError(
            "plots need matplotlib, which is not installed", hint="pip install 'pilotdht[sim]', or run without a report"
        ) from error
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # a label in a script the font lacks
        yield


def png_of(figure: Figure) -> bytes:
    """Return a plot as PNG; equal data give equal bytes."""
    into = io.BytesIO()
    with styled():
        figure.savefig(into, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return into.getvalue()


def svg_of(figure: Figure) -> str:
    """Return a plot as an ``<svg>`` element; equal data give equal text."""
    into = io.StringIO()
    with styled():
        figure.savefig(into, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = into.getvalue()
    return text[text.index("<svg") :]
