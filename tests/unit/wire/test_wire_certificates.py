"""Chains of certificates: who may issue what, how long it counts, and everything that is refused."""

from __future__ import annotations

import pytest

from pilotdht.errors import BadMessage, InvalidArgument
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import KeyPair
from pilotdht.wire.certificates import (
    MAX_CHAIN_BYTES,
    MAX_LAST_LINK_BYTES,
    MAX_UNIX_S,
    Role,
    chain_untrusted,
    issue,
    membership_untrusted,
)
from pilotdht.wire.codec import encode
from pilotdht.wire.record import CLOCK_SKEW_S
from pilotdht.wire.verified import VerifiedSignatures
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
    OTHER_GROUP,
    STRANGER,
    certified,
)

GROUP_KEY = GROUP.public_key


def link(
    issuer: KeyPair,
    holder: PublicKey,
    role: int = 1,
    *,
    group_key: PublicKey = GROUP_KEY,
    issued_s: int = NOW,
    expires_s: int = NOW + HOUR,
    hostname: str = "",
) -> list[object]:
    """Return a link signed by hand, which asks nobody whether it is allowed."""
    fields: list[object] = [holder, role, issued_s, expires_s, hostname]
    signed = b"pilotdht/1 certificate" + group_key + issuer.public_key + encode(fields)
    return [*fields, issuer.sign(signed)]


def refused(links: list[object], reason: str, *, group_key: PublicKey = GROUP_KEY) -> None:
    """Check that a chain is refused, and why."""
    with pytest.raises(BadMessage, match=f"^{reason}$"):
        chain_untrusted(encode(links), group_key)


def test_chain_issued_reads_back_with_what_it_says() -> None:
    """The group's key makes an admin, the admin an inviter, the inviter a guest."""
    chain = chain_untrusted(GUEST_CHAIN.wire, GROUP_KEY)
    assert GUEST_CHAIN == chain
    assert [ADMIN.public_key, INVITER.public_key, GUEST.public_key] == [one.holder for one in chain.links]
    assert [Role.ADMIN, Role.INVITER, Role.MEMBER] == [one.role for one in chain.links]
    assert (GUEST.public_key, Role.MEMBER, True) == (chain.holder, chain.role, chain.is_membership)
    assert not INVITER_CHAIN.is_membership
    assert ADMIN_CHAIN.is_membership


def test_hand_made_link_is_what_issue_writes() -> None:
    """So the refusals below refuse for their own reason, and not for a slip in the test."""
    made = link(GROUP, MEMBER.public_key, expires_s=NOW + 24 * HOUR, hostname="member")
    assert MEMBER_CHAIN.wire == encode([made])


@pytest.mark.parametrize(
    ("own", "may_issue"),
    [
        (Role.OWNER, {Role.MEMBER, Role.INVITER, Role.ADMIN}),
        (Role.ADMIN, {Role.MEMBER, Role.INVITER}),
        (Role.INVITER, {Role.MEMBER}),
        (Role.MEMBER, set()),
    ],
)
def test_issue_of_each_role_by_each_role(own: Role, may_issue: set[Role]) -> None:
    """Only roles below one's own: a bearer invitation makes no admin, no admin makes another one."""
    keys, chain = {
        Role.OWNER: (GROUP, None),
        Role.ADMIN: (ADMIN, ADMIN_CHAIN),
        Role.INVITER: (INVITER, INVITER_CHAIN),
        Role.MEMBER: (MEMBER, MEMBER_CHAIN),
    }[own]
    for role in Role:
        if role in may_issue:
            assert role is certified(keys, chain, STRANGER, role).role
        else:
            with pytest.raises(InvalidArgument, match="cannot make another key") as caught:
                certified(keys, chain, STRANGER, role)
            assert "ask an admin" in caught.value.hint


def test_issue_with_keys_that_the_chain_does_not_name_is_refused() -> None:
    """Somebody else's certificate gives no right."""
    with pytest.raises(InvalidArgument, match="not those"):
        certified(STRANGER, ADMIN_CHAIN, MEMBER)


