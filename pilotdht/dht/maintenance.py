"""Upkeep of the routing table: contacts heard of are pinged, old ones proved, quiet regions looked up.

Everything is bounded and rate-limited, whatever others send. Nothing here writes records.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from random import Random
from typing import Any

from pilotdht.config.dht import DhtConfig
from pilotdht.dht.lost import LostContacts
from pilotdht.dht.metrics import DhtMetrics
from pilotdht.dht.requester import Requester
from pilotdht.dht.routing import Bucket, RoutingTable
from pilotdht.dht.search import Searcher
from pilotdht.errors import PilotError
from pilotdht.identity.ids import NODE_ID_BITS, NODE_ID_BYTES, NodeId
from pilotdht.net.outcomes import Sender, Silent, Slow
from pilotdht.wire.contact import Contact
from pilotdht.wire.dht_messages import Ping

LookUp = Callable[[NodeId], Coroutine[Any, Any, object]]
"""Looks up a point of the key space, for its effect on the table."""

Rejoin = Callable[[Sequence[Contact]], Coroutine[Any, Any, object]]
"""Joins the part of the mesh that some contacts belong to."""


class Allowance:
    """So many per second on average, so many at once. Pure."""

    def __init__(self, *, rate: float, burst: int) -> None:
        """Make it full."""
        self._rate = rate
        self._burst = burst
        self._level = float(burst)
        self._at_s: float | None = None

    def take(self, now: float) -> float:
        """Take one, and return how long to wait until it is there."""
        if self._at_s is not None:
            self._level = min(float(self._burst), self._level + (now - self._at_s) * self._rate)
        self._at_s = now
        self._level -= 1.0
        return max(0.0, -self._level / self._rate)


def random_point(bucket: Bucket, random: Random) -> NodeId:
    """Return a random id of a bucket's interval."""
    point = bucket.lower + random.getrandbits(NODE_ID_BITS - bucket.prefix_bits)
    return NodeId(point.to_bytes(NODE_ID_BYTES, "big"))


def point_beside(own_id: NodeId, shared_bits: int, random: Random) -> NodeId:
    """Return a random id that has exactly ``shared_bits`` leading bits in common with ``own_id``."""
    free_bits = NODE_ID_BITS - shared_bits - 1
    start = int.from_bytes(own_id, "big") >> free_bits ^ 1
    return NodeId((start << free_bits | random.getrandbits(free_bits)).to_bytes(NODE_ID_BYTES, "big"))


