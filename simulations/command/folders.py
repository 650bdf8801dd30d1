"""Folders that results are written to, and read from."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pilotdht.errors import InvalidArgument
from simulations.results.files import read_result, result_name
from simulations.results.result import SCHEMA, Result
from simulations.scenarios.scenario import Options, Scenario

DEFAULT = Path("simulation-results")
"""Where results go when nothing is said."""

HEAD_CHARS = 200
"""The schema stands within the first characters of a result."""


def writable(folder: Path) -> Path:
    """Return a folder after it was made, and something was written there.

    Raises:
        InvalidArgument: it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder, prefix=".writable-") as file:
            file.write(b"x")
    except OSError as error:
        reason = error.strerror or str(error)
        raise InvalidArgument(
            f"cannot write to the folder {folder}: {reason}", hint="choose another one with --out"
        ) from error
    return folder


def name_of(scenario: Scenario, options: Options) -> str:
    """Return the file name that the result of a run will have."""
    values = {name: getattr(options, name) for name in options.__dataclass_fields__}
    return result_name(
        Result(
            scenario=scenario.name,
            implementation=options.implementation,
            options=values,
            version="",
            commit="",
            python="",
            started_unix=0.0,
        )
    )


def results_in(paths: Sequence[Path]) -> list[tuple[Path, Result]]:
    """Return the results in files, and in folders and what is below them, in the order of their names.

    Other files in folders are left out; a file that is named must be a result.

    Raises:
        InvalidArgument: there is no such file, one is damaged, or there is no result at all.
    """
    found: dict[Path, Result] = {}
    for path in paths:
        if path.is_dir():
            for one in sorted(path.rglob("*.json")):
                if not one.name.startswith(".") and _says_result(one):
                    found[one] = read_result(one)
        else:
            found[path] = read_result(path)
    if not found:
        where = ", ".join(str(path) for path in paths)
        raise InvalidArgument(
            f"there are no results in {where}", hint="make one with 'python -m simulations run SCENARIO --out DIR'"
        )
    return list(found.items())


def _says_result(path: Path) -> bool:
    with path.open(encoding="utf-8", errors="replace") as file:
        return json.dumps(SCHEMA) in file.read(HEAD_CHARS)
