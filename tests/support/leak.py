"""Fails a test that leaves a task, an open socket or a thread behind.

::

    async with leaves_nothing():
        async with Node(config):
            ...

What was there before the block may stay. Threads of the loop's own executor belong to the loop and are not counted.
"""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

_TURNS = 5
_EXECUTOR_THREADS = "asyncio_"  # how the loop names the threads of its default executor
_DESCRIPTORS = Path("/dev/fd")  # Linux and macOS; elsewhere sockets are not counted


@asynccontextmanager
async def leaves_nothing() -> AsyncIterator[None]:
    """Compare tasks, sockets and threads before and after the block; an error inside the block goes first.

    The loop gets a few turns before the second look: a transport that was closed frees its socket one turn later.

    Raises:
        AssertionError: something is left; the text names it.
    """
    before = {**_tasks(), **_sockets(), **_threads()}
    yield
    for _ in range(_TURNS):
        await asyncio.sleep(0)
    left = [text for key, text in {**_tasks(), **_sockets(), **_threads()}.items() if key not in before]
    if left:
        raise AssertionError("left behind: " + "; ".join(left))


def _tasks() -> dict[object, str]:
    return {task: f"task {task.get_name()!r} of {task.get_coro()!r}" for task in asyncio.all_tasks()}


def _threads() -> dict[object, str]:
    return {
        thread: f"thread {thread.name!r}"
        for thread in threading.enumerate()
        if not thread.name.startswith(_EXECUTOR_THREADS)
    }


def _sockets() -> dict[object, str]:
    """Return the open sockets of the process by number and inode: one closed and opened anew is another."""
    found: dict[object, str] = {}
    if not _DESCRIPTORS.is_dir():
        return found
    for entry in os.listdir(_DESCRIPTORS):
        try:
            status = os.fstat(int(entry))
        except OSError:
            continue  # the descriptor that listed the folder
        if stat.S_ISSOCK(status.st_mode):
            found["socket", int(entry), status.st_ino] = f"socket {entry}"
    return found
