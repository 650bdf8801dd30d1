"""Pings of a link that are under way. Pure, but for the futures of those who wait."""

from __future__ import annotations

import asyncio

from pilotdht.errors import PilotError


class Pings:
    """Numbers pings and finds who waits for which.

    Args:
        now: time of the loop, in seconds.
    """

    __slots__ = ("_next", "_waiters", "sent_at")

    def __init__(self, now: float) -> None:
        self._next = 1
        self._waiters: dict[int, asyncio.Future[float]] = {}
        self.sent_at = now
        """When the last one was sent."""

    def begin(self, now: float, waiter: asyncio.Future[float] | None) -> int:
        """Return the number of a new ping; ``waiter`` gets the time of its answer."""
        uid = self._next
        self._next += 1
        self.sent_at = now
        if waiter is not None:
            self._waiters[uid] = waiter
        return uid

    def answered(self, uid: int, now: float) -> None:
        """Note that a ping was answered."""
        waiter = self._waiters.pop(uid, None)
        if waiter is not None and not waiter.done():
            waiter.set_result(now)

    def forget(self, uid: int) -> None:
        """Nobody waits for this one any more."""
        self._waiters.pop(uid, None)

    def fail(self, kind: type[PilotError], text: str) -> None:
        """No ping will be answered any more."""
        for waiter in self._waiters.values():
            if not waiter.done():
                waiter.set_exception(kind(text))
        self._waiters.clear()
