"""Who belongs to a keyed group: chains of certificates from the group's key to a member. Pure.

On the wire a chain is a list of 1..3 links ``[holder 32, role, issued s, expires s, hostname, signature 64]``. Link 0
is signed by the group's key, each further one by the holder of the link before. What is signed is
``domain || group key || issuer || fields without signature``, so that no link fits into a chain of another group or
behind another issuer.

* Roles strictly fall from link to link: nobody makes another one as powerful as itself, and no chain has more than
  three links.
* A chain is in force while all its links are.
* A hostname is granted by the group's key or an admin. Who joins by a bearer invitation gets the name that the
  invitation has, never one of its own choice: its last link has none.

Invariant: one chain has one encoding; another one of the same meaning is refused.
"""

from __future__ import annotations

from enum import IntEnum

from pilotdht.errors import BadMessage, InvalidArgument
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import SIGNATURE_BYTES, KeyPair, public_key_untrusted
from pilotdht.identity.names import check_hostname, is_hostname
from pilotdht.values import dataclass
from pilotdht.wire.codec import bytes_untrusted, decode_list_untrusted, encode, integer_untrusted, list_untrusted
from pilotdht.wire.record import CLOCK_SKEW_S
from pilotdht.wire.verified import CAPACITY, VerifiedSignatures

MAX_LINKS = 3
MAX_CHAIN_BYTES = 400
"""Three links and 60 characters of hostnames: a member's fact with its chain still fits in a datagram."""

MAX_LAST_LINK_BYTES = 121
"""The link of somebody who joins by a bearer invitation, at its longest; room for it is left behind an inviter's."""

MAX_UNIX_S = 2**40
"""No date is later than this; larger numbers are nonsense."""

_DOMAIN = b"pilotdht/1 certificate"
_LINK_FIELDS = 6

chain_signatures = VerifiedSignatures(CAPACITY)
"""Signatures of links that were found good, for all nodes of this process: the members under one admin share a link."""


class Role(IntEnum):
    """What the holder of a certificate may do; each may issue certificates of the roles below its own."""

    MEMBER = 1
    """Belongs to the group."""
    INVITER = 2
    """The key in a bearer invitation: may issue to members, and is none itself."""
    ADMIN = 3
    """A member that may issue to members and inviters, and revoke them."""
    OWNER = 4
    """The group's key itself; no certificate says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainLink:
    """One certificate: that its issuer gives a key a role."""

    holder: PublicKey
    """Who is certified."""
    role: Role
    """MEMBER, INVITER or ADMIN."""
    issued_s: int
    """Unix time of signing in seconds."""
    expires_s: int
    """Unix time in seconds from which it is void."""
    hostname: str
    """The name that is granted, or empty."""
    signature: bytes
    """64 bytes, by the issuer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Certificates from a group's key to a holder; every signature in it was verified."""

    group_key: PublicKey
    """Where it begins."""
    links: tuple[ChainLink, ...]
    """1..3, from the group's key on."""
    wire: bytes
    """Its exact bytes."""

    @property
    def holder(self) -> PublicKey:
        """Whom it certifies."""
        return self.links[-1].holder

    @property
    def role(self) -> Role:
        """What the holder may do."""
        return self.links[-1].role

    @property
    def is_membership(self) -> bool:
        """Its holder is a member; an inviter is none."""
        return self.role is not Role.INVITER

    @property
    def hostname(self) -> str:
        """The name granted to the holder, or empty; by a bearer invitation it is that of the invitation."""
        if len(self.links) > 1 and self.links[-2].role is Role.INVITER:
            return self.links[-2].hostname
        return self.links[-1].hostname

    @property
    def issued_s(self) -> int:
        """Unix time in seconds at which the last of its links was signed."""
        return max(link.issued_s for link in self.links)

    @property
    def expires_s(self) -> int:
        """Unix time in seconds from which it is void: the earliest of its links."""
        return min(link.expires_s for link in self.links)

    def is_live(self, unix_time: float) -> bool:
        """Return whether every link is in force; one signed too far in the future is not."""
        return self.issued_s - CLOCK_SKEW_S <= unix_time < self.expires_s


