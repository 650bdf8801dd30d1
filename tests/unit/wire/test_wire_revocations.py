"""Revocations: who may expel whom, for how long, what a bounded set keeps; and rotations of a group's key."""

from __future__ import annotations

from itertools import permutations

import pytest

from pilotdht.errors import BadMessage, InvalidArgument
from pilotdht.identity.keys import KeyPair
from pilotdht.wire.certificates import Role
from pilotdht.wire.codec import encode
from pilotdht.wire.membership import ItemType
from pilotdht.wire.record import CLOCK_SKEW_S
from pilotdht.wire.revocations import (
    MAX_REASON_BYTES,
    MAX_REVOCATION_BYTES,
    Revocation,
    Revocations,
    revocation_untrusted,
)
from pilotdht.wire.rotations import MAX_ROTATION_BYTES, Rotation, Succession, rotate, rotation_untrusted
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
    named_keys,
    revoked,
)

CHAINS = {
    "admin": ADMIN_CHAIN,
    "other admin": OTHER_ADMIN_CHAIN,
    "inviter": INVITER_CHAIN,
    "guest": GUEST_CHAIN,
    "member": MEMBER_CHAIN,
}


def set_of(*given: Revocation, capacity: int = 100, now: float = NOW) -> Revocations:
    """Return a set with these."""
    revocations = Revocations(capacity)
    for one in given:
        revocations.add(one, now)
    return revocations


def out_of(revocations: Revocations, now: float = NOW) -> set[str]:
    """Return whose chains are void."""
    return {name for name, chain in CHAINS.items() if revocations.is_revoked(chain, now)}


def signed_by_hand(keys: KeyPair, values: list[object]) -> bytes:
    """Return a revocation that asks nobody whether it is allowed."""
    body = encode(values)
    return bytes([ItemType.REVOCATION]) + encode([body, keys.sign(b"pilotdht/1 group revocation" + body)])


def test_revocation_reads_back() -> None:
    """By the group's key and by an admin."""
    for one in (revoked(GROUP, None, ADMIN, reason="left us"), revoked(ADMIN, ADMIN_CHAIN, GUEST)):
        assert one == revocation_untrusted(one.wire, group_key=GROUP.public_key)
        assert one == revocation_untrusted(one.wire)
        with pytest.raises(BadMessage, match="revocation_group"):
            revocation_untrusted(one.wire, group_key=OTHER_GROUP.public_key)


def test_revocation_by_the_group_takes_whoever_it_names_and_all_below() -> None:
    """With an inviter go its guests, with an admin everybody that it made a member."""
    assert {"member"} == out_of(set_of(revoked(GROUP, None, MEMBER)))
    assert {"inviter", "guest"} == out_of(set_of(revoked(GROUP, None, INVITER)))
    assert {"admin", "inviter", "guest"} == out_of(set_of(revoked(GROUP, None, ADMIN)))
    assert set() == out_of(set_of(revoked(GROUP, None, STRANGER)))


def test_revocation_by_an_admin_takes_members_and_inviters_but_no_admins() -> None:
    """Also those that another admin made, and never whoever that admin is."""
    by_other = [revoked(OTHER_ADMIN, OTHER_ADMIN_CHAIN, holder) for holder in (GUEST, INVITER, MEMBER, ADMIN)]
    assert [{"guest"}, {"inviter", "guest"}, {"member"}, set()] == [out_of(set_of(one)) for one in by_other]


def test_revocation_by_anybody_else_is_refused() -> None:
    """Members and inviters expel nobody; by hand neither."""
    for keys, chain in ((MEMBER, MEMBER_CHAIN), (INVITER, INVITER_CHAIN), (STRANGER, ADMIN_CHAIN)):
        with pytest.raises(InvalidArgument, match="only an admin"):
            revoked(keys, chain, GUEST)
        values = [1, GROUP.public_key, GUEST.public_key, 1000 * NOW, "", NOW + HOUR, chain.wire]
        with pytest.raises(BadMessage, match=r"revocation_(role|signature)"):
            revocation_untrusted(signed_by_hand(keys, values))
    values = [1, GROUP.public_key, GUEST.public_key, 1000 * NOW, "", NOW + HOUR, b""]
    revocation_untrusted(signed_by_hand(GROUP, values))
    with pytest.raises(BadMessage, match="revocation_signature"):
        revocation_untrusted(signed_by_hand(ADMIN, values))


