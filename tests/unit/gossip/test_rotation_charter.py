"""What a member keeps while its group's key is replaced, and who is admitted by which key."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pilotdht.errors import BadMessage
from pilotdht.gossip.admission import KeyedAdmission
from pilotdht.gossip.charter import Charter, charter_untrusted, founded, moved, succeeded
from pilotdht.gossip.renewals import is_same_standing
from pilotdht.gossip.values import GroupKind
from pilotdht.identity.keys import KeyPair
from pilotdht.wire.certificates import Chain, Role
from pilotdht.wire.codec import decode_list_untrusted, encode
from pilotdht.wire.membership import ItemType
from pilotdht.wire.renewal_messages import Renew, Renewed
from pilotdht.wire.rotations import Rotation, rotate
from tests.support.group_examples import (
    ADMIN,
    ADMIN_CHAIN,
    GROUP,
    GUEST_CHAIN,
    HOUR,
    MEMBER,
    MEMBER_CHAIN,
    NOW,
    OTHER_GROUP,
    STRANGER,
    certified,
    revoked,
)

SUCCESSOR = OTHER_GROUP


def rotation_to(successor: KeyPair, *, issued_s: int = NOW, until_s: int = NOW + HOUR) -> Rotation:
    """Return that another key follows the group's."""
    return rotate(GROUP, successor=successor.public_key, issued_ms=1000 * issued_s, until_s=until_s)


ROTATION = rotation_to(SUCCESSOR)

OLD = replace(
    founded("acme", GroupKind.ORG, GROUP, network=0),
    chain=ADMIN_CHAIN,
    notices=(revoked(GROUP, None, STRANGER).wire,),
    tags=("blue",),
)


def kept(charter: Charter) -> Charter:
    """Return a charter after a restart."""
    return charter_untrusted(decode_list_untrusted(encode(charter.packed())), ADMIN.public_key)


def test_charter_of_a_group_that_moves_survives_a_restart() -> None:
    """Before this node has followed, and afterwards, when it holds both keys."""
    heard = replace(OLD, rotation=ROTATION)
    assert heard.packed() == kept(heard).packed()
    assert ROTATION == kept(heard).rotation
    assert heard.is_replaced
    new = replace(succeeded(OLD, SUCCESSOR, ADMIN.public_key, ROTATION, NOW), former=heard)
    assert new.packed() == kept(new).packed()
    former = kept(new).former
    assert former is not None
    assert (True, GROUP.public_key) == (former.is_replaced, former.group_keys and former.group_keys.public_key)
    assert not new.is_replaced
    assert new.group_keys is not None
    assert new.chain is not None
    assert (SUCCESSOR.seed, Role.OWNER, ("blue",)) == (new.group_keys.seed, new.role, new.tags)
    assert (Role.ADMIN, "admin", ADMIN_CHAIN.expires_s) == (new.chain.role, new.chain.hostname, new.chain.expires_s)
    assert () == new.notices


def test_charter_whose_former_does_not_fit_is_refused() -> None:
    """Of another group, by another rotation, without one, with a former of its own, or cut short."""
    heard = replace(OLD, rotation=ROTATION)
    new = succeeded(OLD, SUCCESSOR, ADMIN.public_key, ROTATION, NOW)
    formers = [
        OLD,
        replace(heard, name="other"),
        replace(heard, kind=GroupKind.INVITE),
        replace(heard, rotation=rotation_to(SUCCESSOR, until_s=NOW + 60)),
        new,
    ]
    for former in formers:
        with pytest.raises(BadMessage):
            kept(replace(new, former=former))
    with pytest.raises(BadMessage):
        kept(replace(replace(new, rotation=None), former=heard))
    with pytest.raises(BadMessage):
        kept(replace(OLD, rotation=rotate(STRANGER, successor=MEMBER.public_key, issued_ms=1, until_s=1)))
    values = replace(new, former=heard).packed()
    values[-1] = values[-1][:-1]  # type: ignore[index]  # it is a list
    with pytest.raises(BadMessage):
        charter_untrusted(values, ADMIN.public_key)


def test_charter_of_a_member_that_moved_holds_no_key() -> None:
    """It holds certificates of the new one alone."""
    chain = certified(SUCCESSOR, None, MEMBER)
    member = moved(replace(OLD, group_keys=None, chain=MEMBER_CHAIN, rotation=ROTATION), chain, ROTATION)
    assert (SUCCESSOR.public_key, None, chain, ROTATION) == (
        member.group_key,
        member.group_keys,
        member.chain,
        member.rotation,
    )
    assert Role.MEMBER is member.role


