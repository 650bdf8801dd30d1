"""That a key is out of a group before its certificate ends: said by the group's key or by an admin. Pure.

As an item of gossip, and inside a GROUP_NOTICE record, a revocation is one type byte and ``[body bytes, signature
64]``; the signature covers ``domain || body`` exactly as received. The body is a list: version, group key, revoked
holder, issue time in Unix milliseconds, reason, end in Unix seconds, issuer's chain (empty when the group's key signs).

* Out is every chain that has a revoked holder in one of its links: with an inviter go all who joined by its invitation.
* An admin revokes members and inviters, never another admin. What an admin revoked counts while its own certificate is
  in force and the group's key has not revoked it: expelling an admin undoes what it did to others.
* It is the key that is out: a new certificate does not bring it back before the revocation ends.

Invariant: which chains are out follows from the set of revocations and the time, not from the order in which they came.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from pilotdht.errors import BadMessage, InvalidArgument
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import SIGNATURE_BYTES, KeyPair, public_key_untrusted
from pilotdht.values import dataclass
from pilotdht.wire.certificates import (
    MAX_CHAIN_BYTES,
    MAX_UNIX_S,
    Chain,
    Role,
    chain_signatures,
    chain_untrusted,
)
from pilotdht.wire.codec import bytes_untrusted, decode_list_untrusted, encode, integer_untrusted, text_untrusted
from pilotdht.wire.membership import ItemType
from pilotdht.wire.record import CLOCK_SKEW_S
from pilotdht.wire.verified import VerifiedSignatures

MAX_REASON_BYTES = 120
"""In UTF-8; the reason is shown to people on one line."""

MAX_REVOCATION_BYTES = 480
"""All of it at its longest; so it fits in a record together with the certificate of whoever publishes it."""

ADMIN_SHARE = 0.25
"""How much of a full memory one admin may fill with keys that it makes up, so that it cannot push others' words out."""

_VERSION = 1
_FIELDS = 7
_DOMAIN = b"pilotdht/1 group revocation"
_MAX_MS = 2**53


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """That a key is out of a group; its signature, and its issuer's certificates, were verified."""

    group_key: PublicKey
    """The key that the group is known by."""
    holder: PublicKey
    """Who is out."""
    issued_ms: int
    """Unix time of signing in milliseconds."""
    reason: str
    """Up to 120 bytes of printable text, or empty."""
    until_s: int
    """Unix time in seconds from which it is void, if its issuer's certificate lasts so long."""
    issuer: Chain | None
    """What makes its signer an admin; absent when the group's key signed."""
    wire: bytes
    """Its exact bytes, the type byte first."""

    @property
    def issuer_key(self) -> PublicKey:
        """Who signed it."""
        return self.group_key if self.issuer is None else self.issuer.holder

    @property
    def issuer_role(self) -> Role:
        """OWNER or ADMIN."""
        return Role.OWNER if self.issuer is None else self.issuer.role

    @property
    def expires_s(self) -> int:
        """Unix time in seconds from which it is void."""
        return self.until_s if self.issuer is None else min(self.until_s, self.issuer.expires_s)

    @property
    def order(self) -> tuple[int, bytes]:
        """Of two revocations of one key by one issuer the one with the higher order counts."""
        return (self.issued_ms, self.wire)

    def is_live(self, unix_time: float) -> bool:
        """Return whether it is in force; one signed too far in the future is not."""
        if self.issuer is not None and not self.issuer.is_live(unix_time):
            return False
        return self.issued_ms / 1000 - CLOCK_SKEW_S <= unix_time < self.until_s

    def concerns(self, chain: Chain) -> bool:
        """Return whether it is about one of the links of ``chain``, and its issuer stands above that link."""
        if chain.group_key != self.group_key:
            return False
        return any(link.holder == self.holder and link.role < self.issuer_role for link in chain.links)


