"""Signed records: who is where, under which name, with which tags.

On the wire a record is ``[body bytes, signature 64]``; the signature covers ``domain || body`` exactly as received,
never a re-encoding. The key under which it is stored follows from its content, so a holder can check that it belongs
there.

=========== ================================ ==========================================================
record      key                              rule
=========== ================================ ==========================================================
NODE        H("node", network, address)      signer is the key; higher sequence wins
NAME claim  H("host", network, name)         many a key; never authoritative alone
TAG entry   H("tag", network, tag, shard)    one live entry a signer
REVOKED     as NODE                          final
=========== ================================ ==========================================================

Those of groups stand in :mod:`pilotdht.wire.group_records`, what all have in common in :mod:`pilotdht.wire.record`.
"""

from __future__ import annotations

from enum import IntFlag
from typing import ClassVar

from pilotdht.errors import BadMessage
from pilotdht.identity.address import MAX_NETWORK, Address
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import SIGNATURE_BYTES, KeyPair, public_key_untrusted
from pilotdht.identity.names import is_hostname, is_tag
from pilotdht.values import dataclass
from pilotdht.wire.codec import (
    bytes_untrusted,
    decode_list_untrusted,
    encode,
    integer_untrusted,
    list_untrusted,
    text_untrusted,
)
from pilotdht.wire.contact import Contact, contact_untrusted
from pilotdht.wire.endpoint import Endpoint, unpack_endpoint_untrusted
from pilotdht.wire.group_records import GroupEntry, GroupNotice, group_entry_untrusted, group_notice_untrusted
from pilotdht.wire.record import (
    CLOCK_SKEW_S,
    MAX_ENTRY_TTL_S,
    MAX_RECORD_BYTES,
    MAX_SHARD,
    RECORD_VERSION,
    Entry,
    Record,
    RecordKey,
    RecordKind,
    ShardedEntry,
    packed_network,
    packed_shard,
    record_key,
)
from pilotdht.wire.verified import record_signatures

__all__ = [
    "CLOCK_SKEW_S",
    "FINAL_SEQUENCE",
    "MAX_ENDPOINTS",
    "MAX_ENTRY_TTL_S",
    "MAX_INTRODUCERS",
    "MAX_NODE_TTL_S",
    "MAX_REASON_CHARS",
    "MAX_RECORD_BYTES",
    "MAX_RELAYS",
    "MAX_REVOCATION_TTL_S",
    "MAX_SERVICES",
    "MAX_TAGS",
    "RECORD_VERSION",
    "Entry",
    "GroupEntry",
    "GroupNotice",
    "NameClaim",
    "NodeFlags",
    "NodeRecord",
    "Record",
    "RecordKey",
    "RecordKind",
    "Revocation",
    "Service",
    "ShardedEntry",
    "SignedRecord",
    "TagEntry",
    "name_key",
    "node_key",
    "record_key",
    "sign_record",
    "signed_record_untrusted",
    "tag_key",
]

MAX_TAGS = 8
MAX_ENDPOINTS = 8
MAX_INTRODUCERS = 3
MAX_RELAYS = 3
MAX_SERVICES = 8
MAX_REASON_CHARS = 120
MAX_NODE_TTL_S = 7200
MAX_REVOCATION_TTL_S = 7200
FINAL_SEQUENCE = 2**63 - 1

_SIGNATURE_DOMAIN = b"pilotdht/1 record"


class NodeFlags(IntFlag):
    """Properties of a node."""

    NONE = 0
    """Nothing special."""
    SERVER = 1
    """Reachable from outside: answers DHT requests and may introduce others."""


def node_key(address: Address) -> RecordKey:
    """Return the key of a node's NODE record (and of its revocation)."""
    return record_key("node", packed_network(address.network), address.packed)


def name_key(hostname: str, *, network: int = 0) -> RecordKey:
    """Return the key under which claims of a hostname are kept."""
    return record_key("host", packed_network(network), hostname.encode("ascii"))


