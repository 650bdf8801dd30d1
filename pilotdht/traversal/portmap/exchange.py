"""One question at a time to one router, and the answers that fit: the socket of the port mapping.

Only what comes from the router asked, while something is asked, and belongs to it, is looked at; all else is dropped
and counted. Nothing that arrives can make it fail or grow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from pilotdht.errors import BadMessage
from pilotdht.net.doors import Batch, DatagramNetwork, DatagramSocket
from pilotdht.traversal.portmap.metrics import PortMapMetrics
from pilotdht.traversal.portmap.packets import Answer, answer_untrusted
from pilotdht.wire.endpoint import Endpoint

AnswerT = TypeVar("AnswerT")


class Exchange:
    """A UDP socket on one own address; one question is under way at a time."""

    def __init__(self, network: DatagramNetwork, metrics: PortMapMetrics) -> None:
        """Make it; nothing is opened before :meth:`open`."""
        self._network = network
        self._metrics = metrics
        self._socket: DatagramSocket | None = None
        self._router: Endpoint | None = None
        self._take: Callable[[Answer], None] | None = None

    async def open(self, own: str) -> None:
        """Open the socket on an own address, instead of one that is open.

        Raises:
            ConfigError: the address is ours no longer.
        """
        await self.close()
        self._socket = await self._network.open(Endpoint(own, 0), self._receive)

    async def close(self) -> None:
        """Close the socket; safe to call twice."""
        socket, self._socket = self._socket, None
        if socket is not None:
            await socket.close()

    async def ask(
        self,
        router: Endpoint,
        datagram: bytes,
        *,
        fits: Callable[[Answer], AnswerT | None],
        first_wait_s: float,
        tries: int,
    ) -> AnswerT | None:
        """Ask, and ask again while nobody answers; each wait is twice the one before.

        Args:
            router: who is asked; the socket must be open.
            datagram: the question.
            fits: returns the answer as the caller wants it, or ``None`` when it answers something else.
            first_wait_s: wait after the first time.
            tries: how often it is sent.

        Returns:
            The first answer that fits; ``None`` when there was none.
        """
        assert self._socket is not None, "opened before"
        assert self._take is None, "one question at a time"
        answered: asyncio.Future[AnswerT] = asyncio.get_running_loop().create_future()

        def take(answer: Answer) -> None:
            found = fits(answer)
            if found is None:
                self._drop("other_answer")
            elif not answered.done():
                answered.set_result(found)

        self._router, self._take = router, take
        try:
            for attempt in range(tries):
                self._metrics.requests.inc()
                self._socket.send(datagram, router)
                done, _ = await asyncio.wait((answered,), timeout=first_wait_s * 2**attempt)
                if done:
                    return answered.result()
            return None
        finally:
            self._router = self._take = None
            answered.cancel()

    def _receive(self, batch: Batch) -> None:
        for datagram, endpoint in batch:
            if self._take is None:
                self._drop("unasked")
            elif endpoint != self._router:
                self._drop("stranger")
            else:
                try:
                    self._take(answer_untrusted(datagram))
                except BadMessage as error:
                    self._drop(error.reason)

    def _drop(self, reason: str) -> None:
        self._metrics.dropped.labels(reason).inc()
