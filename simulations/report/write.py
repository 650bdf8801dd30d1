"""Reports as files: plots as PNG, a page as HTML, a folder a scenario when there are several."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pilotdht.errors import ConfigError, InvalidArgument
from simulations.report.canvas import png_of, svg_of
from simulations.report.groups import by_scenario
from simulations.report.overview import overview_of
from simulations.report.page import page_of
from simulations.report.plots import Plot, plots_for
from simulations.results.result import Result
from simulations.scenarios.scenario import scenario_named

INDEX = "index.html"
"""Name of every page."""


def write_report(results: Sequence[Result], folder: Path) -> list[Path]:
    """Write plots and a page about some runs.

    Args:
        results: at least one run. Runs of one scenario make one page in ``folder``; several scenarios make a folder and
            a page each, and an overview in ``folder``.
        folder: is made when missing; older reports are replaced, other files stay as they are.

    Returns:
        Every file written, pages after the plots of their scenario.

    Raises:
        InvalidArgument: there are no results.
        ConfigError: the folder cannot be written, or matplotlib is not installed.
    """
    if not results:
        raise InvalidArgument("there is nothing to report on", hint="give at least one result")
    scenarios = by_scenario(results)
    if len(scenarios) == 1:
        return _write_scenario(results, folder)
    written: list[Path] = []
    pages: dict[str, str] = {}
    for name, runs in scenarios.items():
        below = _folder_name(name, pages)
        pages[name] = f"{below}/{INDEX}"
        written += _write_scenario(runs, folder / below)
    written.append(_write(folder / INDEX, overview_of(results, pages).encode()))
    return written


def _write_scenario(results: Sequence[Result], folder: Path) -> list[Path]:
    about, expects = _said_of(results[0].scenario)
    written: list[Path] = []
    drawn: dict[Plot, str] = {}
    for plot in plots_for(results):
        figure = plot.draw(results)
        written.append(_write(folder / f"{plot.name}.png", png_of(figure)))
        drawn[plot] = svg_of(figure)
    written.append(_write(folder / INDEX, page_of(results, drawn, about=about, expects=expects).encode()))
    return written


def _said_of(name: str) -> tuple[str, str]:
    try:
        scenario = scenario_named(name)
    except InvalidArgument:  # a result may come from another version
        return "", ""
    return scenario.summary, scenario.expects


def _folder_name(scenario: str, taken: dict[str, str]) -> str:
    clean = (
        "".join(one if one.isascii() and (one.isalnum() or one in "-_") else "-" for one in scenario)[:60] or "unnamed"
    )
    name, number = clean, 2
    while f"{name}/{INDEX}" in taken.values():
        name, number = f"{clean}-{number}", number + 1
    return name


def _write(path: Path, content: bytes) -> Path:
    """Write a file in one piece, so that a report that is looked at is never half a one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            Path(draft).chmod(0o644)
            Path(draft).replace(path)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ConfigError(
            f"cannot write the report to {path.parent}: {error.strerror or error}",
            hint="choose a folder that you may write to, with space left on it",
        ) from error
    return path
