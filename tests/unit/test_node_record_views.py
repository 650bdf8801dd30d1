"""What a person writes to look into the DHT, and how what is there is shown."""

from __future__ import annotations

import json

import pytest

from pilotdht.errors import InvalidArgument
from pilotdht.node.records import describe_record, record_target
from pilotdht.wire.group_records import GroupEntry, GroupNotice, group_entry_key
from pilotdht.wire.groups import keyed_group_id, open_group_id
from pilotdht.wire.records import sign_record, tag_key
from pilotdht.wire.rotations import rotate
from tests.support.dht_examples import node_record, revocation, tag_entry
from tests.support.group_examples import (
    ADMIN,
    ADMIN_CHAIN,
    GROUP,
    GUEST,
    GUEST_CHAIN,
    HOUR,
    MEMBER,
    NOW,
    keyed_entry,
    notice_of,
    revoked,
)


@pytest.mark.parametrize("network", [0, 7])
def test_record_target_of_a_group_is_its_first_shard(network: int) -> None:
    """By name for an open group, by key for a keyed one; many entries lie there."""
    by_name, by_key = (record_target(text, network=network) for text in ("group:research", f"group:{GROUP.did}"))
    open_id = open_group_id("research", network=network)
    keyed_id = keyed_group_id(GROUP.public_key, network=network)
    assert group_entry_key(open_id, is_keyed=False, network=network) == by_name.key
    assert group_entry_key(keyed_id, is_keyed=True, network=network) == by_key.key
    assert not by_name.is_single
    assert record_target("tag:mcp", network=network).key == tag_key("mcp", network=network)


@pytest.mark.parametrize("text", ["group:", "group:Not One", "group:did:key:z1", "group:a.b", "nothing of all this"])
def test_record_target_of_anything_else_is_refused(text: str) -> None:
    """With a hint."""
    with pytest.raises(InvalidArgument) as caught:
        record_target(text, network=0)
    assert caught.value.hint


def test_describe_group_entries() -> None:
    """What the certificates say is shown, not their bytes."""
    shown = describe_record(keyed_entry(GUEST, GUEST_CHAIN, shard=3))
    expected = {"kind": "group", "group": keyed_group_id(GROUP.public_key).hex(), "shard": 3, "group_did": GROUP.did}
    assert expected.items() <= shown.items()
    assert ("member", "guest", GUEST.did) == (shown["role"], shown["hostname"], shown["did"])
    record = GroupEntry(public_key=MEMBER.public_key, issued_ms=1000 * NOW, ttl_s=HOUR, group=open_group_id("research"))
    assert "group_did" not in describe_record(sign_record(MEMBER, record))


def test_describe_notices() -> None:
    """Who is out, who said so, and why; or which key follows."""
    shown = describe_record(notice_of(ADMIN, revoked(ADMIN, ADMIN_CHAIN, MEMBER, reason="left us")))
    assert {
        "kind": "group_notice",
        "notice": "revocation",
        "subject": MEMBER.did,
        "issuer": ADMIN.did,
        "reason": "left us",
    }.items() <= shown.items()
    rotation = rotate(GROUP, successor=MEMBER.public_key, issued_ms=1000 * NOW, until_s=NOW)
    record = GroupNotice(public_key=GROUP.public_key, issued_ms=1000 * NOW, ttl_s=HOUR, notice=rotation)
    shown = describe_record(sign_record(GROUP, record))
    assert {"notice": "rotation", "subject": GROUP.did, "successor": MEMBER.did}.items() <= shown.items()


def test_describe_every_record_gives_plain_json() -> None:
    """Programs read it."""
    for signed in (
        node_record(1, hostname="agent"),
        tag_entry(1),
        revocation(1),
        keyed_entry(GUEST, GUEST_CHAIN),
        notice_of(GROUP, revoked(GROUP, None, GUEST)),
    ):
        shown = describe_record(signed)
        assert shown == json.loads(json.dumps(shown))
        assert {"kind", "key", "address", "did", "expires_s", "size_bytes", "network", "issued_ms"} <= set(shown)
