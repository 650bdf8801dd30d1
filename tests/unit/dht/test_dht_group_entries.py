"""What a holder does with records about groups: only what is proven, only while it is."""

from __future__ import annotations

import pytest

from pilotdht.dht.holder import Holder
from pilotdht.dht.publish import withdrawal_of
from pilotdht.dht.store import RecordStore
from pilotdht.dht.tally import EntryTally
from pilotdht.wire.certificates import Role
from pilotdht.wire.codec import encode
from pilotdht.wire.dht_messages import FindEntries, Store, StoreCode, StoreEntry
from pilotdht.wire.group_records import GroupEntry, group_entry_key
from pilotdht.wire.groups import keyed_group_id
from pilotdht.wire.records import RecordKey, SignedRecord, sign_record
from tests.support.group_examples import (
    ADMIN,
    ADMIN_CHAIN,
    GROUP,
    GUEST,
    GUEST_CHAIN,
    HOUR,
    MEMBER,
    MEMBER_CHAIN,
    NOW,
    STRANGER,
    certified,
    keyed_entry,
    notice_of,
    revoked,
)
from tests.support.quiet_holder import SENDER, TOKEN, quiet_holder

GROUP_ID = keyed_group_id(GROUP.public_key)
KEY = group_entry_key(GROUP_ID, is_keyed=True)


def write(holder: Holder, signed: SignedRecord) -> StoreCode:
    """Ask the holder to keep an entry."""
    return holder.store_entry(StoreEntry(signed.record.key, TOKEN, signed.wire), SENDER).result


def read(holder: Holder, key: RecordKey) -> list[bytes]:
    """Return the entries that the holder gives out."""
    return list(holder.find_entries(FindEntries(key), SENDER).entries)


def kept(store: RecordStore) -> list[bytes]:
    """Return everything that is kept, given out or not."""
    return [held.wire for held in store]


def test_holder_keeps_entries_of_members() -> None:
    """One a signer, in each role that is a member."""
    holder, _ = quiet_holder()
    entries = [keyed_entry(ADMIN, ADMIN_CHAIN), keyed_entry(MEMBER, MEMBER_CHAIN), keyed_entry(GUEST, GUEST_CHAIN)]
    assert [StoreCode.STORED] * 3 == [write(holder, one) for one in entries]
    assert [one.wire for one in entries] == read(holder, KEY)
    newer = keyed_entry(ADMIN, ADMIN_CHAIN, age_s=-1)
    assert StoreCode.STORED is write(holder, newer)
    assert newer.wire in read(holder, KEY)
    assert 3 == len(read(holder, KEY))


def test_holder_refuses_a_chain_that_does_not_lead_to_the_signer() -> None:
    """However rightly the record itself is signed."""
    holder, store = quiet_holder()
    body = encode([1, 5, 0, STRANGER.public_key, 1000 * NOW, HOUR, GROUP_ID, 0, GROUP.public_key, MEMBER_CHAIN.wire])
    wire = encode([body, STRANGER.sign(b"pilotdht/1 record" + body)])
    assert StoreCode.INVALID is holder.store_entry(StoreEntry(KEY, TOKEN, wire), SENDER).result
    assert [] == kept(store)


@pytest.mark.parametrize(("issued_s", "expires_s"), [(NOW - HOUR, NOW), (NOW - HOUR, NOW - 1), (NOW + 601, NOW + HOUR)])
def test_holder_refuses_a_chain_that_is_not_in_force(issued_s: int, expires_s: int) -> None:
    """Not even to remember that it was there, as with other records whose time is over."""
    holder, store = quiet_holder()
    chain = certified(GROUP, None, MEMBER, issued_s=issued_s, expires_s=expires_s)
    assert StoreCode.INVALID is write(holder, keyed_entry(MEMBER, chain))
    assert [] == kept(store)
    above = certified(GROUP, None, ADMIN, Role.ADMIN, issued_s=issued_s, expires_s=expires_s)
    below = certified(ADMIN, above, MEMBER, issued_s=expires_s - 1, expires_s=NOW + HOUR)
    assert StoreCode.INVALID is write(holder, keyed_entry(MEMBER, below))
    assert [] == kept(store)


