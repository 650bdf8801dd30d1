"""What a sweep found: for each setting the median and the spread of every figure over its seeds. Pure."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from simulations.results.result import Result

MAIN_FIGURES = ("lookup_success", "lookup_p50_s", "lookup_p95_s", "messages_per_node_s")
"""Shown when nothing is said and no bound is set on others."""

MOST_FIGURES = 5
"""Columns that fit a terminal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A figure over several runs."""

    median: float
    """Half of the runs are below."""
    low: float
    """The smallest."""
    high: float
    """The largest."""
    count: int
    """Runs that have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Runs that differ in nothing but their seed."""

    scenario: str
    """Name of the scenario."""
    options: dict[str, object]
    """All but the seed."""
    varied: dict[str, object]
    """Those in which the settings differ."""
    seeds: list[object]
    """In the order of the runs."""
    passed: int
    """Runs that kept every bound."""
    figures: dict[str, Spread]
    """By name, in the order in which scenarios give them."""


def settings_of(results: Sequence[Result]) -> list[Setting]:
    """Return the settings among results, in the order in which they come."""
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(json.dumps([result.scenario, _without_seed(result)], sort_keys=True), []).append(result)
    varied = _varied(results)
    return [_setting(runs, varied) for runs in groups.values()]


def chosen_figures(results: Sequence[Result]) -> list[str]:
    """Return the figures that a table shows when nobody asks for others: those under a bound first."""
    bounded = [check.figure for result in results for check in result.checks]
    there = {name for result in results for name, value in result.figures.items() if value is not None}
    names = [name for name in dict.fromkeys([*bounded, *MAIN_FIGURES]) if name in there]
    return names[:MOST_FIGURES]


def _setting(runs: Sequence[Result], varied: Sequence[str]) -> Setting:
    first = runs[0]
    options = _without_seed(first)
    figures = {}
    for name in dict.fromkeys(name for run in runs for name in run.figures):
        values = [value for run in runs if (value := run.figures.get(name)) is not None]
        if values:
            figures[name] = Spread(
                median=statistics.median(values), low=min(values), high=max(values), count=len(values)
            )
    return Setting(
        scenario=first.scenario,
        options=options,
        varied={name: options[name] for name in varied if name in options},
        seeds=[run.options.get("seed") for run in runs],
        passed=sum(run.is_passed for run in runs),
        figures=figures,
    )


def _varied(results: Sequence[Result]) -> list[str]:
    """Return the options, the seed left out, that are not the same everywhere."""
    values: dict[str, dict[str, None]] = {}
    for result in results:
        for name, value in _without_seed(result).items():
            values.setdefault(name, {})[json.dumps(value)] = None
    return [name for name, seen in values.items() if len(seen) > 1]


def _without_seed(result: Result) -> dict[str, object]:
    return {name: value for name, value in result.options.items() if name != "seed"}
