"""Installs and removes the daemon as a service: one file, and the service manager's own commands."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from pilotdht.daemon import launchd_job, systemd_unit
from pilotdht.daemon.service_plan import Machine, ServicePlan
from pilotdht.errors import AlreadyExists, InternalError, NotFound, UsageError

COMMAND_TIMEOUT_S = 90.0
"""Time for one command of the service manager: starting waits until the daemon is ready, which is given 60 s."""

MAX_OUTPUT_CHARS = 400
MAX_SERVICE_FILE_BYTES = 1 << 16
SERVICE_FILE_MODE = 0o644

Run = Callable[[Sequence[str]], None]
"""Runs a command of the service manager; raises when it fails."""


def this_machine() -> Machine:
    """Return where this process runs."""
    return Machine(
        platform=sys.platform,
        home=str(Path.home()),
        user_id=os.getuid() if hasattr(os, "getuid") else 0,
        executable=sys.executable,
        environment=os.environ,
    )


def install_service(plan: ServicePlan, *, is_started: bool, run: Run | None = None) -> None:
    """Write the service's file, and have the manager start it now and from now on.

    Args:
        plan: what to do.
        is_started: otherwise the file is written and nothing is run.
        run: runs commands; absent: as a person would.

    Raises:
        AlreadyExists: a file is there that is not ours.
        UsageError: the file cannot be written, usually for want of rights.
        InternalError: the service manager refuses.
    """
    path = Path(plan.path)
    _check_ours(path)
    temporary = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(plan.content)
        temporary.chmod(SERVICE_FILE_MODE)
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise _not_writable(path, error) from error
    if is_started:
        for command in plan.install:
            (run or run_command)(command)


def uninstall_service(plan: ServicePlan, *, run: Run | None = None) -> None:
    """Have the manager stop the service and forget it; identity, settings and state stay.

    Args:
        plan: what it was installed by; what its file holds does not matter.
        run: runs commands; absent: as a person would.

    Raises:
        NotFound: no such service is installed.
        AlreadyExists: the file is not ours.
        UsageError: the file cannot be removed.
        InternalError: the service manager refuses; the file is still there then.
    """
    path = Path(plan.path)
    if not path.exists():
        raise NotFound(
            f"{path} does not exist: the service is not installed", hint="--system and --user are two places"
        )
    _check_ours(path)
    for command in plan.remove:
        (run or run_command)(command)
    try:
        path.unlink()
    except OSError as error:
        raise _not_writable(path, error) from error
    for command in plan.settle:
        (run or run_command)(command)


def run_command(command: Sequence[str]) -> None:
    """Run one command of the service manager.

    Raises:
        UsageError: this system does not have it.
        InternalError: it fails, or takes too long.
    """
    text = shlex.join(command)
    try:
        done = subprocess.run(  # noqa: S603 - words of our own
            list(command), stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND_TIMEOUT_S, check=False
        )
    except FileNotFoundError as error:
        raise UsageError(
            f"{command[0]} is not there: this system has another service manager",
            hint="have yours run 'pilotdht daemon run', or try --dry-run to see what this would have done",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise InternalError(
            f"'{text}' takes too long", hint="'pilotdht daemon status' tells whether it runs"
        ) from error
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip()[:MAX_OUTPUT_CHARS]
        raise InternalError(f"'{text}' failed with {done.returncode}: {said}", hint="its own log may say more")


def _check_ours(path: Path) -> None:
    """Refuse to touch a file that somebody else wrote."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_SERVICE_FILE_BYTES)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _not_writable(path, error) from error
    if systemd_unit.MARK.encode() not in content and launchd_job.MARK.encode() not in content:
        raise AlreadyExists(f"{path} was not written by pilotdht", hint="move it away, if it is not needed")


def _not_writable(path: Path, error: OSError) -> UsageError:
    return UsageError(
        f"{path} cannot be changed: {error.strerror}",
        hint="a system service needs root: run it with sudo, or use --user",
    )
