"""``metrics show`` and ``metrics targets`` print what Prometheus reads."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from prometheus_client.parser import text_string_to_metric_families

from pilotdht.cli.program import program
from tests.support.fake_daemon import fake_daemon_in_thread

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Return what runs a command line against a daemon around a fake node."""
    with fake_daemon_in_thread(tmp_path) as daemon:
        yield lambda *words: CliRunner().invoke(program, ["--socket", str(daemon.socket), *words], prog_name="pilotdht")


def test_metrics_are_printed_as_prometheus_reads_them(run: Run) -> None:
    """Every line of the text is there as it was served."""
    result = run("metrics", "show")
    names = [family.name for family in text_string_to_metric_families(result.stdout)]
    assert 0 == result.exit_code
    assert {"pilotdht_build_info", "pilotdht_loop_lag_seconds", "process_cpu_seconds"} <= set(names)


def test_metrics_as_json_hold_the_same_text(run: Run) -> None:
    """The envelope holds the text under one key."""
    data = json.loads(run("--json", "metrics", "show").stdout)["data"]
    assert ["text"] == list(data)
    assert data["text"].startswith("# HELP")


def test_targets_are_printed_as_file_sd_reads_them(run: Run) -> None:
    """A list, which is empty where nobody may be scraped: not even this node has a port."""
    result = run("metrics", "targets")
    assert (0, []) == (result.exit_code, json.loads(result.stdout))
    assert {"targets": []} == json.loads(run("--json", "metrics", "targets").stdout)["data"]
