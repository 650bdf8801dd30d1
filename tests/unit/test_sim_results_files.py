"""Results survive their files unchanged, and files that are no results are refused with a word that helps."""

from __future__ import annotations

import dataclasses
import json
import math
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotdht.errors import ConfigError, InvalidArgument
from simulations.results import files
from simulations.results.files import read_result, result_name, write_result
from simulations.results.result import SCHEMA, Check, Mark, Result, Samples, Series, Snapshot
from tests.support.sim_results import made_result

numbers = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(max_size=20)
options = st.dictionaries(texts, st.none() | st.booleans() | st.integers(-(2**60), 2**60) | numbers | texts, max_size=4)
series = st.lists(st.tuples(numbers, st.none() | numbers), max_size=5).map(
    lambda pairs: Series(unit="s", times_s=[time_s for time_s, _ in pairs], values=[value for _, value in pairs])
)
samples = st.lists(st.tuples(numbers, numbers, st.booleans(), st.none() | st.integers(0, 99)), max_size=5).map(
    lambda rows: Samples(
        times_s=[row[0] for row in rows],
        durations_s=[row[1] for row in rows],
        are_ok=[row[2] for row in rows],
        hops=[row[3] for row in rows],
        errors={"not_found": len(rows)},
        wrong=len(rows),
    )
)
checks = st.builds(
    Check,
    figure=texts,
    relation=st.sampled_from([">=", "<="]),
    bound=numbers,
    value=st.none() | numbers,
    is_kept=st.booleans(),
)
nodes = st.tuples(st.integers(0, 9999), texts, texts, st.integers(0, 9))
snapshots = st.builds(
    Snapshot,
    time_s=numbers,
    label=texts,
    nodes=st.lists(nodes, max_size=4),
    links=st.lists(st.tuples(st.integers(0, 9999), st.integers(0, 9999)), max_size=4),
)
results = st.builds(
    Result,
    scenario=texts,
    implementation=texts,
    options=options,
    version=texts,
    commit=texts,
    python=texts,
    started_unix=numbers,
    wall_s=numbers,
    cpu_s=numbers,
    virtual_s=numbers,
    is_complete=st.booleans(),
    trace_digest=texts,
    figures=st.dictionaries(texts, st.none() | numbers, max_size=4),
    checks=st.lists(checks, max_size=3),
    series=st.dictionaries(texts, series, max_size=3),
    samples=st.dictionaries(texts, samples, max_size=3),
    marks=st.lists(st.builds(Mark, time_s=numbers, label=texts), max_size=3),
    snapshots=st.lists(snapshots, max_size=2),
)