def test_holder_gives_out_an_entry_until_its_chain_ends() -> None:
    """Though the record itself would live longer."""
    holder, store = quiet_holder()
    chain = certified(GROUP, None, MEMBER, expires_s=NOW + 60)
    entry = keyed_entry(MEMBER, chain)
    assert StoreCode.STORED is write(holder, entry)
    assert [([entry.wire], 1), ([], 0)] == [store.find_entries(KEY, 0, 8, at) for at in (NOW + 59, NOW + 60)]


def test_reader_drops_an_entry_whose_chain_has_ended() -> None:
    """Whatever holders give out."""
    reasons: list[str] = []
    tally = EntryTally(KEY, network=0, unix_time=NOW, limit=8, reject=reasons.append)
    over = certified(GROUP, None, MEMBER, issued_s=NOW - HOUR, expires_s=NOW)
    tally.take(keyed_entry(MEMBER, over).wire)
    tally.take(keyed_entry(GUEST, GUEST_CHAIN).wire)
    assert [GUEST.public_key] == list(tally.entries)
    assert ["read_expired"] == reasons


def test_holder_forgets_an_entry_that_was_withdrawn() -> None:
    """Its signer leaves the group and says so; the chain still proves that it may."""
    holder, _ = quiet_holder()
    entry = keyed_entry(MEMBER, MEMBER_CHAIN)
    write(holder, entry)
    end = sign_record(MEMBER, withdrawal_of(entry.record, entry.record.issued_ms + 1))
    assert StoreCode.STORED is write(holder, end)
    assert [] == read(holder, KEY)


def test_holder_takes_entries_as_entries_only_and_under_their_key_only() -> None:
    """A shard is a key of its own; and so is the group of the same key in another mesh."""
    holder, store = quiet_holder()
    entry = keyed_entry(MEMBER, MEMBER_CHAIN)
    assert StoreCode.INVALID is holder.store(Store(KEY, TOKEN, entry.wire), SENDER).result
    other = keyed_entry(MEMBER, MEMBER_CHAIN, shard=1)
    assert StoreCode.INVALID is holder.store_entry(StoreEntry(KEY, TOKEN, other.wire), SENDER).result
    assert StoreCode.INVALID is write(holder, keyed_entry(MEMBER, MEMBER_CHAIN, network=1))
    assert [] == kept(store)


def test_holder_keeps_entries_of_open_groups_from_anybody() -> None:
    """Also under the id of a keyed group, where nobody looks for them."""
    holder, _ = quiet_holder()
    record = GroupEntry(public_key=STRANGER.public_key, issued_ms=1000 * NOW, ttl_s=HOUR, group=GROUP_ID)
    signed = sign_record(STRANGER, record)
    assert StoreCode.STORED is write(holder, signed)
    assert [] == read(holder, KEY)
    assert [signed.wire] == read(holder, group_entry_key(GROUP_ID, is_keyed=False))


def test_holder_keeps_notices_while_they_are_in_force() -> None:
    """Of several admins, beside one another."""
    holder, _ = quiet_holder()
    notices = [
        notice_of(ADMIN, revoked(ADMIN, ADMIN_CHAIN, MEMBER)),
        notice_of(GROUP, revoked(GROUP, None, MEMBER)),
    ]
    assert [StoreCode.STORED] * 2 == [write(holder, one) for one in notices]
    assert [one.wire for one in notices] == read(holder, notices[0].record.key)
    over = certified(GROUP, None, ADMIN, Role.ADMIN, issued_s=NOW - HOUR, expires_s=NOW)
    late = notice_of(ADMIN, revoked(GROUP, None, GUEST), over)
    ended = notice_of(GROUP, revoked(GROUP, None, GUEST, age_s=HOUR, until_s=NOW))
    assert [StoreCode.INVALID] * 2 == [write(holder, one) for one in (late, ended)]


def test_withdrawal_of_a_sharded_entry_stays_in_its_shard() -> None:
    """Else its holders would not hear of it."""
    entry = keyed_entry(MEMBER, MEMBER_CHAIN, shard=5).record
    assert entry.key == withdrawal_of(entry, 1).key
