"""Whatever bytes are changed in a chain, a revocation, a rotation, an invitation or a record: refused, or the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotdht.errors import BadMessage, InvalidArgument
from pilotdht.wire.certificates import MAX_CHAIN_BYTES, Role, chain_untrusted, issue
from pilotdht.wire.codec import encode
from pilotdht.wire.group_records import GroupEntry
from pilotdht.wire.groups import GroupId
from pilotdht.wire.invitations import KeyedKind, accept, invite, parse_invitation
from pilotdht.wire.records import sign_record, signed_record_untrusted
from pilotdht.wire.revocations import Revocation, Revocations, revocation_untrusted
from pilotdht.wire.rotations import rotate, rotation_untrusted
from tests.support.group_examples import (
    ADMIN,
    ADMIN_CHAIN,
    GROUP,
    GUEST,
    GUEST_CHAIN,
    HOUR,
    INVITER_CHAIN,
    MEMBER,
    MEMBER_CHAIN,
    NOW,
    OTHER_ADMIN,
    OTHER_ADMIN_CHAIN,
    STRANGER,
    certified,
    keyed_entry,
    named_keys,
    notice_of,
    revoked,
)

pytestmark = pytest.mark.property

ROTATION = rotate(GROUP, successor=MEMBER.public_key, issued_ms=1000 * NOW, until_s=NOW + HOUR)
READERS: list[tuple[bytes, Callable[[bytes], object]]] = [
    *[
        (chain.wire, lambda data: chain_untrusted(data, GROUP.public_key))
        for chain in (ADMIN_CHAIN, INVITER_CHAIN, GUEST_CHAIN, MEMBER_CHAIN)
    ],
    (revoked(GROUP, None, MEMBER, reason="left us").wire, revocation_untrusted),
    (revoked(ADMIN, ADMIN_CHAIN, GUEST).wire, revocation_untrusted),
    (ROTATION.wire, rotation_untrusted),
    (keyed_entry(GUEST, GUEST_CHAIN).wire, signed_record_untrusted),
    (notice_of(ADMIN, revoked(ADMIN, ADMIN_CHAIN, GUEST)).wire, signed_record_untrusted),
]
INVITATION = invite(
    ADMIN,
    ADMIN_CHAIN,
    name="research",
    kind=KeyedKind.INVITE,
    seed=bytes(32),
    issued_s=NOW,
    expires_s=NOW + HOUR,
    hostname="helper",
    hints=("192.0.2.7:4433",),
)
names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,15}[a-z0-9])?", fullmatch=True)


@settings(deadline=None)
@given(st.sampled_from(READERS), st.data())
def test_changed_bytes_are_refused_or_mean_the_same(
    example: tuple[bytes, Callable[[bytes], object]], data: st.DataObject
) -> None:
    """One byte changed, some cut out, some put in."""
    wire, read = example
    at = data.draw(st.integers(0, len(wire) - 1))
    until = data.draw(st.integers(at, min(len(wire), at + 4)))
    changed = wire[:at] + data.draw(st.binary(max_size=4)) + wire[until:]
    try:
        assert read(wire) == read(changed)
    except BadMessage:
        assert changed != wire


@settings(deadline=None)
@given(
    st.integers(5, len(INVITATION.text()) - 1), st.sampled_from("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcxyz0OIl \u00e9")
)
def test_changed_invitation_is_a_typing_error(at: int, character: str) -> None:
    """Any character at any place."""
    text = INVITATION.text()
    changed = text[:at] + character + text[at + 1 :]
    if changed == text:
        assert INVITATION == parse_invitation(changed)
    else:
        with pytest.raises(InvalidArgument, match="typing error"):
            parse_invitation(changed)


@settings(deadline=None)
@given(st.binary(max_size=500))
def test_any_bytes_are_refused(data: bytes) -> None:
    """With BadMessage, and nothing else."""
    for read in (
        lambda: chain_untrusted(data, GROUP.public_key),
        lambda: revocation_untrusted(b"\x03" + data),
        lambda: rotation_untrusted(b"\x04" + data),
    ):
        with pytest.raises(BadMessage):
            read()


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.binary(max_size=40) | st.text(max_size=40),
    lambda children: st.lists(children, max_size=6),
    max_leaves=20,
)


@settings(deadline=None)
@given(st.lists(plain, max_size=8))
def test_any_values_are_refused_cleanly(values: list[object]) -> None:
    """Rightly signed nonsense as well."""
    body = encode(values)
    for domain, kind, read in (
        (b"pilotdht/1 group revocation", 3, revocation_untrusted),
        (b"pilotdht/1 group rotation", 4, rotation_untrusted),
    ):
        with pytest.raises(BadMessage):
            read(bytes([kind]) + encode([body, GROUP.sign(domain + body)]))
    with pytest.raises(BadMessage):
        chain_untrusted(encode(values), GROUP.public_key)
    with pytest.raises(BadMessage):
        chain_untrusted(encode([values]), GROUP.public_key)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.sampled_from([Role.MEMBER, Role.INVITER, Role.ADMIN, Role.OWNER]), min_size=1, max_size=4),
    st.lists(names | st.just(""), min_size=4, max_size=4),
    st.lists(st.integers(1, 2 * HOUR), min_size=4, max_size=4),
)
def test_chain_that_can_be_issued_reads_back_and_any_other_is_refused(
    roles: list[Role], hostnames: list[str], lifetimes: list[int]
) -> None:
    """Whatever roles, names and dates: what ``issue`` makes, every reader takes; its rights only shrink."""
    issuer, above, issued = GROUP, None, Role.OWNER
    for number, (role, hostname, lifetime_s) in enumerate(zip(roles, hostnames, lifetimes, strict=False)):
        holder = named_keys(f"holder {number}")
        is_allowed = role < issued and not (issued is Role.INVITER and hostname)
        try:
            wire = issue(
                issuer,
                above,
                holder=holder.public_key,
                role=role,
                issued_s=NOW,
                expires_s=NOW + lifetime_s,
                hostname=hostname,
            )
        except InvalidArgument:
            assert not is_allowed
            return
        assert is_allowed
        assert len(wire) <= MAX_CHAIN_BYTES
        chain = chain_untrusted(wire, GROUP.public_key)
        assert (holder.public_key, role) == (chain.holder, chain.role)
        assert NOW + min(lifetimes[: number + 1]) == chain.expires_s
        issuer, above, issued = holder, chain, role


@settings(deadline=None, max_examples=50)
@given(names, st.sampled_from(KeyedKind), st.integers(0, 65_535), names | st.just(""), st.booleans(), st.booleans())
def test_invitation_reads_back_and_can_be_accepted(
    name: str, kind: KeyedKind, network: int, hostname: str, is_bearer: bool, is_by_admin: bool
) -> None:
    """Whatever it says."""
    made = invite(
        ADMIN if is_by_admin else GROUP,
        ADMIN_CHAIN if is_by_admin else None,
        name=name,
        kind=kind,
        network=network,
        holder=None if is_bearer else STRANGER.public_key,
        seed=bytes(32) if is_bearer else b"",
        issued_s=NOW,
        expires_s=NOW + HOUR,
        hostname=hostname,
    )
    read = parse_invitation(made.text())
    assert made == read
    chain = chain_untrusted(accept(read, STRANGER, NOW + 1), GROUP.public_key)
    assert (STRANGER.public_key, hostname, Role.MEMBER) == (chain.holder, chain.hostname, chain.role)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 2**53), st.integers(1, HOUR), st.integers(0, 255), st.integers(0, 65_535), st.booleans())
def test_group_entry_reads_back(issued_ms: int, ttl_s: int, shard: int, network: int, is_keyed: bool) -> None:
    """Open or keyed, in any mesh, at any time."""
    if is_keyed:
        signed = keyed_entry(MEMBER, MEMBER_CHAIN, ttl_s=ttl_s, shard=shard, network=network)
    else:
        record = GroupEntry(
            public_key=MEMBER.public_key,
            network=network,
            issued_ms=issued_ms,
            ttl_s=ttl_s,
            group=GroupId(bytes(20)),
            shard=shard,
        )
        signed = sign_record(MEMBER, record)
    assert signed == signed_record_untrusted(signed.wire)


REVOCATIONS = [
    revoked(issuer, chain, holder, age_s=age_s, until_s=NOW + HOUR + age_s)
    for issuer, chain in ((GROUP, None), (ADMIN, ADMIN_CHAIN), (OTHER_ADMIN, OTHER_ADMIN_CHAIN))
    for holder in (ADMIN, MEMBER, GUEST)
    if issuer is not holder
    for age_s in (0, 5)
]


@settings(deadline=None)
@given(st.lists(st.sampled_from(REVOCATIONS), max_size=12), st.data(), st.integers(0, 2 * HOUR))
def test_revocations_do_not_depend_on_their_order(given_: list[Revocation], data: st.DataObject, later_s: int) -> None:
    """Who is out is the same for everybody who heard the same, in any order, at any later time."""
    shuffled = data.draw(st.permutations(given_))
    sets = []
    for order in (given_, shuffled):
        revocations = Revocations(100)
        for one in order:
            revocations.add(one, NOW)
        sets.append(revocations)
    assert list(sets[0]) == list(sets[1])
    chains = [
        ADMIN_CHAIN,
        OTHER_ADMIN_CHAIN,
        MEMBER_CHAIN,
        GUEST_CHAIN,
        certified(OTHER_ADMIN, OTHER_ADMIN_CHAIN, GUEST),
    ]
    for chain in chains:
        assert sets[0].find(chain, NOW + later_s) == sets[1].find(chain, NOW + later_s)
    sets[0].expire(NOW + later_s)
    for chain in chains:
        assert sets[0].find(chain, NOW + later_s) == sets[1].find(chain, NOW + later_s), "forgetting changes nothing"


@settings(deadline=None)
@given(st.lists(st.sampled_from(REVOCATIONS), max_size=20), st.integers(1, 8))
def test_revocations_stay_within_their_bound(given_: list[Revocation], capacity: int) -> None:
    """And the group's own word is never pushed out by an admin's."""
    revocations = Revocations(capacity)
    for one in given_:
        before = [held for held in revocations if held.issuer is None]
        revocations.add(one, NOW)
        assert len(revocations) <= capacity
        if one.issuer is not None:
            assert before == [held for held in revocations if held.issuer is None]