@pytest.mark.property
@settings(deadline=None, max_examples=150)
@given(result=results)
def test_result_written_and_read_is_equal(result: Result, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Every result that can be made comes back as it was."""
    path = tmp_path_factory.mktemp("results") / "one.json"

    write_result(result, path)

    assert result == read_result(path)


def test_file_has_schema_first_and_lists_on_one_line(tmp_path: Path) -> None:
    """Tools find the schema at once, and people can read the file."""
    path = tmp_path / "below" / "one.json"
    write_result(made_result(), path)

    lines = path.read_text().splitlines()

    assert f'  "schema": "{SCHEMA}",' == lines[1]
    assert ["schema", *(field.name for field in dataclasses.fields(Result))] == list(json.loads(path.read_text()))
    assert any(line.startswith('      "times_s": [') and line.endswith("],") for line in lines)
    assert [path] == list(path.parent.iterdir())


def test_equal_results_make_equal_files(tmp_path: Path) -> None:
    """Files of equal runs can be compared byte by byte."""
    for name in ("one", "two"):
        write_result(made_result(seed=3), tmp_path / name)

    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_becomes_absent(odd: float, tmp_path: Path) -> None:
    """A file never holds NaN: figures, points and checks that are not finite are as if they were not measured."""
    result = made_result()
    result.figures["lookup_p50_s"] = odd
    result.series["up"].values[0] = odd
    result.checks = [Check(figure="up", relation=">=", bound=1.0, value=odd, is_kept=False)]

    write_result(result, tmp_path / "one.json")

    back = read_result(tmp_path / "one.json")
    assert (None, None, None) == (back.figures["lookup_p50_s"], back.series["up"].values[0], back.checks[0].value)


def test_time_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    """A time cannot be absent, so the file is not written at all."""
    result = made_result()
    result.samples["lookup"].times_s[0] = math.nan

    with pytest.raises(InvalidArgument):
        write_result(result, tmp_path / "one.json")

    assert [] == list(tmp_path.iterdir())


def test_failed_write_leaves_the_older_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that fails half way neither harms what was there nor leaves a draft."""
    path = tmp_path / "one.json"
    write_result(made_result(seed=1), path)
    before = path.read_bytes()

    def full(_self: Path, _target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(ConfigError, match="No space left"):
        write_result(made_result(seed=2), path)

    assert before == path.read_bytes()
    assert [path] == list(tmp_path.iterdir())


def test_folder_that_is_a_file_is_told(tmp_path: Path) -> None:
    """The error names the path and what to try."""
    (tmp_path / "taken").write_text("")

    with pytest.raises(ConfigError, match="taken") as caught:
        write_result(made_result(), tmp_path / "taken" / "one.json")

    assert "choose a folder" in caught.value.hint


def test_name_tells_scenario_implementation_nodes_and_seed() -> None:
    """The same options give the same name, others another one, and no name leaves the folder."""
    name = result_name(made_result(nodes=50, seed=7))

    assert name.startswith("partition-pilotdht-50-nodes-seed-7-")
    assert name == result_name(made_result(nodes=50, seed=7, is_complete=False))
    assert name != result_name(made_result(nodes=50, seed=7, sides=3))
    odd = result_name(made_result(scenario="../../etc/x y", implementation="K\n"))
    assert odd.startswith("etc-x-y-k-300-nodes-seed-1-")
    assert odd.endswith(".json")


@cache
def _small() -> Result:
    return made_result(nodes=5, lookups=20)


def _broken(change: str) -> bytes:
    """Return the text of a result after one change: ``path.to.field=JSON``, or ``-path`` to remove a field."""
    loaded = {"schema": SCHEMA, **dataclasses.asdict(_small())}
    if not change:
        return json.dumps(loaded).encode()
    where, _, value = change.lstrip("-").partition("=")
    *path, last = [int(part) if part.isdigit() else part for part in where.split(".")]
    holder: Any = loaded
    for part in path:
        holder = holder[part]
    if change.startswith("-"):
        del holder[last]
    else:
        holder[last] = json.loads(value)
    return json.dumps(loaded).encode()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "Expecting value"),
        (b"\xff\xfe\x00", "decode"),
        (b"[]", "no object"),
        (b"null", "no object"),
        (b"{}", "schema is none"),
        (b"[" * 100_000, "too deeply nested"),
        (b'{"schema": NaN}', "NaN"),
        (b'{"a": ' + b"9" * 5000 + b"}", "digits"),
        (_broken("-schema"), "schema is none"),
        (_broken('schema="pilotdht-simulation/2"'), "pilotdht-simulation/2"),
        (_broken("-scenario"), "'scenario' is missing"),
        (_broken("more=1"), "unknown field 'more'"),
        (_broken("scenario=3"), "str is expected"),
        (_broken("is_complete=1"), "bool is expected"),
        (_broken("wall_s=true"), "float is expected"),
        (_broken("wall_s=1" + "0" * 400), "too large"),
        (_broken('figures={"a": "1"}'), "result.figures.a"),
        (_broken("series=[]"), "dict is expected"),
        (_broken("series.up.values=[1]"), "series.up: lists of different lengths"),
        (_broken("samples.lookup.are_ok=[true]"), "samples.lookup: lists of different lengths"),
        (_broken('samples.lookup.hops=["x"]'), "int is expected"),
        (_broken("snapshots.0.nodes=[[1, 2]]"), "4 items are expected"),
        (_broken("checks=[{}]"), "'figure' is missing"),
        (_broken("")[:-200], "delimiter|Unterminated|Expecting"),
    ],
)
def test_file_that_is_no_result_is_refused(content: bytes, reason: str, tmp_path: Path) -> None:
    """Whatever a file holds, the error says what is wrong with it, and the hint names the file."""
    path = tmp_path / "odd.json"
    path.write_bytes(content)

    with pytest.raises(InvalidArgument, match=reason) as caught:
        read_result(path)

    assert "odd.json" in caught.value.hint
    assert len(caught.value.message) < 400


def test_missing_and_huge_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is not there, a folder, and a file beyond the limit are told alike."""
    (tmp_path / "huge.json").write_bytes(b" " * 2000)
    monkeypatch.setattr(files, "MAX_RESULT_BYTES", 1000)

    for name in ("none.json", "huge.json", "."):
        with pytest.raises(InvalidArgument):
            read_result(tmp_path / name)


@pytest.mark.property
@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_damaged_file_is_read_or_refused(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Bytes changed anywhere give a result or ``InvalidArgument``, and nothing else."""
    content = bytearray(_broken("wall_s=1"))
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.sampled_from(b'0-9.eE"{}[],:ntf\x00\xff'))
    path = tmp_path_factory.mktemp("damaged") / "one.json"
    path.write_bytes(content)

    with suppress(InvalidArgument):
        assert isinstance(read_result(path), Result)


def test_older_file_without_fields_that_have_defaults_is_read(tmp_path: Path) -> None:
    """What a later version adds with a default does not make older files unreadable."""
    path = tmp_path / "old.json"
    path.write_bytes(_broken("-marks"))

    assert [] == read_result(path).marks
