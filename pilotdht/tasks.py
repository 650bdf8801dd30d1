"""The one place where tasks are started, so that each has an owner that outlives it.

A :class:`TaskScope` is an :class:`asyncio.TaskGroup` for long-running services: a child that fails is logged and
counted, and its siblings live on (one hostile datagram must never stop a node); leaving the scope cancels every child
and waits for it.

Not for fanning out inside one operation: use a plain ``asyncio.TaskGroup`` there, where a failure is the caller's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self

_logger = logging.getLogger(__name__)


class TaskScope:
    """Owner of background tasks; ``async with`` opens and closes it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.failures = 0
        self._tasks: dict[asyncio.Task[None], None] = {}  # a set would be cancelled in another order each run
        self._is_open = False

    async def __aenter__(self) -> Self:
        self._is_open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def start(self, work: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        """Run ``work`` until it ends or the scope closes.

        Raises:
            RuntimeError: the scope is not open.
        """
        if not self._is_open:
            work.close()
            raise RuntimeError(f"task scope {self.name!r} is not open")
        task = asyncio.get_running_loop().create_task(self._guard(work, name), name=f"{self.name}/{name}")
        self._tasks[task] = None
        task.add_done_callback(self._forget)
        task.add_done_callback(lambda _: work.close())  # one that was cancelled before its first step never ran
        return task

    async def close(self) -> None:
        """Cancel every child and wait for it; safe to call twice."""
        self._is_open = False
        current = asyncio.current_task()
        while children := [task for task in self._tasks if task is not current]:
            for task in children:
                task.cancel()
            await asyncio.wait(children)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)

    async def _guard(self, work: Coroutine[Any, Any, None], name: str) -> None:
        try:
            await work
        except Exception:
            self.failures += 1
            _logger.exception("background task failed", extra={"operation": f"{self.name}/{name}"})
