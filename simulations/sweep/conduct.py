"""Carries out a plan: begins runs as there is room, writes each result at once, goes on after failures, ends when told.

Whatever happens, a finished run is a whole file or no file. A run that failed leaves a file in the folder ``failed``
until it succeeds.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import threading
import time
import types
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pilotdht.errors import AlreadyExists, InvalidArgument
from simulations.results.files import read_result, write_result
from simulations.results.result import Result
from simulations.sweep.executors import Executor, Work
from simulations.sweep.plan import Plan, Run, write_json
from simulations.sweep.work import Failure, failure_of

LOOK_S = 0.2
"""Longest time until Ctrl-C is noticed, and until progress is told."""

TROUBLE_S = 10.0
"""A cluster that is gone may come back within this time."""

FAILED_FOLDER = "failed"
"""Where failures are kept."""

FAILURE_SCHEMA = "pilotdht-failure/1"
"""Version of a failure's file."""


@dataclass(slots=True)
class Outcome:
    """What became of a plan."""

    finished: dict[str, Result] = field(default_factory=dict)
    """Results by file, those of earlier times included, in the order of the plan once it is over."""
    failures: dict[str, Failure] = field(default_factory=dict)
    """Failures by file."""
    is_interrupted: bool = False
    """Whether Ctrl-C ended it."""
    trouble: str = ""
    """Why it ended before its time; empty when it did not."""


@dataclass(slots=True)
class Standing:
    """How far it is."""

    total: int
    """Runs of the plan."""
    done: int
    """Runs that are finished or failed, those of earlier times included."""
    running: int
    """Runs under way."""
    left_s: float | None = None
    """Wall time until the end, estimated; absent before the first run has ended."""


class Told:
    """Told what happens; a terminal's view derives from it."""

    def begun(self, standing: Standing) -> None:
        """Take how far it is; several times a second."""

    def ended(self, run: Run, end: Result | Failure, standing: Standing) -> None:
        """Take how a run ended."""


def finished_runs(plan: Plan, folder: Path) -> dict[str, Result]:
    """Return the results that a folder has of a plan, by file; what is damaged or incomplete is none."""
    found = {}
    for run in plan.runs:
        path = folder / run.file
        if path.is_file():
            with contextlib.suppress(InvalidArgument):
                result = read_result(path)
                if result.is_complete:
                    found[run.file] = result
    return found


def conduct(
    plan: Plan, folder: Path, executor: Executor, *, work: Work, told: Told, finished: dict[str, Result] | None = None
) -> Outcome:
    """Carry out a plan.

    Args:
        plan: what to do.
        folder: where results go.
        executor: carries runs out; not open yet.
        work: what it does with a run.
        told: told what happens.
        finished: results of earlier times, by file, that need no run.

    Raises:
        PilotError: a result cannot be written, or the executor cannot be reached.
    """
    outcome = Outcome(finished=dict(finished or {}))
    waiting = [run for run in plan.runs if run.file not in outcome.finished]
    with interrupts() as interrupted:
        if waiting:
            with executor:
                _carry_out(waiting, folder, executor, work, told, outcome, interrupted, total=len(plan.runs))
    outcome.finished = {run.file: outcome.finished[run.file] for run in plan.runs if run.file in outcome.finished}
    return outcome


def _carry_out(
    waiting: list[Run],
    folder: Path,
    executor: Executor,
    work: Work,
    told: Told,
    outcome: Outcome,
    interrupted: threading.Event,
    *,
    total: int,
) -> None:
    running: dict[Future[Result | Failure], tuple[Run, float]] = {}
    taken_s: list[float] = []
    well_at = time.monotonic()
    while waiting or running:
        if interrupted.is_set():
            outcome.is_interrupted = True
            return
        trouble = executor.trouble()
        if not trouble:
            well_at = time.monotonic()
        elif time.monotonic() - well_at > TROUBLE_S:
            outcome.trouble = trouble
            return
        while waiting and not trouble and len(running) < executor.capacity:
            run = waiting.pop(0)
            running[executor.submit(work, run)] = (run, time.monotonic())
        done, _ = wait(running, timeout=LOOK_S, return_when=FIRST_COMPLETED)
        for future in [one for one in running if one in done]:
            run, since = running.pop(future)
            if future.cancelled() or (future.exception() is not None and executor.trouble()):
                waiting.insert(0, run)  # it did not fail: it was lost with the cluster
                continue
            end = _end_of(future)
            taken_s.append(time.monotonic() - since)
            _keep(run, end, folder, outcome)
            told.ended(run, end, _standing(total, outcome, running, waiting, taken_s, executor))
        told.begun(_standing(total, outcome, running, waiting, taken_s, executor))
        if trouble and not running:
            time.sleep(LOOK_S)


def _end_of(future: Future[Result | Failure]) -> Result | Failure:
    try:
        end = future.result()
    except BrokenProcessPool:
        return Failure(message="its process died; was it killed, or out of memory?")
    except Exception as error:  # noqa: BLE001 - whatever the executor makes of it, the other runs go on
        return failure_of(error)
    if isinstance(end, Result) and not end.is_complete:
        return Failure(message=f"it ended early, after {end.virtual_s:.0f} s of virtual time")
    return end


def _keep(run: Run, end: Result | Failure, folder: Path, outcome: Outcome) -> None:
    """Write what came of a run."""
    failed = folder / FAILED_FOLDER / run.file
    if isinstance(end, Result):
        try:
            write_result(end, folder / run.file)
        except InvalidArgument as error:  # a scenario left something odd: the others go on
            end = failure_of(error)
        else:
            outcome.finished[run.file] = end
            failed.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                failed.parent.rmdir()  # when it was the last
            return
    outcome.failures[run.file] = end
    content = {"schema": FAILURE_SCHEMA, "scenario": run.scenario, "options": dict(run.options)}
    write_json(content | dataclasses.asdict(end), failed)


def _standing(
    total: int,
    outcome: Outcome,
    running: dict[Future[Result | Failure], tuple[Run, float]],
    waiting: Sequence[Run],
    taken_s: Sequence[float],
    executor: Executor,
) -> Standing:
    left_s = None
    if taken_s:
        each_s = sum(taken_s) / len(taken_s)
        now = time.monotonic()
        under_way_s = sum(max(0.0, each_s - (now - since)) for _, since in running.values())
        left_s = (under_way_s + each_s * len(waiting)) / max(1, min(executor.capacity, len(running) + len(waiting)))
    return Standing(
        total=total,
        done=len(outcome.finished) + len(outcome.failures),
        running=len(running),
        left_s=left_s,
    )


@contextlib.contextmanager
def interrupts() -> Iterator[threading.Event]:
    """Turn the first Ctrl-C into an event that is looked at between two steps; the second ends the program."""
    came = threading.Event()
    before: Any = None

    def note(number: int, frame: types.FrameType | None) -> None:
        if came.is_set():
            raise KeyboardInterrupt
        came.set()

    is_main = threading.current_thread() is threading.main_thread()
    if is_main:
        before = signal.signal(signal.SIGINT, note)
    try:
        yield came
    finally:
        if is_main:
            signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other sweeps out of a folder, and clear away what a killed one was writing.

    Raises:
        AlreadyExists: another one works there.
    """
    import fcntl  # there is none on Windows, where nothing but a sweep would miss it

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyExists(
                f"another sweep is at work in {folder}", hint="wait until it ends, or choose another folder with --out"
            ) from error
        for draft in sorted(folder.glob(".*.part")):
            draft.unlink(missing_ok=True)
        yield
    finally:
        os.close(descriptor)
