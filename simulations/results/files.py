"""Results as files: written in one piece, and read with the distrust that a file from elsewhere deserves.

A file is one JSON object: ``schema``, then the fields of :class:`Result` in the order of their declaration. Objects are
indented and lists stand on one line, so that a file can be read by people and compared by tools. Numbers are finite;
what was not measured is ``null``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path

from pilotdht.errors import InvalidArgument
from simulations.results.checked import Malformed, value_of
from simulations.results.result import SCHEMA, Links, Result, Samples, Series
from simulations.results.whole_file import write_whole

MAX_RESULT_BYTES = 256 * 1024 * 1024
"""A file beyond this is refused unread: 10,000 nodes and a week of samples take a tenth of it."""

_NOT_A_RESULT = "is it the JSON file that a run wrote? Run the scenario again if it was damaged"
_INDENT = "  "


def result_name(result: Result) -> str:
    """Return the file name of a result: scenario, implementation, nodes, seed and a digest of all options.

    Two runs with the same options have the same name; it holds nothing but ``a-z 0-9 . _ -``.
    """
    options = json.dumps(_plain(result.options), sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(options.encode()).hexdigest()[:8]
    nodes, seed = result.options.get("nodes", "x"), result.options.get("seed", "x")
    parts = (result.scenario, result.implementation, f"{nodes}-nodes", f"seed-{seed}", digest)
    return "-".join(re.sub(r"[^a-z0-9_]+", "-", part.lower()).strip("-")[:60] for part in parts) + ".json"


def write_result(result: Result, path: Path) -> None:
    """Write a result as JSON, all of it or nothing; folders are made, an older file is replaced.

    Args:
        result: what to write; figures and points that are not finite become ``null``.
        path: of the file.

    Raises:
        ConfigError: the file cannot be written.
        InvalidArgument: a time or duration is not finite, or an option is nothing that JSON knows.
    """
    fields = {field.name: _plain(getattr(result, field.name)) for field in dataclasses.fields(result)}
    try:
        text = "\n".join(_lines({"schema": SCHEMA, **fields})) + "\n"
    except (TypeError, ValueError) as error:
        raise InvalidArgument(
            f"the result of {result.scenario!r} is not fit for a file: {error}",
            hint="this is a bug of the scenario: it keeps a time that is not finite, or an odd option",
        ) from error
    write_whole(path, text.encode())


def read_result(path: Path) -> Result:
    """Read a result.

    Args:
        path: of the file.

    Returns:
        The result. Fields that have a default may be missing: an older version wrote the file.

    Raises:
        InvalidArgument: it is missing, no result, of another schema, or too large; message and hint name the file.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_RESULT_BYTES + 1)
    except OSError as error:
        raise InvalidArgument(
            f"cannot read {path}: {error.strerror or error}", hint=f"check the path {path.name!r}"
        ) from error
    if len(content) > MAX_RESULT_BYTES:
        raise InvalidArgument(
            f"{path} is larger than {MAX_RESULT_BYTES >> 20} MiB", hint=f"{path.name}: {_NOT_A_RESULT}"
        )
    try:
        return _result_of(json.loads(content, parse_constant=_refuse))
    except (Malformed, ValueError, RecursionError) as error:
        reason = "too deeply nested" if isinstance(error, RecursionError) else str(error)
        raise InvalidArgument(f"{path} is no result: {reason}", hint=f"{path.name}: {_NOT_A_RESULT}") from error


def _result_of(loaded: object) -> Result:
    if not isinstance(loaded, dict):
        raise Malformed("it holds no object")
    schema = loaded.pop("schema", None)
    if schema != SCHEMA:
        shown = repr(schema)[:60] if schema is not None else "none"
        raise Malformed(f"its schema is {shown}, and this version reads {SCHEMA!r}")
    result = value_of(loaded, Result, "result")
    assert isinstance(result, Result)
    for name, series in result.series.items():
        _demand_equal_lengths(f"series.{name}", series, ("times_s", "values"))
    for name, samples in result.samples.items():
        _demand_equal_lengths(f"samples.{name}", samples, ("times_s", "durations_s", "are_ok", "hops"))
    if result.links is not None:
        _demand_equal_lengths("links", result.links, tuple(field.name for field in dataclasses.fields(Links)))
    return result


def _demand_equal_lengths(where: str, holder: Series | Samples | Links, names: tuple[str, ...]) -> None:
    lengths = [len(getattr(holder, name)) for name in names]
    if len(dict.fromkeys(lengths)) > 1:
        raise Malformed(f"{where}: lists of different lengths: {', '.join(names)}")


def _refuse(constant: str) -> object:
    raise Malformed(f"it holds {constant}, which is no JSON")


def _plain(value: object) -> object:
    """Turn dataclasses into dicts and tuples into lists; numbers that are not finite become absent where they may."""
    if isinstance(value, Series):
        return {
            "unit": value.unit,
            "times_s": value.times_s,
            "values": [None if one is None or not math.isfinite(one) else one for one in value.values],
        }
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        plain = {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        if "bound" in plain:  # a check: its value may be absent
            plain["value"] = _finite(plain["value"])
        return plain
    if isinstance(value, Mapping):
        return {str(name): _finite(_plain(one)) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value


def _finite(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _lines(value: object, indent: str = "") -> list[str]:
    """Return the lines of a JSON text: objects indented, lists on one line unless they hold objects."""
    if isinstance(value, dict) and value:
        opening, closing, items = "{", "}", [(f"{json.dumps(name)}: ", one) for name, one in value.items()]
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        opening, closing, items = "[", "]", [("", one) for one in value]
    else:
        return [json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=True)]
    lines = [opening]
    for number, (name, one) in enumerate(items, start=1):
        inner = _lines(one, indent + _INDENT)
        inner[0] = f"{indent}{_INDENT}{name}{inner[0]}"
        inner[-1] += "," if number < len(items) else ""
        lines.extend(inner)
    lines.append(f"{indent}{closing}")
    return lines