def test_admission_by_a_replaced_key_ends_at_its_date() -> None:
    """Nobody moves that date; another successor is refused, and told apart from garbage."""
    clock = [float(NOW)]
    admission = KeyedAdmission(GROUP.public_key, unix_time=lambda: clock[0])
    assert admission.take_untrusted(ROTATION.wire, ItemType.ROTATION)
    assert not admission.take_untrusted(ROTATION.wire, ItemType.ROTATION)
    assert not admission.take_untrusted(rotation_to(SUCCESSOR, until_s=NOW + 9 * HOUR).wire, ItemType.ROTATION)
    with pytest.raises(BadMessage, match="other_successor"):
        admission.take_untrusted(rotation_to(STRANGER, issued_s=NOW - HOUR).wire, ItemType.ROTATION)
    foreign = rotate(STRANGER, successor=MEMBER.public_key, issued_ms=1000 * NOW, until_s=NOW + HOUR)
    with pytest.raises(BadMessage, match="rotation_group"):
        admission.take_untrusted(foreign.wire, ItemType.ROTATION)
    assert [True, False] == [admission.admits(MEMBER_CHAIN, at) for at in (NOW + HOUR - 1, NOW + HOUR)]
    assert admission.succession.rotation == ROTATION


def test_admission_by_a_replaced_key_heeds_who_is_out_by_the_new_one() -> None:
    """The owner expels admins, an admin members and nobody above, whatever their certificates are."""
    old = KeyedAdmission(GROUP.public_key, unix_time=lambda: float(NOW))
    new = KeyedAdmission(SUCCESSOR.public_key, unix_time=lambda: float(NOW))
    admin = certified(SUCCESSOR, None, STRANGER, Role.ADMIN)
    assert new.add(revoked(STRANGER, admin, MEMBER))
    assert old.admits(MEMBER_CHAIN, NOW), "this node does not follow yet"
    old.by_successor = new.revocations
    assert not old.admits(MEMBER_CHAIN, NOW)
    assert new.add(revoked(STRANGER, admin, ADMIN))
    assert old.admits(ADMIN_CHAIN, NOW)
    assert new.add(revoked(SUCCESSOR, None, ADMIN))
    assert not old.admits(ADMIN_CHAIN, NOW)
    assert not old.admits(certified(ADMIN, ADMIN_CHAIN, GROUP), NOW), "nor whom it has certified"


@pytest.mark.parametrize(
    ("renewed", "is_same"),
    [
        (certified(SUCCESSOR, None, MEMBER, hostname="member"), True),
        (certified(SUCCESSOR, None, MEMBER, hostname="member", expires_s=NOW + 25 * HOUR), True),
        (certified(SUCCESSOR, None, MEMBER, hostname="member", expires_s=NOW + 23 * HOUR), False),
        (certified(SUCCESSOR, None, MEMBER), False),
        (certified(SUCCESSOR, None, MEMBER, hostname="other"), False),
        (certified(SUCCESSOR, None, MEMBER, Role.ADMIN, hostname="member"), False),
    ],
)
def test_renewed_certificates_take_nothing_away(renewed: Chain, is_same: bool) -> None:
    """Whoever renews them might be ill-disposed: role, name and end stay."""
    assert is_same == is_same_standing(MEMBER_CHAIN, renewed)


def test_renewed_certificates_end_with_their_issuer_at_the_latest() -> None:
    """That of an admin who is certified for a shorter time cannot last longer, but must not be cut further."""
    admin = certified(SUCCESSOR, None, ADMIN, Role.ADMIN, expires_s=NOW + HOUR)
    assert is_same_standing(MEMBER_CHAIN, certified(ADMIN, admin, MEMBER, hostname="member"))
    assert not is_same_standing(
        MEMBER_CHAIN, certified(ADMIN, admin, MEMBER, hostname="member", expires_s=NOW + HOUR - 1)
    )


def test_renewal_messages_read_back() -> None:
    """Within the bound of a chain; longer ones, and other things, are refused."""
    renew = Renew(OLD.group, GUEST_CHAIN.wire)
    assert renew == Renew.from_fields_untrusted([*renew.fields(), "later versions add fields"])
    for chain in (b"", MEMBER_CHAIN.wire):
        assert Renewed(chain) == Renewed.from_fields_untrusted(Renewed(chain).fields())
    requests: list[list[object]] = [[], [OLD.group], [b"short", b""], [OLD.group, bytes(401)], [OLD.group, "text"]]
    for fields in requests:
        with pytest.raises(BadMessage):
            Renew.from_fields_untrusted(fields)
    replies: list[list[object]] = [[], [bytes(401)], [7]]
    for fields in replies:
        with pytest.raises(BadMessage):
            Renewed.from_fields_untrusted(fields)
