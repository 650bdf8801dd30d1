"""One read for all who ask the same thing at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

T = TypeVar("T")


class SharedReads:
    """The reads that are under way, by their question."""

    def __init__(self) -> None:
        self._running: dict[object, asyncio.Future[object]] = {}

    async def run(self, question: object, read: Callable[[], Awaitable[T]]) -> T:
        """Run ``read`` once for all who ask the same at the same time; the next takes over when the first gives up."""
        while (running := self._running.get(question)) is not None:
            await asyncio.wait([running])
            if not running.cancelled():
                return cast("T", running.result())
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._running[question] = future
        try:
            result = await read()
            future.set_result(result)
            return result
        except Exception as error:
            future.set_exception(error)
            future.exception()  # those who wait, if any, take it; nobody is blamed when none does
            raise
        finally:
            if not future.done():
                future.cancel()
            del self._running[question]