def test_revocation_by_an_admin_of_another_group_is_refused() -> None:
    """Its certificates do not lead from this group's key."""
    foreign = certified(OTHER_GROUP, None, ADMIN, Role.ADMIN)
    values = [1, GROUP.public_key, GUEST.public_key, 1000 * NOW, "", NOW + HOUR, foreign.wire]
    with pytest.raises(BadMessage, match="chain_signature"):
        revocation_untrusted(signed_by_hand(ADMIN, values))
    assert set() == out_of(set_of(revoked(ADMIN, foreign, MEMBER), revoked(OTHER_GROUP, None, MEMBER)))


def test_revocation_of_oneself_or_of_the_group_is_refused() -> None:
    """Who wants to go leaves; a key is replaced by a rotation."""
    for keys, chain, holder in ((ADMIN, ADMIN_CHAIN, ADMIN), (ADMIN, ADMIN_CHAIN, GROUP), (GROUP, None, GROUP)):
        with pytest.raises(InvalidArgument, match="nobody can expel itself"):
            revoked(keys, chain, holder)


def test_revocation_is_in_force_until_its_end_or_that_of_its_issuer() -> None:
    """An admin expels for as long as it is one; a date too far ahead is none yet."""
    one = revoked(GROUP, None, MEMBER, until_s=NOW + HOUR)
    early = NOW - CLOCK_SKEW_S
    assert [False, True, True, False] == [one.is_live(at) for at in (early - 1, early, NOW + HOUR - 1, NOW + HOUR)]
    admin = certified(GROUP, None, ADMIN, Role.ADMIN, expires_s=NOW + 60)
    short = revoked(ADMIN, admin, MEMBER, until_s=NOW + HOUR)
    assert NOW + 60 == short.expires_s
    revocations = set_of(short)
    assert [True, False] == [revocations.is_revoked(MEMBER_CHAIN, at) for at in (NOW + 59, NOW + 60)]
    assert not Revocations(10).add(one, NOW + HOUR), "what has ended is no news"
    assert not Revocations(10).add(one, early - 1)


def test_revocations_by_an_expelled_admin_do_not_count() -> None:
    """In whatever order they come: expelling an admin undoes what it did to others."""
    rogue = [revoked(ADMIN, ADMIN_CHAIN, holder) for holder in (MEMBER, INVITER)]
    end = revoked(GROUP, None, ADMIN)
    for order in permutations([*rogue, end]):
        revocations = set_of(*order)
        assert not revocations.is_revoked(MEMBER_CHAIN, NOW)
        assert revocations.is_revoked(INVITER_CHAIN, NOW), "its own certificate rests on the admin's"
        by_other = certified(OTHER_ADMIN, OTHER_ADMIN_CHAIN, INVITER, Role.INVITER)
        assert not revocations.is_revoked(by_other, NOW)
    assert set_of(*rogue).is_revoked(MEMBER_CHAIN, NOW)


def test_revocation_outlasts_a_new_certificate() -> None:
    """It is the key that is out."""
    later = certified(GROUP, None, MEMBER, issued_s=NOW + HOUR, expires_s=NOW + 48 * HOUR)
    assert set_of(revoked(GROUP, None, MEMBER)).is_revoked(later, NOW + HOUR)


def test_set_takes_each_revocation_once_and_the_newer_of_two() -> None:
    """What is news is told on; what is known, or older, is not."""
    old, new = revoked(GROUP, None, MEMBER, age_s=60), revoked(GROUP, None, MEMBER)
    revocations = Revocations(10)
    assert [True, False, True, False] == [revocations.add(one, NOW) for one in (old, old, new, old)]
    assert [new] == list(revocations)
    by_admin = revoked(ADMIN, ADMIN_CHAIN, MEMBER)
    assert revocations.add(by_admin, NOW)
    assert new == revocations.find(MEMBER_CHAIN, NOW), "the group's own word is shown"


def test_set_is_the_same_whatever_came_first() -> None:
    """Order of iteration included: sets are compared by it."""
    given = [
        revoked(GROUP, None, MEMBER, age_s=5),
        revoked(GROUP, None, MEMBER, reason="again"),
        revoked(ADMIN, ADMIN_CHAIN, MEMBER),
        revoked(ADMIN, ADMIN_CHAIN, GUEST),
    ]
    assert 1 == len({tuple(one.wire for one in set_of(*order)) for order in permutations(given)})


