"""The DHT as the rest of a node sees it: join, look up, read, write, keep alive, remember.

Nothing is started but in the scope that is handed in, and nothing is known of what records mean: names and trust build
on top.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, cast

from pilotdht.config.dht import DhtConfig
from pilotdht.dht.density import CONTACTS_COUNTED, estimated_nodes
from pilotdht.dht.facts import DhtStats, NodesFound, RecordFound
from pilotdht.dht.handover import Handover
from pilotdht.dht.holder import Holder
from pilotdht.dht.lookup import Ending, Lookup
from pilotdht.dht.maintenance import Maintenance, point_beside
from pilotdht.dht.metrics import DhtMetrics
from pilotdht.dht.prefixes import PrefixRule
from pilotdht.dht.publish import Build, Publisher
from pilotdht.dht.reads import Reader
from pilotdht.dht.requester import Requester
from pilotdht.dht.role import Role
from pilotdht.dht.routing import KnownContact, RoutingTable
from pilotdht.dht.search import Searcher
from pilotdht.dht.sequence import SequenceClock
from pilotdht.dht.shared_reads import SharedReads
from pilotdht.dht.snapshot import Snapshot, snapshot_untrusted
from pilotdht.dht.store import RecordStore
from pilotdht.dht.writes import PutReport, Writer
from pilotdht.errors import BadMessage, PilotError
from pilotdht.identity.ids import NodeId, PublicKey
from pilotdht.identity.keys import KeyPair
from pilotdht.net.doors import Doors
from pilotdht.net.outcomes import Answer, Sender
from pilotdht.tasks import TaskScope
from pilotdht.wire.contact import Contact
from pilotdht.wire.dht_messages import FindNode, Ping
from pilotdht.wire.group_records import group_entry_key
from pilotdht.wire.groups import GroupId
from pilotdht.wire.records import RecordKey, SignedRecord, signed_record_untrusted, tag_key

RESTORED_AT_ONCE = 32
"""Restored records checked before other work has its turn: about 4 ms."""

NEARLY_FULL = 0.75
"""Share of the entries a key may have from which readers look into the next shard too."""


class Dht:
    """One node's part of the DHT."""

    def __init__(
        self,
        *,
        keys: KeyPair,
        doors: Doors,
        config: DhtConfig,
        requester: Requester,
        metrics: DhtMetrics,
        scope: TaskScope,
        network: int = 0,
        is_reachable: Callable[[], bool] = bool,
        is_translated: Callable[[], bool] = bool,
    ) -> None:
        """Make it; :meth:`start` begins to serve.

        Args:
            keys: who we are.
            doors: wall clock and entropy.
            config: every bound.
            requester: asks other nodes.
            metrics: where everything is counted.
            scope: owner of the background work.
            network: the mesh that records must belong to.
            is_reachable: whether independent peers have reached us unasked.
            is_translated: whether peers see us at an address that is not ours: a NAT stands in between.
        """
        own_id = keys.node_id
        self.table = RoutingTable(own_id, config, PrefixRule(are_private_exempt=config.are_private_prefixes_exempt))
        """Verified contacts."""
        self.store = RecordStore(own_id, config)
        """What is kept for others."""
        self.sequence = SequenceClock()
        """Numbers of our own records."""
        self._own_id = own_id
        self._config = config
        self._network = network
        self._doors = doors
        self._requester = requester
        self._metrics = metrics
        self._scope = scope
        self._is_reachable = is_reachable
        self._is_translated = is_translated
        self._role = Role(config.mode)
        self._prefixes = PrefixRule(are_private_exempt=True)
        self._reads = SharedReads()
        self._restored: list[tuple[bytes, Any]] = []
        self._has_changed = False
        self._mesh_size = 1
        prefixes = PrefixRule(are_private_exempt=config.are_private_prefixes_exempt)
        self._searcher = Searcher(
            own_id=own_id, config=config, table=self.table, prefixes=prefixes, requester=requester, tracer=doors.tracer
        )
        self._holder = Holder(
            own_id=own_id,
            network=network,
            config=config,
            table=self.table,
            store=self.store,
            prefixes=prefixes,
            requester=requester,
            unix_time=doors.unix_time,
            metrics=metrics,
        )
        self._writer = Writer(
            own_id=own_id,
            config=config,
            holder=self._holder,
            searcher=self._searcher,
            requester=requester,
            scope=scope,
            metrics=metrics,
        )
        self._reader = Reader(
            network=network,
            config=config,
            store=self.store,
            searcher=self._searcher,
            writer=self._writer,
            requester=requester,
            unix_time=doors.unix_time,
            metrics=metrics,
        )
        self._publisher = Publisher(
            keys=keys,
            config=config,
            writer=self._writer,
            reader=self._reader,
            sequence=self.sequence,
            unix_time=doors.unix_time,
            random=doors.random,
        )
        self._handover = Handover(
            own_id=own_id,
            config=config,
            table=self.table,
            store=self.store,
            searcher=self._searcher,
            requester=requester,
            metrics=metrics,
        )
        self._maintenance = Maintenance(
            own_id=own_id,
            config=config,
            table=self.table,
            searcher=self._searcher,
            requester=requester,
            random=doors.random,
            metrics=metrics,
            look_up=partial(self._find_node, limit=None, operation="refresh"),
            rejoin=self.bootstrap,
            on_reunited=self._publisher.reunited,
            on_tick=self._tick,
        )
        self.lookup_watch = self._searcher.watch
        """Shows lookups as they run to whoever watches."""
        self._searcher.on_newcomer = self._newcomer
        self._searcher.on_spare = self._maintenance.spare
        self._searcher.on_lost = self._given_up
        self._searcher.on_answer = self._answered
        metrics.gauges, metrics.table, metrics.store = self._gauges, self.table, self.store

    def start(self) -> None:
        """Answer others from now on, and begin the background work; the scope must be open."""
        self._judge_role()
        self._holder.register()
        self._requester.on_heard(self._heard)
        self._scope.start(self._maintenance.run_pings(), name="pings")
        self._scope.start(self._maintenance.run_ticks(), name="ticks")
        self._scope.start(self._maintenance.run_reunions(), name="reunions")
        self._scope.start(self._handover.run(), name="handover")
        self._scope.start(self._publisher.run(), name="publisher")
        if self._restored:
            self._scope.start(self._take_restored(), name="restore")

    @property
    def contact_count(self) -> int:
        """Contacts in the routing table that are not given up."""
        return self.table.live_count()

    def contacts(self) -> list[KnownContact]:
        """Return the contacts of the routing table, in the order of the key space."""
        return list(self.table)

    async def bootstrap(self, contacts: Sequence[Contact]) -> int:
        """Ask contacts for our neighbourhood and get to know some of every region; return how many nodes answered.

        Zero when none of them is a server: nobody could be asked anything later.

        Raises:
            Overloaded: too many requests of this node wait already.
            NodeClosed: the node was closed.
        """
        lookup = self._searcher.begin(self._own_id, extra=contacts, answers_wanted=self._config.bucket_size)
        await self._searcher.walk(lookup, FindNode(self._own_id))
        if not lookup.answers or not len(self.table):
            return 0
        self.table.begin_anew(asyncio.get_running_loop().time(), self._doors.random)
        self._measure_mesh()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._as_courtesy(self._announce(lookup)))
            if lookup.ending is not Ending.EXHAUSTED:  # else all that exist were asked
                group.create_task(self._as_courtesy(self._look_around()))
        return lookup.answers

    async def verify(self, contacts: Sequence[Contact]) -> list[Contact]:
        """Ask contacts whether they are there; return those that answered, which the table now knows.

        Raises:
            NodeClosed: the node was closed.
        """
        return await self._searcher.ask_each(contacts, Ping())

    async def find_node(self, target: NodeId, *, limit: int | None = None) -> NodesFound:
        """Return the live nodes closest to a point of the key space, as many as hold a record unless ``limit`` says.

        Raises:
            Overloaded: too many requests of this node wait already.
            NodeClosed: the node was closed.
        """
        return await self._find_node(target, limit, "find_node")

    async def get_record(
        self, key: RecordKey, *, signer: PublicKey | None = None, quorum: int | None = None
    ) -> SignedRecord | None:
        """Return the newest live record under a key; absent when nobody has one or its signer has withdrawn it.

        Args:
            key: see :func:`pilotdht.wire.records.node_key`.
            signer: only this key's record: the one way to be certain, as addresses are short.
            quorum: holders to compare; 1 takes the first valid record.

        Raises:
            Overloaded: too many requests of this node wait already.
            NodeClosed: the node was closed.
        """
        return (await self.find_record(key, signer=signer, quorum=quorum)).signed

    async def find_record(
        self, key: RecordKey, *, signer: PublicKey | None = None, quorum: int | None = None
    ) -> RecordFound:
        """Return what :meth:`get_record` does, with what it took.

        Raises:
            Overloaded: too many requests of this node wait already.
            NodeClosed: the node was closed.
        """
        wanted = self._config.quorum if quorum is None else max(1, quorum)
        read = partial(self._find_record, key, signer=signer, quorum=wanted)
        return await self._reads.run(("record", key, signer, wanted), read)

    def published(self, name: str) -> SignedRecord | None:
        """Return what enough holders took last of a publication of ours; absent before that."""
        held = self._publisher.find(name)
        return None if held is None else held.kept

    async def get_entries(self, key: RecordKey, *, limit: int = 256) -> list[SignedRecord]:
        """Return up to ``limit`` live entries under a key, the newest of each signer.

        Raises:
            Overloaded: too many requests of this node wait already.
            NodeClosed: the node was closed.
        """
        entries, _ = await self._reads.run(("entries", key, limit), partial(self._get_entries, key, limit))
        return entries

    async def get_tag(self, tag: str, *, limit: int = 256) -> list[SignedRecord]:
        """Return up to ``limit`` live entries of a tag, over as many shards as are in use.

        Raises:
            Overloaded: too many requests of this node wait already.
            NodeClosed: the node was closed.
        """
        return await self.get_sharded(lambda shard: tag_key(tag, shard=shard, network=self._network), limit=limit)

    async def get_group(self, group: GroupId, *, is_keyed: bool, limit: int = 256) -> list[SignedRecord]:
        """Return up to ``limit`` live entries of a group; of a keyed one those with certificates of its key.

        Raises:
            Overloaded: too many requests of this node wait already.
            NodeClosed: the node was closed.
        """
        shard_key = partial(group_entry_key, group, is_keyed=is_keyed, network=self._network)
        return await self.get_sharded(lambda shard: shard_key(shard=shard), limit=limit)

    async def get_sharded(self, shard_key: Callable[[int], RecordKey], *, limit: int = 256) -> list[SignedRecord]:
        """Return up to ``limit`` live entries over as many shards as are in use, the newest of each signer.

        Args:
            shard_key: the key of a shard, by its number.
            limit: most entries to return.

        Raises:
            Overloaded: too many requests of this node wait already.
            NodeClosed: the node was closed.
        """
        found: dict[PublicKey, SignedRecord] = {}
        for shard in range(self._config.max_shards):
            key, wanted = shard_key(shard), limit - len(found)
            entries, most = await self._reads.run(("entries", key, wanted), partial(self._get_entries, key, wanted))
            for entry in entries:
                found.setdefault(entry.record.public_key, entry)
            if len(found) >= limit or most < NEARLY_FULL * self._config.entries_per_key:
                break
        return list(found.values())[:limit]

    async def put(self, signed: SignedRecord) -> PutReport:
        """Write a signed record to its holders, once.

        Raises:
            Overloaded: too many requests of this node wait already.
            NodeClosed: the node was closed.
        """
        started = asyncio.get_running_loop().time()
        report = await self._writer.put(signed)
        self._count("put", "done" if report.is_kept else "failed", started, report.lookup)
        return report

    async def publish(self, name: str, build: Build) -> PutReport:
        """Write a record of our own now, and keep it alive until it is withdrawn; see :class:`Publisher`."""
        return await self._publisher.publish(name, build)

    async def withdraw(self, name: str) -> bool:
        """End a publication and tell its holders; return whether it was published."""
        return await self._publisher.withdraw(name)

    async def withdraw_all(self) -> None:
        """End all publications."""
        await self._publisher.withdraw_all()

    def publish_soon(self) -> None:
        """Publish everything anew in the background: after joining, or when an endpoint has changed."""
        self._publisher.refresh_soon()

    def stats(self) -> DhtStats:
        """Return where this node stands."""
        return DhtStats(
            contacts=len(self.table),
            mesh_size=self._mesh_size,
            buckets=len(self.table.buckets),
            records=len(self.store),
            record_bytes=self.store.size_bytes,
            cached_copies=len(self.store.cache),
            candidates=self._maintenance.candidates,
            publications=tuple(self._publisher.names),
            is_server=not self._requester.is_client,
        )

    def snapshot(self) -> list[object]:
        """Return what :meth:`restore` takes: plain lists of integers, bytes and texts."""
        return Snapshot(
            sequence_ms=self.sequence.last_ms,
            contacts=tuple(self.table.saved(self._config.saved_contacts)),
            records=tuple((held.wire, held.source) for held in self.store.nearest(self._config.saved_records)),
        ).packed()

    def restore(self, values: Sequence[object]) -> list[Contact]:
        """Take in a snapshot before :meth:`start`; return its contacts, to be handed to :meth:`bootstrap`.

        A damaged snapshot is counted and otherwise ignored. Records are checked again, in the background.
        """
        try:
            snapshot = snapshot_untrusted(values)
        except BadMessage as error:
            self._metrics.reject(error.reason)
            return []
        self.sequence.seen(snapshot.sequence_ms)
        self._restored = list(snapshot.records[: self._config.saved_records])
        return list(snapshot.contacts[: self._config.saved_contacts])

    async def _find_node(self, target: NodeId, limit: int | None, operation: str) -> NodesFound:
        started = asyncio.get_running_loop().time()
        wanted = self._config.replicas if limit is None else limit
        lookup = self._searcher.begin(target, answers_wanted=max(wanted, self._config.replicas))
        await self._searcher.walk(lookup, FindNode(target))
        self._count(operation, "done" if lookup.answers else "failed", started, lookup)
        closest = lookup.closest(wanted)
        return NodesFound(
            contacts=tuple(one.contact for one in closest),
            requests=lookup.requests,
            hops=lookup.hops,
            duration_s=asyncio.get_running_loop().time() - started,
            ending=cast("Ending", lookup.ending),
        )

    async def _as_courtesy(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except PilotError:
            self._metrics.reject("join_cut_short")

    async def _announce(self, lookup: Lookup) -> None:
        """Ask our neighbours a second time, now with the tokens that they gave us.

        They heed only requests from addresses that have been shown to be their sender's, so their first request of us
        did not make them ping us, and we would be unknown where others look for us.
        """
        neighbours = [one.contact for one in lookup.closest(self._config.bucket_size)]
        await self._searcher.ask_each(neighbours, Ping())

    async def _look_around(self) -> None:
        """Look up the regions beside our own, farthest first: each has half as many nodes as the one before."""
        for shared_bits in range(self._config.join_refreshes):
            await self._find_node(point_beside(self._own_id, shared_bits, self._doors.random), None, "refresh")

    async def _find_record(self, key: RecordKey, *, signer: PublicKey | None, quorum: int) -> RecordFound:
        started = asyncio.get_running_loop().time()
        found, lookup = await self._reader.record(key, signer=signer, quorum=quorum)
        self._count("get_record", "not_found" if found is None else "found", started, lookup)
        return RecordFound(
            signed=found,
            requests=0 if lookup is None else lookup.requests,
            hops=0 if lookup is None else lookup.hops,
            duration_s=asyncio.get_running_loop().time() - started,
        )

    async def _get_entries(self, key: RecordKey, limit: int) -> tuple[list[SignedRecord], int]:
        started = asyncio.get_running_loop().time()
        most_wanted = min(limit, self._config.max_entries_read)
        entries, most, lookup = await self._reader.entries(key, limit=most_wanted)
        self._count("get_entries", "found" if entries else "not_found", started, lookup)
        return entries, most

    async def _take_restored(self) -> None:
        restored, self._restored = self._restored, []
        for index, (wire, source) in enumerate(restored):
            if index % RESTORED_AT_ONCE == RESTORED_AT_ONCE - 1:
                await asyncio.sleep(0)
            try:
                signed = signed_record_untrusted(wire)
            except BadMessage as error:
                self._metrics.reject(error.reason)
                continue
            if signed.record.network == self._network:
                self.store.put(signed, unix_time=self._doors.unix_time(), source=source)

    def _heard(self, sender: Sender) -> None:
        if sender.is_client:
            self.table.leave(sender.contact.node_id)  # it served before it knew of the NAT in front of it
            return
        self.table.heard(sender.contact, asyncio.get_running_loop().time())
        self._maintenance.heard(sender)

    def _answered(self, answer: Answer) -> None:
        if self._prefixes.of(answer.contact.endpoint) is not None or not self._is_translated():  # neighbours see inside
            self._role.seen(is_public=self._prefixes.of(answer.observed) is not None)
        if not self._requester.is_client and self._is_translated():
            self._judge_role()  # at once, before others take us for a server

    def _judge_role(self) -> None:
        self._requester.is_client = self._role.is_client(is_reachable=self._is_reachable())

    def _newcomer(self, contact: Contact) -> None:
        self._has_changed = True
        self._maintenance.found(contact)
        self._handover.newcomer(contact)

    def _given_up(self, contact: Contact) -> None:
        self._has_changed = True
        self._maintenance.lost(contact)

    def _measure_mesh(self) -> None:
        self._has_changed = False
        nearest = self.table.nearest(self._own_id, CONTACTS_COUNTED)
        self._mesh_size = estimated_nodes(int.from_bytes(self._own_id, "big"), nearest)
        self._publisher.mesh_has(self._mesh_size)

    def _tick(self) -> None:
        if self._has_changed:
            self._measure_mesh()
        self.store.expire(self._doors.unix_time())
        self._judge_role()

    def _count(self, operation: str, result: str, started: float, lookup: Lookup | None) -> None:
        self._metrics.operations[operation, result].inc()
        self._metrics.durations[operation].observe(asyncio.get_running_loop().time() - started)
        if lookup is not None:
            self._metrics.hops[operation].observe(lookup.hops)

    def _gauges(self) -> dict[str, float]:
        return {
            "mesh_size": self._mesh_size,
            "store_limit_bytes": self._config.store_bytes,
            "candidates": self._maintenance.candidates,
            "is_server": float(not self._requester.is_client),
        }
