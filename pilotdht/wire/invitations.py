"""Invitations to a keyed group, as one line of text that people hand on. Pure.

``pdht1`` and the base58 text of ``payload || checksum``; the checksum is the first 4 bytes of
SHA-256(``"pilotdht/1 invitation" || payload``), so that a typing error is found before anything else is. The payload is
a list: name, kind, network, group key, seed (empty in one for a certain key), chain, up to 3 hints where to begin.

* A bearer invitation carries the seed of a key that is an inviter: whoever has the text may join, as often as there are
  keys, until it expires or the inviter's key is revoked. It makes members only, and grants the hostname in its own link
  or none.
* One for a certain key carries that key's finished chain: of no use to anybody else, and safe to send in the open.

The longest fits in a QR code of version 18 with error correction L, which holds 718 bytes (ISO/IEC 18004, table 7).
"""

from __future__ import annotations

import re
from dataclasses import field
from enum import IntEnum
from hashlib import sha256

import base58

from pilotdht.errors import BadMessage, InvalidArgument
from pilotdht.identity.address import MAX_NETWORK
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import SEED_BYTES, KeyPair, did_of, public_key_untrusted
from pilotdht.identity.names import check_group_name, is_group_name
from pilotdht.values import dataclass
from pilotdht.wire.certificates import MAX_CHAIN_BYTES, Chain, Role, chain_untrusted, issue
from pilotdht.wire.codec import (
    bytes_untrusted,
    decode_list_untrusted,
    encode,
    integer_untrusted,
    list_untrusted,
    text_untrusted,
)
from pilotdht.wire.groups import GroupId, keyed_group_id

INVITATION_PREFIX = "pdht1"
MAX_INVITATION_CHARS = 700
"""Still a QR code that a phone reads from a screen."""

MAX_HINTS = 3
MAX_HINT_CHARS = 72

_FAMILY = "pdht"
_DOMAIN = b"pilotdht/1 invitation"
_CHECKSUM_BYTES = 4
_FIELDS = 7
_ALPHABET = base58.BITCOIN_ALPHABET.decode("ascii")
_HINT = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,62}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\]):([1-9][0-9]{0,4})")
_ASK_AGAIN = "ask whoever invited you for a new invitation"


