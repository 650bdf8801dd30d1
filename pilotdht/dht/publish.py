"""Keeping this node's own records alive: only their publisher refreshes them, at half their lifetime.

Each publication has a name, and a function that makes its record anew for every refresh, so that it says what is true
then. Sequence numbers only rise. An entry of a tag or group whose holders are full moves on to the next shard.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from random import Random

from pilotdht.config.dht import DhtConfig
from pilotdht.dht.reads import Reader
from pilotdht.dht.sequence import SequenceClock
from pilotdht.dht.store import WITHDRAWAL_TTL_S
from pilotdht.dht.writes import PutReport, Writer
from pilotdht.errors import InternalError, PilotError
from pilotdht.identity.keys import KeyPair
from pilotdht.values import dataclass
from pilotdht.wire.records import NodeRecord, Record, ShardedEntry, SignedRecord, sign_record

MAX_RETRY_FACTOR = 64

SIZE_FACTOR = 2
"""A mesh that has grown so much has put other nodes next to our records than those that took them; one that has shrunk
so much has lost half of those."""

SIZE_SPREAD_S = 10.0
"""Everybody notices at the same time; writes are spread over so long."""

_logger = logging.getLogger(__name__)

Build = Callable[[int], Record]
"""Makes the record for a sequence number, which goes into ``issued_ms``."""


@dataclass(slots=True, kw_only=True)
class Publication:
    """One record that is kept alive."""

    name: str
    """What it is called here."""
    build: Build
    """Makes it."""
    due_s: float
    """Loop time of the next refresh."""
    retry_s: float
    """Delay after the next failure."""
    shard: int = 0
    """Where a sharded entry was taken last."""
    last: SignedRecord | None = None
    """What was written last; absent before the first time."""
    mesh_size: int = 0
    """How many nodes the mesh had when it was written last."""
    kept: SignedRecord | None = None
    """What enough holders took last; absent before the first time."""


class Publisher:
    """Publishes, refreshes and withdraws."""

    def __init__(
        self,
        *,
        keys: KeyPair,
        config: DhtConfig,
        writer: Writer,
        reader: Reader,
        sequence: SequenceClock,
        unix_time: Callable[[], float],
        random: Random,
    ) -> None:
        self._keys = keys
        self._config = config
        self._writer = writer
        self._reader = reader
        self._sequence = sequence
        self._unix_time = unix_time
        self._random = random
        self._publications: dict[str, Publication] = {}
        self._mesh_size = 0
        self._wake = asyncio.Event()

    @property
    def names(self) -> list[str]:
        """The publications that are kept alive, in the order in which they began."""
        return list(self._publications)

    def find(self, name: str) -> Publication | None:
        """Return a publication; absent when it is not kept alive."""
        return self._publications.get(name)

    async def publish(self, name: str, build: Build) -> PutReport:
        """Write a record now and keep it alive from then on; takes the place of an earlier one of that name.

        Raises:
            Overloaded: too many requests of this node wait already; it is tried again in the background.
            NodeClosed: the node was closed.
        """
        held = self._publications.get(name)
        if held is None:
            held = Publication(
                name=name, build=build, due_s=asyncio.get_running_loop().time(), retry_s=self._config.publish_retry_s
            )
            self._publications[name] = held
        held.build = build
        return await self._write(held)

    def refresh_soon(self) -> None:
        """Publish everything anew at the next turn: after joining, or when an endpoint has changed."""
        now = asyncio.get_running_loop().time()
        for held in self._publications.values():
            held.due_s = now
        self._wake.set()

    def mesh_has(self, size: int) -> None:
        """Take in how many nodes exist: what was written when they were half or twice as many is soon written anew.

        Holders hand records on to newcomers that they hear of; in a mesh that grows tenfold in a minute many do not.
        And in one that was cut or broke down the holders of some records are all on the other side, or gone.
        """
        self._mesh_size = size
        now = asyncio.get_running_loop().time()
        for held in self._publications.values():
            is_other = size >= SIZE_FACTOR * held.mesh_size or held.mesh_size >= SIZE_FACTOR * size
            if held.kept is not None and is_other:
                held.mesh_size = size
                self._hasten(held, now)

    def reunited(self) -> None:
        """Take in that a cut has healed: the other side may hold older records of ours; all are soon written anew."""
        now = asyncio.get_running_loop().time()
        for held in self._publications.values():
            self._hasten(held, now)

    async def withdraw(self, name: str) -> bool:
        """End a publication and tell its holders; return whether it was published."""
        held = self._publications.pop(name, None)
        if held is None or held.last is None:
            return False
        await self._end(held.last)
        return True

    async def withdraw_all(self) -> None:
        """End every publication, all at once; what cannot be told expires by itself."""
        async with asyncio.TaskGroup() as group:
            for name in self.names:
                group.create_task(self._withdraw_quietly(name))

    async def run(self) -> None:
        """Refresh what is due, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            now = loop.time()
            due = [held for held in self._publications.values() if held.due_s <= now]
            for held in due:
                try:
                    await self._write(held)
                except PilotError as error:
                    _logger.warning("a record was not published", extra={"reason": error.code, "operation": held.name})
            if due:
                continue
            next_s = min((held.due_s for held in self._publications.values()), default=now + 3600.0)
            try:
                async with asyncio.timeout(max(0.0, next_s - now)):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _hasten(self, held: Publication, now: float) -> None:
        held.due_s = min(held.due_s, now + self._random.uniform(0.0, SIZE_SPREAD_S))
        self._wake.set()

    async def _write(self, held: Publication) -> PutReport:
        now = asyncio.get_running_loop().time()
        held.due_s = now + held.retry_s  # whatever happens below, it is tried again
        self._wake.set()
        report = await self._put(held)
        while report.is_full and self._is_current(held) and (left := self._move_on(held)) is not None:
            if report.acks:
                await self._end(left)
            report = await self._put(held)
        if report.is_outdated and held.last is not None and await self._learn(held.last) and self._is_current(held):
            report = await self._put(held)
        if report.is_kept and held.last is not None:
            held.kept = held.last
            held.mesh_size = self._mesh_size
            held.retry_s = self._config.publish_retry_s
            interval_s = held.last.record.ttl_s * self._config.refresh_share
        else:
            interval_s = held.retry_s
            held.retry_s = min(2 * held.retry_s, MAX_RETRY_FACTOR * self._config.publish_retry_s)
        jitter = self._config.jitter
        held.due_s = now + interval_s * self._random.uniform(1 - jitter, 1 + jitter)
        self._wake.set()
        return report

    async def _put(self, held: Publication) -> PutReport:
        record = held.build(self._sequence.next_ms(self._unix_time()))
        if held.shard and isinstance(record, ShardedEntry):
            record = replace(record, shard=held.shard)
        try:
            held.last = sign_record(self._keys, record)
        except ValueError as error:
            raise InternalError(f"the record {held.name!r} cannot be signed: {error}") from error
        return await self._writer.put(held.last)

    def _move_on(self, held: Publication) -> SignedRecord | None:
        """Go to the next shard and return what was written to the one before; absent when there is no next."""
        if held.last is None or not isinstance(held.last.record, ShardedEntry):
            return None
        if held.shard + 1 >= self._config.max_shards:
            return None
        held.shard += 1
        return held.last

    def _is_current(self, held: Publication) -> bool:
        """Return whether it was not withdrawn meanwhile: what was withdrawn must not be written again."""
        return self._publications.get(held.name) is held

    async def _end(self, signed: SignedRecord) -> None:
        """Tell the holders of a record that it is over."""
        record = withdrawal_of(signed.record, self._sequence.next_ms(self._unix_time()))
        await self._writer.put(sign_record(self._keys, record))

    async def _learn(self, signed: SignedRecord) -> bool:
        """Find out what newer record of ours is known, from before our memory was lost; return whether one is."""
        record = signed.record
        if isinstance(record, NodeRecord):
            newer = await self._reader.newest(record.key, signer=record.public_key)
            found = [] if newer is None else [newer]
        else:
            entries, _, _ = await self._reader.entries(record.key, limit=self._config.entries_per_key)
            found = [one for one in entries if one.record.public_key == record.public_key]
        known = max((one.record.issued_ms for one in found), default=0)
        if known < record.issued_ms:
            return False
        self._sequence.seen(known)
        return True

    async def _withdraw_quietly(self, name: str) -> None:
        try:
            await self.withdraw(name)
        except PilotError as error:
            _logger.info("a record was not withdrawn", extra={"reason": error.code, "operation": name})


def withdrawal_of(record: Record, issued_ms: int) -> Record:
    """Return the record that ends ``record``: newer, without content where it can be, and void after a second."""
    if isinstance(record, NodeRecord):
        return NodeRecord(
            public_key=record.public_key, network=record.network, issued_ms=issued_ms, ttl_s=WITHDRAWAL_TTL_S
        )
    return replace(record, issued_ms=issued_ms, ttl_s=WITHDRAWAL_TTL_S)