class Maintenance:
    """The table's background work."""

    def __init__(
        self,
        *,
        own_id: NodeId,
        config: DhtConfig,
        table: RoutingTable,
        searcher: Searcher,
        requester: Requester,
        random: Random,
        metrics: DhtMetrics,
        look_up: LookUp,
        rejoin: Rejoin,
        on_reunited: Callable[[], None],
        on_tick: Callable[[], None],
    ) -> None:
        self._own_id = own_id
        self._own_point = int.from_bytes(own_id, "big")
        self._config = config
        self._table = table
        self._searcher = searcher
        self._requester = requester
        self._random = random
        self._metrics = metrics
        self._look_up = look_up
        self._rejoin = rejoin
        self._on_reunited = on_reunited
        self._on_tick = on_tick
        self._allowance = Allowance(rate=config.candidate_pings_per_s, burst=config.candidate_ping_burst)
        self._candidates: dict[NodeId, Contact] = {}
        self._proofs: dict[NodeId, Contact] = {}
        self._proving: dict[NodeId, None] = {}
        self._wake = asyncio.Event()
        self._lost = LostContacts(config)
        self._returned: list[Contact] = []
        self._has_lost = asyncio.Event()
        self._own_lookup_due_s = 0.0

    @property
    def candidates(self) -> int:
        """Contacts that wait to be pinged."""
        return len(self._candidates)

    def heard(self, sender: Sender) -> None:
        """Queue whoever asked us something, to be verified by a request of ours."""
        contact = sender.contact
        if contact.node_id in self._candidates or not self._table.has_use_for(contact):
            return
        if len(self._candidates) >= self._config.candidate_queue:
            self._metrics.candidates_dropped += 1
            return
        self._candidates[contact.node_id] = contact
        self._wake.set()

    def spare(self, contact: Contact) -> None:
        """Have the oldest contact of a full bucket prove itself against a newcomer."""
        self.found(contact)
        oldest = self._table.oldest_of_full(contact.node_id, asyncio.get_running_loop().time())
        if oldest is None or oldest.contact.node_id in self._proving:
            return
        if len(self._proofs) < self._config.candidate_queue:
            self._proofs[oldest.contact.node_id] = oldest.contact
            self._wake.set()

    def lost(self, contact: Contact) -> None:
        """Keep a contact that was given up: it may be on the other side of a cut."""
        self._lost.add(contact, table_size=len(self._table), now=asyncio.get_running_loop().time())
        self._has_lost.set()

    def found(self, contact: Contact) -> None:
        """Take in that a contact is known again; one that was lost with many others tells that a cut has healed."""
        was_suspected = self._lost.is_split_suspected(now=asyncio.get_running_loop().time())
        if self._lost.remove(contact.node_id) and was_suspected:
            self._returned.append(contact)
            self._has_lost.set()

    async def run_reunions(self) -> None:
        """Ask a lost contact now and then whether it is back, and join its part of the mesh when it is, for ever."""
        while True:
            self._has_lost.clear()
            if not len(self._lost):
                await self._has_lost.wait()
            is_split = self._lost.is_split_suspected(now=asyncio.get_running_loop().time())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(
                    self._spread(self._config.split_probe_s if is_split else self._config.lost_probe_s)
                ):
                    await self._has_lost.wait()
            try:
                if self._returned:
                    await self._reunite()
                elif not self._has_lost.is_set() and (contact := self._lost.any(self._random)) is not None:
                    await self._searcher.ask_each([contact], Ping())
            except PilotError:
                self._metrics.reject("reunion_cut_short")

    async def _reunite(self) -> None:
        """Ask all that were lost, and announce this node to the mesh around it as if it had just come."""
        await self._searcher.ask_each(self._lost.all(), Ping())
        returned, self._returned = self._returned, []
        await self._rejoin(returned)
        self._on_reunited()

    async def run_pings(self) -> None:
        """Ping those that wait, a few at a time and no faster than allowed, for ever."""
        while True:
            if not self._candidates and not self._proofs:
                self._wake.clear()
                await self._wake.wait()
            try:
                await self._ping_waiting()
            except PilotError:
                self._proving.clear()
                self._metrics.reject("ping_cut_short")
                await asyncio.sleep(self._config.maintenance_tick_s)

    async def run_ticks(self) -> None:
        """Look for stale contacts and quiet regions, for ever."""
        loop = asyncio.get_running_loop()
        self._own_lookup_due_s = loop.time() + self._spread(self._config.self_lookup_s)
        while True:
            await asyncio.sleep(self._spread(self._config.maintenance_tick_s))
            self._on_tick()
            try:
                await self._tick(loop.time())
            except PilotError:
                self._metrics.reject("tick_cut_short")

    async def _ping_waiting(self) -> None:
        loop = asyncio.get_running_loop()
        async with self._requester.calls() as calls:
            free = self._config.parallel
            while (self._candidates or self._proofs) or calls.outstanding:
                while free > 0 and (contact := self._next_waiting()) is not None:
                    await asyncio.sleep(self._allowance.take(loop.time()))
                    free -= 1
                    calls.start(contact, Ping())
                if not calls.outstanding:
                    return
                outcome = await calls.next()
                self._searcher.note(outcome)
                if isinstance(outcome, Slow):
                    continue
                free += 1
                node_id = outcome.contact.node_id
                was_proving = node_id in self._proving
                self._proving.pop(node_id, None)
                if was_proving and isinstance(outcome, Silent):
                    self._table.swap_silent(node_id)

    def _next_waiting(self) -> Contact | None:
        """Return whom to ping next: contacts of the table, then those nearest to us; absent when nobody waits."""
        if self._proofs:
            node_id = next(iter(self._proofs))
            self._proving[node_id] = None
            return self._proofs.pop(node_id)
        while self._candidates:
            nearest = min(self._candidates.values(), key=self._distance)
            contact = self._candidates.pop(nearest.node_id)
            if self._table.has_use_for(contact):
                return contact
        return None

    def _distance(self, contact: Contact) -> int:
        return contact.point ^ self._own_point

    async def _tick(self, now: float) -> None:
        config = self._config
        stale = self._table.stale_contacts(now, config.stale_pings_per_tick)
        if stale:
            await self._searcher.ask_each(stale, Ping())
        if not len(self._table):
            return
        if now >= self._own_lookup_due_s:
            self._own_lookup_due_s = now + self._spread(config.self_lookup_s)
            await self._look_up(self._own_id)
        for bucket in self._table.stale_buckets(now - config.bucket_refresh_s)[: config.refreshes_per_tick]:
            await self._refresh(bucket, now)

    async def _refresh(self, bucket: Bucket, now: float) -> None:
        """Fill gaps of a bucket: whoever is known there names others, and a few of them are pinged."""
        bucket.looked_up_s = now
        if not self._table.has_gap(bucket):
            return  # nothing to fill, and each contact is proved on its own
        target = random_point(bucket, self._random)
        named = await self._searcher.ask_nearest(target) if bucket.nodes else None
        if named is None:
            await self._look_up(target)
            return
        newcomers = [
            contact for contact in named if bucket.has_in_range(contact.point) and self._table.has_use_for(contact)
        ]
        await self._searcher.ask_each(newcomers[: self._config.newcomers_per_refresh], Ping())

    def _spread(self, interval_s: float) -> float:
        return interval_s * self._random.uniform(1 - self._config.jitter, 1 + self._config.jitter)
