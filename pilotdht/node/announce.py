"""Keeping what the mesh knows about this node true: its records follow its name, tags, endpoints and services."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Protocol

from pilotdht.dht.publish import Build
from pilotdht.errors import PilotError
from pilotdht.names.own import NODE_PUBLICATION, Profile, own_records

SETTLE_S = 2.0
"""How long after the first sign of a change it is looked at: peers' words come in bursts."""

EXPIRY_CHECK_S = 60.0
"""How often is looked without a sign: what peers said of us expires silently."""

_logger = logging.getLogger(__name__)


class Publishes(Protocol):
    """What announcing needs of the DHT."""

    async def publish(self, name: str, build: Build) -> object:
        """Write a record now and keep it alive."""
        ...

    async def withdraw(self, name: str) -> bool:
        """End a publication."""
        ...

    async def withdraw_all(self) -> None:
        """End all publications."""
        ...


class Announcer:
    """Publishes and withdraws a node's own records."""

    def __init__(self, *, dht: Publishes, profile: Callable[[], Profile]) -> None:
        """Make it.

        Args:
            dht: where records go.
            profile: what the node says about itself now.
        """
        self._dht = dht
        self._profile = profile
        self._announced: Profile | None = None
        self._names: dict[str, None] = {}
        self.on_announced: Callable[[], None] = _ignore
        """Called when what the node says about itself has changed, before it is published."""
        self._busy = asyncio.Lock()
        self._hint = asyncio.Event()
        self._urgent = asyncio.Event()
        self._hint.set()  # the first announcement may have been cut short

    async def announce(self) -> None:
        """Publish what is not published as it should be, and withdraw what is not true any more.

        Raises:
            PilotError: it could not be published now; the DHT tries again by itself.
        """
        async with self._busy:
            profile = self._profile()
            if profile != self._announced:
                await self._announce(profile)

    def look(self) -> None:
        """Look for a change in a moment: there was a sign of one."""
        self._hint.set()

    def look_soon(self) -> None:
        """Look for a change now, when nothing useful was announced so far: somebody answered for the first time."""
        if self._announced is not None and not self._announced.endpoints:
            self._urgent.set()
            self._hint.set()

    async def keep_announced(self) -> None:
        """Announce each change; ends only by cancellation."""
        while True:
            await _wait(self._hint, EXPIRY_CHECK_S)
            await _wait(self._urgent, SETTLE_S)
            self._hint.clear()
            self._urgent.clear()
            try:
                await self.announce()
            except PilotError as error:
                _logger.info("a change was not announced yet", extra={"reason": error.code})

    async def withdraw(self) -> None:
        """Withdraw everything: the node is going away."""
        async with self._busy:
            self._announced = None
            self._names.clear()
            await self._dht.withdraw_all()

    async def _announce(self, profile: Profile) -> None:
        records = own_records(profile)
        for name in [name for name in self._names if name not in records]:
            try:
                await self._dht.withdraw(name)
            except PilotError:
                self._hint.set()  # it is tried again
                raise
            del self._names[name]
        missing = {name: build for name, build in records.items() if name not in self._names}
        changed = {NODE_PUBLICATION: records[NODE_PUBLICATION]} | missing
        self._announced = profile
        self.on_announced()
        self._names.update(dict.fromkeys(records))
        async with asyncio.TaskGroup() as group:
            for name, build in changed.items():
                group.create_task(self._publish(name, build))

    async def _publish(self, name: str, build: Build) -> None:
        try:
            await self._dht.publish(name, build)
        except PilotError as error:
            _logger.info("a record was not published yet", extra={"operation": name, "reason": error.code})


def _ignore() -> None:
    pass


async def _wait(event: asyncio.Event, most_s: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(most_s):
            await event.wait()
