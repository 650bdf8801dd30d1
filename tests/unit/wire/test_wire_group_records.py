"""Records about groups: which are read, where they lie, how long they count."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pilotdht.errors import BadMessage
from pilotdht.identity.keys import KeyPair
from pilotdht.wire.certificates import Chain, Role
from pilotdht.wire.codec import encode
from pilotdht.wire.group_records import GroupEntry, GroupNotice, group_entry_key, group_notice_key
from pilotdht.wire.groups import keyed_group_id, open_group_id
from pilotdht.wire.records import (
    MAX_RECORD_BYTES,
    Entry,
    NameClaim,
    NodeRecord,
    Revocation,
    ShardedEntry,
    TagEntry,
    sign_record,
    signed_record_untrusted,
)
from pilotdht.wire.rotations import rotate
from tests.support.group_examples import (
    ADMIN,
    ADMIN_CHAIN,
    GROUP,
    GUEST,
    GUEST_CHAIN,
    HOUR,
    INVITER,
    INVITER_CHAIN,
    MEMBER,
    MEMBER_CHAIN,
    NOW,
    OTHER_ADMIN,
    OTHER_ADMIN_CHAIN,
    OTHER_GROUP,
    STRANGER,
    certified,
    keyed_entry,
    notice_of,
    revoked,
)

KEYED = keyed_group_id(GROUP.public_key)
OPEN = open_group_id("research")


def signed_by_hand(keys: KeyPair, kind: int, *fields: object, network: int = 0) -> bytes:
    """Return a record that is rightly signed, whatever it says."""
    body = encode([1, kind, network, keys.public_key, 1000 * NOW, HOUR, *fields])
    return encode([body, keys.sign(b"pilotdht/1 record" + body)])


def entry_by_hand(keys: KeyPair, *fields: object, network: int = 0) -> bytes:
    """Return a GROUP entry that is rightly signed, whatever it says."""
    return signed_by_hand(keys, 5, *fields, network=network)


def open_entry(keys: KeyPair, *, shard: int = 0) -> GroupEntry:
    """Return that somebody is in an open group."""
    return GroupEntry(public_key=keys.public_key, issued_ms=1000 * NOW, ttl_s=HOUR, group=OPEN, shard=shard)


def test_entry_of_an_open_group_reads_back() -> None:
    """Anybody may say so."""
    signed = sign_record(STRANGER, open_entry(STRANGER, shard=255))
    read = signed_record_untrusted(signed.wire)
    assert signed == read
    assert group_entry_key(OPEN, is_keyed=False, shard=255) == read.record.key
    assert entry_by_hand(STRANGER, OPEN, 255, None, b"") == signed.wire


@pytest.mark.parametrize(("keys", "chain"), [(MEMBER, MEMBER_CHAIN), (ADMIN, ADMIN_CHAIN), (GUEST, GUEST_CHAIN)])
def test_entry_of_a_keyed_group_reads_back(keys: KeyPair, chain: Chain) -> None:
    """For whoever the chain makes a member."""
    signed = keyed_entry(keys, chain, shard=3)
    read = signed_record_untrusted(signed.wire)
    assert signed == read
    assert group_entry_key(KEYED, is_keyed=True, shard=3) == read.record.key
    assert entry_by_hand(keys, KEYED, 3, GROUP.public_key, chain.wire) == signed.wire


def test_entry_without_a_chain_to_its_signer_is_refused() -> None:
    """A stranger's, a chain of somebody else, of another group, of the bearer's key, and none at all."""
    foreign = certified(OTHER_GROUP, None, MEMBER)
    for keys, group_key, chain in (
        (STRANGER, GROUP.public_key, MEMBER_CHAIN.wire),
        (MEMBER, GROUP.public_key, foreign.wire),
        (MEMBER, OTHER_GROUP.public_key, foreign.wire),
        (INVITER, GROUP.public_key, INVITER_CHAIN.wire),
        (MEMBER, GROUP.public_key, b""),
        (MEMBER, None, MEMBER_CHAIN.wire),
        (MEMBER, GROUP.public_key, bytes(401)),
        (MEMBER, GROUP.public_key[:5], MEMBER_CHAIN.wire),
    ):
        with pytest.raises(BadMessage):
            signed_record_untrusted(entry_by_hand(keys, KEYED, 0, group_key, chain))
    with pytest.raises(BadMessage, match="record_group"):
        signed_record_untrusted(entry_by_hand(MEMBER, KEYED, 0, GROUP.public_key, MEMBER_CHAIN.wire, network=1))
    for fields in ([KEYED], [KEYED[:19], 0, None, b""], [KEYED, 256, None, b""], [KEYED, 0, None]):
        with pytest.raises(BadMessage):
            signed_record_untrusted(entry_by_hand(MEMBER, *fields))


def test_entry_without_a_chain_lies_elsewhere_than_those_with_one() -> None:
    """Whoever is not in a keyed group cannot fill up the places of its members."""
    stranger = signed_record_untrusted(entry_by_hand(STRANGER, KEYED, 0, None, b""))
    assert stranger.record.key != keyed_entry(MEMBER, MEMBER_CHAIN).record.key


def test_entry_ends_with_the_certificates_of_its_signer() -> None:
    """However long it says that it lives."""
    short = certified(GROUP, None, MEMBER, expires_s=NOW + 60)
    record = keyed_entry(MEMBER, short).record
    assert NOW + 60 == record.expires_s
    assert [True, False] == [record.is_live(at) for at in (NOW + 59, NOW + 60)]
    assert [True, False] == [record.is_backed(at) for at in (NOW + 59, NOW + 60)]
    assert NOW + HOUR == keyed_entry(MEMBER, MEMBER_CHAIN).record.expires_s
    later = certified(GROUP, None, MEMBER, issued_s=NOW + 700, expires_s=NOW + HOUR)
    assert not keyed_entry(MEMBER, later).record.is_live(NOW)
    assert open_entry(STRANGER).is_live(NOW)
    assert NOW + HOUR == open_entry(STRANGER).expires_s


def test_notice_reads_back_and_lies_beside_its_subject() -> None:
    """By an admin about somebody it expelled, by an admin for the group's key, and by the group's key itself."""
    by_admin = revoked(ADMIN, ADMIN_CHAIN, MEMBER, reason="left us")
    by_group = revoked(GROUP, None, MEMBER)
    for signed in (
        notice_of(ADMIN, by_admin),
        notice_of(OTHER_ADMIN, by_admin, OTHER_ADMIN_CHAIN),
        notice_of(ADMIN, by_group, ADMIN_CHAIN),
        notice_of(GROUP, by_group),
    ):
        assert signed == signed_record_untrusted(signed.wire)
        assert group_notice_key(KEYED, MEMBER.public_key) == signed.record.key


def test_notice_of_a_rotation_lies_beside_the_old_key() -> None:
    """Whoever knows the old key finds the new one."""
    rotation = rotate(GROUP, successor=OTHER_GROUP.public_key, issued_ms=1000 * NOW, until_s=NOW + 60)
    record = GroupNotice(
        public_key=ADMIN.public_key,
        network=7,
        issued_ms=1000 * NOW,
        ttl_s=HOUR,
        notice=rotation,
        chain=ADMIN_CHAIN,
    )
    signed = sign_record(ADMIN, record)
    assert signed == signed_record_untrusted(signed.wire)
    group = keyed_group_id(GROUP.public_key, network=7)
    assert group_notice_key(group, GROUP.public_key, network=7) == signed.record.key
    assert [True, True] == [record.is_live(at) for at in (NOW, NOW + 61)], "it is known longer than the old key counts"


def test_notice_by_somebody_who_is_no_admin_is_refused() -> None:
    """It would be true, but many could crowd out what is newer."""
    one = revoked(ADMIN, ADMIN_CHAIN, MEMBER)
    for keys, chain in (
        (STRANGER, b""),
        (OTHER_ADMIN, b""),
        (MEMBER, MEMBER_CHAIN.wire),
        (INVITER, INVITER_CHAIN.wire),
        (STRANGER, OTHER_ADMIN_CHAIN.wire),
    ):
        with pytest.raises(BadMessage, match="record_publisher"):
            signed_record_untrusted(signed_by_hand(keys, 6, one.wire, chain))
    with pytest.raises(BadMessage, match="chain_length"):
        signed_record_untrusted(signed_by_hand(ADMIN, 6, one.wire, b"\x90"))
    for fields in ([one.wire], [b"", b""], [one.wire[:-1], b""], [bytes(481), b""], [None, b""]):
        with pytest.raises(BadMessage):
            signed_record_untrusted(signed_by_hand(ADMIN, 6, *fields))
    signed_record_untrusted(signed_by_hand(ADMIN, 6, one.wire, b""))


def test_notice_ends_with_what_it_says_and_with_the_certificates_of_its_signer() -> None:
    """Whatever comes first."""
    short = certified(GROUP, None, ADMIN, Role.ADMIN, expires_s=NOW + 60)
    brief = revoked(GROUP, None, MEMBER, until_s=NOW + 50)
    long = revoked(GROUP, None, MEMBER)
    for signed, end_s in (
        (notice_of(GROUP, long), NOW + HOUR),
        (notice_of(GROUP, brief), NOW + 50),
        (notice_of(ADMIN, long, short), NOW + 60),
        (notice_of(ADMIN, revoked(ADMIN, short, MEMBER)), NOW + 60),
    ):
        assert end_s == signed.record.expires_s
        assert [True, False] == [signed.record.is_live(at) for at in (end_s - 1, end_s)]
    assert notice_of(GROUP, long).record.is_backed(NOW + HOUR), "the record has ended, what it rests on has not"
    assert not notice_of(GROUP, brief).record.is_backed(NOW + 50)
    assert not notice_of(ADMIN, long, short).record.is_backed(NOW + 60)


def test_largest_group_records_fit() -> None:
    """The longest chain in an entry; the longest reason by the admin with the longest name in a notice."""
    inviter = certified(ADMIN, ADMIN_CHAIN, INVITER, Role.INVITER, hostname="h" * 43)
    entry = keyed_entry(GUEST, certified(INVITER, inviter, GUEST))
    admin = certified(GROUP, None, ADMIN, Role.ADMIN, hostname="a" * 63)
    by_admin = notice_of(ADMIN, revoked(ADMIN, admin, GUEST, reason="r" * 120))
    by_group = notice_of(ADMIN, revoked(GROUP, None, GUEST, reason="r" * 120), admin)
    for signed in (entry, by_admin, by_group):
        assert 500 < len(signed.wire) <= MAX_RECORD_BYTES
        assert signed == signed_record_untrusted(signed.wire)


def test_entries_and_shards_are_told_by_their_base() -> None:
    """What handles entries, and what moves them on, asks for nothing else."""
    kinds = (NodeRecord, Revocation, NameClaim, TagEntry, GroupEntry, GroupNotice)
    assert [False, False, True, True, True, True] == [issubclass(kind, Entry) for kind in kinds]
    assert [False, False, False, True, True, False] == [issubclass(kind, ShardedEntry) for kind in kinds]
    assert replace(open_entry(STRANGER), shard=4).key == group_entry_key(OPEN, is_keyed=False, shard=4)
