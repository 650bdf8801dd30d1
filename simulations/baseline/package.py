"""The packages ``kademlia`` and ``rpcudp`` in a simulated world: their clocks, their entropy, and their tasks.

They read clocks and entropy by themselves and start tasks that nobody owns. :func:`stock_world` replaces attributes of
their modules from outside while it is open, and puts them back; no line of theirs is copied or changed:

========================  ===========  =================================================================================
module                    attribute    replaced by
========================  ===========  =================================================================================
``kademlia.routing``      ``time``     the loop's clock: buckets note when they were used, and are refreshed hourly
``kademlia.storage``      ``time``     the loop's clock: stored values have an age
``kademlia.network``      ``random``   a seeded stream: ids of nodes that are given none
``kademlia.protocol``     ``random``   a seeded stream: ids that refreshes look for
``rpcudp.protocol``       ``os``       a seeded stream: ids of messages come from ``os.urandom``
all but ``storage``       ``asyncio``  the same module, but ``ensure_future`` gives the task to its server's household
========================  ===========  =================================================================================

The last is what lets a simulated server die: a real one takes its tasks with it when its process ends. What such a task
raises nobody would ever hear of but the log; it is counted instead. Both packages log nothing while the world is open.
"""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import logging
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace, TracebackType
from typing import Any

from pilotdht.errors import InternalError
from pilotdht.tasks import TaskScope
from simulations.engine.streams import stream

PACKAGES = ("kademlia", "rpcudp")
"""Whose modules are furnished, and whose errors are counted."""

_STARTERS = ("kademlia.network", "kademlia.protocol", "kademlia.routing", "rpcudp.protocol")


@dataclass(slots=True)
class Tally:
    """What went wrong inside the servers of one world without anybody being told."""

    dropped: int = 0
    """Datagrams that fuses kept back; see :class:`simulations.baseline.transport.Fuse`."""
    errors: dict[str, int] = field(default_factory=dict)
    """Exceptions that nobody waited for, by type: of tasks and timers that the package itself started."""

    def note(self, error: BaseException) -> None:
        """Count an exception."""
        name = type(error).__name__
        self.errors[name] = self.errors.get(name, 0) + 1


class Household:
    """Everything that runs on behalf of one server; it ends with it."""

    def __init__(self, name: str, tally: Tally) -> None:
        """Make one.

        Args:
            name: of its tasks.
            tally: where exceptions are counted.
        """
        self.tally = tally
        """Where exceptions are counted."""
        self._scope = TaskScope(name)

    async def open(self) -> None:
        """Let tasks in."""
        await self._scope.__aenter__()

    async def close(self) -> None:
        """Cancel every task and wait for it; what is started later is thrown away."""
        await self._scope.close()

    def start(self, work: Coroutine[Any, Any, object], *, name: str = "task") -> asyncio.Task[None]:
        """Run a coroutine to its end; an exception is counted.

        Raises:
            RuntimeError: the household is closed.
        """
        try:
            task = self._scope.start(self._counted(work), name=name)
        except RuntimeError:
            work.close()
            raise
        task.add_done_callback(lambda _: work.close())  # one that was cancelled before its first step never ran
        return task

    async def _counted(self, work: Coroutine[Any, Any, object]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - the top of a task: the package lets anything pass
            self.tally.note(error)


HOUSEHOLD: contextvars.ContextVar[Household] = contextvars.ContextVar("household")
"""On whose behalf the package's code runs: set for each server before it starts, inherited by its tasks and timers."""

_open_tally: Tally | None = None


def tally_of_world() -> Tally:
    """Return the tally of the stock world that is open.

    Raises:
        InternalError: none is: the package would read real clocks.
    """
    if _open_tally is None:
        raise InternalError("no stock world is open", hint="wrap the run in `with stock_world(loop, seed)`")
    return _open_tally


@contextmanager
def stock_world(loop: asyncio.AbstractEventLoop, seed: int) -> Iterator[Tally]:
    """Furnish the packages for one simulation, and put everything back in the end.

    Args:
        loop: whose clock they read; its exception handler counts what their timers raise.
        seed: of the run.

    Returns:
        Where unheard exceptions and dropped datagrams are counted.

    Raises:
        InternalError: another one is open: modules are there once a process.
    """
    global _open_tally
    if _open_tally is not None:
        raise InternalError("a stock world is open already", hint="run one simulation of the package a process")
    clock = SimpleNamespace(monotonic=loop.time)
    furniture: list[tuple[str, str, object]] = [
        ("kademlia.routing", "time", clock),
        ("kademlia.storage", "time", clock),
        ("kademlia.network", "random", stream(seed, "kademlia", "ids")),
        ("kademlia.protocol", "random", stream(seed, "kademlia", "refreshes")),
        ("rpcudp.protocol", "os", SimpleNamespace(urandom=stream(seed, "kademlia", "messages").randbytes)),
    ]
    furniture += [(name, "asyncio", _asyncio_with_owners()) for name in _STARTERS]
    before = [(name, attribute, getattr(importlib.import_module(name), attribute)) for name, attribute, _ in furniture]
    levels = {name: logging.getLogger(name).level for name in PACKAGES}
    tally = Tally()
    handler = loop.get_exception_handler()
    loop.set_exception_handler(_counting_handler(tally, handler))
    try:
        _furnish(furniture)
        for name in PACKAGES:
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        _open_tally = tally
        yield tally
    finally:
        _open_tally = None
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        _furnish(before)
        loop.set_exception_handler(handler)


def _furnish(furniture: list[tuple[str, str, object]]) -> None:
    for name, attribute, thing in furniture:
        setattr(importlib.import_module(name), attribute, thing)


def _asyncio_with_owners() -> ModuleType:
    """Return the module ``asyncio`` with one function replaced."""
    module = ModuleType("asyncio")
    module.__dict__.update(asyncio.__dict__)

    def ensure_future(work: Coroutine[Any, Any, object]) -> asyncio.Task[None]:
        return HOUSEHOLD.get().start(work)

    module.__dict__["ensure_future"] = ensure_future
    return module


_Handler = Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object]


def _counting_handler(tally: Tally, otherwise: _Handler | None) -> _Handler:
    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, Exception) and _passed_through_packages(error.__traceback__):
            tally.note(error)
        elif otherwise is not None:
            otherwise(loop, context)
        else:
            loop.default_exception_handler(context)

    return handle


def _passed_through_packages(trace: TracebackType | None) -> bool:
    while trace is not None:
        module: str = trace.tb_frame.f_globals.get("__name__", "")
        if module.partition(".")[0] in PACKAGES:
            return True
        trace = trace.tb_next
    return False
