"""Asking over plain UDP whether UDP passes, beside everything else that a node sends: from a socket of its own.

The node's own socket has its datagrams taken by the trunk; a question that went past it there would take those of its
peer along.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from pilotdht.config.net import NetConfig
from pilotdht.errors import BadMessage, ConfigError, PilotError
from pilotdht.identity.keys import KeyPair
from pilotdht.net.datagrams import HELLO_REPLY
from pilotdht.net.doors import Batch, Doors
from pilotdht.net.hello import Greeter
from pilotdht.net.metrics import NetMetrics
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint

ASKED_AT_ONCE = 4
"""Nodes greeted in one trial."""


class UdpTrial:
    """Greets nodes by plain UDP."""

    def __init__(self, keys: KeyPair, doors: Doors, config: NetConfig, metrics: NetMetrics, *, salt: bytes) -> None:
        """Make it.

        Args:
            keys: who we are.
            doors: opens the socket; source of unpredictable bytes.
            config: tries and waits of greetings.
            metrics: where greetings are counted.
            salt: the mesh's.
        """
        self._keys = keys
        self._doors = doors
        self._config = config
        self._metrics = metrics
        self._salt = salt

    async def answers(self, endpoints: Sequence[Endpoint], *, host: str) -> bool:
        """Return whether a node of this mesh answers at any of some endpoints; no more than four are asked.

        Args:
            endpoints: whom to greet.
            host: where the socket is bound, at any port.
        """
        if not endpoints:
            return False
        greeter = Greeter(
            self._keys,
            self._config,
            self._metrics,
            salt=self._salt,
            token_bytes=self._doors.token_bytes,
            observed=_ignore,
        )
        try:
            socket = await self._doors.network.open(Endpoint(host, 0), _replies_to(greeter))
        except ConfigError:
            return False
        try:
            greeter.open(socket.send)
            results: asyncio.Queue[bool] = asyncio.Queue()

            async def ask(endpoint: Endpoint) -> None:
                try:
                    await greeter.hello(endpoint)
                except PilotError:
                    results.put_nowait(False)
                else:
                    results.put_nowait(True)

            is_answered = False
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(ask(endpoint)) for endpoint in endpoints[:ASKED_AT_ONCE]]
                for _ in tasks:
                    is_answered = await results.get()
                    if is_answered:
                        break
                for task in tasks:
                    task.cancel()
            return is_answered
        finally:
            greeter.close()
            await socket.close()


def _replies_to(greeter: Greeter) -> Callable[[Batch], None]:
    def receive(batch: Batch) -> None:
        for datagram, endpoint in batch:
            if datagram[:1] == bytes((HELLO_REPLY,)):
                try:
                    greeter.receive_reply_untrusted(datagram, endpoint)
                except BadMessage:
                    continue  # a stray one: nothing hangs on this socket

    return receive


def _ignore(_contact: Contact, _seen: Endpoint) -> None:
    pass
