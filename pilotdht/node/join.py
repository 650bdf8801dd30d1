"""Joining the mesh through any of its nodes, and coming back when all contacts are lost.

No node is special: a seed is whichever node somebody named, and once one contact answers, the seeds are not needed.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pilotdht.errors import BadMessage, InvalidArgument, RemoteError
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import parse_did
from pilotdht.net.doors import Doors
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint, parse_endpoint

MAX_SEEDS = 32
MAX_ADDRESSES_PER_SEED = 8
FIRST_RETRY_S = 1.0
MAX_RETRY_S = 60.0
WATCH_INTERVAL_S = 15.0

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed:
    """A node to join through, as somebody wrote it down."""

    host: str
    """IP literal or DNS name."""
    port: int
    """1..65535."""
    public_key: PublicKey | None = None
    """Whose endpoint it must be; absent: whoever answers there."""


def parse_seed(text: str) -> Seed:
    """Read ``HOST:PORT`` or ``did:key:…@HOST:PORT``.

    Raises:
        InvalidArgument: another form.
    """
    did, separator, place = text.rpartition("@")
    public_key = parse_did(did) if separator else None
    try:
        endpoint = parse_endpoint(place)
    except InvalidArgument:
        host, _, port = place.rpartition(":")
        if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) <= 65535 or ":" in host:
            raise InvalidArgument(
                f"{text!r} is not a bootstrap node", hint="write HOST:PORT, or did:key:z6Mk…@HOST:PORT to pin its key"
            ) from None
        return Seed(host=host, port=int(port), public_key=public_key)
    return Seed(host=endpoint.host, port=endpoint.port, public_key=public_key)


class Mesh(Protocol):
    """What joining needs of the DHT."""

    async def bootstrap(self, contacts: Sequence[Contact]) -> int:
        """Ask the contacts for our neighbourhood; return how many contacts answered."""
        ...

    @property
    def contact_count(self) -> int:
        """Contacts in the routing table."""
        ...


class Joiner:
    """Joins the mesh through seeds and remembered contacts."""

    def __init__(
        self,
        *,
        seeds: Sequence[Seed],
        mesh: Mesh,
        hello: Callable[[Endpoint], Awaitable[Contact]],
        doors: Doors,
        joined: Callable[[], None],
    ) -> None:
        """Make a joiner.

        Args:
            seeds: where to begin.
            mesh: the DHT to fill.
            hello: learns the key behind an endpoint.
            doors: for jitter.
            joined: called each time the mesh was joined after it was not.
        """
        self._seeds = tuple(seeds)[:MAX_SEEDS]
        self._mesh = mesh
        self._hello = hello
        self._doors = doors
        self._joined = joined

    async def join_once(self, remembered: Sequence[Contact] = ()) -> bool:
        """Try all seeds and remembered contacts at once; return whether any of them answered."""
        found: list[Contact] = list(remembered)
        if self._seeds:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._contacts_of(seed)) for seed in self._seeds]
            for task in tasks:
                found.extend(task.result())
        if not found or await self._mesh.bootstrap(found) == 0:
            return False
        self._joined()
        return True

    async def keep_joined(self, remembered: Sequence[Contact] = ()) -> None:
        """Join again whenever no contact is left; ends only by cancellation."""
        delay = FIRST_RETRY_S
        while True:
            if self._mesh.contact_count:
                delay = FIRST_RETRY_S
                await asyncio.sleep(WATCH_INTERVAL_S * self._doors.random.uniform(0.8, 1.2))
                continue
            if not self._seeds and not remembered:
                await asyncio.sleep(WATCH_INTERVAL_S)
                continue
            if not await self.join_once(remembered):
                _logger.info("no bootstrap node answers", extra={"operation": "join"})
                await asyncio.sleep(delay * self._doors.random.uniform(0.8, 1.2))
                delay = min(2 * delay, MAX_RETRY_S)

    async def _contacts_of(self, seed: Seed) -> list[Contact]:
        """Return the contacts of a seed that answer; an unreachable seed is no error, there may be others."""
        contacts: list[Contact] = []
        for endpoint in await _endpoints_of(seed):
            try:
                contact = await self._hello(endpoint)
            except (RemoteError, BadMessage):
                continue
            if seed.public_key in (None, contact.public_key):
                contacts.append(contact)
            else:
                _logger.warning("a bootstrap node has another key than was given", extra={"endpoint": str(endpoint)})
        return contacts


async def _endpoints_of(seed: Seed) -> list[Endpoint]:
    """Return the endpoints of a seed: itself when it is a literal, else what DNS says."""
    try:
        return [parse_endpoint(str(Endpoint(seed.host, seed.port)))]
    except InvalidArgument:
        pass
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(seed.host, seed.port, type=socket.SOCK_DGRAM)
    except OSError:
        return []
    unique = dict.fromkeys(Endpoint(str(address[0]), seed.port) for *_, address in found)
    return list(unique)[:MAX_ADDRESSES_PER_SEED]
