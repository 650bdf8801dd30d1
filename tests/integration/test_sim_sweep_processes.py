"""Sweeps over real processes, ended at any moment, go on where they were."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from simulations.results.files import read_result
from simulations.sweep.executors import LocalProcesses
from simulations.sweep.plan import Run, read_plan
from simulations.sweep.work import Failure

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
RUNS = 4
GONE_S = 20.0


def command(folder: Path) -> list[str]:
    """Return a sweep of small runs."""
    words = f"sweep wan --seeds 1..{RUNS} --nodes 8 --minutes 0.5 --workers 2 --no-report --out {folder}"
    return [sys.executable, "-m", "simulations", *words.split()]


def finished(folder: Path) -> list[str]:
    """Return the files of results; each must be whole."""
    files = [file for file in sorted(folder.glob("*.json")) if file.name != "plan.json"]
    assert all(read_result(file).is_complete for file in files)
    return [file.name for file in files]


def children_of(number: int) -> list[int]:
    """Return the processes that a process has started and that still run."""
    with contextlib.suppress(FileNotFoundError):
        return [int(word) for word in Path(f"/proc/{number}/task/{number}/children").read_text().split()]
    return []


def is_running(number: int) -> bool:
    """Return whether a process does anything but wait to be buried."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc to see processes of a process")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_sweep_ended_at_any_moment_goes_on_where_it_was(number: signal.Signals, tmp_path: Path) -> None:
    """Nothing half is left, nobody goes on alone, nothing finished is done again."""
    moment = random.Random(os.urandom(8))
    with subprocess.Popen(command(tmp_path), cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith(f"[1/{RUNS}]")
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=moment.uniform(0.0, 1.0))
        children = children_of(process.pid)
        process.send_signal(number)
        try:
            process.wait(timeout=GONE_S)
        finally:
            process.kill()
        told = process.stderr.read()
    deadline = time.monotonic() + GONE_S
    while any(is_running(child) for child in children):
        assert time.monotonic() < deadline, "a process of the sweep goes on without it"
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.05)
    before = finished(tmp_path)
    stamps = [(tmp_path / name).stat().st_mtime_ns for name in before]
    if number == signal.SIGINT:
        assert process.returncode in (130, 0, 1)  # it may have come to its end in that second
        assert "Traceback" not in told

    again = subprocess.run(command(tmp_path), cwd=ROOT, capture_output=True, text=True, check=False, timeout=50)

    assert again.returncode in (0, 1), again.stderr
    assert 1 <= len(before)
    assert f"{len(before)} of {RUNS} runs are finished already" in again.stderr
    assert RUNS == len(finished(tmp_path))
    assert stamps == [(tmp_path / name).stat().st_mtime_ns for name in before]
    assert [] == list(tmp_path.glob(".*"))
    plan = read_plan(tmp_path)
    assert plan is not None
    assert sorted(run.file for run in plan.runs) == finished(tmp_path)


def die(run: Run) -> Failure:
    """End this process as a lack of memory does; return where it was for the others."""
    if run.options["seed"] == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return Failure(message=f"process {os.getpid()}")


def test_process_that_dies_takes_only_its_own_run_along() -> None:
    """Each run has a process of its own."""
    runs = [Run(file=f"{seed}", scenario="none", options={"seed": seed}) for seed in (1, 2, 3)]
    with LocalProcesses(3) as processes:
        futures = [processes.submit(die, run) for run in runs]
        ends = [future.exception(timeout=50) for future in futures]
        pids = [str(future.result()) for future in futures[1:]]

    assert "BrokenProcessPool" == type(ends[0]).__name__
    assert [None, None] == ends[1:]
    assert 2 == len(dict.fromkeys(pids))
