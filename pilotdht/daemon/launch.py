"""Starts a daemon in the background and waits until it is ready; stops one and waits until it is gone.

Imports nothing of the node: the command that starts a daemon is done as soon as the daemon is.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from pilotdht.daemon.envelope import parse_error
from pilotdht.daemon.lock import holder
from pilotdht.daemon.paths import make_private_directory
from pilotdht.daemon.shapes import StartedShape
from pilotdht.errors import InternalError, TimedOut

MAX_REPORT_BYTES = 1 << 16
POLL_S = 0.01
LOG_TAIL_BYTES = 2000


def launch(
    settings: Mapping[str, str],
    *,
    log_file: Path,
    socket: str | None,
    config_file: str | None,
    timeout_s: float,
    module: Sequence[str] = ("-m", "pilotdht.daemon"),
) -> StartedShape:
    """Start a daemon detached from this terminal; returns when it is ready.

    Args:
        settings: by name, as text.
        log_file: where what it writes to standard error goes; its own log is beside it.
        socket: overrides the control socket's path.
        config_file: overrides the configuration file's path.
        timeout_s: how long to wait.
        module: what the interpreter runs.

    Raises:
        PilotError: it did not start; the daemon's own reason.
        TimedOut: it was not ready in time; it goes on starting.
    """
    make_private_directory(log_file.parent)
    reading, writing = os.pipe()
    command = [sys.executable, *module, f"--ready={writing}"]
    command += [f"--{name}={value}" for name, value in (("socket", socket), ("config", config_file)) if value]
    command += [f"{name}={value}" for name, value in settings.items()]
    try:
        with log_file.open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                pass_fds=(writing,),
                start_new_session=True,
            )
    except OSError as error:
        os.close(reading)
        raise InternalError(f"the daemon cannot be started: {error.strerror}") from error
    finally:
        os.close(writing)
    try:
        report = _read_report(reading, timeout_s=timeout_s)
    finally:
        os.close(reading)
    if report is None:
        code = process.wait()
        raise InternalError(
            f"the daemon ended with code {code} before it was ready", hint=f"see {log_file}: {_tail(log_file)}"
        )
    if report.get("status") != "ok":
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=1.0)
        raise parse_error(report)
    process.returncode = 0  # it lives on without us: no warning about an unwaited child
    return cast("StartedShape", report["data"])


def wait_until_gone(lock_file: Path, process_id: int, *, timeout_s: float) -> bool:
    """Return whether the daemon let go of its data directory within ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    while holder(lock_file) == process_id:
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def terminate(process_id: int) -> None:
    """Ask a process to end; one that is gone already is fine."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process_id, signal.SIGTERM)


def _read_report(descriptor: int, *, timeout_s: float) -> dict[str, object] | None:
    """Return the envelope that the daemon writes, or ``None`` when it ended without one."""
    deadline = time.monotonic() + timeout_s
    report = bytearray()
    while not report.endswith(b"\n"):
        ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise TimedOut(
                "the daemon is not ready yet", hint="see 'pilotdht daemon status' and 'pilotdht daemon logs'"
            )
        data = os.read(descriptor, MAX_REPORT_BYTES)
        if not data or len(report) > MAX_REPORT_BYTES:
            return None
        report += data
    return cast("dict[str, object]", json.loads(report))


def _tail(path: Path) -> str:
    """Return the last line of a file."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - LOG_TAIL_BYTES))
        lines = file.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "it is empty"
    return "it cannot be read"
