"""Writes of every kind of nonsense to a holder: answered with a reason, and what is stored stays as it was."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotdht.dht.holder import Holder
from pilotdht.dht.store import RecordStore
from pilotdht.wire.dht_messages import FindEntries, FindRecord, Store, StoreCode, StoreEntry
from pilotdht.wire.records import RecordKey
from tests.support.dht_examples import name_claim, node_record, revocation, tag_entry
from tests.support.group_examples import (
    ADMIN,
    ADMIN_CHAIN,
    GUEST,
    MEMBER,
    MEMBER_CHAIN,
    keyed_entry,
    notice_of,
    revoked,
)
from tests.support.quiet_holder import SENDER, TOKEN, quiet_holder

pytestmark = pytest.mark.property

RECORDS = [node_record(1), node_record(2, age_s=50), revocation(3)]
ENTRIES = [
    tag_entry(1),
    name_claim(1),
    tag_entry(2),
    keyed_entry(MEMBER, MEMBER_CHAIN),
    notice_of(ADMIN, revoked(ADMIN, ADMIN_CHAIN, GUEST)),
]


def holder_with_records() -> tuple[Holder, RecordStore]:
    """Return a holder that keeps all examples."""
    holder, store = quiet_holder()
    for one in RECORDS:
        assert StoreCode.STORED is holder.store(Store(one.record.key, TOKEN, one.wire), SENDER).result
    for one in ENTRIES:
        assert StoreCode.STORED is holder.store_entry(StoreEntry(one.record.key, TOKEN, one.wire), SENDER).result
    return holder, store


def content(store: RecordStore) -> list[bytes]:
    """Return everything that is kept."""
    return [held.wire for held in store]


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damaged_records_change_nothing(data: st.DataObject) -> None:
    """Cut, flipped, extended or made-up bytes, under any key, as record or entry."""
    holder, store = holder_with_records()
    before = content(store)
    original = data.draw(st.sampled_from([*RECORDS, *ENTRIES]))
    wire = original.wire
    match data.draw(st.sampled_from(["cut", "flip", "extend", "random"])):
        case "cut":
            wire = wire[: data.draw(st.integers(min_value=0, max_value=len(wire) - 1))]
        case "flip":
            position = data.draw(st.integers(min_value=0, max_value=len(wire) - 1))
            bit = 1 << data.draw(st.integers(min_value=0, max_value=7))
            wire = wire[:position] + bytes([wire[position] ^ bit]) + wire[position + 1 :]
        case "extend":
            wire += data.draw(st.binary(min_size=1, max_size=20))
        case _:
            wire = data.draw(st.binary(max_size=700))
    key = data.draw(st.sampled_from([original.record.key, RecordKey(bytes(20)), RECORDS[0].record.key]))
    for reply in (
        holder.store(Store(key, TOKEN, wire), SENDER),
        holder.store_entry(StoreEntry(key, TOKEN, wire), SENDER),
    ):
        assert reply.result is StoreCode.INVALID
    assert before == content(store)


@pytest.mark.parametrize("token", [b"", b"1234567", b"12345679", b"\0" * 8])
def test_writes_without_a_good_token_change_nothing(token: bytes) -> None:
    """However good the record is."""
    holder, store = holder_with_records()
    before = content(store)
    fresh = node_record(9)
    assert StoreCode.BAD_TOKEN is holder.store(Store(fresh.record.key, token, fresh.wire), SENDER).result
    assert before == content(store)


def test_good_records_in_the_wrong_place_change_nothing() -> None:
    """A record under another key, an entry sent as a record, and a record sent as an entry."""
    holder, store = holder_with_records()
    before = content(store)
    record, entry = node_record(9), tag_entry(9)
    answers = [
        holder.store(Store(entry.record.key, TOKEN, entry.wire), SENDER),
        holder.store_entry(StoreEntry(record.record.key, TOKEN, record.wire), SENDER),
        holder.store(Store(entry.record.key, TOKEN, record.wire), SENDER),
        holder.store_entry(StoreEntry(record.record.key, TOKEN, entry.wire), SENDER),
    ]
    assert [StoreCode.INVALID] * 4 == [answer.result for answer in answers]
    assert before == content(store)


@settings(max_examples=50, deadline=None)
@given(key=st.binary(min_size=20, max_size=20), start=st.integers(min_value=0, max_value=2**16))
def test_reads_of_any_key_are_answered(key: bytes, start: int) -> None:
    """Nobody there is an answer with contacts and a token."""
    holder, store = holder_with_records()
    before = content(store)
    assert holder.find_record(FindRecord(RecordKey(key)), SENDER).record is None
    found = holder.find_entries(FindEntries(RecordKey(key), start), SENDER)
    assert ((), 0, TOKEN) == (found.entries, found.total, found.store_token)
    assert before == content(store)