def test_set_forgets_what_has_ended() -> None:
    """And counts it."""
    revocations = set_of(revoked(GROUP, None, MEMBER, until_s=NOW + 10), revoked(GROUP, None, GUEST))
    assert [0, 1, 0] == [revocations.expire(at) for at in (NOW + 9, NOW + 10, NOW + 11)]
    assert (1, 1) == (len(revocations), revocations.expired)
    assert {"guest"} == out_of(revocations)


def test_set_that_is_full_keeps_the_word_of_the_group() -> None:
    """An admin that makes up keys fills its share; the group's key takes the place of an admin's word."""
    revocations = Revocations(8)
    made_up = [revoked(ADMIN, ADMIN_CHAIN, named_keys(f"made up {number}")) for number in range(20)]
    assert [True] * 2 + [False] * 18 == [revocations.add(one, NOW) for one in made_up]
    assert 18 == revocations.dropped
    by_group = [revoked(GROUP, None, named_keys(f"member {number}")) for number in range(9)]
    assert [True] * 8 + [False] == [revocations.add(one, NOW) for one in by_group]
    assert sorted(one.wire for one in by_group[:8]) == sorted(one.wire for one in revocations)
    assert (8, 18 + 2 + 1) == (len(revocations), revocations.dropped)


def test_set_that_is_full_makes_room_of_what_has_ended() -> None:
    """Before anything is refused."""
    revocations = set_of(*[revoked(GROUP, None, named_keys(f"m {n}"), until_s=NOW + 5) for n in range(4)], capacity=4)
    assert revocations.add(revoked(GROUP, None, MEMBER), NOW + 5)
    assert (1, 4, 0) == (len(revocations), revocations.expired, revocations.dropped)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (0, 2),
        (0, True),
        (1, GROUP.public_key[:31]),
        (2, None),
        (3, 0),
        (3, 2**53 + 1),
        (4, "r" * (MAX_REASON_BYTES + 1)),
        (4, "\u20ac" * 41),
        (4, "two\nlines"),
        (4, b"bytes"),
        (5, NOW),
        (6, None),
        (6, b"\x90"),
    ],
)
def test_revocation_with_a_field_out_of_range_is_refused(place: int, value: object) -> None:
    """However rightly it is signed."""
    values: list[object] = [1, GROUP.public_key, GUEST.public_key, 1000 * NOW, "r" * MAX_REASON_BYTES, NOW + HOUR, b""]
    assert MAX_REASON_BYTES == len(revocation_untrusted(signed_by_hand(GROUP, values)).reason)
    values[place] = value
    with pytest.raises(BadMessage):
        revocation_untrusted(signed_by_hand(GROUP, values))


def test_revocation_in_another_form_is_refused() -> None:
    """Too long, of another type, in another encoding, with more or fewer fields."""
    wire = revoked(GROUP, None, MEMBER).wire
    values: list[object] = [1, GROUP.public_key, GUEST.public_key, 1000 * NOW, "", NOW + HOUR, b""]
    for other in (
        b"",
        bytes(MAX_REVOCATION_BYTES + 1),
        b"\x01" + wire[1:],
        wire[:1] + b"\xdc\x00\x02" + wire[2:],
        wire[:1] + encode([b"", bytes(64), 0]),
        signed_by_hand(GROUP, [*values, 0]),
        signed_by_hand(GROUP, values[:-1]),
    ):
        with pytest.raises(BadMessage):
            revocation_untrusted(other)


def test_revocation_at_its_longest_fits() -> None:
    """The longest reason, by the admin with the longest name."""
    admin = certified(GROUP, None, ADMIN, Role.ADMIN, hostname="a" * 63, expires_s=2**40)
    one = revoked(ADMIN, admin, GUEST, reason="\u20ac" * 40, until_s=2**40)
    assert len(one.wire) <= MAX_REVOCATION_BYTES
    assert one == revocation_untrusted(one.wire)


@pytest.mark.parametrize("reason", ["x" * 121, "\u20ac" * 41, "a\nb", "\x1b[2J", "\ud800"])
def test_revoke_with_a_bad_reason_is_refused(reason: str) -> None:
    """It is shown on other people's terminals."""
    with pytest.raises(InvalidArgument, match="reason"):
        revoked(GROUP, None, MEMBER, reason=reason)


