"""An event loop whose time only passes when nobody has anything to do, and a lossy wire between nodes on it."""

from __future__ import annotations

import asyncio
import heapq
import random
import selectors
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from pilotdht.wire.endpoint import Endpoint

Receive = Callable[[Sequence[tuple[bytes, Endpoint]]], None]


class _NoWaiting(selectors.BaseSelector):
    """Never waits: moves the loop's clock instead."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("every task waits, and no timer is set")
        if timeout > 0:
            self._loop.now = (int((self._loop.now + timeout) * 1e6) + 1) / 1e6
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        raise NotImplementedError

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        raise NotImplementedError

    def get_map(self) -> dict[Any, selectors.SelectorKey]:
        return {}


class VirtualLoop(asyncio.BaseEventLoop):
    """A loop that starts at time 1000 and never sleeps."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self._selector = _NoWaiting(self)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        """Return the virtual time."""
        return self.now

    def _process_events(self, event_list: Any) -> None:
        pass

    def _write_to_self(self) -> None:
        pass


def run_virtually(main: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end on a fresh virtual loop, and return what it returns."""
    loop = VirtualLoop()
    try:
        asyncio.set_event_loop(loop)
        result = loop.run_until_complete(main)
        loop.run_until_complete(loop.shutdown_asyncgens())
        return result
    finally:
        asyncio.set_event_loop(None)
        loop.close()


class Wire:
    """Carries datagrams between endpoints with delay, jitter, loss, and a bottleneck; deterministic by its seed."""

    def __init__(
        self,
        *,
        seed: int = 1,
        delay_s: float = 0.01,
        jitter_s: float = 0.0,
        loss: float = 0.0,
        rate_bytes_s: float | None = None,
        queue_bytes: int = 1 << 30,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.random = random.Random(seed)
        self.delay_s, self.jitter_s, self.loss = delay_s, jitter_s, loss
        self.rate_bytes_s, self.queue_bytes = rate_bytes_s, queue_bytes
        self.receivers: dict[Endpoint, Receive] = {}
        self.is_blocked: Callable[[Endpoint, Endpoint], bool] = lambda source, destination: False
        self.tap: Callable[[bytes, Endpoint, Endpoint], bytes | None] = lambda datagram, source, destination: datagram
        self.sent = self.lost = self.delivered = self.overflowed = 0
        self.trace: list[tuple[float, Endpoint, Endpoint, int]] | None = None
        self.captured: list[tuple[bytes, Endpoint, Endpoint]] | None = None
        self._busy_until: dict[Endpoint, float] = {}
        self._due: list[tuple[float, int, Endpoint, Endpoint, bytes]] = []
        self._order = 0
        self._handle: asyncio.TimerHandle | None = None

    def sender(self, source: Endpoint) -> Callable[[Sequence[bytes], Endpoint], None]:
        """Return a ``send_train`` whose datagrams come from ``source``."""

        def send_train(datagrams: Sequence[bytes], destination: Endpoint) -> None:
            for datagram in datagrams:
                self.send(datagram, source, destination)

        return send_train

    def send(self, datagram: bytes, source: Endpoint, destination: Endpoint) -> None:
        """Put one datagram on the wire."""
        now = self.loop.time()
        self.sent += 1
        if self.trace is not None:
            self.trace.append((round(now, 9), source, destination, len(datagram)))
        if self.captured is not None:
            self.captured.append((datagram, source, destination))
        changed = self.tap(datagram, source, destination)
        if changed is None or self.is_blocked(source, destination) or self.random.random() < self.loss:
            self.lost += 1
            return
        at = now
        if self.rate_bytes_s is not None:
            begin = max(now, self._busy_until.get(source, 0.0))
            if (begin - now) * self.rate_bytes_s > self.queue_bytes:
                self.overflowed += 1
                return
            at = self._busy_until[source] = begin + len(datagram) / self.rate_bytes_s
        at += self.delay_s + (self.random.random() * self.jitter_s if self.jitter_s else 0.0)
        self._order += 1
        heapq.heappush(self._due, (at, self._order, source, destination, changed))
        if self._handle is None or at < self._handle.when():
            if self._handle is not None:
                self._handle.cancel()
            self._handle = self.loop.call_at(at, self._deliver)

    def _deliver(self) -> None:
        self._handle = None
        now = self.loop.time()
        batches: dict[Endpoint, list[tuple[bytes, Endpoint]]] = {}
        while self._due and self._due[0][0] <= now:
            _, _, source, destination, datagram = heapq.heappop(self._due)
            batches.setdefault(destination, []).append((datagram, source))
        if self._due:
            self._handle = self.loop.call_at(self._due[0][0], self._deliver)
        for destination, batch in batches.items():
            receive = self.receivers.get(destination)
            if receive is not None:
                self.delivered += len(batch)
                receive(batch)
