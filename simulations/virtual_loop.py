"""An asyncio event loop whose clock moves only when everybody waits.

Waiting for a timer costs no wall time: the clock jumps to the first microsecond *after* the next deadline. (Exactly at
the deadline a QUIC loss timer can find that nothing is due yet and be set again for the same instant, for ever.) All
unmodified asyncio code runs on it; nothing of the real world can wake it, so a run with one seed is one run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

MICROSECONDS = 1_000_000
STALL_ROUNDS = 100_000
"""So many rounds of the loop without any time passing are a livelock, not work."""


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
        self._idle_rounds = 0
        self._selector = _Selector(self)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        """Return the virtual seconds."""
        return self._ticks / MICROSECONDS

    def advance(self, timeout: float | None) -> None:
        """Let virtual time pass; called where a real loop would wait for sockets.

        Raises:
            SimulationStalled: nothing is scheduled, or too many rounds went by without time passing.
        """
        if timeout is None:
            raise SimulationStalled("every task waits and no timer is set")
        if timeout > 0:
            self._ticks += int(timeout * MICROSECONDS) + 1
            self._idle_rounds = 0
            return
        self._idle_rounds += 1
        if self._idle_rounds > STALL_ROUNDS:
            raise SimulationStalled(f"time stands still at {self.time():.6f} s")

    def _process_events(self, event_list: object) -> None:
        """Do nothing: there are no sockets."""

    def _write_to_self(self) -> None:
        """Do nothing: no other thread may wake this loop."""


class _Selector:
    """Stands where a selector would: instead of waiting it lets virtual time pass."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> tuple[()]:
        self._loop.advance(timeout)
        return ()

    def close(self) -> None:
        pass


def run_virtually(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a fresh :class:`VirtualLoop`, as :func:`asyncio.run` does on a real one."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
