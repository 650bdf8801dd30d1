"""What a daemon does while it runs: it waits for its end, reads its configuration anew when told to, and says it lives.

Signals set a mark and wake it; the work happens here, on the loop, so that a sign of life proves that the loop turns.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Iterator

from pilotdht.daemon.notify import Notifier
from pilotdht.errors import PilotError

_logger = logging.getLogger(__name__)


class Attendance:
    """One daemon's wait for its end."""

    def __init__(self, *, is_hangup_end: bool) -> None:
        """Make it.

        Args:
            is_hangup_end: the daemon belongs to a terminal: when that is gone, so is the daemon. Otherwise a hang-up
                is how daemons are told to read their configuration anew.
        """
        self._is_hangup_end = is_hangup_end
        self._woken = asyncio.Event()
        self._is_stopping = False
        self._is_reload_due = False

    def stop(self) -> None:
        """Begin a clean stop."""
        self._is_stopping = True
        self._woken.set()

    def reload(self) -> None:
        """Have the configuration read anew; asked for twice in a row it is read once."""
        self._is_reload_due = True
        self._woken.set()

    async def wait(self, reload: Callable[[], Awaitable[object]], notifier: Notifier) -> None:
        """Return when the daemon is to stop.

        Args:
            reload: reads the configuration anew.
            notifier: is told that the daemon lives.
        """
        while not self._is_stopping:
            if self._is_reload_due:
                self._is_reload_due = False
                with contextlib.suppress(PilotError):  # it was logged, and what held before still holds
                    await reload()
                continue
            self._woken.clear()
            notifier.alive()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(notifier.interval_s):
                    await self._woken.wait()

    @contextlib.contextmanager
    def signals(self) -> Iterator[None]:
        """Obey signals while the block runs: interrupt and termination stop, the second of them at once."""
        loop = asyncio.get_running_loop()

        def stop() -> None:
            if self._is_stopping:
                os._exit(130)
            self.stop()

        handlers = {
            signal.SIGINT: stop,
            signal.SIGTERM: stop,
            signal.SIGHUP: stop if self._is_hangup_end else self.reload,
        }
        try:
            for number, handler in handlers.items():
                loop.add_signal_handler(number, handler)
        except (ValueError, RuntimeError):  # not the main thread: whoever runs us there handles signals
            handlers = {}
        try:
            yield
        finally:
            for number in handlers:
                loop.remove_signal_handler(number)
