"""Several requests at once: start as many as wanted, take their outcomes as they come, leave without a trace."""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType
from typing import Protocol, Self

from pilotdht.errors import InternalError, NodeClosed
from pilotdht.net.outcomes import Outcome, Slow
from pilotdht.net.pending import Deliver, Pending
from pilotdht.wire.contact import Contact
from pilotdht.wire.message import Request


class Asker(Protocol):
    """Whatever sends requests: :class:`pilotdht.net.rpc.Rpc`."""

    def begin(self, contact: Contact, message: Request, deliver: Deliver) -> Pending | None:
        """Send a request; absent when its outcome was delivered at once."""
        ...

    def abandon(self, pending: Pending) -> None:
        """Forget a request; its outcome is not delivered."""
        ...


class Calls:
    """A group of requests of one operation; ``async with`` bounds their life. For one task at a time.

    ::

        async with rpc.calls() as calls:
            calls.start(contact, message)
            while calls.outstanding:
                match await calls.next(): ...
    """

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self._pending: dict[int, Pending] = {}
        self._outcomes: deque[Outcome | NodeClosed] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._serial = 0
        self._is_open = False
        self.outstanding = 0
        """Requests started whose ``Answered`` or ``Silent`` has not been returned by :meth:`next` yet."""

    async def __aenter__(self) -> Self:
        self._is_open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_open = False
        for pending in self._pending.values():
            self._asker.abandon(pending)
        self._pending.clear()
        self._outcomes.clear()
        self.outstanding = 0

    def start(self, contact: Contact, message: Request) -> None:
        """Send a request; its outcomes come out of :meth:`next`.

        Raises:
            Overloaded: the node has as many requests waiting as it may.
            NodeClosed: the node is not open.
        """
        if not self._is_open:
            raise InternalError("calls are started inside their 'async with' block")
        self._serial += 1
        serial = self._serial

        def deliver(outcome: Outcome | NodeClosed) -> None:
            if type(outcome) is not Slow:
                self._pending.pop(serial, None)
            self._outcomes.append(outcome)
            waiter = self._waiter
            if waiter is not None and not waiter.done():
                waiter.set_result(None)

        pending = self._asker.begin(contact, message, deliver)
        self.outstanding += 1
        if pending is not None:
            self._pending[serial] = pending

    async def next(self) -> Outcome:
        """Return the next outcome in the order in which they came; waits while there is none.

        Raises:
            NodeClosed: the node was closed.
            InternalError: nothing is outstanding, so waiting would never end.
        """
        while not self._outcomes:
            if not self.outstanding:
                raise InternalError("no call is outstanding")
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        outcome = self._outcomes.popleft()
        if type(outcome) is not Slow:
            self.outstanding -= 1
        if isinstance(outcome, NodeClosed):
            raise outcome
        return outcome
