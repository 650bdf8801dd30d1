"""Reports as files: plots as PNG, a page as HTML, a folder a scenario when there are several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pilotdht.errors import InvalidArgument
from simulations.report.canvas import png_of, svg_of
from simulations.report.groups import by_scenario
from simulations.report.overview import overview_of
from simulations.report.page import page_of
from simulations.report.plots import Plot, plots_for
from simulations.results.result import Result
from simulations.results.whole_file import write_whole
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
    written.append(write_whole(folder / INDEX, overview_of(results, pages).encode()))
    return written


def _write_scenario(results: Sequence[Result], folder: Path) -> list[Path]:
    about, expects = _said_of(results[0].scenario)
    written: list[Path] = []
    drawn: dict[Plot, str] = {}
    for plot in plots_for(results):
        figure = plot.draw(results)
        written.append(write_whole(folder / f"{plot.name}.png", png_of(figure)))
        drawn[plot] = svg_of(figure)
    written.append(write_whole(folder / INDEX, page_of(results, drawn, about=about, expects=expects).encode()))
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
