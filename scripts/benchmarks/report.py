"""What a measurement says, and how a run of them is shown to people and to programs."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure, and the baseline it is compared with."""

    name: str
    """What was measured."""

    value: float
    """Our figure, in ``unit``."""

    unit: str
    """``ms``, ``MB/s``, ``1/s``, …"""

    baseline_name: str = ""
    """What it is compared with; empty when there is nothing to compare with."""

    baseline_value: float | None = None
    """The baseline's figure in ``unit``, measured in the same call, or a stated limit."""

    ratio: float | None = None
    """How many times better we are: above 1 is better, whichever direction the figure has; see :func:`better`."""

    note: str = ""
    """What a reader must know to judge the figure."""


def better(value: float, baseline: float, *, lower_is_better: bool) -> float | None:
    """Return how many times better ``value`` is than ``baseline``; ``None`` when a figure is zero."""
    ours, theirs = (value, baseline) if lower_is_better else (baseline, value)
    return theirs / ours if ours and theirs else None


def machine_facts() -> dict[str, object]:
    """Return what the figures depend on: interpreter, system, cores, and the load when this was called."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "python": platform.python_version(),
        "implementation": sys.implementation.name,
        "system": platform.platform(terse=True),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "load_1min": load,
    }


def as_data(suites: dict[str, Sequence[Row]], facts: dict[str, object], *, is_quick: bool) -> dict[str, object]:
    """Return a run as plain data for JSON."""
    return {
        "machine": facts,
        "quick": is_quick,
        "suites": {name: [asdict(row) for row in rows] for name, rows in suites.items()},
    }


def as_table(suites: dict[str, Sequence[Row]], facts: dict[str, object]) -> str:
    """Return a run as a table; numbers to the right, a line of facts below."""
    head = ("figure", "value", "unit", "baseline", "of", "ratio", "note")
    lines: list[tuple[str, ...]] = [head]
    for suite, rows in suites.items():
        for row in rows:
            ratio = "" if row.ratio is None else f"{row.ratio:.2f}x"
            baseline = "" if row.baseline_value is None else _number(row.baseline_value)
            figure = f"{suite}: {row.name}"
            lines.append((figure, _number(row.value), row.unit, baseline, row.baseline_name, ratio, row.note))
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    is_number = (False, True, False, True, False, True, False)
    lines.insert(1, tuple("-" * width for width in widths))
    table = "\n".join(
        "  ".join(
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(line, widths, is_number, strict=True)
        ).rstrip()
        for line in lines
    )
    return f"{table}\n\n" + ", ".join(f"{name} {value}" for name, value in facts.items())


def _number(value: float) -> str:
    """Return a figure with three digits that count, and no exponent."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"