def issue(
    keys: KeyPair,
    chain: Chain | None,
    *,
    holder: PublicKey,
    role: Role,
    issued_s: int,
    expires_s: int,
    hostname: str = "",
) -> bytes:
    """Return the chain that certifies ``holder``, made by the owner of ``keys``.

    Args:
        keys: the group's keys, or those of the holder of ``chain``.
        chain: what makes the issuer one; absent when ``keys`` are the group's.
        holder: who is certified.
        role: below the issuer's own.
        issued_s: now, Unix time in seconds.
        expires_s: Unix time in seconds from which it is void; cut to where the issuer's own chain ends.
        hostname: the name granted, or empty; an inviter grants none, as the name of its invitation counts.

    Raises:
        InvalidArgument: the issuer may not issue this, the dates are in the wrong order, or the chain is too long.
    """
    links = () if chain is None else chain.links
    if chain is not None and chain.holder != keys.public_key:
        raise InvalidArgument("these keys are not those that the issuer's certificate names")
    own_role = Role.OWNER if chain is None else chain.role
    if role >= own_role:
        raise InvalidArgument(
            f"a group's {own_role.name.lower()} cannot make another key its {role.name.lower()}",
            hint="ask an admin of the group, or whoever created it",
        )
    if hostname:
        check_hostname(hostname)
        if own_role is Role.INVITER:
            raise InvalidArgument(
                "who joins by an open invitation cannot choose a hostname",
                hint="ask for an invitation that was made with a hostname",
            )
    expires_s = min([expires_s, *(link.expires_s for link in links)])
    if not 0 < issued_s < expires_s <= MAX_UNIX_S:
        raise InvalidArgument(
            "a certificate would expire before it begins",
            hint="choose a longer lifetime; the issuer's own certificate may have expired",
        )
    group_key = keys.public_key if chain is None else chain.group_key
    signature = keys.sign(_signed(group_key, keys.public_key, holder, role, issued_s, expires_s, hostname))
    link = ChainLink(
        holder=holder, role=role, issued_s=issued_s, expires_s=expires_s, hostname=hostname, signature=signature
    )
    wire = encode([_packed(one) for one in (*links, link)])
    most_bytes = MAX_CHAIN_BYTES - (MAX_LAST_LINK_BYTES if role is Role.INVITER else 0)
    if len(wire) > most_bytes:
        raise InvalidArgument(
            f"the certificates would have {len(wire)} bytes, more than {most_bytes}",
            hint="use shorter hostnames, or have the creator of the group issue it",
        )
    return wire


def chain_untrusted(wire: bytes, group_key: PublicKey, *, signatures: VerifiedSignatures = chain_signatures) -> Chain:
    """Read a chain and verify every signature; whether it is in force, or revoked, is for the caller to ask.

    Args:
        wire: what :func:`issue` returned.
        group_key: the key that the group is known by.
        signatures: remembers which were found good.

    Raises:
        BadMessage: malformed, too large, roles that do not fall, or a signature that is not the issuer's.
    """
    if len(wire) > MAX_CHAIN_BYTES:
        raise BadMessage("chain_size")
    values = list_untrusted(decode_list_untrusted(wire), most=MAX_LINKS)
    if not values:
        raise BadMessage("chain_length")
    above = Role.OWNER
    links = []
    for value in values:
        link = _link_untrusted(value)
        if link.role >= above:
            raise BadMessage("chain_role")
        if above is Role.INVITER and link.hostname:
            raise BadMessage("chain_hostname")
        above = link.role
        links.append(link)
    if encode([_packed(link) for link in links]) != wire:
        raise BadMessage("chain_form")
    issuer = group_key
    for link in links:
        signed = _signed(group_key, issuer, link.holder, link.role, link.issued_s, link.expires_s, link.hostname)
        if not signatures.verify(issuer, signed, link.signature):
            raise BadMessage("chain_signature")
        issuer = link.holder
    return Chain(group_key=group_key, links=tuple(links), wire=wire)


def membership_untrusted(
    wire: bytes, group_key: PublicKey, member: PublicKey, *, signatures: VerifiedSignatures = chain_signatures
) -> Chain:
    """Read a chain that makes ``member`` a member of the group, as :func:`chain_untrusted` does.

    Raises:
        BadMessage: no such chain, one for another key, or one that makes its holder an inviter only.
    """
    chain = chain_untrusted(wire, group_key, signatures=signatures)
    if chain.holder != member:
        raise BadMessage("chain_holder")
    if not chain.is_membership:
        raise BadMessage("chain_role")
    return chain


def _link_untrusted(value: object) -> ChainLink:
    fields = list_untrusted(value, most=_LINK_FIELDS)
    if len(fields) != _LINK_FIELDS:
        raise BadMessage("chain_link")
    holder, role, issued_s, expires_s, hostname, signature = fields
    issued = integer_untrusted(issued_s, low=1, high=MAX_UNIX_S)
    if hostname != "" and not is_hostname(hostname):
        raise BadMessage("chain_hostname")
    return ChainLink(
        holder=public_key_untrusted(holder),
        role=Role(integer_untrusted(role, low=Role.MEMBER, high=Role.ADMIN)),
        issued_s=issued,
        expires_s=integer_untrusted(expires_s, low=issued + 1, high=MAX_UNIX_S),
        hostname=str(hostname),
        signature=bytes_untrusted(signature, size=SIGNATURE_BYTES),
    )


def _packed(link: ChainLink) -> list[object]:
    return [link.holder, int(link.role), link.issued_s, link.expires_s, link.hostname, link.signature]


def _signed(
    group_key: PublicKey,
    issuer: PublicKey,
    holder: PublicKey,
    role: Role,
    issued_s: int,
    expires_s: int,
    hostname: str,
) -> bytes:
    """Return what an issuer signs; unambiguous, as keys have one length and the rest is one encoding."""
    return _DOMAIN + group_key + issuer + encode([holder, int(role), issued_s, expires_s, hostname])
