"""Binds the control socket so that nobody else can reach it for even an instant."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from pathlib import Path

from pilotdht.daemon.paths import make_private_directory
from pilotdht.errors import AlreadyExists, ConfigError

PROBE_TIMEOUT_S = 1.0


def bind_control_socket(path: Path) -> socket.socket:
    """Return a socket bound to ``path`` with mode 0600 from its first instant.

    Raises:
        AlreadyExists: somebody answers there.
        ConfigError: the path cannot be used.
    """
    make_private_directory(path.parent)
    if path.exists() or path.is_symlink():
        _remove_dead_socket(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    previous = os.umask(0o177)
    try:
        listening.bind(str(path))
    except OSError as error:
        listening.close()
        raise ConfigError(f"{path} cannot be bound: {error.strerror}", hint="set PILOTDHT_SOCKET") from error
    finally:
        os.umask(previous)
    listening.setblocking(False)
    return listening


def unlink_socket(path: Path, inode: int) -> None:
    """Remove our own socket, not one that a successor has bound meanwhile."""
    with contextlib.suppress(FileNotFoundError):
        if path.lstat().st_ino == inode:
            path.unlink()


def _remove_dead_socket(path: Path) -> None:
    """Remove what a daemon that died left behind; never a live one's socket, never a file of another kind."""
    if not stat.S_ISSOCK(path.lstat().st_mode):
        raise ConfigError(f"{path} is not a socket", hint="remove it, or set PILOTDHT_SOCKET")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(PROBE_TIMEOUT_S)
        try:
            probe.connect(str(path))
        except OSError as error:
            if error.errno not in (errno.ECONNREFUSED, errno.ENOENT):
                raise ConfigError(f"{path} is in use: {error.strerror}", hint="set PILOTDHT_SOCKET") from error
        else:
            raise AlreadyExists(f"a daemon answers on {path} already", hint="run 'pilotdht daemon stop' first")
    path.unlink(missing_ok=True)
