"""A keyed group with everybody in it: its key, two admins, inviters, members; and what they sign."""

from __future__ import annotations

from functools import lru_cache

from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import KeyPair
from pilotdht.wire.certificates import Chain, Role, chain_untrusted, issue
from pilotdht.wire.group_records import GroupEntry, GroupNotice
from pilotdht.wire.groups import keyed_group_id
from pilotdht.wire.records import SignedRecord, sign_record
from pilotdht.wire.revocations import Revocation, revoke

NOW = 1_800_000_000
"""Now, in Unix seconds; that of the examples of the DHT."""

HOUR = 3600


@lru_cache(maxsize=1024)
def named_keys(name: str) -> KeyPair:
    """Return the key pair that has this name in tests."""
    return KeyPair.from_seed(name.encode().ljust(32, b"."))


GROUP, OTHER_GROUP, ADMIN, OTHER_ADMIN, INVITER, MEMBER, GUEST, STRANGER = (
    named_keys(name)
    for name in ("group", "other group", "admin", "other admin", "inviter", "member", "guest", "stranger")
)


def certified(
    issuer: KeyPair,
    above: Chain | None,
    holder: KeyPair,
    role: Role = Role.MEMBER,
    *,
    issued_s: int = NOW,
    expires_s: int = NOW + 24 * HOUR,
    hostname: str = "",
) -> Chain:
    """Return the chain by which ``issuer`` certifies ``holder``, read back."""
    wire = issue(
        issuer,
        above,
        holder=holder.public_key,
        role=role,
        issued_s=issued_s,
        expires_s=expires_s,
        hostname=hostname,
    )
    return chain_untrusted(wire, issuer.public_key if above is None else above.group_key)


ADMIN_CHAIN = certified(GROUP, None, ADMIN, Role.ADMIN, hostname="admin")
OTHER_ADMIN_CHAIN = certified(GROUP, None, OTHER_ADMIN, Role.ADMIN)
INVITER_CHAIN = certified(ADMIN, ADMIN_CHAIN, INVITER, Role.INVITER, hostname="guest")
GUEST_CHAIN = certified(INVITER, INVITER_CHAIN, GUEST)
MEMBER_CHAIN = certified(GROUP, None, MEMBER, hostname="member")


def revoked(
    issuer: KeyPair,
    chain: Chain | None,
    holder: KeyPair | PublicKey,
    *,
    age_s: int = 0,
    until_s: int = NOW + 12 * HOUR,
    reason: str = "",
) -> Revocation:
    """Return that ``issuer`` expelled ``holder`` so long ago."""
    key = holder.public_key if isinstance(holder, KeyPair) else holder
    return revoke(issuer, chain, holder=key, issued_ms=1000 * (NOW - age_s), until_s=until_s, reason=reason)


def keyed_entry(
    keys: KeyPair, chain: Chain, *, age_s: float = 0.0, ttl_s: int = HOUR, shard: int = 0, network: int = 0
) -> SignedRecord:
    """Return that the owner of ``keys`` is in a keyed group."""
    record = GroupEntry(
        public_key=keys.public_key,
        network=network,
        issued_ms=int((NOW - age_s) * 1000),
        ttl_s=ttl_s,
        group=keyed_group_id(chain.group_key, network=network),
        shard=shard,
        chain=chain,
    )
    return sign_record(keys, record)


def notice_of(publisher: KeyPair, revocation: Revocation, chain: Chain | None = None) -> SignedRecord:
    """Return that ``publisher`` makes a revocation known."""
    record = GroupNotice(
        public_key=publisher.public_key, issued_ms=1000 * NOW, ttl_s=HOUR, notice=revocation, chain=chain
    )
    return sign_record(publisher, record)
