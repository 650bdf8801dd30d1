"""Plots and pages after a run: what goes wrong there takes nothing away from the result."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from simulations.command.output import Output
from simulations.command.program import told
from simulations.results.result import Result


def drawn(out: Output, results: Sequence[Result], folder: Path) -> list[Path] | None:
    """Make plots and a page, and return their files; absent, after a remark, when that failed."""
    try:
        from simulations.report.write import write_report

        return write_report(results, folder)
    except Exception as error:  # noqa: BLE001 - the results are there already, and are what counts
        shown, _ = told(error, "")
        out.warn(f"no plots and no page: {shown.message} ({shown.hint})")
        return None
