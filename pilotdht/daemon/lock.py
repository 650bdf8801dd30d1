"""The exclusive claim of one daemon on its data directory: a locked file that holds its process id.

The lock is the kernel's and ends with the process, however it ends; the file's content is for those who want to signal
the process, and means nothing while nobody holds the lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from pilotdht.errors import AlreadyExists, ConfigError


@contextlib.contextmanager
def claim(path: Path) -> Iterator[None]:
    """Hold the lock file while the block runs.

    Raises:
        AlreadyExists: another process holds it.
        ConfigError: it cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(f"{path} cannot be opened: {error.strerror}", hint="check the data directory") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyExists(
                f"a daemon (pid {_read_pid(descriptor)}) uses {path.parent} already",
                hint="run 'pilotdht daemon stop' first, or set PILOTDHT_HOME for a second daemon",
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def holder(path: Path) -> int | None:
    """Return the process id of the daemon that holds the lock file, or ``None`` when nobody does."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read_pid(descriptor)
    else:
        return None
    finally:
        os.close(descriptor)


def _read_pid(descriptor: int) -> int | None:
    """Return the process id in the file, or ``None``."""
    with contextlib.suppress(ValueError):
        return int(os.pread(descriptor, 32, 0))
    return None