def test_hostname_of_a_guest_is_that_of_its_invitation() -> None:
    """Who joins by a bearer invitation chooses none."""
    assert ("guest", "member", "admin") == (GUEST_CHAIN.hostname, MEMBER_CHAIN.hostname, ADMIN_CHAIN.hostname)
    by_admin = certified(ADMIN, ADMIN_CHAIN, MEMBER)
    assert by_admin.hostname == "", "an admin's own name is not handed on"
    with pytest.raises(InvalidArgument, match="cannot choose"):
        certified(INVITER, INVITER_CHAIN, GUEST, hostname="boss")
    links = [link(GROUP, INVITER.public_key, 2), link(INVITER, GUEST.public_key, hostname="boss")]
    refused([*links], "chain_hostname")


def test_expiry_is_the_earliest_of_all_links() -> None:
    """Nobody gives what it has not."""
    short = certified(GROUP, None, ADMIN, Role.ADMIN, expires_s=NOW + HOUR)
    member = certified(ADMIN, short, MEMBER, expires_s=NOW + 9 * HOUR)
    assert [NOW + HOUR] * 2 == [member.expires_s, member.links[-1].expires_s]
    by_hand = encode([link(GROUP, ADMIN.public_key, 3), link(ADMIN, MEMBER.public_key, expires_s=NOW + 9 * HOUR)])
    assert NOW + HOUR == chain_untrusted(by_hand, GROUP_KEY).expires_s
    with pytest.raises(InvalidArgument, match="expire before"):
        certified(ADMIN, short, MEMBER, issued_s=NOW + HOUR, expires_s=NOW + 2 * HOUR)


def test_chain_is_live_while_every_link_is() -> None:
    """One link that has ended ends it; one from the future, beyond what clocks differ, does not count yet."""
    admin = certified(GROUP, None, ADMIN, Role.ADMIN, issued_s=NOW, expires_s=NOW + 2 * HOUR)
    member = certified(ADMIN, admin, MEMBER, issued_s=NOW + HOUR, expires_s=NOW + 2 * HOUR)
    starts = NOW + HOUR - CLOCK_SKEW_S
    assert [False, True, True, False] == [
        member.is_live(at) for at in (starts - 0.001, starts, NOW + 2 * HOUR - 0.001, NOW + 2 * HOUR)
    ]


def test_chain_by_a_wrong_issuer_is_refused() -> None:
    """A stranger's signature, at any place; and a link taken from behind another issuer."""
    refused([link(STRANGER, MEMBER.public_key)], "chain_signature")
    refused([link(GROUP, ADMIN.public_key, 3), link(STRANGER, MEMBER.public_key)], "chain_signature")
    by_admin = link(ADMIN, MEMBER.public_key)
    chain_untrusted(encode([link(GROUP, ADMIN.public_key, 3), by_admin]), GROUP_KEY)
    refused([by_admin], "chain_signature")
    refused([link(GROUP, STRANGER.public_key, 3), by_admin], "chain_signature")


def test_chain_of_another_group_is_refused() -> None:
    """Even when the same key owns both."""
    for chain in (MEMBER_CHAIN, GUEST_CHAIN):
        with pytest.raises(BadMessage, match="chain_signature"):
            chain_untrusted(chain.wire, OTHER_GROUP.public_key)
    elsewhere = link(GROUP, ADMIN.public_key, 3, group_key=OTHER_GROUP.public_key)
    refused([elsewhere], "chain_signature")


@pytest.mark.parametrize("roles", [(4,), (0,), (3, 3), (2, 2), (1, 1), (1, 2), (2, 3), (1, 3), (3, 1, 1), (3, 2, 2)])
def test_chain_whose_roles_do_not_fall_is_refused(roles: tuple[int, ...]) -> None:
    """However rightly it is signed."""
    issuers = [GROUP, ADMIN, INVITER]
    holders = [ADMIN, INVITER, MEMBER]
    links = [
        link(issuer, holder.public_key, role) for issuer, holder, role in zip(issuers, holders, roles, strict=False)
    ]
    refused([*links], "integer" if roles[0] in (0, 4) else "chain_role")


def test_chain_longer_than_three_links_is_refused() -> None:
    """Before anything in it is looked at."""
    links = [link(GROUP, ADMIN.public_key, 3)] * 4
    refused([*links], "chain_size")
    refused([[], [], [], []], "list")
    refused([], "chain_length")


