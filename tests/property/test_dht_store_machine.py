"""The record store against a model that keeps everything in plain dictionaries."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pilotdht.config.dht import DhtConfig
from pilotdht.dht.store import RecordStore
from pilotdht.identity.ids import NodeId, PublicKey
from pilotdht.wire.dht_messages import StoreCode
from pilotdht.wire.records import NodeRecord, RecordKey, Revocation, SignedRecord
from tests.support.dht_examples import UNIX_TIME, node_record, revocation, tag_entry

ROOMY = DhtConfig(entries_per_key=3)
TIGHT = DhtConfig(store_bytes=16 * 1024, cache_bytes=4096, entries_per_key=5, entries_per_signer=3, source_share=0.2)
AGES = st.sampled_from([-900.0, -300.0, -3.0, 0.0, 1.0, 5.0, 60.0, 3000.0, 3599.0, 3700.0, 7100.0, 7300.0])
SIGNERS = st.integers(min_value=1, max_value=5)
TTLS = st.sampled_from([1, 60, 3600])
SOURCES = st.sampled_from([None, "198.51.100", b"\x20\x01"])


def version_of(signed: SignedRecord) -> tuple[int, int]:
    """Return what orders the records of one signer."""
    return signed.record.sequence, signed.record.issued_ms


def latest_end(signed: SignedRecord) -> float:
    """Return when every older record of the signer is void."""
    return signed.record.issued_ms / 1000 + signed.record.max_ttl_s


class RoomyStoreMachine(RuleBasedStateMachine):
    """No quota but entries a key: the model says exactly what each write gives."""

    def __init__(self) -> None:
        super().__init__()
        self.store = RecordStore(NodeId(bytes(20)), ROOMY)
        self.model: dict[RecordKey, dict[PublicKey, SignedRecord]] = {}
        self.now = UNIX_TIME

    @rule(signer=SIGNERS, age_s=AGES, ttl_s=TTLS, hostname=st.sampled_from(["", "a", "b"]))
    def node_is_written(self, signer: int, age_s: float, ttl_s: int, hostname: str) -> None:
        """A NODE record comes, perhaps old, perhaps with other bytes."""
        self.write(node_record(signer, age_s=age_s, ttl_s=ttl_s, hostname=hostname))

    @rule(signer=SIGNERS, age_s=AGES)
    def revocation_is_written(self, signer: int, age_s: float) -> None:
        """A key ends."""
        self.write(revocation(signer, age_s=age_s))

    @rule(signer=SIGNERS, age_s=AGES, ttl_s=TTLS)
    def entry_is_written(self, signer: int, age_s: float, ttl_s: int) -> None:
        """An entry comes."""
        self.write(tag_entry(signer, age_s=age_s, ttl_s=ttl_s))

    def write(self, signed: SignedRecord) -> None:
        """Write and compare the answer with what the rules say."""
        assert self.expected(signed) == self.store.put(signed, unix_time=self.now)

    def expected(self, signed: SignedRecord) -> StoreCode:
        """Say what the rules say, and do it in the model."""
        record = signed.record
        signers = self.model.setdefault(record.key, {})
        held = signers.get(record.public_key)
        if record.issued_ms / 1000 - 600 > self.now or (held is None and self.now >= latest_end(signed)):
            return StoreCode.INVALID
        if held is not None:
            if version_of(signed) == version_of(held):
                return StoreCode.STORED if signed.wire == held.wire else StoreCode.CONFLICT
            if version_of(signed) < version_of(held):
                ended = isinstance(held.record, Revocation) and not isinstance(record, Revocation)
                return StoreCode.REVOKED if ended else StoreCode.OLDER
        elif not isinstance(record, NodeRecord | Revocation) and len(signers) >= ROOMY.entries_per_key:
            void = [one for one in signers.values() if one.record.expires_s <= self.now]
            if not void:
                return StoreCode.FULL
            oldest = min(void, key=lambda one: (latest_end(one), one.record.public_key))
            del signers[oldest.record.public_key]
        signers[record.public_key] = signed
        return StoreCode.STORED

    @rule(seconds=st.sampled_from([0.5, 10.0, 700.0, 3600.0]))
    def time_passes(self, seconds: float) -> None:
        """Time passes, and what is over goes."""
        self.now += seconds
        self.store.expire(self.now)
        for signers in self.model.values():
            for signer in [one for one, signed in signers.items() if latest_end(signed) <= self.now]:
                del signers[signer]

    @invariant()
    def readers_get_what_the_model_has(self) -> None:
        """Every live record is served with its exact bytes, and nothing else is."""
        for key, signers in self.model.items():
            live = {one.wire for one in signers.values() if one.record.expires_s > self.now and one.record.ttl_s > 1}
            entries, total = self.store.find_entries(key, 0, 100, self.now)
            if any(isinstance(one.record, NodeRecord | Revocation) for one in signers.values()):
                for signer, signed in signers.items():
                    found = self.store.find_record(key, signer, self.now)
                    served = signed.wire if signed.wire in live or signed.record.ttl_s == 1 else None
                    assert served == found
            else:
                assert live == set(entries)
                assert total == len(entries)

    @invariant()
    def size_is_what_is_kept(self) -> None:
        """Counters agree with the content."""
        assert len(self.store) == sum(len(signers) for signers in self.model.values())
        assert self.store.size_bytes == sum(held.size_bytes for held in self.store)


class TightStoreMachine(RuleBasedStateMachine):
    """Little memory: quotas hold, and no refused write changes anything."""

    def __init__(self) -> None:
        super().__init__()
        self.store = RecordStore(NodeId(bytes(20)), TIGHT)
        self.now = UNIX_TIME

    @rule(signer=st.integers(min_value=1, max_value=60), age_s=AGES, ttl_s=TTLS, source=SOURCES)
    def node_is_written(self, signer: int, age_s: float, ttl_s: int, source: str | bytes | None) -> None:
        """A NODE record comes."""
        self.write(node_record(signer, age_s=age_s, ttl_s=ttl_s), source)

    @rule(signer=st.integers(min_value=1, max_value=20), tag=st.sampled_from(["a", "b", "c", "d"]), source=SOURCES)
    def entry_is_written(self, signer: int, tag: str, source: str | bytes | None) -> None:
        """An entry comes."""
        self.write(tag_entry(signer, tag=tag), source)

    @rule(signer=st.integers(min_value=1, max_value=60), bits=st.integers(min_value=1, max_value=5))
    def copy_is_left(self, signer: int, bits: int) -> None:
        """A lookup leaves a copy, which takes no record's place."""
        before = {held.wire for held in self.store}
        self.store.put_copy(node_record(signer), bits_beyond=bits, unix_time=self.now)
        assert before == {held.wire for held in self.store}

    def write(self, signed: SignedRecord, source: str | bytes | None) -> None:
        """Write; when it is refused, everything is as before."""
        self.store.expire(self.now)
        before = [(held.wire, held.source) for held in self.store]
        code = self.store.put(signed, unix_time=self.now, source=source)
        after = [(held.wire, held.source) for held in self.store]
        if code is not StoreCode.STORED:
            assert before == after
            return
        assert signed.wire in {wire for wire, _ in after}

    @rule(seconds=st.sampled_from([1.0, 700.0, 4000.0]))
    def time_passes(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds

    @invariant()
    def quotas_hold(self) -> None:
        """Memory, signers and sources stay within their bounds."""
        store = self.store
        assert store.size_bytes == sum(held.size_bytes for held in store)
        assert store.size_bytes + store.cache.size_bytes <= TIGHT.store_bytes
        assert store.cache.size_bytes <= TIGHT.cache_bytes
        sources: dict[object, int] = {}
        signers: dict[PublicKey, int] = {}
        for held in store:
            if held.source is not None:
                sources[held.source] = sources.get(held.source, 0) + held.size_bytes
            if not held.is_record:
                signers[held.signer] = signers.get(held.signer, 0) + 1
        assert all(size <= TIGHT.store_bytes * TIGHT.source_share for size in sources.values())
        assert all(count <= TIGHT.entries_per_signer for count in signers.values())


TestRoomyStore = pytest.mark.property(RoomyStoreMachine.TestCase)
TestRoomyStore.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
TestTightStore = pytest.mark.property(TightStoreMachine.TestCase)
TestTightStore.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)