class KeyedKind(IntEnum):
    """What sort of keyed group an invitation is for; the number in its text."""

    TOKEN = 1
    """Everybody joins who knows its token; or has an invitation."""
    INVITE = 2
    """Whoever holds a certificate joins."""
    ORG = 3
    """As by invitation; members also trust one another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """An invitation that was read or made; the signatures in it were verified, and it belongs together."""

    name: str
    """What the group is called."""
    kind: KeyedKind
    """What sort of group it is."""
    network: int
    """Its mesh."""
    chain: Chain
    """The finished certificates of one key, or those of the inviter whose seed is here."""
    seed: bytes = field(default=b"", repr=False)
    """32 bytes that are as good as the right to join; empty in one for a certain key."""
    hints: tuple[str, ...] = ()
    """Up to 3 ``host:port`` where a node of the mesh may be found."""

    @property
    def group_key(self) -> PublicKey:
        """The key that the group is known by."""
        return self.chain.group_key

    @property
    def group(self) -> GroupId:
        """20 bytes."""
        return keyed_group_id(self.group_key, network=self.network)

    @property
    def is_bearer(self) -> bool:
        """Whoever has it may join."""
        return bool(self.seed)

    @property
    def holder(self) -> PublicKey | None:
        """Whom it is for; absent when anybody may use it."""
        return None if self.is_bearer else self.chain.holder

    @property
    def role(self) -> Role:
        """What it makes of whoever accepts it."""
        return Role.MEMBER if self.is_bearer else self.chain.role

    @property
    def expires_s(self) -> int:
        """Unix time in seconds from which it is void, and the membership that it gave as well."""
        return self.chain.expires_s

    def text(self) -> str:
        """Return the line that people hand on; hints that have no room are left out, last first.

        Raises:
            InvalidArgument: even without hints it would be longer than 700 characters.
        """
        for count in range(len(self.hints), -1, -1):
            text = self._text(self.hints[:count])
            if len(text) <= MAX_INVITATION_CHARS:
                return text
        raise InvalidArgument(
            f"the invitation would be longer than {MAX_INVITATION_CHARS} characters", hint="use shorter hostnames"
        )

    def _text(self, hints: tuple[str, ...]) -> str:
        payload = encode(
            [self.name, int(self.kind), self.network, self.group_key, self.seed, self.chain.wire, list(hints)]
        )
        return INVITATION_PREFIX + base58.b58encode(payload + _checksum(payload)).decode("ascii")


def invite(
    keys: KeyPair,
    chain: Chain | None,
    *,
    name: str,
    kind: KeyedKind,
    network: int = 0,
    role: Role = Role.MEMBER,
    holder: PublicKey | None = None,
    seed: bytes = b"",
    issued_s: int,
    expires_s: int,
    hostname: str = "",
    hints: tuple[str, ...] = (),
) -> Invitation:
    """Make an invitation.

    Args:
        keys: the group's keys, or an admin's.
        chain: what makes the issuer an admin; absent when ``keys`` are the group's.
        name: what the group is called.
        kind: what sort of group it is.
        network: its mesh.
        role: what it makes of whoever accepts it; only one for a certain key makes admins.
        holder: whom it is for; absent: whoever has it.
        seed: 32 bytes of entropy for the key in a bearer invitation; none for a certain key.
        issued_s: now, Unix time in seconds.
        expires_s: Unix time in seconds from which it, and every membership by it, is void.
        hostname: the name that it grants, or empty.
        hints: up to 3 ``host:port`` where a node of the mesh may be found.

    Raises:
        InvalidArgument: the issuer may not do this, or a value is malformed.
    """
    check_group_name(name)
    if len(hints) > MAX_HINTS:
        raise InvalidArgument(f"an invitation names at most {MAX_HINTS} nodes to begin with, not {len(hints)}")
    for hint in hints:
        if not _is_hint(hint):
            raise InvalidArgument(
                f"{hint[:80]!r} is not host:port", hint="nodes look like 192.0.2.7:4433 or a.example:4433"
            )
    if role not in (Role.MEMBER, Role.ADMIN):
        raise InvalidArgument("an invitation makes members or admins")
    if holder is None:
        if role is not Role.MEMBER:
            raise InvalidArgument(
                "an invitation for whoever has it makes members only",
                hint="say which key shall be an admin: its did:key is shown by 'pilotdht key show'",
            )
        holder, role = KeyPair.from_seed(seed).public_key, Role.INVITER
    elif seed:
        raise InvalidArgument("an invitation for a certain key carries no seed")
    wire = issue(keys, chain, holder=holder, role=role, issued_s=issued_s, expires_s=expires_s, hostname=hostname)
    group_key = keys.public_key if chain is None else chain.group_key
    return Invitation(
        name=name, kind=kind, network=network, chain=chain_untrusted(wire, group_key), seed=seed, hints=hints
    )


def parse_invitation(text: str) -> Invitation:
    """Read an invitation; blanks and line breaks that mail programs put into it do not matter.

    Raises:
        InvalidArgument: it is no invitation, has a typing error, or was not made by the group that it names.
    """
    text = "".join(text.split())
    if not text.startswith(INVITATION_PREFIX):
        is_family = text.startswith(_FAMILY) and text[len(_FAMILY) : len(_FAMILY) + 1].isdigit()
        if is_family:
            raise InvalidArgument(
                "this invitation has a form that this version does not know", hint="update pilotdht, then try again"
            )
        raise InvalidArgument("this is not an invitation", hint=f"an invitation begins with {INVITATION_PREFIX}")
    if len(text) > MAX_INVITATION_CHARS:
        raise InvalidArgument(
            f"an invitation has at most {MAX_INVITATION_CHARS} characters, not {len(text)}",
            hint="copy the invitation alone, without what stands before or behind it",
        )
    for position, character in enumerate(text[len(INVITATION_PREFIX) :], start=len(INVITATION_PREFIX) + 1):
        if character not in _ALPHABET:
            raise InvalidArgument(
                f"the invitation has a typing error: {character!r} at place {position} cannot occur in it",
                hint="copy the whole line again; there is no 0, O, I or l in it",
            )
    data = base58.b58decode(text[len(INVITATION_PREFIX) :])
    payload, checksum = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
    if checksum != _checksum(payload):
        raise InvalidArgument(
            "the invitation has a typing error, or a part of it is missing", hint="copy the whole line again"
        )
    try:
        invitation = _invitation_untrusted(payload)
    except BadMessage as error:
        raise InvalidArgument(
            f"the invitation was not made by the group that it names ({error.reason})", hint=_ASK_AGAIN
        ) from error
    return invitation


def accept(invitation: Invitation, keys: KeyPair, unix_time: float) -> bytes:
    """Return the chain that makes the owner of ``keys`` a member.

    Args:
        invitation: what was read.
        keys: who accepts it.
        unix_time: now.

    Raises:
        InvalidArgument: it has expired, has not begun, or is for another key.
    """
    if unix_time >= invitation.expires_s:
        raise InvalidArgument(f"the invitation to {invitation.name!r} has expired", hint=_ASK_AGAIN)
    if not invitation.chain.is_live(unix_time):
        raise InvalidArgument(
            f"the invitation to {invitation.name!r} is not valid yet", hint="set the clock of this machine"
        )
    if invitation.holder is not None:
        if invitation.holder != keys.public_key:
            raise InvalidArgument(
                f"the invitation to {invitation.name!r} is for {did_of(invitation.holder)}, not for this node",
                hint=f"have it made for {keys.did}",
            )
        return invitation.chain.wire
    return issue(
        KeyPair.from_seed(invitation.seed),
        invitation.chain,
        holder=keys.public_key,
        role=Role.MEMBER,
        issued_s=min(int(unix_time), invitation.expires_s - 1),
        expires_s=invitation.expires_s,
    )


def _invitation_untrusted(payload: bytes) -> Invitation:
    values = decode_list_untrusted(payload)
    if len(values) < _FIELDS:
        raise BadMessage("invitation_fields")
    name, kind, network, group_key, seed, wire, hints = values[:_FIELDS]
    if not is_group_name(name):
        raise BadMessage("invitation_name")
    hint_list = list_untrusted(hints, most=MAX_HINTS)
    if not all(_is_hint(text_untrusted(hint, most_chars=MAX_HINT_CHARS)) for hint in hint_list):
        raise BadMessage("invitation_hint")
    secret = bytes_untrusted(seed, most=SEED_BYTES)
    chain = chain_untrusted(bytes_untrusted(wire, most=MAX_CHAIN_BYTES), public_key_untrusted(group_key))
    if secret:
        if len(secret) != SEED_BYTES or KeyPair.from_seed(secret).public_key != chain.holder:
            raise BadMessage("invitation_seed")
        if chain.role is not Role.INVITER:  # a seed of an admin's key would make an admin of everybody
            raise BadMessage("invitation_role")
    elif not chain.is_membership:
        raise BadMessage("invitation_role")
    return Invitation(
        name=str(name),
        kind=KeyedKind(integer_untrusted(kind, low=KeyedKind.TOKEN, high=KeyedKind.ORG)),
        network=integer_untrusted(network, high=MAX_NETWORK),
        chain=chain,
        seed=secret,
        hints=tuple(str(hint) for hint in hint_list),
    )


def _is_hint(text: str) -> bool:
    found = _HINT.fullmatch(text)
    return found is not None and int(found.group(1)) < 1 << 16


def _checksum(payload: bytes) -> bytes:
    return sha256(_DOMAIN + payload).digest()[:_CHECKSUM_BYTES]
