"""What a person writes to look into the DHT, and how records are shown. Pure."""

from __future__ import annotations

from dataclasses import asdict

from pilotdht.errors import InvalidArgument
from pilotdht.identity.address import Address
from pilotdht.identity.ids import NODE_ID_BYTES, NodeId, PublicKey
from pilotdht.identity.keys import did_of, parse_did
from pilotdht.identity.names import check_group_name, check_hostname, check_tag
from pilotdht.values import dataclass
from pilotdht.wire.certificates import Chain
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.group_records import GroupEntry, GroupNotice, group_entry_key
from pilotdht.wire.groups import keyed_group_id, open_group_id
from pilotdht.wire.records import Record, RecordKey, SignedRecord, name_key, node_key, tag_key
from pilotdht.wire.revocations import Revocation

_TAG_PREFIX = "tag:"
_GROUP_PREFIX = "group:"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordTarget:
    """A place in the key space."""

    key: RecordKey
    """20 bytes."""
    signer: PublicKey | None = None
    """Whose record is meant; absent: anybody's."""
    is_single: bool = False
    """True when one record lies there, and not many entries."""

    def as_node_id(self) -> NodeId:
        """Return the same point as a node id."""
        return NodeId(self.key)


def record_target(text: str, *, network: int) -> RecordTarget:
    """Read 40 hex digits, a did:key, an address, ``tag:NAME``, ``group:NAME``, ``group:did:key:…`` or a hostname.

    An open group is known by its name, a keyed one by its key.

    Raises:
        InvalidArgument: none of these forms.
    """
    if len(text) == 2 * NODE_ID_BYTES:
        try:
            return RecordTarget(key=RecordKey(bytes.fromhex(text)))
        except ValueError:
            pass
    if text.startswith("did:"):
        key = parse_did(text)
        return RecordTarget(key=node_key(Address.of_public_key(key, network=network)), signer=key, is_single=True)
    if text.startswith(_TAG_PREFIX):
        return RecordTarget(key=tag_key(check_tag(text.removeprefix(_TAG_PREFIX)), network=network))
    if text.startswith(_GROUP_PREFIX):
        return RecordTarget(key=_group_target(text.removeprefix(_GROUP_PREFIX), network=network))
    if ":" in text:
        return RecordTarget(key=node_key(Address.parse(text)), is_single=True)
    try:
        return RecordTarget(key=name_key(check_hostname(text), network=network))
    except InvalidArgument as error:
        raise InvalidArgument(
            f"{text[:80]!r} names no place in the DHT",
            hint="use a hostname, an address, a did:key, tag:NAME, group:NAME, or 40 hex digits",
        ) from error


def describe_record(signed: SignedRecord) -> dict[str, object]:
    """Return a record as JSON-like values: texts, numbers, lists."""
    record = signed.record
    return {
        "kind": record.kind.name.lower(),
        "key": record.key.hex(),
        "address": str(record.address),
        "did": did_of(record.public_key),
        "expires_s": record.expires_s,
        "size_bytes": len(signed.wire),
        **_fields_of(record),
    }


def _group_target(text: str, *, network: int) -> RecordKey:
    if text.startswith("did:"):
        return group_entry_key(keyed_group_id(parse_did(text), network=network), is_keyed=True, network=network)
    name = check_group_name(text)
    return group_entry_key(open_group_id(name, network=network), is_keyed=False, network=network)


def _fields_of(record: Record) -> dict[str, object]:
    """Return what a record says, without its signer."""
    common: dict[str, object] = {"network": record.network, "issued_ms": record.issued_ms, "ttl_s": record.ttl_s}
    if isinstance(record, GroupEntry):
        return {**common, "group": record.group.hex(), "shard": record.shard, **_certified(record.chain)}
    if isinstance(record, GroupNotice):
        return {**common, "group": record.group.hex(), "subject": did_of(record.subject), **_noticed(record)}
    return {name: _shown(value) for name, value in asdict(record).items() if name != "public_key"}


def _certified(chain: Chain | None) -> dict[str, object]:
    if chain is None:
        return {}
    return {"group_did": did_of(chain.group_key), "role": chain.role.name.lower(), "hostname": chain.hostname}


def _noticed(record: GroupNotice) -> dict[str, object]:
    notice = record.notice
    common: dict[str, object] = {"group_did": did_of(notice.group_key), "until_s": notice.until_s}
    if isinstance(notice, Revocation):
        return {"notice": "revocation", **common, "issuer": did_of(notice.issuer_key), "reason": notice.reason}
    return {"notice": "rotation", **common, "successor": did_of(notice.successor)}


def _shown(value: object) -> object:
    if isinstance(value, Endpoint):
        return str(value)
    if isinstance(value, Contact):
        return {"did": did_of(value.public_key), "endpoint": str(value.endpoint)}
    if isinstance(value, bytes):
        return did_of(PublicKey(value))
    if isinstance(value, tuple | list):
        return [_shown(item) for item in value]
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else value
