"""What makes a node a member of a group: the group's name, kind and key, and the member's certificates.

A node keeps its charters over restarts; they hold secrets (the group's key where this node has it). While a group's key
is replaced its charter holds the one by the old key as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field, replace

from pilotdht.errors import BadMessage, InvalidArgument
from pilotdht.gossip.values import GroupKind
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import SEED_BYTES, KeyPair, public_key_untrusted
from pilotdht.identity.names import check_tag, is_group_name, is_tag
from pilotdht.values import dataclass
from pilotdht.wire.certificates import MAX_CHAIN_BYTES, Chain, Role, issue, membership_untrusted
from pilotdht.wire.codec import bytes_untrusted, integer_untrusted, list_untrusted, text_untrusted
from pilotdht.wire.groups import GroupId, keyed_group_id, open_group_id
from pilotdht.wire.invitations import Invitation, KeyedKind, accept
from pilotdht.wire.membership import MAX_CAPABILITIES, MAX_FACT_TAGS
from pilotdht.wire.revocations import MAX_REVOCATION_BYTES
from pilotdht.wire.rotations import MAX_ROTATION_BYTES, Rotation, rotation_untrusted

MAX_KEPT_NOTICES = 1024
"""Revocations that a charter remembers: 300 bytes each."""

_KIND_OF = {
    KeyedKind.TOKEN: GroupKind.TOKEN,
    KeyedKind.INVITE: GroupKind.INVITE,
    KeyedKind.ORG: GroupKind.ORG,
}
_KEYED_KIND_OF = {kind: keyed for keyed, kind in _KIND_OF.items()}
_FIELDS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Charter:
    """One membership."""

    name: str
    """What the group is called."""
    kind: GroupKind
    """Who may join it."""
    network: int = 0
    """Its mesh."""
    group_key: PublicKey | None = None
    """The key that it is known by; absent in an open group."""
    group_keys: KeyPair | None = field(default=None, repr=False)
    """Its key pair: with whoever made it, and with everybody who knows its token."""
    chain: Chain | None = None
    """This member's certificates; absent in an open group."""
    tags: tuple[str, ...] = ()
    """Tags it carries in this group, besides those of the node."""
    capabilities: tuple[str, ...] = ()
    """What it can answer."""
    notices: tuple[bytes, ...] = ()
    """Revocations known, as they travel: who was expelled stays out over a restart."""
    rotation: Rotation | None = None
    """How its key is replaced, or how it came to its key; absent: it has its first one."""
    former: Charter | None = field(default=None, repr=False)
    """The membership by the key before, as long as it is of use; that one has no former itself."""

    @property
    def group(self) -> GroupId:
        """20 bytes."""
        if self.group_key is None:
            return open_group_id(self.name, network=self.network)
        return keyed_group_id(self.group_key, network=self.network)

    @property
    def role(self) -> Role:
        """What this member is: the holder of the key of a group by invitation is its owner."""
        if self.group_keys is not None and self.kind in (GroupKind.INVITE, GroupKind.ORG):
            return Role.OWNER
        return Role.MEMBER if self.chain is None else self.chain.role

    @property
    def is_replaced(self) -> bool:
        """Its key has a successor, whose certificates this member does not have yet."""
        return self.rotation is not None and self.rotation.group_key == self.group_key

    @property
    def keyed_kind(self) -> KeyedKind:
        """Its kind as invitations name it; not for open groups."""
        return _KEYED_KIND_OF[self.kind]

    def packed(self) -> list[object]:
        """Return what is kept in the node's file of groups."""
        return [
            self.name,
            self.kind.value,
            self.network,
            b"" if self.group_key is None else self.group_key,
            b"" if self.group_keys is None else self.group_keys.seed,
            b"" if self.chain is None else self.chain.wire,
            [list(self.tags), list(self.capabilities)],
            list(self.notices),
            b"" if self.rotation is None else self.rotation.wire,
            [] if self.former is None else self.former.packed(),
        ]


def founded(name: str, kind: GroupKind, group_keys: KeyPair, *, network: int) -> Charter:
    """Return the charter of whoever holds a group's key; :func:`certified` gives it certificates."""
    return Charter(name=name, kind=kind, network=network, group_key=group_keys.public_key, group_keys=group_keys)


def invited(invitation: Invitation, keys: KeyPair, unix_time: float) -> Charter:
    """Return the charter of whoever accepts an invitation.

    Raises:
        InvalidArgument: it has expired, has not begun, or is for another key.
    """
    chain = membership_untrusted(accept(invitation, keys, unix_time), invitation.group_key, keys.public_key)
    return Charter(
        name=invitation.name,
        kind=_KIND_OF[invitation.kind],
        network=invitation.network,
        group_key=invitation.group_key,
        chain=chain,
    )