@pytest.mark.parametrize(
    "fields",
    [
        [MEMBER.public_key[:31], 1, NOW, NOW + 1, "", bytes(64)],
        ["x" * 32, 1, NOW, NOW + 1, "", bytes(64)],
        [MEMBER.public_key, True, NOW, NOW + 1, "", bytes(64)],
        [MEMBER.public_key, 1, 0, NOW + 1, "", bytes(64)],
        [MEMBER.public_key, 1, NOW, NOW, "", bytes(64)],
        [MEMBER.public_key, 1, NOW, MAX_UNIX_S + 1, "", bytes(64)],
        [MEMBER.public_key, 1, NOW, NOW + 1, "Name", bytes(64)],
        [MEMBER.public_key, 1, NOW, NOW + 1, None, bytes(64)],
        [MEMBER.public_key, 1, NOW, NOW + 1, "", bytes(63)],
        [MEMBER.public_key, 1, NOW, NOW + 1, ""],
        [MEMBER.public_key, 1, NOW, NOW + 1, "", bytes(64), 0],
        b"link",
    ],
)
def test_chain_with_a_malformed_link_is_refused_before_any_signature_is_checked(fields: object) -> None:
    """Form is cheap."""

    class Unused(VerifiedSignatures):
        def verify(self, public_key: PublicKey, message: bytes, signature: bytes) -> bool:
            raise AssertionError("a signature was checked")

    wire = encode([link(GROUP, ADMIN.public_key, 3), fields])
    with pytest.raises(BadMessage):
        chain_untrusted(wire, GROUP_KEY, signatures=Unused(1))
    with pytest.raises(BadMessage, match="chain_size"):
        chain_untrusted(bytes(MAX_CHAIN_BYTES + 1), GROUP_KEY, signatures=Unused(1))


def test_chain_in_another_encoding_is_refused() -> None:
    """One chain has one form, so that nobody makes new bytes of what others signed."""
    wire = MEMBER_CHAIN.wire
    assert wire[:1] == b"\x91"
    for other in (b"\xdc\x00\x01" + wire[1:], wire + b"\xc0"):
        with pytest.raises(BadMessage):
            chain_untrusted(other, GROUP_KEY)


def test_chain_at_its_longest_leaves_room_for_a_guest() -> None:
    """An inviter's chain that was issued can always be used; too long a name is refused while it can be changed."""
    last = len(issue(GROUP, None, holder=GUEST.public_key, role=Role.MEMBER, issued_s=2**32, expires_s=2**40))
    assert MAX_LAST_LINK_BYTES == last - 1
    without = len(certified(ADMIN, ADMIN_CHAIN, INVITER, Role.INVITER).wire)
    longest = MAX_CHAIN_BYTES - MAX_LAST_LINK_BYTES - without - 1  # names of 32 and more have one byte more in front
    inviter = certified(ADMIN, ADMIN_CHAIN, INVITER, Role.INVITER, hostname="h" * longest)
    assert "h" * longest == certified(INVITER, inviter, GUEST).hostname
    with pytest.raises(InvalidArgument, match="bytes") as caught:
        certified(ADMIN, ADMIN_CHAIN, INVITER, Role.INVITER, hostname="h" * (longest + 1))
    assert "shorter hostnames" in caught.value.hint


def test_membership_is_for_the_member_alone() -> None:
    """Not for a stranger that shows somebody else's chain, nor for the key in a bearer invitation."""
    assert GUEST_CHAIN == membership_untrusted(GUEST_CHAIN.wire, GROUP_KEY, GUEST.public_key)
    with pytest.raises(BadMessage, match="chain_holder"):
        membership_untrusted(GUEST_CHAIN.wire, GROUP_KEY, STRANGER.public_key)
    with pytest.raises(BadMessage, match="chain_role"):
        membership_untrusted(INVITER_CHAIN.wire, GROUP_KEY, INVITER.public_key)


def test_issue_refuses_what_it_could_not_read_back() -> None:
    """Hostnames of another form, and dates out of range."""
    with pytest.raises(InvalidArgument):
        certified(GROUP, None, MEMBER, hostname="Not A Name")
    for issued_s, expires_s in ((0, NOW), (NOW, NOW), (NOW, NOW - 1), (NOW, MAX_UNIX_S + 1)):
        with pytest.raises(InvalidArgument):
            certified(GROUP, None, MEMBER, issued_s=issued_s, expires_s=expires_s)


def test_signatures_are_remembered_link_by_link() -> None:
    """Members under one admin share the admin's link."""
    memory = VerifiedSignatures(10)
    for holder in (MEMBER, GUEST, STRANGER):
        wire = certified(ADMIN, ADMIN_CHAIN, holder).wire
        chain_untrusted(wire, GROUP_KEY, signatures=memory)
    assert 4 == len(memory)
