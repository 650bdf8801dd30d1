"""An asyncio event loop whose clock moves only when everybody waits.

Waiting for a timer costs no wall time: the clock jumps to the first microsecond *after* the next deadline. (Exactly at
the deadline a QUIC loss timer can find that nothing is due yet and be set again for the same instant, for ever.) All
unmodified asyncio code runs on it; nothing of the real world can wake it, so a run with one seed is one run.

It differs from asyncio's own loop in three ways, all for speed or for what real loops cannot do:

* deadlines are integers, kept in a heap of plain tuples: no Python code compares two timers;
* :meth:`VirtualLoop.deliver_at` schedules a call without a handle, which is what every datagram needs;
* the callbacks of one owner can be held back (:meth:`VirtualLoop.stall`), which is what a starved process looks like.
"""

from __future__ import annotations

import asyncio
import contextvars
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from heapq import heapify, heappop, heappush
from typing import Any, TypeVar

T = TypeVar("T")

MICROSECONDS = 1_000_000
STALL_ROUNDS = 1_000_000
"""So many callbacks without any time passing are a livelock, not work."""

COMPACT_ABOVE = 4096
"""Cancelled timers are thrown out of the heap when more than this many, and more than half of all, are dead."""

OWNER: contextvars.ContextVar[object] = contextvars.ContextVar("owner", default=None)
"""On whose behalf callbacks run: set before a node starts, inherited by its tasks and timers."""


class SimulationStalled(RuntimeError):
    """Nothing is scheduled any more, or time does not pass."""


class VirtualLoop(asyncio.BaseEventLoop):
    """The loop; make one a simulation and close it."""

    def __init__(self, *, start_s: float = 1_000.0) -> None:
        """Make a loop.

        Args:
            start_s: what :meth:`time` shows first; not zero, so that nobody mistakes it for a duration.
        """
        super().__init__()
        self._ticks = int(start_s * MICROSECONDS)
        self._now_s = self._ticks / MICROSECONDS
        self._heap: list[tuple[int, int, Any, Any]] = []
        self._number = 0
        self._cancelled = 0
        self._soon: deque[events.Handle] = deque()
        self._stalled: dict[object, int] = {}
        self._is_stopping = False
        self.callbacks = 0
        """Callbacks run so far, deliveries included."""

    def time(self) -> float:
        """Return the virtual seconds."""
        return self._now_s

    # Scheduling

    def call_soon(
        self, callback: Callable[..., object], *args: object, context: contextvars.Context | None = None
    ) -> events.Handle:
        """Run a callback in this instant, after those that wait."""
        handle = events.Handle(callback, args, self, context)
        self._soon.append(handle)
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[..., object], *args: object, context: contextvars.Context | None = None
    ) -> events.Handle:
        """Do what :meth:`call_soon` does: a signal handler may interrupt a run; nothing else comes from outside."""
        return self.call_soon(callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: object, context: contextvars.Context | None = None
    ) -> events.TimerHandle:
        """Run a callback in the first microsecond after ``when``."""
        timer = events.TimerHandle(when, callback, args, self, context)
        timer._scheduled = True  # type: ignore[attr-defined]  # cancelling then tells us
        self._number = number = self._number + 1
        ticks = int(when * MICROSECONDS) + 1
        heappush(self._heap, (max(ticks, self._ticks), number, timer, None))
        return timer

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: object, context: contextvars.Context | None = None
    ) -> events.TimerHandle:
        """Run a callback after ``delay`` seconds."""
        return self.call_at(self._now_s + delay, callback, *args, context=context)

    def deliver_at(self, ticks: int, callback: Callable[..., object], arguments: tuple[object, ...]) -> None:
        """Call ``callback(*arguments)`` at a tick, see :attr:`ticks`; cannot be cancelled, must not raise."""
        self._number = number = self._number + 1
        heappush(self._heap, (ticks, number, callback, arguments))

    @property
    def ticks(self) -> int:
        """Virtual time in whole microseconds."""
        return self._ticks

    def compute(self, seconds: float) -> None:
        """Let time pass while a callback runs, as if it computed for so long and kept everybody waiting."""
        self._ticks += int(seconds * MICROSECONDS)
        self._now_s = self._ticks / MICROSECONDS

    def stall(self, owner: object, until_s: float) -> None:
        """Run no callback on behalf of ``owner`` before ``until_s``; then all that waited, in order.

        Deliveries are not held back: the network does that, as a kernel buffers datagrams for a starved process.
        """
        self._stalled[owner] = int(until_s * MICROSECONDS)

    # Running

    def run_forever(self) -> None:
        """Run until :meth:`stop`.

        Raises:
            SimulationStalled: nothing is scheduled, or too many callbacks ran without time passing.
        """
        self._check_closed()  # type: ignore[attr-defined]  # the type stubs leave private names out
        if self.is_running() or events._get_running_loop() is not None:
            raise RuntimeError("another event loop is running")
        self._thread_id = 1  # this is how the base class knows that it runs
        events._set_running_loop(self)
        try:
            self._run()
        finally:
            self._is_stopping = False
            self._thread_id = None  # type: ignore[assignment]  # so does the base class
            events._set_running_loop(None)

    def stop(self) -> None:
        """End :meth:`run_forever` after the callbacks of this instant that wait already."""
        self._is_stopping = True

    def _run(self) -> None:
        soon, heap = self._soon, self._heap
        rounds = 0
        while True:
            count = len(soon)
            if count:
                rounds += count
                self.callbacks += count
                for _ in range(count):
                    handle = soon.popleft()
                    if not handle._cancelled:
                        if self._stalled and self._is_held_back(handle):
                            continue
                        handle._run()
                if self._is_stopping:
                    return
                if rounds > STALL_ROUNDS:
                    raise SimulationStalled(f"time stands still at {self._now_s:.6f} s")
                continue
            if self._is_stopping:
                return
            if not heap:
                raise SimulationStalled("every task waits and no timer is set")
            ticks, _, what, arguments = heappop(heap)
            if arguments is None:
                if what._cancelled:
                    self._cancelled -= 1
                    continue
                what._scheduled = False
            if ticks > self._ticks:
                self._ticks = ticks
                self._now_s = ticks / MICROSECONDS
                rounds = 0
            rounds += 1
            self.callbacks += 1
            if arguments is not None:
                what(*arguments)
            elif not (self._stalled and self._is_held_back(what)):
                what._run()

    def _is_held_back(self, handle: events.Handle) -> bool:
        """Put a handle off when its owner is stalled."""
        context: contextvars.Context = handle._context  # type: ignore[attr-defined]
        owner = context.get(OWNER)
        until = self._stalled.get(owner)
        if until is None:
            return False
        if until <= self._ticks:
            del self._stalled[owner]
            return False
        self.deliver_at(until, self._resume, (handle,))
        return True

    def _resume(self, handle: events.Handle) -> None:
        if not handle._cancelled:
            self._soon.append(handle)

    def _timer_handle_cancelled(self, handle: events.TimerHandle) -> None:
        """Count what lies dead in the heap, and clear it out when that is most of it."""
        self._cancelled += 1
        if self._cancelled > COMPACT_ABOVE and self._cancelled * 2 > len(self._heap):
            self._heap[:] = [entry for entry in self._heap if entry[3] is not None or not entry[2]._cancelled]
            heapify(self._heap)
            self._cancelled = 0

    def _process_events(self, event_list: object) -> None:
        """Do nothing: there are no sockets."""

    def _write_to_self(self) -> None:
        """Do nothing: no other thread may wake this loop."""


def run_virtually(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a fresh :class:`VirtualLoop`, as :func:`asyncio.run` does on a real one."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
