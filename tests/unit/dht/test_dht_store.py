"""The record store and its cache: quotas, order, ends."""

from __future__ import annotations

import pytest

from pilotdht.config.dht import DhtConfig
from pilotdht.dht.cache import RecordCache
from pilotdht.dht.store import SLOT_OVERHEAD_BYTES, RecordStore
from pilotdht.identity.ids import NodeId
from pilotdht.wire.dht_messages import StoreCode
from pilotdht.wire.records import SignedRecord
from tests.support.dht_examples import UNIX_TIME, name_claim, node_record, revocation, tag_entry

OWN = NodeId(bytes(20))


def store_of(config: DhtConfig | None = None) -> RecordStore:
    """Return an empty store of the node with id zero."""
    return RecordStore(OWN, DhtConfig() if config is None else config)


def put(store: RecordStore, signed: SignedRecord, *, source: str | None = None) -> StoreCode:
    """Write at the usual time."""
    return store.put(signed, unix_time=UNIX_TIME, source=source)


def test_put_newer_replaces_older() -> None:
    """The higher sequence wins."""
    store = store_of()
    old, new = node_record(1, age_s=10), node_record(1)
    assert [StoreCode.STORED, StoreCode.STORED] == [put(store, old), put(store, new)]
    assert new.wire == store.find_record(new.record.key, None, UNIX_TIME)
    assert len(store) == 1


def test_put_older_is_refused() -> None:
    """A stale copy cannot overwrite a newer one."""
    store = store_of()
    put(store, node_record(1))
    assert StoreCode.OLDER is put(store, node_record(1, age_s=10))


def test_put_equal_sequence_with_other_bytes_is_a_conflict() -> None:
    """The first stays; the same bytes again are fine."""
    store = store_of()
    first = node_record(1, hostname="a")
    put(store, first)
    assert StoreCode.CONFLICT is put(store, node_record(1, hostname="b"))
    assert StoreCode.STORED is put(store, first)
    assert first.wire == store.find_record(first.record.key, None, UNIX_TIME)


def test_put_after_revocation_is_refused() -> None:
    """A revocation is final, except for a newer one."""
    store = store_of()
    put(store, revocation(1, age_s=100))
    assert StoreCode.REVOKED is put(store, node_record(1))
    assert StoreCode.STORED is put(store, revocation(1, age_s=10))
    assert StoreCode.OLDER is put(store, revocation(1, age_s=50))


@pytest.mark.parametrize(("ahead_s", "expected"), [(599.0, StoreCode.STORED), (601.0, StoreCode.INVALID)])
def test_put_from_the_future_is_refused_beyond_the_skew(ahead_s: float, expected: StoreCode) -> None:
    """A record cannot outlive its bound by being signed ahead of time."""
    assert expected is put(store_of(), node_record(1, age_s=-ahead_s))


def test_put_expired_is_refused() -> None:
    """What is over is not kept."""
    assert StoreCode.INVALID is put(store_of(), node_record(1, age_s=7200))


def test_put_withdrawal_ends_the_record_even_when_it_arrives_late() -> None:
    """A holder whose clock is ahead understands a withdrawal as well."""
    store = store_of()
    old, withdrawal = node_record(1, age_s=60), node_record(1, age_s=30, ttl_s=1)
    put(store, old)
    assert StoreCode.STORED is put(store, withdrawal)
    assert withdrawal.wire == store.find_record(old.record.key, None, UNIX_TIME)
    assert StoreCode.OLDER is put(store, old)


def test_put_withdrawal_of_an_entry_hides_it() -> None:
    """A withdrawn entry is not served, and its old copy cannot return."""
    store = store_of()
    old = tag_entry(1, age_s=60)
    put(store, old)
    put(store, tag_entry(1, age_s=30, ttl_s=1))
    assert ([], 0) == store.find_entries(old.record.key, 0, 10, UNIX_TIME)
    assert StoreCode.OLDER is put(store, old)


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_put_entries_a_key_are_bounded(limit: int) -> None:
    """One tag cannot fill a holder."""
    store = store_of(DhtConfig(entries_per_key=limit))
    codes = [put(store, tag_entry(number)) for number in range(1, limit + 2)]
    assert [StoreCode.STORED] * limit + [StoreCode.FULL] == codes


def test_put_entries_a_signer_are_bounded() -> None:
    """One key cannot fill a holder with tags."""
    store = store_of(DhtConfig(entries_per_signer=2))
    codes = [put(store, tag_entry(1, tag=tag)) for tag in ("a", "b", "c")]
    assert [StoreCode.STORED, StoreCode.STORED, StoreCode.FULL] == codes
    assert StoreCode.STORED is put(store, tag_entry(1, tag="a", age_s=-1))


