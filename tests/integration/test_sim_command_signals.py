"""``python -m simulations`` as a process: Ctrl-C in the middle of a run, pipes that close."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulations.results.files import read_result

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = [sys.executable, "-m", "simulations"]


@contextlib.contextmanager
def started(words: list[str]) -> Iterator[subprocess.Popen[str]]:
    """Start the program, and leave nothing of it whatever the test finds."""
    with subprocess.Popen([*PROGRAM, *words], cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_interrupted_run_keeps_what_was_measured(tmp_path: Path) -> None:
    """One Ctrl-C ends the run early; the result says so, and nothing looks like a crash."""
    words = ["run", "wan", "--nodes", "30", "--hours", "100", "--no-report", "--out", str(tmp_path)]
    with started(words) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("building"):
                break
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=50)
    [file] = tmp_path.iterdir()

    assert 130 == process.returncode
    assert not read_result(file).is_complete
    assert "interrupted at" in told
    assert "Traceback" not in told


def test_run_interrupted_twice_ends_without_a_traceback(tmp_path: Path) -> None:
    """Whatever the second Ctrl-C hits."""
    words = ["run", "wan", "--nodes", "30", "--hours", "100", "--no-report", "--out", str(tmp_path)]
    with started(words) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("building"):
                break
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=50)

    assert 130 == process.returncode
    assert "Traceback" not in told
    assert all(read_result(file) for file in tmp_path.glob("*.json"))


def test_run_from_the_command_line_keeps_its_bounds_and_replays(tmp_path: Path) -> None:
    """A run, and the events around one of its moments: twice the same."""
    run = ["run", "wan", "--small", "--nodes", "12", "--minutes", "1", "--json", "--no-report", "--out", str(tmp_path)]
    done = subprocess.run([*PROGRAM, *run], cwd=ROOT, capture_output=True, text=True, check=False, timeout=50)
    assert done.stdout, done.stderr
    data = json.loads(done.stdout)["data"]
    assert (0 if data["is_passed"] else 1) == done.returncode

    replay = ["replay", data["files"][0], "--at", "8", "--span", "8"]
    first, second = (
        subprocess.run([*PROGRAM, *replay], cwd=ROOT, capture_output=True, text=True, check=False, timeout=50)
        for _ in range(2)
    )
    assert (0, 0) == (first.returncode, second.returncode), first.stderr
    assert first.stdout == second.stdout
    times = [float(line.split()[0]) for line in first.stdout.splitlines()]
    assert times
    assert times == sorted(times)
    assert 4.0 <= times[0] <= times[-1] <= 12.0


def test_list_into_a_pipe_that_closes_is_silent() -> None:
    """``list | head -0`` prints no traceback."""
    with subprocess.Popen(
        [*PROGRAM, "list"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        told = process.stderr.read()

    assert "Traceback" not in told
