"""What is typed after ``sweep`` as axes, and the plan of their combinations."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import click

from pilotdht import __version__
from pilotdht.errors import InvalidArgument
from simulations.command.fields import Facts, Value, facts_of, made_options
from simulations.command.folders import name_of
from simulations.command.program import nearest
from simulations.engine.checkout import commit
from simulations.scenarios.scenario import Scenario
from simulations.sweep.plan import Plan, Run, combinations, numbers


def axes_of(
    scenario: Scenario,
    *,
    seeds: str | None,
    nodes: str | None,
    settings: Sequence[str],
    implementation: str | None,
    minutes: float | None,
    hours: float | None,
) -> dict[str, list[Value]]:
    """Return the values of each option that the sweep sets, in their order; seeds last, so that they change fastest.

    Raises:
        InvalidArgument: an option is unknown, set twice, or a value is none of it.
    """
    facts = {one.name: one for one in facts_of(scenario)}
    axes: dict[str, list[Value]] = {}
    if implementation is not None:
        axes["implementation"] = list(scenario.implementations) if implementation == "both" else [implementation]
    if nodes is not None:
        axes["nodes"] = list(numbers(nodes))
    if minutes is not None and hours is not None:
        raise InvalidArgument("--hours and --minutes are both given", hint="say one of them")
    if minutes is not None or hours is not None:
        axes["minutes"] = [minutes if minutes is not None else (hours or 0.0) * 60]
    for setting in settings:
        name, values = _setting(scenario, facts, setting)
        if name in axes or (name == "seed" and seeds is not None):
            raise InvalidArgument(f"{name} is set twice", hint="give all its values at once, joined by commas")
        axes[name] = values
    if seeds is not None:
        axes["seed"] = list(numbers(seeds))
    elif "seed" in axes:
        axes["seed"] = axes.pop("seed")
    return axes


def plan_of(scenario: Scenario, axes: Mapping[str, Sequence[Value]], *, is_small: bool) -> Plan:
    """Return the plan of every combination.

    Raises:
        InvalidArgument: a value is out of range, or there are too many combinations.
    """
    runs: dict[str, Run] = {}
    for given in combinations(axes):
        options = made_options(scenario, given, is_small=is_small)
        file = name_of(scenario, options)
        values = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
        runs[file] = Run(file=file, scenario=scenario.name, options=values)
    return Plan(runs=list(runs.values()), version=__version__, commit=commit())


def _setting(scenario: Scenario, facts: Mapping[str, Facts], text: str) -> tuple[str, list[Value]]:
    typed, equals, values = text.partition("=")
    name = typed.strip().lstrip("-").replace("-", "_")
    if not equals or not values:
        raise InvalidArgument(f"--set {text[:80]!r} has no value", hint="write --set OPTION=VALUE,VALUE")
    if name not in facts:
        raise InvalidArgument(f"{typed[:80]!r} is no option of {scenario.name}", hint=nearest(name, list(facts)))
    found: dict[Value, None] = {}
    for value in values.split(","):
        try:
            found[facts[name].type.convert(value.strip(), None, None)] = None
        except click.UsageError as error:
            raise InvalidArgument(
                f"--set {name}: {error.message.rstrip('.')}",
                hint=f"'python -m simulations list {scenario.name}' shows ranges",
            ) from error
    return name, list(found)