def revoke(
    keys: KeyPair, chain: Chain | None, *, holder: PublicKey, issued_ms: int, until_s: int, reason: str = ""
) -> Revocation:
    """Sign that a key is out of a group.

    Args:
        keys: the group's keys, or an admin's.
        chain: what makes the issuer an admin; absent when ``keys`` are the group's.
        holder: who is out.
        issued_ms: now, Unix time in milliseconds.
        until_s: Unix time in seconds from which it is void; not before the certificate of ``holder`` ends. An admin's
            revocation ends with its own certificate at the latest.
        reason: for people, up to 120 bytes in UTF-8.

    Raises:
        InvalidArgument: the issuer is no admin, would revoke the group's key or itself, or a value is out of its range.
    """
    if chain is not None and (chain.holder != keys.public_key or chain.role is not Role.ADMIN):
        raise InvalidArgument(
            "only an admin of the group, or whoever created it, can expel somebody",
            hint="ask an admin of the group",
        )
    group_key = keys.public_key if chain is None else chain.group_key
    if holder in (group_key, keys.public_key):
        raise InvalidArgument(
            "nobody can expel itself, nor the key of the group",
            hint="leave the group instead; a group's key is replaced by a rotation",
        )
    if not reason.isprintable() or len(reason.encode()) > MAX_REASON_BYTES:
        raise InvalidArgument(
            "the reason is too long, or not one line of text", hint=f"use up to {MAX_REASON_BYTES} characters"
        )
    if not 0 < issued_ms < min(1000 * until_s, _MAX_MS) or until_s > MAX_UNIX_S:
        raise InvalidArgument("a revocation would end before it begins", hint="choose a later end")
    body = encode([_VERSION, group_key, holder, issued_ms, reason, until_s, b"" if chain is None else chain.wire])
    return Revocation(
        group_key=group_key,
        holder=holder,
        issued_ms=issued_ms,
        reason=reason,
        until_s=until_s,
        issuer=chain,
        wire=_wire(body, keys.sign(_DOMAIN + body)),
    )


