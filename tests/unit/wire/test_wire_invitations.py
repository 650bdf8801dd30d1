"""Invitations as text: what they carry, who may use them, and what people are told when one is wrong."""

from __future__ import annotations

from hashlib import sha256

import base58
import pytest

from pilotdht.errors import InvalidArgument
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import KeyPair
from pilotdht.wire.certificates import Chain, Role, chain_untrusted, membership_untrusted
from pilotdht.wire.codec import decode_list_untrusted, encode
from pilotdht.wire.group_tokens import token_group_keys
from pilotdht.wire.groups import keyed_group_id
from pilotdht.wire.invitations import (
    INVITATION_PREFIX,
    MAX_INVITATION_CHARS,
    Invitation,
    KeyedKind,
    accept,
    invite,
    parse_invitation,
)
from pilotdht.wire.revocations import Revocations
from tests.support.group_examples import (
    ADMIN,
    ADMIN_CHAIN,
    GROUP,
    GUEST,
    HOUR,
    INVITER,
    INVITER_CHAIN,
    MEMBER,
    MEMBER_CHAIN,
    NOW,
    OTHER_GROUP,
    STRANGER,
    revoked,
)

SEED = bytes(range(32))
HINTS = ("192.0.2.7:4433", "[2001:db8::7]:4433", "seed-1.example.org:65535")


def invitation(
    keys: KeyPair = GROUP,
    chain: Chain | None = None,
    *,
    name: str = "research",
    kind: KeyedKind = KeyedKind.INVITE,
    network: int = 0,
    role: Role = Role.MEMBER,
    holder: PublicKey | None = None,
    issued_s: int = NOW,
    hostname: str = "",
    hints: tuple[str, ...] = (),
) -> Invitation:
    """Return an invitation that lasts for an hour."""
    return invite(
        keys,
        chain,
        name=name,
        kind=kind,
        network=network,
        role=role,
        holder=holder,
        seed=SEED if holder is None else b"",
        issued_s=issued_s,
        expires_s=NOW + HOUR,
        hostname=hostname,
        hints=hints,
    )


def text_of(*values: object) -> str:
    """Return a text with a good checksum around any payload."""
    payload = encode(list(values))
    checksum = sha256(b"pilotdht/1 invitation" + payload).digest()[:4]
    return INVITATION_PREFIX + base58.b58encode(payload + checksum).decode()


def test_bearer_invitation_reads_back_and_makes_members() -> None:
    """Any key that accepts it is certified by the group's key through the inviter's."""
    made = invitation(ADMIN, ADMIN_CHAIN, network=7, hostname="helper", hints=HINTS)
    read = parse_invitation(made.text())
    assert made == read
    assert (True, None, Role.MEMBER, NOW + HOUR) == (read.is_bearer, read.holder, read.role, read.expires_s)
    assert keyed_group_id(GROUP.public_key, network=7) == read.group
    for keys in (GUEST, STRANGER):
        chain = membership_untrusted(accept(read, keys, NOW + 5), GROUP.public_key, keys.public_key)
        assert (Role.MEMBER, "helper", NOW + HOUR) == (chain.role, chain.hostname, chain.expires_s)
        assert [ADMIN.public_key, KeyPair.from_seed(SEED).public_key] == [link.holder for link in chain.links[:2]]


def test_invitation_for_a_key_reads_back_and_is_for_that_key_alone() -> None:
    """It carries the finished chain, and no secret."""
    made = invitation(kind=KeyedKind.ORG, holder=MEMBER.public_key, role=Role.ADMIN, hostname="chief")
    read = parse_invitation(made.text())
    assert made == read
    assert (False, MEMBER.public_key, Role.ADMIN, b"") == (read.is_bearer, read.holder, read.role, read.seed)
    chain = chain_untrusted(accept(read, MEMBER, NOW), GROUP.public_key)
    assert (MEMBER.public_key, Role.ADMIN, "chief") == (chain.holder, chain.role, chain.hostname)
    with pytest.raises(InvalidArgument, match="is for did:key:") as caught:
        accept(read, STRANGER, NOW)
    assert STRANGER.did in caught.value.hint