def test_put_bytes_a_source_are_bounded() -> None:
    """One network writes its share, and others still find room."""
    store = store_of(DhtConfig(store_bytes=16 * 1024, cache_bytes=0, source_share=0.1))
    size = len(node_record(1).wire) + SLOT_OVERHEAD_BYTES
    fitting = int(16 * 1024 * 0.1 // size)
    codes = [put(store, node_record(number), source="198.51.100") for number in range(1, fitting + 2)]
    assert [StoreCode.STORED] * fitting + [StoreCode.FULL] == codes
    assert StoreCode.STORED is put(store, node_record(100), source="203.0.113")


def test_put_into_a_full_store_evicts_the_farthest() -> None:
    """Who is closer to this node stays."""
    store = store_of(DhtConfig(store_bytes=16 * 1024, cache_bytes=0))
    records = sorted((node_record(number) for number in range(1, 60)), key=lambda one: one.record.key)
    kept: list[SignedRecord] = []
    for signed in reversed(records):
        assert StoreCode.STORED is put(store, signed)
        kept.append(signed)
    assert records[: len(store)] == sorted(
        (one for one in kept if store.holds(one.record.key, one.wire)), key=lambda one: one.record.key
    )
    assert StoreCode.FULL is put(store, records[-1])


def test_put_into_a_full_store_drops_cached_copies_first() -> None:
    """A copy is worth less than any record."""
    store = store_of(DhtConfig(store_bytes=16 * 1024, cache_bytes=16 * 1024))
    for number in range(1, 100):
        store.put_copy(node_record(number), bits_beyond=1, unix_time=UNIX_TIME)
    copies = len(store.cache)
    for number in range(200, 210):
        assert StoreCode.STORED is put(store, node_record(number))
    assert len(store.cache) < copies
    assert store.evicted == 0


def test_refused_write_is_counted_by_answer() -> None:
    """What was refused can be seen."""
    store = store_of()
    put(store, node_record(1))
    put(store, node_record(1, age_s=10))
    assert {StoreCode.OLDER: 1} == dict(store.refused)


def test_expire_drops_what_is_over_and_frees_its_memory() -> None:
    """At its end a record is gone, not before."""
    store = store_of()
    put(store, tag_entry(1))
    put(store, node_record(1))
    assert store.expire(UNIX_TIME + 3599) == 0
    assert store.expire(UNIX_TIME + 3600) == 1
    assert store.expire(UNIX_TIME + 7200) == 1
    assert store.size_bytes == len(store) == 0


def test_find_record_of_several_signers_keeps_the_first() -> None:
    """Without a signer asked for, whoever wrote first under a key is served."""
    store = store_of()
    signed = node_record(1)
    put(store, signed)
    assert store.find_record(signed.record.key, node_record(2).record.public_key, UNIX_TIME) is None
    assert signed.wire == store.find_record(signed.record.key, signed.record.public_key, UNIX_TIME)


def test_find_entries_pages_in_a_stable_order() -> None:
    """A refreshed entry keeps its place, so that pages fit together."""
    store = store_of()
    entries = [tag_entry(number) for number in range(1, 8)]
    for entry in entries:
        put(store, entry)
    newer = tag_entry(3, age_s=-1)
    put(store, newer)
    expected = [newer.wire if index == 2 else entry.wire for index, entry in enumerate(entries)]
    key = newer.record.key
    pages = [store.find_entries(key, start, 3, UNIX_TIME) for start in (0, 3, 6, 9)]
    assert expected == [wire for page, _ in pages for wire in page]
    assert [7] * 4 == [total for _, total in pages]


def test_names_and_tags_lie_under_their_own_keys() -> None:
    """A claim is an entry too."""
    store = store_of()
    claim = name_claim(1)
    put(store, claim)
    assert ([claim.wire], 1) == store.find_entries(claim.record.key, 0, 8, UNIX_TIME)
    assert store.find_record(claim.record.key, None, UNIX_TIME) is None


def test_put_copy_never_hides_a_newer_record() -> None:
    """A stale copy beside a record is not served."""
    store = store_of()
    old, new = node_record(1, age_s=10), node_record(1)
    store.put_copy(old, bits_beyond=1, unix_time=UNIX_TIME)
    put(store, new)
    store.put_copy(old, bits_beyond=1, unix_time=UNIX_TIME)
    assert new.wire == store.find_record(new.record.key, None, UNIX_TIME)
    assert len(store.cache) == 0


@pytest.mark.parametrize(("bits", "lives_s"), [(0, 300.0), (1, 150.0), (2, 75.0), (3, 37.5)])
def test_copy_lifetime_halves_with_each_bit(bits: int, lives_s: float) -> None:
    """The farther from the key, the shorter."""
    cache = RecordCache(capacity_bytes=10_000, lifetime_s=300.0)
    signed = node_record(1)
    assert cache.put(signed, bits_beyond=bits, unix_time=UNIX_TIME)
    assert cache.find(signed.record.key, None, UNIX_TIME + lives_s - 0.01) is not None
    assert cache.find(signed.record.key, None, UNIX_TIME + lives_s) is None


def test_copy_never_outlives_its_record() -> None:
    """A cache does not extend a lifetime, and writing the same copy again does not either."""
    cache = RecordCache(capacity_bytes=10_000, lifetime_s=300.0)
    signed = node_record(1, age_s=0, ttl_s=20)
    cache.put(signed, bits_beyond=0, unix_time=UNIX_TIME)
    cache.put(signed, bits_beyond=0, unix_time=UNIX_TIME + 10)
    assert cache.find(signed.record.key, None, UNIX_TIME + 20) is None
    longer = node_record(2)
    cache.put(longer, bits_beyond=0, unix_time=UNIX_TIME)
    cache.put(longer, bits_beyond=0, unix_time=UNIX_TIME + 200)
    assert cache.find(longer.record.key, None, UNIX_TIME + 300) is None


def test_cache_is_bounded_and_drops_the_oldest() -> None:
    """Copies come and go."""
    cache = RecordCache(capacity_bytes=2000, lifetime_s=300.0)
    signed = [node_record(number) for number in range(1, 20)]
    for one in signed:
        cache.put(one, bits_beyond=0, unix_time=UNIX_TIME)
    assert cache.size_bytes <= 2000
    assert cache.find(signed[-1].record.key, None, UNIX_TIME) is not None
    assert cache.find(signed[0].record.key, None, UNIX_TIME) is None
    assert len(cache) + cache.evicted == len(signed)


def test_clear_leaves_nothing() -> None:
    """Everything goes, counters included."""
    store = store_of()
    put(store, node_record(1))
    store.put_copy(node_record(2), bits_beyond=1, unix_time=UNIX_TIME)
    store.clear()
    assert 0 == len(store) == store.size_bytes == len(store.cache)
