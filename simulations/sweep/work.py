"""What a process does for a sweep: one run, and its result or what went wrong, as values that travel."""

from __future__ import annotations

import os
import signal
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection

from pilotdht import __version__
from pilotdht.errors import PilotError, UsageError
from simulations.results.result import Result
from simulations.sweep.plan import Run

_ALONE = threading.Lock()
"""Runs of one process go one after another: the stock implementation is run by changing modules of the process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a run left no result."""

    message: str
    """One line."""
    trace: str = ""
    """Where it happened; empty when only the process is known to have died."""
    is_refused: bool = False
    """Whether the run was refused as impossible, rather than broken."""


def play(run: Run) -> Result | Failure:
    """Carry out one run in this process; never raises but for the end of the process."""
    try:
        from simulations.runner import run as run_scenario
        from simulations.scenarios.scenario import Options, scenario_named

        scenario = scenario_named(run.scenario)
        made: Callable[..., Options] = scenario.options
        with _ALONE:
            return run_scenario(scenario, made(**run.options))
    except Exception as error:  # noqa: BLE001 - told to the sweep, which goes on with the others
        return failure_of(error)


def failure_of(error: BaseException) -> Failure:
    """Return an error as a failure; of a group of errors its first."""
    trace = "".join(traceback.format_exception(error))
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, PilotError):
        return Failure(message=error.message, trace=trace, is_refused=isinstance(error, UsageError))
    if isinstance(error, MemoryError):
        return Failure(message="out of memory", trace=trace)
    return Failure(message=f"{type(error).__name__}: {error}".strip().split("\n", 1)[0], trace=trace)


def worker_version() -> str:
    """Return the version that this process would run."""
    return __version__


def stay_until(lifeline: Connection) -> None:
    """Prepare a process of a sweep: it ends when the other end of ``lifeline`` does, at once and whatever it does.

    The sweep closes its end when it is interrupted; when it is killed the system does. Ctrl-C reaches the sweep alone.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_watch, args=(lifeline,), daemon=True, name="lifeline").start()


def _watch(lifeline: Connection) -> None:
    try:
        lifeline.recv_bytes()
    except (EOFError, OSError):
        os._exit(1)  # nobody waits for what this process does
