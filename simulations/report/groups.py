"""Results sorted for a report: runs that differ in nothing but their seed are one group, and a plot's line."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from simulations.report.palette import colour_of
from simulations.report.quantities import phase_of
from simulations.results.result import Result, Samples, Series

BASELINE = "kademlia"
"""The implementation that others are compared with."""

_FIRST = {"pilotdht": 0, BASELINE: 1}
_DASHES: tuple[str | tuple[int, tuple[int, ...]], ...] = ("-", (0, (5, 2)), (0, (1, 1)), (0, (7, 2, 1, 2)))
_HAS_NO_LABEL = ("seed", "implementation")


@dataclass(slots=True)
class Group:
    """Runs that differ in nothing but their seed."""

    scenario: str
    """Name of the scenario."""
    implementation: str
    """Which one ran."""
    runs: list[Result] = field(default_factory=list)
    """In the order of their seeds."""
    label: str = ""
    """What tells it from the other groups of its report."""
    variant: str = ""
    """Those options that tell it from other groups of its scenario and implementation; empty when nothing does."""
    rank: int = 0
    """0 for the first group of an implementation, 1 for the next: they share a colour, not a dash."""

    @property
    def colour(self) -> str:
        """Its implementation's colour."""
        return colour_of(self.implementation)

    @property
    def dashes(self) -> str | tuple[int, tuple[int, ...]]:
        """How its line is dashed."""
        return _DASHES[self.rank % len(_DASHES)]

    @property
    def is_complete(self) -> bool:
        """Whether every run came to its end."""
        return all(run.is_complete for run in self.runs)

    def figure(self, name: str) -> float | None:
        """Return the median of a figure over the runs that have it."""
        values = self.figures(name)
        return statistics.median(values) if values else None

    def figures(self, name: str) -> list[float]:
        """Return a figure of every run that has it."""
        return [value for run in self.runs if (value := run.figures.get(name)) is not None]

    def phases(self, names: Sequence[str]) -> list[str]:
        """Return the phases in which any of these figures was measured, in their order; ``""`` is the whole run."""
        found = dict.fromkeys(phase for run in self.runs for phase, own in map(phase_of, run.figures) if own in names)
        return list(found)

    def series(self, name: str) -> list[Series]:
        """Return a series of every run that has points in it."""
        found = (run.series.get(name) for run in self.runs)
        return [one for one in found if one is not None and any(value is not None for value in one.values)]

    def samples(self, name: str) -> list[Samples]:
        """Return the samples of every run that has any."""
        found = (run.samples.get(name) for run in self.runs)
        return [one for one in found if one is not None and one.times_s]


def groups_of(results: Iterable[Result], *, ignoring: Sequence[str] = ()) -> list[Group]:
    """Return the groups of some results, ours before the baseline, each with a label that no other has.

    Args:
        results: any runs.
        ignoring: options that do not part runs, beside the seed.
    """
    overlooked = (*_HAS_NO_LABEL, *ignoring)
    by_key: dict[tuple[str, str, str], Group] = {}
    for result in results:
        options = {name: value for name, value in result.options.items() if name not in overlooked}
        key = (result.scenario, result.implementation, json.dumps(options, sort_keys=True, default=str))
        by_key.setdefault(key, Group(result.scenario, result.implementation)).runs.append(result)
    groups = sorted(by_key.values(), key=_order)
    differing = [name for name in _differing_options(groups) if name not in overlooked]
    scenarios = dict.fromkeys(group.scenario for group in groups)
    ranks: dict[str, int] = {}
    for group in groups:
        group.runs.sort(key=lambda run: str(run.options.get("seed")).zfill(20))
        options = group.runs[0].options
        group.variant = ", ".join(f"{_words(name)} {_value(options.get(name))}" for name in differing)
        parts = (group.implementation, group.scenario if len(scenarios) > 1 else "", group.variant)
        group.label = ", ".join(part for part in parts if part)
        group.rank = ranks.get(group.implementation, 0)
        ranks[group.implementation] = group.rank + 1
    return groups


def differing_numbers(results: Sequence[Result]) -> list[str]:
    """Return the numeric options that take more than one value, seed excluded: what a sweep swept over."""
    names = dict.fromkeys(name for result in results for name in result.options)
    swept = []
    for name in names:
        values = [result.options.get(name) for result in results]
        are_numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        if name != "seed" and are_numbers and len(dict.fromkeys(values)) > 1:
            swept.append(name)
    return swept


def in_phase(phase: str, figure: str) -> str:
    """Return the name of a figure in a phase."""
    return f"{phase}_{figure}" if phase else figure


def by_scenario(results: Iterable[Result]) -> dict[str, list[Result]]:
    """Return the results of each scenario, scenarios in order of their names."""
    found: dict[str, list[Result]] = {}
    for result in results:
        found.setdefault(result.scenario, []).append(result)
    return dict(sorted(found.items()))


def runs_in_words(groups: Sequence[Group]) -> str:
    """Return who ran, how large, how long and how often, for the line below a title."""
    if not groups:
        return "no runs"
    results = [run for group in groups for run in group.runs]
    parts = [", ".join(dict.fromkeys(group.scenario for group in groups))]
    nodes = sorted(dict.fromkeys(value for run in results if isinstance(value := run.options.get("nodes"), int)))
    if nodes:
        parts.append(" / ".join(f"{one:,}" for one in nodes[:4]) + (" / …" if len(nodes) > 4 else "") + " nodes")
    count = max(len(group.runs) for group in groups)
    parts.append("one seed" if count == 1 else f"{count} seeds, median and spread")
    unfinished = sum(1 for run in results if not run.is_complete)
    if unfinished:
        parts.append("UNFINISHED" if len(results) == 1 else f"{unfinished} of {len(results)} UNFINISHED")
    return "  ·  ".join(parts)


def _order(group: Group) -> tuple[str, int, str, float]:
    nodes = group.runs[0].options.get("nodes")
    return (
        group.scenario,
        _FIRST.get(group.implementation, 2),
        group.implementation,
        float(nodes) if isinstance(nodes, int | float) else 0.0,
    )


def _differing_options(groups: Sequence[Group]) -> list[str]:
    """Return the options that tell groups of one implementation and scenario apart."""
    differing: dict[str, None] = {}
    for first in groups:
        for other in groups:
            if (first.scenario, first.implementation) == (other.scenario, other.implementation):
                one, two = first.runs[0].options, other.runs[0].options
                names = [*one, *(name for name in two if name not in one)]
                differing.update(dict.fromkeys(name for name in names if one.get(name) != two.get(name)))
    return list(differing)


def _words(name: str) -> str:
    return name.removesuffix("_s").replace("_", " ")


def _value(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)[:40]