def tag_key(tag: str, *, shard: int = 0, network: int = 0) -> RecordKey:
    """Return the key of one shard of a tag's entries."""
    return record_key("tag", packed_network(network), tag.encode("ascii"), packed_shard(shard))


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Something a node offers on a virtual port."""

    name: str
    """A tag-like word, such as ``mcp``."""
    port: int
    """1..65535."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRecord(Record):
    """Where a node is and what it offers."""

    kind: ClassVar[RecordKind] = RecordKind.NODE
    max_ttl_s: ClassVar[int] = MAX_NODE_TTL_S

    hostname: str = ""
    """The hostname it claims, or empty."""
    tags: tuple[str, ...] = ()
    """Up to 8 tags it claims."""
    endpoints: tuple[Endpoint, ...] = ()
    """Up to 8 endpoints where it says it answers."""
    introducers: tuple[Contact, ...] = ()
    """Up to 3 servers that hold a live path to it."""
    relays: tuple[Contact, ...] = ()
    """Up to 3 servers that relay to it."""
    services: tuple[Service, ...] = ()
    """Up to 8 services it offers."""
    flags: NodeFlags = NodeFlags.NONE
    """Properties."""

    @property
    def key(self) -> RecordKey:
        """Where it lies in the key space."""
        return node_key(self.address)

    def fields(self) -> list[object]:
        """Return what follows the common fields in the body, in wire order."""
        return [
            self.hostname,
            list(self.tags),
            [endpoint.packed() for endpoint in self.endpoints],
            [contact.packed() for contact in self.introducers],
            [contact.packed() for contact in self.relays],
            [[service.name, service.port] for service in self.services],
            int(self.flags),
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class NameClaim(Entry):
    """That the signer calls itself by a hostname."""

    kind: ClassVar[RecordKind] = RecordKind.NAME

    hostname: str
    """1..63 characters."""

    @property
    def key(self) -> RecordKey:
        """Where it lies in the key space."""
        return name_key(self.hostname, network=self.network)

    def fields(self) -> list[object]:
        """Return what follows the common fields in the body, in wire order."""
        return [self.hostname]


@dataclass(frozen=True, slots=True, kw_only=True)
class TagEntry(ShardedEntry):
    """That the signer carries a tag."""

    kind: ClassVar[RecordKind] = RecordKind.TAG

    tag: str
    """1..32 characters."""

    @property
    def key(self) -> RecordKey:
        """Where it lies in the key space."""
        return tag_key(self.tag, shard=self.shard, network=self.network)

    def fields(self) -> list[object]:
        """Return what follows the common fields in the body, in wire order."""
        return [self.tag, self.shard]


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation(Record):
    """That the signer's key must not be used any more; nothing overrides it."""

    kind: ClassVar[RecordKind] = RecordKind.REVOKED
    max_ttl_s: ClassVar[int] = MAX_REVOCATION_TTL_S

    reason: str = ""
    """Up to 120 characters."""
    successor: PublicKey | None = None
    """The key to use instead, when there is one."""

    @property
    def sequence(self) -> int:
        """Higher than that of any NODE record."""
        return FINAL_SEQUENCE

    @property
    def key(self) -> RecordKey:
        """Where it lies in the key space: that of the NODE record it ends."""
        return node_key(self.address)

    def fields(self) -> list[object]:
        """Return what follows the common fields in the body, in wire order."""
        return [self.reason, self.successor]


@dataclass(frozen=True, slots=True)
class SignedRecord:
    """A record with the exact bytes that travelled or will travel."""

    record: Record
    """What is said."""
    wire: bytes
    """``[body, signature]``, encoded."""


def sign_record(keys: KeyPair, record: Record) -> SignedRecord:
    """Sign a record with the key it names.

    Raises:
        ValueError: the record names another key, or is larger than 700 bytes.
    """
    if record.public_key != keys.public_key:
        raise ValueError("a record is signed by the key it names")
    body = record.body()
    wire = encode([body, keys.sign(_SIGNATURE_DOMAIN + body)])
    if len(wire) > MAX_RECORD_BYTES:
        raise ValueError(f"a record has at most {MAX_RECORD_BYTES} bytes, not {len(wire)}")
    return SignedRecord(record, wire)


def signed_record_untrusted(wire: bytes) -> SignedRecord:
    """Read and verify a signed record; whether it is live and belongs under a key is for the caller to ask.

    Raises:
        BadMessage: malformed, too large, of an unknown kind or version, or wrongly signed.
    """
    if len(wire) > MAX_RECORD_BYTES:
        raise BadMessage("record_size")
    parts = decode_list_untrusted(wire)
    if len(parts) != 2:
        raise BadMessage("record")
    body = bytes_untrusted(parts[0])
    signature = bytes_untrusted(parts[1], size=SIGNATURE_BYTES)
    record = _record_untrusted(decode_list_untrusted(body))
    if not record_signatures.verify(record.public_key, _SIGNATURE_DOMAIN + body, signature):
        raise BadMessage("record_signature")
    return SignedRecord(record, wire)


def _record_untrusted(values: list[object]) -> Record:
    if len(values) < 7 or values[0] != RECORD_VERSION or type(values[0]) is not int:
        raise BadMessage("record_version")
    try:
        kind = RecordKind(integer_untrusted(values[1], high=255))
    except ValueError:
        raise BadMessage("record_kind") from None
    network = integer_untrusted(values[2], high=MAX_NETWORK)
    public_key = public_key_untrusted(values[3])
    issued_ms = integer_untrusted(values[4], low=1, high=2**53)
    fields = values[6:]
    match kind:
        case RecordKind.NODE:
            return _node_untrusted(public_key, network, issued_ms, _ttl(values[5], NodeRecord), fields)
        case RecordKind.NAME:
            hostname = fields[0]
            if not is_hostname(hostname):
                raise BadMessage("record_hostname")
            return NameClaim(
                public_key=public_key,
                network=network,
                issued_ms=issued_ms,
                ttl_s=_ttl(values[5], NameClaim),
                hostname=str(hostname),
            )
        case RecordKind.TAG:
            tag, shard = _fields(fields, 2)
            if not is_tag(tag):
                raise BadMessage("record_tag")
            return TagEntry(
                public_key=public_key,
                network=network,
                issued_ms=issued_ms,
                ttl_s=_ttl(values[5], TagEntry),
                tag=str(tag),
                shard=integer_untrusted(shard, high=MAX_SHARD),
            )
        case RecordKind.REVOKED:
            reason, successor = _fields(fields, 2)
            return Revocation(
                public_key=public_key,
                network=network,
                issued_ms=issued_ms,
                ttl_s=_ttl(values[5], Revocation),
                reason=_reason_untrusted(reason),
                successor=None if successor is None else public_key_untrusted(successor),
            )
        case RecordKind.GROUP:
            ttl_s = _ttl(values[5], GroupEntry)
            return group_entry_untrusted(
                fields, public_key=public_key, network=network, issued_ms=issued_ms, ttl_s=ttl_s
            )
        case RecordKind.GROUP_NOTICE:
            ttl_s = _ttl(values[5], GroupNotice)
            return group_notice_untrusted(
                fields, public_key=public_key, network=network, issued_ms=issued_ms, ttl_s=ttl_s
            )


def _fields(values: list[object], count: int) -> list[object]:
    if len(values) < count:
        raise BadMessage("record_fields")
    return values[:count]


def _reason_untrusted(value: object) -> str:
    text = text_untrusted(value, most_chars=MAX_REASON_CHARS)
    if not text.isprintable():  # it is shown on terminals: no control characters, no line breaks
        raise BadMessage("record_reason")
    return text


def _ttl(value: object, kind: type[Record]) -> int:
    return integer_untrusted(value, low=1, high=kind.max_ttl_s)


def _node_untrusted(
    public_key: PublicKey, network: int, issued_ms: int, ttl_s: int, values: list[object]
) -> NodeRecord:
    hostname, tags, endpoints, introducers, relays, services, flags = _fields(values, 7)
    if hostname != "" and not is_hostname(hostname):
        raise BadMessage("record_hostname")
    tag_list = list_untrusted(tags, most=MAX_TAGS)
    if not all(is_tag(tag) for tag in tag_list):
        raise BadMessage("record_tag")
    return NodeRecord(
        public_key=public_key,
        network=network,
        issued_ms=issued_ms,
        ttl_s=ttl_s,
        hostname=str(hostname),
        tags=tuple(str(tag) for tag in tag_list),
        endpoints=tuple(unpack_endpoint_untrusted(e) for e in list_untrusted(endpoints, most=MAX_ENDPOINTS)),
        introducers=tuple(contact_untrusted(c) for c in list_untrusted(introducers, most=MAX_INTRODUCERS)),
        relays=tuple(contact_untrusted(c) for c in list_untrusted(relays, most=MAX_RELAYS)),
        services=tuple(_service_untrusted(s) for s in list_untrusted(services, most=MAX_SERVICES)),
        flags=NodeFlags(integer_untrusted(flags, high=255) & NodeFlags.SERVER),
    )


def _service_untrusted(value: object) -> Service:
    pair = list_untrusted(value, most=2)
    if len(pair) != 2 or not is_tag(pair[0]):
        raise BadMessage("record_service")
    return Service(name=str(pair[0]), port=integer_untrusted(pair[1], low=1, high=65535))
