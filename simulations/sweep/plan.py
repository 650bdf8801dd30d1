"""What a sweep will do: every combination of seeds, sizes, implementations and parameters, and the file that keeps it.

The plan is written before the first run. A run's file name follows from its options alone, so that what is finished is
recognised whenever the sweep is started again.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from pilotdht.errors import AlreadyExists, InvalidArgument
from simulations.results.whole_file import write_whole

SCHEMA = "pilotdht-sweep/1"
"""Version of the plan's file."""

FILE_NAME = "plan.json"
"""Name of the plan's file in the folder of a sweep."""

MOST_RUNS = 10_000
"""More are refused: a slip of the fingers, or a month of work."""

MOST_IN_RANGE = 10_000
"""Numbers that one range such as ``1..10`` may stand for."""

Value = int | float | bool | str | None
"""What an option can be."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a plan."""

    file: str
    """Name of its result's file."""
    scenario: str
    """Name of the scenario."""
    options: Mapping[str, Value]
    """All of them, by field."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All runs of a sweep, in the order in which they begin."""

    runs: Sequence[Run]
    """No two of them have the same file."""
    version: str = ""
    """Of pilotdht, when it was made."""
    commit: str = ""
    """Of the checkout, when it was made."""

    def titles(self) -> dict[str, str]:
        """Return for each file what people call its run: the scenario, and the options in which runs differ."""
        seen: dict[str, dict[str, None]] = {}
        for run in self.runs:
            for name, value in run.options.items():
                seen.setdefault(name, {})[json.dumps(value)] = None
        varied = [name for name, values in seen.items() if len(values) > 1]
        return {
            run.file: ", ".join(
                [run.scenario, *(f"{name} {run.options[name]}" for name in varied if name in run.options)]
            )
            for run in self.runs
        }

    def joined(self, other: Plan) -> Plan:
        """Return a plan with the runs of both, these first."""
        known = {run.file for run in self.runs}
        return dataclasses.replace(self, runs=[*self.runs, *(run for run in other.runs if run.file not in known)])

    def has_same_runs(self, other: Plan) -> bool:
        """Return whether both have the same runs, in whatever order."""
        return sorted(run.file for run in self.runs) == sorted(run.file for run in other.runs)


def numbers(text: str) -> list[int]:
    """Return what ``1..10`` or ``1,2,5..7`` stands for, in that order, each number once.

    Raises:
        InvalidArgument: it is neither, or a range is empty or enormous.
    """
    found: dict[int, None] = {}
    for part in text.split(","):
        first, dots, last = part.strip().partition("..")
        try:
            low = int(first)
            high = int(last) if dots else low
        except ValueError:
            raise InvalidArgument(
                f"{part.strip()[:40]!r} is no whole number and no range", hint="write 1..10, or 1,2,5..7"
            ) from None
        if high < low:
            raise InvalidArgument(f"the range {part.strip()!r} is empty", hint=f"write {high}..{low}")
        if high - low >= MOST_IN_RANGE:
            raise InvalidArgument(f"the range {part.strip()[:40]!r} has more than {MOST_IN_RANGE:,} numbers")
        found.update(dict.fromkeys(range(low, high + 1)))
    return list(found)


def combinations(axes: Mapping[str, Sequence[Value]]) -> list[dict[str, Value]]:
    """Return every combination of the values of the axes; the last axis changes fastest.

    Raises:
        InvalidArgument: there are too many.
    """
    count = 1
    for values in axes.values():
        count *= len(values)
    if count > MOST_RUNS:
        raise InvalidArgument(f"{count:,} runs are more than {MOST_RUNS:,}", hint="give fewer values")
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def write_plan(plan: Plan, folder: Path) -> None:
    """Write a plan into a folder, all of it or nothing.

    Raises:
        ConfigError: it cannot be written.
    """
    runs = [{"file": run.file, "scenario": run.scenario, "options": dict(run.options)} for run in plan.runs]
    content = {"schema": SCHEMA, "version": plan.version, "commit": plan.commit, "runs": runs}
    write_json(content, folder / FILE_NAME)


def read_plan(folder: Path) -> Plan | None:
    """Return the plan of a folder; absent when there is none.

    Raises:
        InvalidArgument: its file is damaged, or of another version.
    """
    path = folder / FILE_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InvalidArgument(f"cannot read {path}: {error}", hint="choose another folder with --out") from error
    try:
        content = json.loads(text)
        if content["schema"] != SCHEMA:
            raise ValueError(f"its schema is {str(content['schema'])[:60]!r}, not {SCHEMA!r}")
        runs = [
            Run(file=str(one["file"]), scenario=str(one["scenario"]), options=dict(one["options"]))
            for one in content["runs"]
        ]
        return Plan(runs=runs, version=str(content["version"]), commit=str(content["commit"]))
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidArgument(
            f"{path} is no plan of a sweep: {error}", hint="choose another folder with --out, or remove that file"
        ) from error


def settled_plan(wanted: Plan, folder: Path, *, is_adding: bool) -> Plan:
    """Return the plan that a folder will have, after it was written there.

    Args:
        wanted: what was asked for.
        folder: the sweep's.
        is_adding: whether runs may be added to the plan that is there.

    Raises:
        AlreadyExists: another plan is there.
    """
    there = read_plan(folder)
    if there is None:
        plan = wanted
    elif there.has_same_runs(wanted):
        return there
    elif is_adding:
        plan = there.joined(wanted)
    else:
        known = {run.file for run in there.runs}
        new = sum(run.file not in known for run in wanted.runs)
        raise AlreadyExists(
            f"{folder} holds another plan: {len(there.runs)} runs; asked for are {len(wanted.runs)}, {new} of them new",
            hint="choose another folder with --out, or add these runs to it with --add",
        )
    write_plan(plan, folder)
    return plan


def write_json(content: object, path: Path) -> None:
    """Write JSON, all of it or nothing.

    Raises:
        ConfigError: it cannot be written.
    """
    write_whole(path, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())
