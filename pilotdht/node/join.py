"""Joining the mesh through any of its nodes, and coming back when all contacts are lost.

No node is special: a seed is whichever node somebody named, and once one contact answers, the seeds are not needed.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from pilotdht.errors import BadMessage, InvalidArgument, RemoteError
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import parse_did
from pilotdht.net.doors import Doors
from pilotdht.values import dataclass
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
        near: Callable[[], Sequence[Contact]] = tuple,
    ) -> None:
        """Make a joiner.

        Args:
            seeds: where to begin.
            mesh: the DHT to fill.
            hello: learns the key behind an endpoint.
            doors: for jitter.
            joined: called each time the mesh was joined after it was not.
            near: returns neighbours on the link that have answered.
        """
        self._seeds = tuple(seeds)[:MAX_SEEDS]
        self._mesh = mesh
        self._hello = hello
        self._doors = doors
        self._joined = joined
        self._near = near
        self._has_joined = False

    @property
    def named(self) -> list[tuple[str, int, PublicKey | None]]:
        """Host, port and key of the seeds, as they were written."""
        return [(seed.host, seed.port, seed.public_key) for seed in self._seeds]

    async def seed_endpoints(self) -> list[Endpoint]:
        """Return where the seeds are, as literals and as DNS says."""
        found = [endpoint for seed in self._seeds for endpoint in await _endpoints_of(seed)]
        return list(dict.fromkeys(found))

    def set_seeds(self, seeds: Sequence[Seed]) -> None:
        """Begin at other places the next time that no contact is left."""
        self._seeds = tuple(seeds)[:MAX_SEEDS]

    async def join_once(self, remembered: Sequence[Contact] = ()) -> bool:
        """Try all seeds, neighbours and remembered contacts at once; return whether any of them answered."""
        found: list[Contact] = [*self._near(), *remembered]
        if self._seeds:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(contacts_of(seed, self._hello)) for seed in self._seeds]
            for task in tasks:
                found.extend(task.result())
        return await self._join(found)

    async def join_near(self, neighbour: Contact) -> bool:
        """Join through a neighbour on the link unless that is done, waiting for no seed; return whether it led in."""
        if self._has_joined and self._mesh.contact_count:
            return False
        return await self._join([neighbour])

    async def _join(self, found: Sequence[Contact]) -> bool:
        if not found or await self._mesh.bootstrap(found) == 0:
            return False
        self._has_joined = True
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
            if not self._seeds and not remembered and not self._near():
                await asyncio.sleep(WATCH_INTERVAL_S)
                continue
            if not await self.join_once(remembered):
                _logger.info("no bootstrap node answers", extra={"operation": "join"})
                await asyncio.sleep(delay * self._doors.random.uniform(0.8, 1.2))
                delay = min(2 * delay, MAX_RETRY_S)


async def contacts_of(seed: Seed, hello: Callable[[Endpoint], Awaitable[Contact]]) -> list[Contact]:
    """Return the contacts of a seed that answer; an unreachable seed is no error, there may be others.

    Args:
        seed: whom.
        hello: learns the key behind an endpoint.
    """
    contacts: list[Contact] = []
    for endpoint in await _endpoints_of(seed):
        try:
            contact = await hello(endpoint)
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