def test_bearer_invitation_cannot_make_admins() -> None:
    """Neither asked for, nor by hand with the seed of an admin."""
    with pytest.raises(InvalidArgument, match="members only"):
        invitation(role=Role.ADMIN)
    for role in (Role.INVITER, Role.OWNER):
        with pytest.raises(InvalidArgument, match="members or admins"):
            invitation(role=role, holder=MEMBER.public_key)
    admin_seed = b"admin".ljust(32, b".")
    assert ADMIN.public_key == KeyPair.from_seed(admin_seed).public_key
    text = text_of("research", 2, 0, GROUP.public_key, admin_seed, ADMIN_CHAIN.wire, [])
    with pytest.raises(InvalidArgument, match="invitation_role"):
        parse_invitation(text)


def test_invitation_by_somebody_without_the_right_is_refused() -> None:
    """Members and inviters invite nobody into being inviters; nobody uses another one's certificate."""
    for keys, chain in ((MEMBER, MEMBER_CHAIN), (INVITER, INVITER_CHAIN), (STRANGER, ADMIN_CHAIN)):
        with pytest.raises(InvalidArgument):
            invitation(keys, chain)
    with pytest.raises(InvalidArgument, match="cannot make another key its admin"):
        invitation(ADMIN, ADMIN_CHAIN, holder=MEMBER.public_key, role=Role.ADMIN)


def test_invitation_that_was_revoked_takes_its_guests_with_it() -> None:
    """The inviter's key is in every chain that came of it."""
    bearer = invitation(ADMIN, ADMIN_CHAIN)
    guests = [chain_untrusted(accept(bearer, keys, NOW), GROUP.public_key) for keys in (GUEST, STRANGER)]
    revocations = Revocations(10)
    revocations.add(revoked(ADMIN, ADMIN_CHAIN, bearer.chain.holder), NOW)
    assert [True, True] == [revocations.is_revoked(chain, NOW) for chain in guests]


def test_invitation_is_accepted_while_it_lasts() -> None:
    """People are told whether it is late or their clock is wrong."""
    for one, keys in ((invitation(), GUEST), (invitation(holder=GUEST.public_key), GUEST)):
        for at in (NOW - 600, NOW, NOW + HOUR - 0.5):
            assert NOW + HOUR == chain_untrusted(accept(one, keys, at), GROUP.public_key).expires_s
        with pytest.raises(InvalidArgument, match="expired") as caught:
            accept(one, keys, NOW + HOUR)
        assert "new invitation" in caught.value.hint
        with pytest.raises(InvalidArgument, match="not valid yet") as caught:
            accept(one, keys, NOW - 601)
        assert "clock" in caught.value.hint


def test_invitation_hides_its_secret() -> None:
    """What is printed or logged by mistake admits nobody."""
    assert repr(SEED)[2:20] not in repr(invitation())


def test_text_with_white_space_reads_the_same() -> None:
    """Mail programs break lines, and people copy what stands around."""
    text = invitation(hints=HINTS).text()
    broken = "\n  ".join(text[at : at + 60] for at in range(0, len(text), 60))
    assert parse_invitation(text) == parse_invitation(f" \t{broken}\r\n")


def test_text_with_any_typing_error_is_refused() -> None:
    """One character changed, left out, doubled, or two neighbours exchanged, at every place."""
    text = invitation().text()
    for at in range(len(INVITATION_PREFIX), len(text)):
        other = "z" if text[at] != "z" else "y"
        wrong = [text[:at] + other + text[at + 1 :], text[:at] + text[at + 1 :], text[:at] + text[at] + text[at:]]
        if at + 1 < len(text) and text[at] != text[at + 1]:
            wrong.append(text[:at] + text[at + 1] + text[at] + text[at + 2 :])
        for one in wrong:
            with pytest.raises(InvalidArgument, match="typing error"):
                parse_invitation(one)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("", "not an invitation", "begins with pdht1"),
        ("hello", "not an invitation", "begins with pdht1"),
        ("PDHT1abc", "not an invitation", "begins with pdht1"),
        ("pdht2abc", "form that this version does not know", "update"),
        ("pdht", "not an invitation", "begins with pdht1"),
        ("pdht1", "typing error", "copy the whole line"),
        ("pdht1111", "typing error", "copy the whole line"),
        ("pdht1abcO", "'O' at place 9", "no 0, O, I or l"),
        ("pdht1ab\u00e9", "at place 8", "no 0, O, I or l"),
        ("pdht1" + "2" * 700, "at most 700", "copy the invitation alone"),
    ],
)
def test_text_that_is_none_says_what_is_wrong(text: str, message: str, hint: str) -> None:
    """And what to try."""
    with pytest.raises(InvalidArgument, match=message) as caught:
        parse_invitation(text)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (0, "Not A Name"),
        (0, b"research"),
        (1, 0),
        (1, 4),
        (2, 65_536),
        (3, OTHER_GROUP.public_key),
        (3, b"short"),
        (4, bytes(32)),
        (4, SEED[:31]),
        (4, b""),
        (5, b""),
        (5, ADMIN_CHAIN.wire),
        (6, ["a:1"] * 4),
        (6, ["no port"]),
        (6, [b"192.0.2.7:1"]),
        (6, None),
    ],
)
def test_text_of_something_that_does_not_belong_together_is_refused(place: int, value: object) -> None:
    """The checksum only finds typing errors; what was made wrongly on purpose is found by reading it."""
    values: list[object] = ["research", 2, 0, GROUP.public_key, SEED, invitation().chain.wire, ["a.example:1"]]
    assert ("a.example:1",) == parse_invitation(text_of(*values)).hints
    assert "research" == parse_invitation(text_of(*values, "from a later version")).name
    values[place] = value
    with pytest.raises(InvalidArgument, match="was not made by the group"):
        parse_invitation(text_of(*values))
    with pytest.raises(InvalidArgument, match="was not made by the group"):
        parse_invitation(text_of(*values[:6]))