def revocation_untrusted(
    wire: bytes, *, group_key: PublicKey | None = None, signatures: VerifiedSignatures = chain_signatures
) -> Revocation:
    """Read and verify a revocation; whether it is in force is for the caller to ask.

    Args:
        wire: type byte and ``[body, signature]``.
        group_key: the group that it must be about; absent: any.
        signatures: remembers which were found good.

    Raises:
        BadMessage: malformed, too large, about another group, or not signed by the group's key or an admin.
    """
    if len(wire) > MAX_REVOCATION_BYTES:
        raise BadMessage("revocation_size")
    if wire[:1] != bytes([ItemType.REVOCATION]):
        raise BadMessage("revocation_type")
    parts = decode_list_untrusted(wire[1:])
    if len(parts) != 2:
        raise BadMessage("revocation")
    body, signature = bytes_untrusted(parts[0]), bytes_untrusted(parts[1], size=SIGNATURE_BYTES)
    if _wire(body, signature) != wire:
        raise BadMessage("revocation_form")
    values = decode_list_untrusted(body)
    if len(values) != _FIELDS or type(values[0]) is not int or values[0] != _VERSION:
        raise BadMessage("revocation_version")
    key = public_key_untrusted(values[1])
    if group_key is not None and key != group_key:
        raise BadMessage("revocation_group")
    reason = text_untrusted(values[4], most_chars=MAX_REASON_BYTES)
    if not reason.isprintable() or len(reason.encode()) > MAX_REASON_BYTES:  # it is shown on terminals
        raise BadMessage("revocation_reason")
    issued_ms = integer_untrusted(values[3], low=1, high=_MAX_MS)
    until_s = integer_untrusted(values[5], low=issued_ms // 1000 + 1, high=MAX_UNIX_S)
    issuer = _issuer_untrusted(bytes_untrusted(values[6], most=MAX_CHAIN_BYTES), key, signatures)
    revocation = Revocation(
        group_key=key,
        holder=public_key_untrusted(values[2]),
        issued_ms=issued_ms,
        reason=reason,
        until_s=until_s,
        issuer=issuer,
        wire=wire,
    )
    if not signatures.verify(revocation.issuer_key, _DOMAIN + body, signature):
        raise BadMessage("revocation_signature")
    return revocation


class Revocations:
    """All revocations of a group that are in force, up to a bound."""

    def __init__(self, capacity: int) -> None:
        """Make an empty set of up to ``capacity`` revocations."""
        self.dropped = 0
        """Revocations for which there was no room."""
        self.expired = 0
        """Revocations that ended."""
        self._capacity = capacity
        self._per_admin = max(1, int(capacity * ADMIN_SHARE))
        self._by_holder: dict[PublicKey, dict[PublicKey, Revocation]] = {}
        self._by_issuer: Counter[PublicKey] = Counter()
        self._count = 0

    def __len__(self) -> int:
        """Return how many there are."""
        return self._count

    def __iter__(self) -> Iterator[Revocation]:
        """Go through all, in the order of revoked keys and issuers: the same wherever the same ones are known."""
        ordered = sorted(self._by_holder.items())
        return iter([by_issuer[issuer] for _, by_issuer in ordered for issuer in sorted(by_issuer)])

    def add(self, revocation: Revocation, unix_time: float) -> bool:
        """Take in a revocation; return whether it is news, which is worth telling others.

        Not taken in is what is not in force, what is known or older than what is known, and what has no room: the
        group's key takes the place of that revocation by an admin which ends soonest, an admin takes nobody's place.
        """
        if not revocation.is_live(unix_time):
            return False
        known = self._by_holder.get(revocation.holder, {}).get(revocation.issuer_key)
        if known is not None and known.order >= revocation.order:
            return False
        if known is None and not self._has_room(revocation, unix_time):
            self.dropped += 1
            return False
        if known is not None:
            self._remove(known)
        self._by_holder.setdefault(revocation.holder, {})[revocation.issuer_key] = revocation
        self._by_issuer[revocation.issuer_key] += 1
        self._count += 1
        return True

    def find(self, chain: Chain, unix_time: float) -> Revocation | None:
        """Return a revocation that puts the holder of ``chain`` out, the group's own before an admin's, or nothing."""
        found: Revocation | None = None
        for link in chain.links:
            for revocation in self._by_holder.get(link.holder, {}).values():
                if not revocation.concerns(chain) or not self._counts(revocation, unix_time):
                    continue
                if found is None or _rank(revocation) > _rank(found):
                    found = revocation
        return found

    def is_revoked(self, chain: Chain, unix_time: float) -> bool:
        """Return whether the holder of ``chain`` is out."""
        return self.find(chain, unix_time) is not None

    def of_holder(self, holder: PublicKey, unix_time: float) -> list[Revocation]:
        """Return those of one key that count now."""
        return [one for one in self._by_holder.get(holder, {}).values() if self._counts(one, unix_time)]

    def in_force(self, unix_time: float) -> list[Revocation]:
        """Return those that count now, in the order of revoked keys and issuers."""
        return [revocation for revocation in self if self._counts(revocation, unix_time)]

    def expire(self, unix_time: float) -> int:
        """Forget those that ended; return how many."""
        over = [revocation for revocation in self._unordered() if revocation.expires_s <= unix_time]
        for revocation in over:
            self._remove(revocation)
        self.expired += len(over)
        return len(over)

    def _counts(self, revocation: Revocation, unix_time: float) -> bool:
        """Return whether a revocation is in force and its issuer was not expelled by the group's key."""
        if not revocation.is_live(unix_time):
            return False
        issuer = revocation.issuer
        if issuer is None:
            return True
        by_group = self._by_holder.get(issuer.holder, {}).get(issuer.group_key)
        return by_group is None or not (by_group.concerns(issuer) and by_group.is_live(unix_time))

    def _has_room(self, revocation: Revocation, unix_time: float) -> bool:
        is_owner = revocation.issuer is None
        if self._count >= self._capacity or (
            not is_owner and self._by_issuer[revocation.issuer_key] >= self._per_admin
        ):
            self.expire(unix_time)
        if not is_owner and self._by_issuer[revocation.issuer_key] >= self._per_admin:
            return False
        if self._count < self._capacity:
            return True
        victims = [one for one in self._unordered() if one.issuer is not None] if is_owner else []
        if not victims:
            return False
        self._remove(min(victims, key=lambda one: (one.expires_s, one.wire)))
        self.dropped += 1
        return True

    def _unordered(self) -> list[Revocation]:
        return [revocation for by_issuer in self._by_holder.values() for revocation in by_issuer.values()]

    def _remove(self, revocation: Revocation) -> None:
        by_issuer = self._by_holder[revocation.holder]
        del by_issuer[revocation.issuer_key]
        if not by_issuer:
            del self._by_holder[revocation.holder]
        self._by_issuer[revocation.issuer_key] -= 1
        if not self._by_issuer[revocation.issuer_key]:
            del self._by_issuer[revocation.issuer_key]
        self._count -= 1


def _rank(revocation: Revocation) -> tuple[Role, int, bytes]:
    return (revocation.issuer_role, revocation.expires_s, revocation.wire)


def _issuer_untrusted(wire: bytes, group_key: PublicKey, signatures: VerifiedSignatures) -> Chain | None:
    if not wire:
        return None
    chain = chain_untrusted(wire, group_key, signatures=signatures)
    if chain.role is not Role.ADMIN:
        raise BadMessage("revocation_role")
    return chain


def _wire(body: bytes, signature: bytes) -> bytes:
    return bytes([ItemType.REVOCATION]) + encode([body, signature])
