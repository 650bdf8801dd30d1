"""The options of a scenario as data: what each means, its type, default, unit, range and reason, and its click option.

What a field means stands below it in the source, where people and the tests of this house look for it; it is read from
there, because Python keeps no docstrings of fields.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import itertools
import re
import textwrap
from collections.abc import Mapping
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import click

from pilotdht.errors import ConfigError, InternalError, InvalidArgument
from simulations.scenarios.scenario import IMPLEMENTATIONS, Options, Scenario

_ABOUT_NODES = ("implementation", "lookups_per_s")
"""Options without a meaning where the baseline cannot play: nothing is looked up there, but for dialling."""

Value = int | float | bool | str | None
"""What an option can be."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything about one option."""

    name: str
    """As the field is called."""
    kind: type[int] | type[float] | type[bool] | type[str]
    """What its values are."""
    is_optional: bool
    """Whether it may be absent."""
    default: Value
    """Value when nothing is said."""
    small: Value
    """Value with ``--small``."""
    unit: str
    """Such as ``s``; empty for counts and texts."""
    low: float | None
    """Smallest value allowed."""
    high: float | None
    """Largest value allowed."""
    reason: str
    """Why this default."""
    meaning: str
    """What it is."""
    is_common: bool
    """Whether every scenario has it."""

    @property
    def flag(self) -> str:
        """As it is typed: ``--bandwidth-bps``."""
        return "--" + self.name.replace("_", "-")

    @property
    def range_text(self) -> str:
        """``0..1``, or ``>= 2``; empty without bounds."""
        if self.low is None and self.high is None:
            return ""
        if self.high is None:
            return f">= {self.low:g}"
        if self.low is None:
            return f"<= {self.high:g}"
        return f"{_plain(self.low)}..{_plain(self.high)}"

    @property
    def type(self) -> click.ParamType[Any]:
        """What click checks it with."""
        if self.name == "implementation":
            return click.Choice(IMPLEMENTATIONS)
        if self.name == "network" and (names := _conditions()):
            return click.Choice(names)
        if self.kind is int:
            return _Whole(None if self.low is None else int(self.low), None if self.high is None else int(self.high))
        if self.kind is float:
            return _Number(self.low, self.high)
        return click.BOOL if self.kind is bool else click.STRING

    def option(self) -> click.Option:
        """Return its click option; absent when it is not given."""
        details = [self.unit, self.range_text, f"default {shown(self.default)}"]
        text = f"{self.meaning} [{', '.join(part for part in details if part)}]"
        if self.kind is bool:
            names = [f"{self.flag}/--no-{self.flag[2:]}", self.name]
            return _Plain(names, default=None, help=text)
        return _Plain([self.flag, self.name], type=self.type, metavar=_metavar(self), help=text)


class _Whole(click.IntRange):
    name = "whole number"


class _Number(click.FloatRange):
    name = "number"


class _Plain(click.Option):
    """An option whose help says already what click would add to it."""

    def get_help_extra(self, ctx: click.Context) -> click.types.OptionHelpExtra:
        return {}


def facts_of(scenario: Scenario) -> list[Facts]:
    """Return the options of a scenario, those of every scenario first; what means nothing to it is left out.

    Raises:
        InternalError: a field has a type that no option can have.
    """
    hints, meanings = get_type_hints(scenario.options), _meanings(scenario.options)
    defaults = scenario.options()
    common = {field.name for field in dataclasses.fields(Options)}
    found = []
    for field in dataclasses.fields(scenario.options):
        if not scenario.has_baseline and field.name in _ABOUT_NODES:
            continue
        kind, is_optional = _kind(field.name, hints[field.name])
        metadata: Mapping[str, Any] = field.metadata
        found.append(
            Facts(
                name=field.name,
                kind=kind,
                is_optional=is_optional,
                default=getattr(defaults, field.name),
                small=getattr(scenario.small, field.name),
                unit=metadata.get("unit", ""),
                low=metadata.get("low"),
                high=metadata.get("high"),
                reason=metadata.get("reason", ""),
                meaning=meanings.get(field.name, ""),
                is_common=field.name in common,
            )
        )
    return found


def made_options(scenario: Scenario, given: Mapping[str, Value], *, is_small: bool) -> Options:
    """Return the options of a scenario.

    Args:
        scenario: whose.
        given: values by field.
        is_small: whether the rest is that for continuous integration.

    Raises:
        InvalidArgument: the values do not go, alone or together.
    """
    base = scenario.small if is_small else scenario.options()
    values = {field.name: getattr(base, field.name) for field in dataclasses.fields(base)} | dict(given)
    for name, hint in get_type_hints(scenario.options).items():
        if hint is float and isinstance(values[name], int):
            values[name] = float(values[name])  # 5 and 5.0 minutes are one run, with one file name
    try:
        return scenario.options(**values)
    except (ConfigError, ValueError) as error:
        hint = f"'python -m simulations list {scenario.name}' shows ranges"
        raise InvalidArgument(str(error), hint=hint) from error


def shown(value: Value) -> str:
    """Return a value as people type it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return _plain(value) if isinstance(value, int | float) else value


def _plain(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 1e16 else repr(value)


def _metavar(facts: Facts) -> str | None:
    if facts.kind is int:
        return "N"
    return "X" if facts.kind is float else None


def _kind(name: str, hint: Any) -> tuple[Any, bool]:  # noqa: ANN401 - an annotation is anything
    parts = [part for part in get_args(hint) if part is not type(None)]
    is_optional = get_origin(hint) in (Union, UnionType) and len(parts) < len(get_args(hint))
    kind = parts[0] if is_optional and len(parts) == 1 else hint
    if kind not in (int, float, bool, str):
        raise InternalError(f"the option {name!r} is a {hint}, which cannot be typed on a command line")
    return kind, is_optional


def _meanings(options: type[Options]) -> dict[str, str]:
    """Return the texts below the fields of a class and of its bases."""
    found: dict[str, str] = {}
    for owner in reversed(options.__mro__):
        if not (issubclass(owner, Options) and dataclasses.is_dataclass(owner)):
            continue
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(owner)))
        except (OSError, TypeError):
            continue
        body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
        for node, below in itertools.pairwise(body):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and isinstance(below, ast.Expr):
                text = ast.literal_eval(below.value) if isinstance(below.value, ast.Constant) else ""
                found[node.target.id] = _unmarked(str(text))
    return found


def _unmarked(text: str) -> str:
    """Return a docstring on one line without its markup."""
    return re.sub(r"(?::\w+:)?`+~?([^`]*)`+", r"\1", " ".join(text.split()))


def _conditions() -> list[str]:
    """Return the names of network conditions."""
    return sorted(importlib.import_module("simulations.world.conditions").CONDITIONS)