def test_revoke_with_dates_in_the_wrong_order_is_refused() -> None:
    """It would be void from the start."""
    for until_s in (0, NOW, 2**40 + 1):
        with pytest.raises(InvalidArgument, match="end before"):
            revoked(GROUP, None, MEMBER, until_s=until_s)


SUCCESSORS = [named_keys(f"successor {number}") for number in range(2)]


def rotated(old: KeyPair, new: KeyPair, *, issued_s: int = NOW, until_s: int = NOW + HOUR) -> Rotation:
    """Return that a group's key has a successor."""
    return rotate(old, successor=new.public_key, issued_ms=1000 * issued_s, until_s=until_s)


def test_rotation_reads_back() -> None:
    """Within its bound; about another key it is refused."""
    one = rotate(GROUP, successor=SUCCESSORS[0].public_key, issued_ms=2**53, until_s=2**40)
    assert one == rotation_untrusted(one.wire, group_key=GROUP.public_key)
    assert len(one.wire) <= MAX_ROTATION_BYTES
    with pytest.raises(BadMessage, match="rotation_group"):
        rotation_untrusted(one.wire, group_key=OTHER_GROUP.public_key)


def test_rotation_that_is_not_signed_by_the_old_key_is_refused() -> None:
    """Nor one with other fields, another type or form; nor one to the key itself."""
    body = encode([1, GROUP.public_key, MEMBER.public_key, 1000 * NOW, NOW])
    domain = b"pilotdht/1 group rotation"
    good = bytes([ItemType.ROTATION]) + encode([body, GROUP.sign(domain + body)])
    assert MEMBER.public_key == rotation_untrusted(good).successor
    others = [
        bytes([ItemType.ROTATION]) + encode([body, MEMBER.sign(domain + body)]),
        bytes([ItemType.REVOCATION]) + good[1:],
        good[:1] + b"\xdc\x00\x02" + good[2:],
        bytes(MAX_ROTATION_BYTES + 1),
    ]
    for values in (
        [1, GROUP.public_key, GROUP.public_key, 1000 * NOW, NOW],
        [2, GROUP.public_key, MEMBER.public_key, 1000 * NOW, NOW],
        [1, GROUP.public_key, MEMBER.public_key, 0, NOW],
        [1, GROUP.public_key, MEMBER.public_key, 1000 * NOW, 0],
        [1, GROUP.public_key, MEMBER.public_key, 1000 * NOW, NOW, 0],
        [1, GROUP.public_key, MEMBER.public_key[:5], 1000 * NOW, NOW],
    ):
        other = encode(values)
        others.append(bytes([ItemType.ROTATION]) + encode([other, GROUP.sign(domain + other)]))
    for wire in others:
        with pytest.raises(BadMessage):
            rotation_untrusted(wire)
    for successor, issued_ms, until_s in ((GROUP, 1, 1), (MEMBER, 0, 1), (MEMBER, 1, 0)):
        with pytest.raises(InvalidArgument):
            rotate(GROUP, successor=successor.public_key, issued_ms=issued_ms, until_s=until_s)


def test_succession_follows_a_rotation() -> None:
    """The old key counts until its date; nobody moves that date."""
    keys = Succession(GROUP.public_key)
    assert not keys.add(rotated(SUCCESSORS[0], SUCCESSORS[1]), NOW), "of another key"
    assert not keys.add(rotated(GROUP, SUCCESSORS[0], issued_s=NOW + 601), NOW), "a date too far ahead"
    assert not keys.is_over(NOW + HOUR)
    first, later = rotated(GROUP, SUCCESSORS[0]), rotated(GROUP, SUCCESSORS[0], until_s=NOW + 2 * HOUR)
    assert [True, False, False] == [keys.add(one, NOW) for one in (first, first, later)]
    assert (first, 0) == (keys.rotation, keys.conflicts)
    assert [False, True] == [keys.is_over(at) for at in (NOW + HOUR - 1, NOW + HOUR)]


def test_succession_stays_with_the_first_successor() -> None:
    """A thief of the old key leads nobody away who follows the new one; it is counted."""
    keys = Succession(GROUP.public_key)
    first = rotated(GROUP, SUCCESSORS[0])
    assert keys.add(first, NOW)
    assert not keys.add(rotated(GROUP, STRANGER, issued_s=NOW - 60), NOW)
    assert (first, 1) == (keys.rotation, keys.conflicts)
