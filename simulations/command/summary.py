"""A result for people and for machines."""

from __future__ import annotations

import dataclasses

from simulations.command.output import Output, duration, quantity
from simulations.report.quantities import quantity_of
from simulations.results.result import Check, Result

_UNSHOWN = ("messages", "delivered")


def show_result(out: Output, result: Result) -> None:
    """Print the figures of a run, then its bounds."""
    options = result.options
    out.line(
        f"{result.scenario}, {number_option(options.get('nodes'))} nodes of {result.implementation}, "
        f"seed {options.get('seed')}",
        bold=True,
    )
    rows = [
        (name, quantity(name, value), quantity_of(name).words)
        for name, value in result.figures.items()
        if name not in _UNSHOWN
    ]
    if rows:
        out.table(["FIGURE", "VALUE", "WHAT IT IS"], rows, right=(1,))
    if result.checks:
        out.table(["BOUND", "VALUE", ""], [check_row(check) for check in result.checks], right=(1,))
    elif result.is_complete:
        out.line("no bounds are set")
    sent = result.figures.get("messages")
    speed = f", {sent:,.0f} messages ({sent / result.wall_s:,.0f}/s)" if sent and result.wall_s > 0 else ""
    out.line(f"{duration(result.virtual_s)} of virtual time in {duration(result.wall_s)}{speed}")
    missed = [check for check in result.checks if not check.is_kept]
    if missed:
        out.line(f"{len(missed)} of {len(result.checks)} bounds MISSED", fg="red", bold=True)
    elif result.checks and result.is_complete:
        out.line(f"all {len(result.checks)} bounds kept" if len(result.checks) > 1 else "the bound is kept", fg="green")


def check_row(check: Check) -> tuple[str, str, str]:
    """Return the row of a bound: what is demanded, what came out, whether it is kept."""
    demand = f"{check.figure} {check.relation} {quantity(check.figure, check.bound)}"
    return demand, quantity(check.figure, check.value), "kept" if check.is_kept else "MISSED"


def result_data(result: Result) -> dict[str, object]:
    """Return what a program wants to know of a run; series and samples are in its file."""
    return {
        "scenario": result.scenario,
        "implementation": result.implementation,
        "options": result.options,
        "version": result.version,
        "commit": result.commit,
        "is_complete": result.is_complete,
        "is_passed": result.is_passed,
        "wall_s": result.wall_s,
        "cpu_s": result.cpu_s,
        "virtual_s": result.virtual_s,
        "trace_digest": result.trace_digest,
        "figures": result.figures,
        "checks": [dataclasses.asdict(check) for check in result.checks],
    }


def number_option(value: object) -> str:
    """Return an option that should be a number, as people read it."""
    return f"{value:,}" if isinstance(value, int | float) else "?"
