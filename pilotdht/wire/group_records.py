"""Records about groups: who is in one, whom it has expelled, and which key follows its key.

============ ============================================= ===================================================
record       key                                           rule
============ ============================================= ===================================================
GROUP entry  H("group", network, group, shard)             keyed group; its chain leads to the signer
(same)       H("open group", network, group, shard)        open group; anybody
GROUP_NOTICE H("group notice", network, group, subject)    a revocation or rotation that proves itself; signed
                                                           by an admin, so that others cannot crowd it out
============ ============================================= ===================================================

Open and keyed groups have keys of their own: whoever is not in a keyed group cannot fill up the places of those who
are.
"""

from __future__ import annotations

from typing import ClassVar

from pilotdht.errors import BadMessage
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import public_key_untrusted
from pilotdht.values import dataclass
from pilotdht.wire.certificates import MAX_CHAIN_BYTES, Chain, Role, chain_untrusted, membership_untrusted
from pilotdht.wire.codec import bytes_untrusted, integer_untrusted
from pilotdht.wire.gossip_messages import group_untrusted
from pilotdht.wire.groups import GroupId, keyed_group_id
from pilotdht.wire.membership import ItemType
from pilotdht.wire.record import (
    MAX_SHARD,
    Entry,
    RecordKey,
    RecordKind,
    ShardedEntry,
    packed_network,
    packed_shard,
    record_key,
)
from pilotdht.wire.revocations import MAX_REVOCATION_BYTES, Revocation, revocation_untrusted
from pilotdht.wire.rotations import Rotation, rotation_untrusted

_GROUP_FIELDS = 4
_NOTICE_FIELDS = 2


def group_entry_key(group: GroupId, *, is_keyed: bool, shard: int = 0, network: int = 0) -> RecordKey:
    """Return the key of one shard of a group's entries."""
    domain = "group" if is_keyed else "open group"
    return record_key(domain, packed_network(network), group, packed_shard(shard))


def group_notice_key(group: GroupId, subject: PublicKey, *, network: int = 0) -> RecordKey:
    """Return the key of what a keyed group has to say about ``subject``: an expelled key, or its own old one."""
    return record_key("group notice", packed_network(network), group, subject)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupEntry(ShardedEntry):
    """That the signer is in a group."""

    kind: ClassVar[RecordKind] = RecordKind.GROUP

    group: GroupId
    """Which group."""
    chain: Chain | None = None
    """What makes the signer a member; absent in an open group."""

    @property
    def key(self) -> RecordKey:
        """Where it lies in the key space."""
        is_keyed = self.chain is not None
        return group_entry_key(self.group, is_keyed=is_keyed, shard=self.shard, network=self.network)

    @property
    def expires_s(self) -> float:
        """Unix time from which it is void: with the signer's certificates at the latest."""
        end_s = self.issued_ms / 1000 + self.ttl_s
        return end_s if self.chain is None else min(end_s, self.chain.expires_s)

    def is_backed(self, unix_time: float) -> bool:
        """Return whether the signer's certificates are in force."""
        return self.chain is None or self.chain.is_live(unix_time)

    def fields(self) -> list[object]:
        """Return what follows the common fields in the body, in wire order."""
        if self.chain is None:
            return [self.group, self.shard, None, b""]
        return [self.group, self.shard, self.chain.group_key, self.chain.wire]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupNotice(Entry):
    """What an admin of a keyed group has everybody know about a key."""

    kind: ClassVar[RecordKind] = RecordKind.GROUP_NOTICE

    notice: Revocation | Rotation
    """What is said; its own signature proves it."""
    chain: Chain | None = None
    """What makes the signer of this record an admin; absent when the notice says so, or the group's key signs."""

    @property
    def group(self) -> GroupId:
        """Which group: 20 bytes."""
        return keyed_group_id(self.notice.group_key, network=self.network)

    @property
    def subject(self) -> PublicKey:
        """Which key it is about: the expelled one, or the group's old one."""
        return self.notice.holder if isinstance(self.notice, Revocation) else self.notice.group_key

    @property
    def key(self) -> RecordKey:
        """Where it lies in the key space."""
        return group_notice_key(self.group, self.subject, network=self.network)

    @property
    def expires_s(self) -> float:
        """Unix time from which it is void: with the notice, and with the certificates of its signer, at the latest."""
        ends_s = [self.issued_ms / 1000 + self.ttl_s]
        if isinstance(self.notice, Revocation):
            ends_s.append(self.notice.expires_s)
        if self.chain is not None:
            ends_s.append(self.chain.expires_s)
        return min(ends_s)

    def is_backed(self, unix_time: float) -> bool:
        """Return whether the notice and its signer's certificates are in force."""
        return self.notice.is_live(unix_time) and (self.chain is None or self.chain.is_live(unix_time))

    def fields(self) -> list[object]:
        """Return what follows the common fields in the body, in wire order."""
        return [self.notice.wire, b"" if self.chain is None else self.chain.wire]


def group_entry_untrusted(
    fields: list[object], *, public_key: PublicKey, network: int, issued_ms: int, ttl_s: int
) -> GroupEntry:
    """Read the fields of a GROUP entry and verify its certificates.

    Raises:
        BadMessage: malformed, of a key that is not the group's, or its certificates do not lead to the signer.
    """
    if len(fields) < _GROUP_FIELDS:
        raise BadMessage("record_fields")
    group = group_untrusted(fields[0])
    shard = integer_untrusted(fields[1], high=MAX_SHARD)
    wire = bytes_untrusted(fields[3], most=MAX_CHAIN_BYTES)
    chain: Chain | None = None
    if fields[2] is not None:
        group_key = public_key_untrusted(fields[2])
        if keyed_group_id(group_key, network=network) != group:
            raise BadMessage("record_group")
        chain = membership_untrusted(wire, group_key, public_key)
    elif wire:
        raise BadMessage("record_group")
    return GroupEntry(
        public_key=public_key,
        network=network,
        issued_ms=issued_ms,
        ttl_s=ttl_s,
        group=group,
        shard=shard,
        chain=chain,
    )


def group_notice_untrusted(
    fields: list[object], *, public_key: PublicKey, network: int, issued_ms: int, ttl_s: int
) -> GroupNotice:
    """Read the fields of a GROUP_NOTICE and verify what it says, and that its signer may publish it.

    Raises:
        BadMessage: malformed, a notice that is not rightly signed, or a signer that is no admin.
    """
    if len(fields) < _NOTICE_FIELDS:
        raise BadMessage("record_fields")
    item = bytes_untrusted(fields[0], most=MAX_REVOCATION_BYTES)
    wire = bytes_untrusted(fields[1], most=MAX_CHAIN_BYTES)
    is_rotation = item[:1] == bytes([ItemType.ROTATION])
    notice = rotation_untrusted(item) if is_rotation else revocation_untrusted(item)
    chain = chain_untrusted(wire, notice.group_key) if wire else None
    if not _may_publish(public_key, notice, chain):
        raise BadMessage("record_publisher")
    return GroupNotice(
        public_key=public_key, network=network, issued_ms=issued_ms, ttl_s=ttl_s, notice=notice, chain=chain
    )


def _may_publish(publisher: PublicKey, notice: Revocation | Rotation, chain: Chain | None) -> bool:
    if chain is not None:
        return chain.role is Role.ADMIN and chain.holder == publisher
    issuer = notice.issuer_key if isinstance(notice, Revocation) else notice.group_key
    return publisher == issuer
