"""Where a daemon keeps its files, and where its control socket is.

``PILOTDHT_HOME`` moves everything under one directory; ``PILOTDHT_SOCKET`` moves the socket alone. Without them the
platform's user directories are used. The socket always stands in a directory of its own with mode 0700, never in one
that others can write.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

from pilotdht.errors import ConfigError
from pilotdht.values import dataclass

MAX_SOCKET_PATH_BYTES = 100
"""Longest socket path: ``sun_path`` has 104 bytes on BSD and 108 on Linux, the terminating zero included."""

PRIVATE_MODE = 0o700


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """Every path of one daemon."""

    data_dir: Path
    """Identity, trust book, DHT state, log."""
    config_file: Path
    """Read when it exists."""
    socket: Path
    """Control socket, in a directory of its own."""

    @property
    def key_file(self) -> Path:
        """The identity."""
        return self.data_dir / "identity"

    @property
    def lock_file(self) -> Path:
        """Held and filled with the process id while a daemon uses the data directory."""
        return self.data_dir / "daemon.pid"

    @property
    def log_file(self) -> Path:
        """The log of a detached daemon."""
        return self.data_dir / "daemon.log"


def find_paths(environment: Mapping[str, str], *, socket: str | None = None, config_file: str | None = None) -> Paths:
    """Return the paths that hold for this user and environment.

    Args:
        environment: usually ``os.environ``.
        socket: overrides the control socket's path.
        config_file: overrides the configuration file's path.
    """
    home = environment.get("PILOTDHT_HOME")
    if home:
        data_dir = config_dir = Path(home).absolute()
        runtime_dir = data_dir / "run"
    else:
        data_dir, config_dir = _user_directories()
        runtime_dir = _runtime_directory(environment, data_dir)
    chosen_socket = socket or environment.get("PILOTDHT_SOCKET")
    chosen_config = config_file or environment.get("PILOTDHT_CONFIG")
    return Paths(
        data_dir=data_dir,
        config_file=Path(chosen_config).absolute() if chosen_config else config_dir / "config.toml",
        socket=short_socket_path(Path(chosen_socket).absolute() if chosen_socket else runtime_dir / "control.sock"),
    )


def own_paths(*, socket: str | None = None, config_file: str | None = None) -> Paths:
    """Return the paths that hold for this process; see :func:`find_paths`."""
    return find_paths(os.environ, socket=socket, config_file=config_file)


def configured_data_dir(paths: Paths, environment: Mapping[str, str], overrides: Mapping[str, str]) -> Path:
    """Return the data directory that a daemon would use, without checking anything else of its configuration."""
    import tomllib

    chosen: object = overrides.get("data_dir") or environment.get("PILOTDHT_DATA_DIR")
    if not chosen:
        try:
            chosen = tomllib.loads(paths.config_file.read_text("utf-8")).get("data_dir")
        except (OSError, ValueError):
            chosen = None  # not there, or wrong: the daemon says what is wrong with it
    return Path(chosen).expanduser() if isinstance(chosen, str) and chosen else paths.data_dir


def short_socket_path(path: Path) -> Path:
    """Return ``path``, or a private short one that stands for it when it is too long for the system.

    The short one is a function of the path, so that daemon and clients agree on it.
    """
    encoded = os.fsencode(path)
    if len(encoded) <= MAX_SOCKET_PATH_BYTES:
        return path
    name = hashlib.sha256(encoded).hexdigest()[:16]
    return Path("/tmp") / f"pilotdht-{os.getuid()}-{name}" / "control.sock"  # noqa: S108 - checked to be private below


def make_private_directory(path: Path) -> None:
    """Make a directory that only this user can enter, and check that it is one.

    Raises:
        ConfigError: it cannot be made, is no directory, or belongs to another user.
    """
    try:
        path.mkdir(mode=PRIVATE_MODE, parents=True, exist_ok=True)
        status = path.lstat()
        _check_owner(path, status)
        if stat.S_IMODE(status.st_mode) != PRIVATE_MODE:
            path.chmod(PRIVATE_MODE)
    except OSError as error:
        raise ConfigError(f"{path} cannot be used: {error.strerror}", hint="check its owner and mode") from error


def check_socket_directory(path: Path) -> None:
    """Check that nobody else could have put the socket there.

    Raises:
        ConfigError: the directory belongs to another user, or others can write in it.
    """
    try:
        status = path.parent.lstat()
    except OSError:
        return  # connecting will say that it is missing
    is_root = os.geteuid() == 0  # gives orders to others' daemons too, as to a service with a user of its own
    if not is_root or not stat.S_ISDIR(status.st_mode):
        _check_owner(path.parent, status)
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError(f"{path.parent} can be written by others", hint=f"run 'chmod 700 {path.parent}'")


def _check_owner(path: Path, status: os.stat_result) -> None:
    """Refuse anything but a directory of this user or root's."""
    if not stat.S_ISDIR(status.st_mode):
        raise ConfigError(f"{path} is not a directory", hint="remove it, or choose another path")
    if status.st_uid not in (os.geteuid(), 0):
        raise ConfigError(f"{path} belongs to another user", hint="set PILOTDHT_HOME or PILOTDHT_SOCKET")


def _user_directories() -> tuple[Path, Path]:
    """Return the user's data and configuration directories."""
    from platformdirs import user_config_path, user_data_path

    return user_data_path("pilotdht", appauthor=False), user_config_path("pilotdht", appauthor=False)


def _runtime_directory(environment: Mapping[str, str], data_dir: Path) -> Path:
    """Return where the socket goes: the session's runtime directory, else beside the data, never a shared one."""
    runtime = environment.get("XDG_RUNTIME_DIR")
    if runtime and os.path.isdir(runtime):
        return Path(runtime) / "pilotdht"
    if sys.platform.startswith("linux") and os.geteuid() == 0:
        return Path("/run/pilotdht")
    return data_dir / "run"
