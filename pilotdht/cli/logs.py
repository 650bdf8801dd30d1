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
            f"{path} cannot be read: {error.strerror}", hint="a daemon in the foreground logs to its terminal"
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
            if data:
                *lines, rest = (rest + data).split(b"\n")
                yield from (line.decode("utf-8", "replace") for line in lines)
            elif _was_rotated(path, file.fileno()):
                file.close()
                file = path.open("rb")
            else:
                time.sleep(POLL_S)
    finally:
        file.close()


def _was_rotated(path: Path, descriptor: int) -> bool:
    try:
        return path.stat().st_ino != os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False  # between the rotation's two steps
