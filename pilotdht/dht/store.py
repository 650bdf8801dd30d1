"""What this node keeps for others: signed records and entries, under quotas, until they expire. Pure.

One store for both: under a key of NODE and REVOKED records a few signers have their newest record each, under a key of
NAME and TAG entries some hundreds. Rules:

* The higher sequence of one signer wins; an equal one with other bytes is a conflict, and the first stays.
* A revocation is final: nothing but a newer revocation of the same key takes its place.
* A record that replaces another ends it, even when it has expired itself: that is how publishers withdraw. Its place is
  kept until any older record of that signer has expired too, so that no copy of one can come back.
* Nothing a holder does makes a record live longer.
* Quotas: bytes in all, signers a key, entries a signer, bytes a source network. When memory is short, cached copies go
  first, then the record farthest from this node, and of those under one key the one that expires first, unless the
  newcomer is farther still.

The caller has checked the signature, and that the record belongs under its key.

Source: BEP 44 (sequence numbers), opendht (quota of the network that uses most), libtorrent (eviction by distance).
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator

from pilotdht.config.dht import DhtConfig
from pilotdht.dht.cache import RecordCache
from pilotdht.dht.prefixes import Prefix
from pilotdht.identity.ids import NodeId, PublicKey
from pilotdht.wire.dht_messages import StoreCode
from pilotdht.wire.records import (
    CLOCK_SKEW_S,
    FINAL_SEQUENCE,
    MAX_RECORD_BYTES,
    Entry,
    RecordKey,
    SignedRecord,
)

SLOT_OVERHEAD_BYTES = 400
"""What a record takes in memory beside its bytes, about."""

WITHDRAWAL_TTL_S = 1
"""A record with this lifetime says that its signer has gone; nothing else is published for so short a time."""


class Held:
    """A record in the store."""

    __slots__ = (
        "expires_s",
        "forget_s",
        "is_record",
        "is_withdrawal",
        "key",
        "point",
        "signer",
        "source",
        "version",
        "wire",
    )

    def __init__(self, signed: SignedRecord, source: Prefix | None) -> None:
        record = signed.record
        self.key = record.key
        """Where it lies."""
        self.point = int.from_bytes(self.key, "big")
        """The same as a number: distances are XORs of these."""
        self.signer = record.public_key
        """Who signed it."""
        self.wire = signed.wire
        """Its exact bytes."""
        self.version = (record.sequence, record.issued_ms)
        """The higher of two is newer."""
        self.expires_s = record.expires_s
        """Unix time at which it is void."""
        self.forget_s = max(record.expires_s, record.issued_ms / 1000 + record.max_ttl_s)
        """Unix time by which every older record of the signer is void as well."""
        self.is_record = not isinstance(record, Entry)
        """A NODE record or revocation; else one entry of many."""
        self.is_withdrawal = record.ttl_s <= WITHDRAWAL_TTL_S
        """It says that its signer has gone."""
        self.source = source
        """The network it was written from; absent when exempt."""

    @property
    def size_bytes(self) -> int:
        """What it takes in memory, about."""
        return len(self.wire) + SLOT_OVERHEAD_BYTES


class RecordStore:
    """All records of one node."""

    def __init__(self, own_id: NodeId, config: DhtConfig) -> None:
        self.cache = RecordCache(capacity_bytes=config.cache_bytes, lifetime_s=config.cache_lifetime_s)
        """Copies left by lookups."""
        self.size_bytes = 0
        """What all records take, cached copies not counted."""
        self.refused: Counter[StoreCode] = Counter()
        """Writes refused, by answer."""
        self.evicted = 0
        """Records dropped to make room for closer ones."""
        self.expired = 0
        """Records dropped because their time was over."""
        self._own = int.from_bytes(own_id, "big")
        self._config = config
        self._keys: dict[RecordKey, dict[PublicKey, Held]] = {}
        self._entries: Counter[PublicKey] = Counter()
        self._sources: Counter[Prefix] = Counter()
        self._count = 0
        self._serial = 0
        self._by_time: list[tuple[float, int, Held]] = []
        self._by_distance: list[tuple[int, float, int, Held]] = []

    def __len__(self) -> int:
        """Return how many records and entries are kept, cached copies not counted."""
        return self._count

    def __iter__(self) -> Iterator[Held]:
        """Go through everything that is kept now, in the order in which keys and signers first came."""
        return iter([held for signers in self._keys.values() for held in signers.values()])

    def has_room_for(self, key: bytes) -> bool:
        """Return whether something under ``key`` may be kept: there is memory, or a record farther away to give up."""
        if self.size_bytes + SLOT_OVERHEAD_BYTES + MAX_RECORD_BYTES <= self._config.store_bytes:
            return True
        while self._by_distance and not self._is_current(self._by_distance[0][3]):
            heapq.heappop(self._by_distance)
        own_distance = int.from_bytes(key, "big") ^ self._own
        return bool(self._by_distance) and -self._by_distance[0][0] > own_distance

    def holds(self, key: RecordKey, wire: bytes) -> bool:
        """Return whether these very bytes are kept under ``key``."""
        return any(held.wire == wire for held in self._keys.get(key, {}).values())

    def put(self, signed: SignedRecord, *, unix_time: float, source: Prefix | None = None) -> StoreCode:
        """Keep a record, or say why not.

        Args:
            signed: verified, under its own key.
            unix_time: now.
            source: the network it was written from; absent when exempt from the quota.
        """
        code = self._judge(signed, unix_time)
        if code is None:
            held = Held(signed, source)
            if self.size_bytes + held.size_bytes > self._config.store_bytes:
                self.expire(unix_time)
            old = self._keys.get(held.key, {}).get(held.signer)
            victims = self._victims_of(held, old, unix_time)
            code = StoreCode.FULL if victims is None else StoreCode.STORED
            if victims is not None:
                self._make_room(held, victims)
                self._replace(old, held)
        if code is not StoreCode.STORED:
            self.refused[code] += 1
        return code

    def put_copy(self, signed: SignedRecord, *, bits_beyond: int, unix_time: float) -> bool:
        """Keep a short-lived copy beside the records; return whether it, or something newer, is there.

        Args:
            signed: verified, under its own key.
            bits_beyond: by how many bits this node is farther from the key than the nodes that hold the record.
            unix_time: now.
        """
        record = signed.record
        held = self.find_held(record.key, record.public_key)
        if held is not None and held.version >= (record.sequence, record.issued_ms):
            return True
        if not record.is_live(unix_time) or record.ttl_s <= WITHDRAWAL_TTL_S:
            self.cache.drop_older(signed)
            return False
        if not self.cache.put(signed, bits_beyond=bits_beyond, unix_time=unix_time):
            return False
        self._shrink_cache(0)
        return self.cache.find(record.key, record.public_key, unix_time) is not None

    def find_record(self, key: RecordKey, signer: PublicKey | None, unix_time: float) -> bytes | None:
        """Return the record of a signer, or of the first that wrote when absent; a withdrawal counts as one.

        Cached copies count when they are newer, or nothing else is there.
        """
        found: Held | None = None
        for held in self._keys.get(key, {}).values():
            if not held.is_record or (signer is not None and held.signer != signer):
                continue
            if held.expires_s > unix_time and not held.is_withdrawal:
                found = held
                break
            if held.is_withdrawal and found is None:
                found = held
        copy = self.cache.find(key, signer if found is None else found.signer, unix_time)
        if found is None:
            return None if copy is None else copy.wire
        return copy.wire if copy is not None and copy.version > found.version else found.wire

    def find_entries(self, key: RecordKey, start: int, limit: int, unix_time: float) -> tuple[list[bytes], int]:
        """Return up to ``limit`` live entries from position ``start`` on, and how many there are."""
        live = [
            held.wire
            for held in self._keys.get(key, {}).values()
            if not held.is_record and not held.is_withdrawal and held.expires_s > unix_time
        ]
        return live[start : start + limit], len(live)

    def find_held(self, key: RecordKey, signer: PublicKey) -> Held | None:
        """Return what is kept of a signer under a key, void or not."""
        return self._keys.get(key, {}).get(signer)

    def expire(self, unix_time: float) -> int:
        """Drop what is over; return how many that were."""
        dropped = 0
        while self._by_time and self._by_time[0][0] <= unix_time:
            held = heapq.heappop(self._by_time)[2]
            if self._is_current(held):
                self._remove(held)
                dropped += 1
        self.expired += dropped
        self.cache.expire(unix_time)
        return dropped

    def clear(self) -> None:
        """Drop everything, cached copies included."""
        for held in list(self):
            self._remove(held)
        while self.cache.evict_oldest():
            pass
        self._rebuild()

    def nearest(self, limit: int) -> list[Held]:
        """Return up to ``limit`` records, those under keys nearest to this node first."""
        return heapq.nsmallest(limit, self, key=self._distance)

    def _judge(self, signed: SignedRecord, unix_time: float) -> StoreCode | None:
        """Return why a record is not taken in as something new; absent when it is."""
        record = signed.record
        if record.issued_ms / 1000 - CLOCK_SKEW_S > unix_time:
            return StoreCode.INVALID
        held = self._keys.get(record.key, {}).get(record.public_key)
        if held is None:
            longest = max(record.expires_s, record.issued_ms / 1000 + record.max_ttl_s)
            return StoreCode.INVALID if unix_time >= longest else None
        version = (record.sequence, record.issued_ms)
        if version > held.version:
            return None
        if version == held.version:
            return StoreCode.STORED if signed.wire == held.wire else StoreCode.CONFLICT
        return StoreCode.REVOKED if held.version[0] == FINAL_SEQUENCE != record.sequence else StoreCode.OLDER

    def _victims_of(self, held: Held, old: Held | None, unix_time: float) -> list[Held] | None:
        """Return what must go for a newcomer to fit; absent when it may not take that place. Changes nothing."""
        config = self._config
        victims: list[Held] = []
        if old is None:
            signers = self._keys.get(held.key, {})
            limit = config.records_per_key if held.is_record else config.entries_per_key
            if len(signers) >= limit:
                void = [one for one in signers.values() if one.expires_s <= unix_time]
                if not void:
                    return None
                victims.append(min(void, key=lambda one: (one.forget_s, one.signer)))
            if not held.is_record and self._entries[held.signer] >= config.entries_per_signer:
                return None
        if held.source is not None:
            used = self._sources[held.source] - (0 if old is None or old.source != held.source else old.size_bytes)
            if used + held.size_bytes > config.store_bytes * config.source_share:
                return None
        freed = sum(one.size_bytes for one in victims) + (0 if old is None else old.size_bytes)
        excess = self.size_bytes + held.size_bytes - freed - config.store_bytes
        return victims if excess <= 0 else self._farther_than(held, old, excess, victims)

    def _farther_than(self, held: Held, old: Held | None, excess: int, victims: list[Held]) -> list[Held] | None:
        """Add to ``victims`` the farthest records until ``excess`` bytes are free; absent when they are too few."""
        distance = self._distance(held)
        taken: list[tuple[int, float, int, Held]] = []
        while excess > 0 and self._by_distance:
            item = heapq.heappop(self._by_distance)
            victim = item[3]
            if not self._is_current(victim):
                continue
            taken.append(item)
            if -item[0] <= distance:
                break
            if victim is not old and victim not in victims:
                victims.append(victim)
                excess -= victim.size_bytes
        for item in taken:
            heapq.heappush(self._by_distance, item)
        return victims if excess <= 0 else None

    def _make_room(self, held: Held, victims: list[Held]) -> None:
        for victim in victims:
            self._remove(victim)
            self.evicted += 1
        self._shrink_cache(held.size_bytes)

    def _shrink_cache(self, wanted_bytes: int) -> None:
        """Drop copies until ``wanted_bytes`` fit beside everything."""
        while self.size_bytes + self.cache.size_bytes + wanted_bytes > self._config.store_bytes:
            if not self.cache.evict_oldest():
                return

    def _replace(self, old: Held | None, held: Held) -> None:
        if old is not None:
            self._discount(old)
        self._keys.setdefault(held.key, {})[held.signer] = held
        self._count += 1
        self.size_bytes += held.size_bytes
        if not held.is_record:
            self._entries[held.signer] += 1
        if held.source is not None:
            self._sources[held.source] += held.size_bytes
        copy = self.cache.find(held.key, held.signer, 0.0)
        if copy is not None and copy.version <= held.version:
            self.cache.drop(held.key, held.signer)
        self._serial += 1
        heapq.heappush(self._by_time, (held.forget_s, self._serial, held))
        heapq.heappush(self._by_distance, (-self._distance(held), held.expires_s, self._serial, held))
        if len(self._by_distance) > 2 * self._count + 64 or len(self._by_time) > 2 * self._count + 64:
            self._rebuild()

    def _remove(self, held: Held) -> None:
        signers = self._keys[held.key]
        del signers[held.signer]
        if not signers:
            del self._keys[held.key]
        self._discount(held)

    def _discount(self, held: Held) -> None:
        self._count -= 1
        self.size_bytes -= held.size_bytes
        if not held.is_record:
            self._entries[held.signer] -= 1
            if not self._entries[held.signer]:
                del self._entries[held.signer]
        if held.source is not None:
            self._sources[held.source] -= held.size_bytes
            if not self._sources[held.source]:
                del self._sources[held.source]

    def _rebuild(self) -> None:
        """Leave out what was replaced, so that the heaps stay as small as the store."""
        self._by_time = [item for item in self._by_time if self._is_current(item[2])]
        self._by_distance = [item for item in self._by_distance if self._is_current(item[3])]
        heapq.heapify(self._by_time)
        heapq.heapify(self._by_distance)

    def _is_current(self, held: Held) -> bool:
        return self._keys.get(held.key, {}).get(held.signer) is held

    def _distance(self, held: Held) -> int:
        return held.point ^ self._own
