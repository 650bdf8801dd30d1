"""The look for what a test leaves behind finds it."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest

from tests.support.leak import leaves_nothing


@pytest.mark.asyncio
async def test_leak_of_nothing_passes() -> None:
    """Tasks, sockets and threads that end inside the block are no leak, nor are those from before."""
    with socket.socket():
        async with leaves_nothing():
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(0))
            await asyncio.to_thread(int)
            socket.socket().close()


@pytest.mark.asyncio
async def test_leak_of_task_is_named() -> None:
    """A task that still runs after the block is reported by its name."""
    forever = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        with pytest.raises(AssertionError, match="task 'waits'"):
            async with leaves_nothing():
                group.create_task(forever.wait(), name="waits")
        forever.set()


@pytest.mark.asyncio
async def test_leak_of_socket_is_found() -> None:
    """A socket that stays open is reported."""
    opened: list[socket.socket] = []
    with pytest.raises(AssertionError, match="socket"):
        async with leaves_nothing():
            opened.append(socket.socket())
    opened.pop().close()


@pytest.mark.asyncio
async def test_leak_of_thread_is_named() -> None:
    """A thread that still runs is reported by its name."""
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, name="waits")
    with pytest.raises(AssertionError, match="thread 'waits'"):
        async with leaves_nothing():
            thread.start()
    stop.set()
    thread.join()


@pytest.mark.asyncio
async def test_leak_after_an_error_keeps_the_error() -> None:
    """An error inside the block is not replaced by a report of what it left."""
    opened: list[socket.socket] = []

    async def opens_and_fails() -> None:
        async with leaves_nothing():
            opened.append(socket.socket())
            raise KeyError

    with pytest.raises(KeyError):
        await opens_and_fails()
    opened.pop().close()