def test_text_fits_in_a_qr_code() -> None:
    """What has the longest names loses hints, last first, and can still be accepted."""
    longest = invitation(
        ADMIN,
        ADMIN_CHAIN,
        name="g" * 63,
        network=65_535,
        hostname="h" * 40,
        hints=("a" * 64 + ":65535", "b" * 64 + ":65535", "c:1"),
    )
    text = longest.text()
    assert 600 < len(text) <= MAX_INVITATION_CHARS
    read = parse_invitation(text)
    assert longest.hints[: len(read.hints)] == read.hints
    assert len(read.hints) < 3
    chain_untrusted(accept(read, GUEST, NOW), GROUP.public_key)
    plain = invitation(hints=HINTS[:1]).text()
    assert len(plain) < 400


@pytest.mark.parametrize(
    "hint", ["", "host", ":1", "host:", "host:0", "host:65536", "host:01", "a b:1", "[::1:1", "-:1"]
)
def test_invite_with_a_hint_of_another_form_is_refused(hint: str) -> None:
    """Whoever gets the invitation could not use it."""
    with pytest.raises(InvalidArgument, match="host:port"):
        invitation(hints=(hint,))


def test_invite_with_arguments_that_do_not_fit_is_refused() -> None:
    """Too many hints, another name, a seed where none belongs or none where one does."""
    with pytest.raises(InvalidArgument, match="at most 3"):
        invitation(hints=("a:1",) * 4)
    with pytest.raises(InvalidArgument, match="group's name"):
        invitation(name="Re search")
    for holder, seed in ((GUEST.public_key, SEED), (None, b""), (None, SEED[:5])):
        with pytest.raises(InvalidArgument, match="seed"):
            invite(
                GROUP,
                None,
                name="research",
                kind=KeyedKind.INVITE,
                holder=holder,
                seed=seed,
                issued_s=NOW,
                expires_s=NOW + 1,
            )


def test_payload_is_a_plain_list() -> None:
    """As the page on the protocol says."""
    made = invitation(hints=HINTS)
    data = base58.b58decode(made.text().removeprefix(INVITATION_PREFIX))
    values = decode_list_untrusted(data[:-4])
    assert ["research", 2, 0, GROUP.public_key, SEED, made.chain.wire, list(HINTS)] == values


def test_token_gives_the_same_keys_to_everybody_who_knows_it() -> None:
    """And others for another name, mesh or token; a letter with its accent apart is the same letter."""
    keys = token_group_keys("finance", "caf\u00e9").public_key
    assert keys == token_group_keys("finance", "cafe\u0301").public_key
    others = [
        token_group_keys("finances", "caf\u00e9"),
        token_group_keys("finance", "cafe"),
        token_group_keys("finance", "caf\u00e9", network=1),
        token_group_keys("finance", "\udcff"),
    ]
    assert 5 == len({keys, *(one.public_key for one in others)})


@pytest.mark.parametrize(("name", "token"), [("finance", ""), ("finance", "x" * 1025), ("Finance", "secret")])
def test_token_of_another_form_is_refused(name: str, token: str) -> None:
    """Before anything slow is done."""
    with pytest.raises(InvalidArgument):
        token_group_keys(name, token)
