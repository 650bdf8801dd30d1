"""Who owns which laboratory, so that whatever a killed run left behind is found and removed.

A laboratory has a file that its owner keeps locked. The kernel drops the lock when the owner ends, however it ends, so
a file that can be locked belongs to nobody any more: unless it says that the laboratory is to be kept.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from scripts.lab.namespaces import LabError, batch, names, remove

FOLDER = Path("/run/natlab")
"""One file a laboratory; gone after a restart of the machine, as the namespaces are."""

PREFIX = "natlab-"
"""Begins the name of every namespace that is a laboratory's."""

HOMES = ("a", "b")
"""Names of the homes, and of the core's interfaces towards them."""

_MAX_STATE_BYTES = 1 << 16
_LOCK_WAIT_S = 2.0  # whoever sweeps has each file for a moment
_LOCK_POLL_S = 0.01
_NAME = re.compile(r"[a-z0-9]{1,24}")


def check_name(name: str) -> str:
    """Return the name of a laboratory, checked: it becomes part of the names of namespaces and of a file.

    Raises:
        LabError: it has other characters than lower-case letters and digits, or is too long.
    """
    if not _NAME.fullmatch(name):
        raise LabError(f"{name!r} is no name for a laboratory: 1 to 24 lower-case letters and digits")
    return name


class Claim:
    """The right to one laboratory's name; held until :meth:`release`, or until this process ends."""

    def __init__(self, name: str, *, is_kept: bool = False) -> None:
        """Claim it.

        Args:
            name: the laboratory's name.
            is_kept: claim one that was left to be kept, instead of a name that is free.

        Raises:
            LabError: it is taken, or there is no such laboratory.
        """
        self._path = FOLDER / f"{check_name(name)}.json"
        FOLDER.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            try:
                descriptor = os.open(self._path, os.O_RDWR | os.O_CLOEXEC | (0 if is_kept else os.O_CREAT), 0o600)
            except FileNotFoundError as error:
                raise LabError(f"there is no laboratory {name!r}: 'scripts/natlab up {name}' builds it") from error
            if not _lock(descriptor, wait_s=_LOCK_WAIT_S):
                os.close(descriptor)
                raise LabError(f"a running process has the laboratory {name!r}")
            if os.fstat(descriptor).st_size and not is_kept:
                os.close(descriptor)
                raise LabError(f"a laboratory {name!r} is there already: 'scripts/natlab down {name}' removes it")
            if _is_at(self._path, descriptor):
                break
            os.close(descriptor)  # it was swept between opening and locking
        self._descriptor: int | None = descriptor
        if not is_kept:
            self.write({"is_kept": False})

    def read(self) -> dict[str, Any]:
        """Return what the file says."""
        assert self._descriptor is not None, "a claim is read while it is held"
        state = json.loads(os.pread(self._descriptor, _MAX_STATE_BYTES, 0))
        return state if isinstance(state, dict) else {}

    def write(self, state: Mapping[str, Any]) -> None:
        """Replace what the file says."""
        if self._descriptor is not None:
            content = json.dumps(dict(state)).encode()
            os.pwrite(self._descriptor, content, 0)
            os.ftruncate(self._descriptor, len(content))

    def release(self, *, is_kept: bool = False) -> None:
        """Give the name back, or leave the laboratory to whoever names it next; safe to call twice."""
        if self._descriptor is not None:
            if not is_kept:
                self._path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None


def kept() -> dict[str, dict[str, Any]]:
    """Return what the files of all laboratories say, by name; of a running one too."""
    found = {}
    for path in sorted(FOLDER.glob("*.json")):
        with contextlib.suppress(OSError, ValueError):
            found[path.stem] = json.loads(path.read_text("utf-8"))
    return found


def namespaces_of(name: str) -> list[str]:
    """Return the namespaces of one laboratory that are there."""
    return names(f"{PREFIX}{check_name(name)}-")


def sweep() -> list[str]:
    """Remove the laboratories whose owner ended without doing so; return their names."""
    swept = []
    for path in sorted(FOLDER.glob("*.json")):
        with _locked(path, wait_s=0.0) as state:
            if state is not None and not state.get("is_kept"):
                dismantle(path.stem)
                path.unlink(missing_ok=True)
                swept.append(path.stem)
    return swept


def remove_kept(name: str) -> bool:
    """Remove a laboratory that no running process owns; false when there is none of that name.

    Raises:
        LabError: a running process owns it.
    """
    path = FOLDER / f"{check_name(name)}.json"
    if not path.exists():
        present = namespaces_of(name)
        dismantle(name)
        return bool(present)
    with _locked(path, wait_s=_LOCK_WAIT_S) as state:
        if state is None:
            raise LabError(f"a running process owns the laboratory {name!r}: end that one")
        dismantle(name)
        path.unlink(missing_ok=True)
    return True


def dismantle(name: str) -> None:
    """Remove all namespaces of a laboratory, what runs in them, and the processes that are its lines.

    Those end when one of their interfaces is removed. As long as they run, they keep the interfaces' namespaces alive,
    names or not, so this comes first.
    """
    core = f"{PREFIX}{check_name(name)}-core"
    if core in namespaces_of(name):
        for home in HOMES:
            with contextlib.suppress(LabError):
                batch(core, [f"link del dev {home}"])
    remove(namespaces_of(name))


@contextlib.contextmanager
def _locked(path: Path, *, wait_s: float) -> Iterator[dict[str, Any] | None]:
    """Yield what a file says while it is locked; ``None`` when another process has it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        yield None
        return
    try:
        if not _lock(descriptor, wait_s=wait_s) or not _is_at(path, descriptor):
            yield None
            return
        try:
            state = json.loads(os.pread(descriptor, _MAX_STATE_BYTES, 0))
        except ValueError:
            state = {}  # its owner died between creating and writing
        yield state if isinstance(state, dict) else {}
    finally:
        os.close(descriptor)


def _lock(descriptor: int, *, wait_s: float) -> bool:
    """Lock a file, and return whether that was possible in time."""
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_LOCK_POLL_S)
        else:
            return True


def _is_at(path: Path, descriptor: int) -> bool:
    """Return whether the path still leads to the open file."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
