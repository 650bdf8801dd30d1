"""Reads a log file that is written and rotated meanwhile."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from pilotdht.errors import NotFound

MAX_TAIL_BYTES = 8 << 20
POLL_S = 0.2
MAX_ROTATED = 100


def last_lines(path: Path, count: int) -> list[str]:
    """Return the last ``count`` lines.

    Raises:
        NotFound: there is no log.
    """
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - MAX_TAIL_BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError as error:
        raise NotFound(
            f"{path} cannot be read: {error.strerror}",
            hint="a daemon in the foreground logs to its terminal, a service to 'journalctl -u pilotdht'",
        ) from error
    return lines[-count:] if count else []


def follow_lines(path: Path) -> Iterator[str]:
    """Return an endless iterator over the lines that are appended from now on, across rotations."""
    file = path.open("rb")
    file.seek(0, os.SEEK_END)
    return _follow(path, file)


def _follow(path: Path, file: BinaryIO) -> Iterator[str]:
    try:
        rest = b""
        while True:
            data = file.read(65536)
            if not data and _was_rotated(path, file.fileno()):
                data = file.read()  # written after the last look and before the rotation: nothing follows it
                between = _rotated_since(path, os.fstat(file.fileno()).st_ino)
                file.close()
                file = path.open("rb")
                data += b"".join(_content(older) for older in between)
            elif not data and os.fstat(file.fileno()).st_size < file.tell():
                file.seek(0)  # it was cut short in place, as some programs rotate
                rest = b""
                continue
            elif not data:
                time.sleep(POLL_S)
                continue
            *lines, rest = (rest + data).split(b"\n")
            yield from (line.decode("utf-8", "replace") for line in lines)
    finally:
        file.close()


def _was_rotated(path: Path, descriptor: int) -> bool:
    try:
        return path.stat().st_ino != os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False  # between the rotation's two steps: the next look finds the new one


def _rotated_since(path: Path, inode: int) -> list[Path]:
    """Return the logs that were begun and rotated away after the one with that inode, oldest first."""
    since: list[Path] = []
    for number in range(1, MAX_ROTATED + 1):
        older = path.with_name(f"{path.name}.{number}")
        try:
            if older.stat().st_ino == inode:
                return since[::-1]
        except FileNotFoundError:
            break
        since.append(older)
    return []  # it is gone already: what came between is not known


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_TAIL_BYTES)
    except FileNotFoundError:
        return b""
