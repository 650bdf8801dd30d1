"""Sweeps over a Dask cluster: one on loopback does the runs; one that is not there is told within seconds."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from simulations.command.program import program
from simulations.results.files import read_result

distributed = pytest.importorskip("distributed", reason="the package distributed (Dask) is not installed")
pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore::ResourceWarning")]


@pytest.fixture
def scheduler() -> Iterator[str]:
    """Give the address of a scheduler with one worker."""
    with distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        protocol="tcp",
        host="127.0.0.1",
        scheduler_port=0,
        dashboard_address=None,
    ) as cluster:
        yield str(cluster.scheduler_address).removeprefix("tcp://")


def swept(address: str, folder: Path) -> Result:
    """Return how a small sweep over a cluster ends."""
    words = (
        f"sweep wan --seeds 1..2 --nodes 6 --minutes 0.2 --json --no-report --executor dask://{address} --out {folder}"
    )
    return CliRunner().invoke(program, words.split())


def test_cluster_does_the_runs_of_a_sweep(scheduler: str, tmp_path: Path) -> None:
    """Results come back and are written here."""
    result = swept(scheduler, tmp_path)
    data = json.loads(result.stdout)["data"]

    assert result.exit_code in (0, 1), result.output
    assert {} == data["failures"]
    assert 2 == len(data["finished"])
    assert [1, 2] == [read_result(tmp_path / name).options["seed"] for name in data["finished"]]


def test_scheduler_that_does_not_answer_is_told_soon(tmp_path: Path) -> None:
    """Port 1 of loopback is nobody's."""
    began = time.monotonic()
    result = swept("127.0.0.1:1", tmp_path)

    assert 1 == result.exit_code
    assert "no Dask scheduler answers at 127.0.0.1:1" in result.stdout
    assert time.monotonic() - began < 20