def certified(charter: Charter, member: PublicKey, *, unix_time: float, lifetime_s: float) -> Charter:
    """Return a charter whose holder of the group's key has fresh certificates, when half of their time is over."""
    keys, chain = charter.group_keys, charter.chain
    if keys is None or (chain is not None and unix_time < chain.expires_s - lifetime_s / 2):
        return charter
    now_s = int(unix_time)
    wire = issue(
        keys,
        None,
        holder=member,
        role=Role.MEMBER if charter.kind is GroupKind.TOKEN else Role.ADMIN,
        issued_s=now_s,
        expires_s=now_s + int(lifetime_s),
        hostname="" if chain is None else chain.hostname,
    )
    return replace(charter, chain=membership_untrusted(wire, keys.public_key, member))


def succeeded(
    charter: Charter, group_keys: KeyPair, member: PublicKey, rotation: Rotation, unix_time: float
) -> Charter:
    """Return the charter of whoever replaces a group's key by another one, with the same role, name and end."""
    assert charter.chain is not None, "whoever holds a group's key has certificates"
    old = charter.chain
    wire = issue(
        group_keys,
        None,
        holder=member,
        role=old.role,
        issued_s=int(unix_time),
        expires_s=old.expires_s,
        hostname=old.hostname,
    )
    chain = membership_untrusted(wire, group_keys.public_key, member)
    return replace(moved(charter, chain, rotation), group_keys=group_keys)


def moved(charter: Charter, chain: Chain, rotation: Rotation) -> Charter:
    """Return the charter of a member that has certificates of the key that follows its group's."""
    return replace(
        charter, group_key=chain.group_key, group_keys=None, chain=chain, notices=(), rotation=rotation, former=None
    )


def labelled(charter: Charter, tags: Sequence[str] | None, capabilities: Sequence[str] | None) -> Charter:
    """Return a charter with other tags and capabilities; what is absent stays.

    Raises:
        InvalidArgument: a word is malformed, or there are too many.
    """
    if tags is not None:
        charter = replace(charter, tags=_words(tags, MAX_FACT_TAGS, "tags"))
    if capabilities is not None:
        charter = replace(charter, capabilities=_words(capabilities, MAX_CAPABILITIES, "capabilities"))
    return charter


def charter_untrusted(value: object, member: PublicKey) -> Charter:
    """Read what :meth:`Charter.packed` returned: a file can be damaged, or somebody else's.

    Raises:
        BadMessage: malformed, or its certificates are not this member's.
    """
    fields = list_untrusted(value, most=_FIELDS)
    if len(fields) != _FIELDS:
        raise BadMessage("charter_fields")
    charter = _charter_untrusted(fields, member)
    old = list_untrusted(fields[-1], most=_FIELDS)
    if not old:
        return charter
    former = _charter_untrusted(old, member) if len(old) == _FIELDS else None
    rotation = charter.rotation
    if former is None or rotation is None or former.rotation != rotation or former.group_key != rotation.group_key:
        raise BadMessage("charter_former")
    if (former.name, former.kind, former.network) != (charter.name, charter.kind, charter.network):
        raise BadMessage("charter_former")
    return replace(charter, former=former)


def _charter_untrusted(fields: list[object], member: PublicKey) -> Charter:
    name, kind, network, group_key, seed, chain, labels, notices, rotated = fields[:-1]
    if not is_group_name(name):
        raise BadMessage("charter_name")
    try:
        group_kind = GroupKind(text_untrusted(kind, most_chars=16))
    except ValueError:
        raise BadMessage("charter_kind") from None
    key = None if group_kind is GroupKind.OPEN else public_key_untrusted(group_key)
    secret = bytes_untrusted(seed, most=SEED_BYTES)
    wire = bytes_untrusted(chain, most=MAX_CHAIN_BYTES)
    keys = KeyPair.from_seed(secret) if len(secret) == SEED_BYTES else None
    if keys is not None and keys.public_key != key:
        raise BadMessage("charter_key")
    rotation_wire = bytes_untrusted(rotated, most=MAX_ROTATION_BYTES)
    rotation = rotation_untrusted(rotation_wire) if rotation_wire else None
    if rotation is not None and key not in (rotation.group_key, rotation.successor):
        raise BadMessage("charter_rotation")
    pair = list_untrusted(labels, most=2)
    if len(pair) != 2:
        raise BadMessage("charter_labels")
    return Charter(
        name=str(name),
        kind=group_kind,
        network=integer_untrusted(network, high=65_535),
        group_key=key,
        group_keys=keys,
        chain=membership_untrusted(wire, key, member) if key is not None and wire else None,
        tags=_words_untrusted(pair[0], MAX_FACT_TAGS),
        capabilities=_words_untrusted(pair[1], MAX_CAPABILITIES),
        notices=tuple(
            bytes_untrusted(notice, most=MAX_REVOCATION_BYTES)
            for notice in list_untrusted(notices, most=MAX_KEPT_NOTICES)
        ),
        rotation=rotation,
    )


def _words_untrusted(value: object, most: int) -> tuple[str, ...]:
    words = list_untrusted(value, most=most)
    if not all(is_tag(word) for word in words):
        raise BadMessage("charter_labels")
    return tuple(str(word) for word in words)


def _words(words: Sequence[str], most: int, what: str) -> tuple[str, ...]:
    if len(words) > most:
        raise InvalidArgument(f"a member has at most {most} {what}, not {len(words)}")
    return tuple(dict.fromkeys(check_tag(word) for word in words))
