"""Contacts and records for tests of the DHT, all derived from small numbers."""

from __future__ import annotations

from functools import lru_cache

from pilotdht.config.dht import DhtConfig
from pilotdht.dht.prefixes import PrefixRule
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import KeyPair
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.records import NameClaim, NodeRecord, Revocation, SignedRecord, TagEntry, sign_record

UNIX_TIME = 1_800_000_000.0
"""Now, in tests."""


@lru_cache(maxsize=4096)
def keys_of(number: int) -> KeyPair:
    """Return the key pair with this number."""
    return KeyPair.from_seed(number.to_bytes(32, "big"))


def contact_of(number: int, *, host: str | None = None, port: int = 4000) -> Contact:
    """Return a contact with its own /24, unless a host is given; the key need not be on the curve."""
    if host is None:
        host = f"{11 + number // 65536 % 80}.{number // 256 % 256}.{number % 256}.1"
    return Contact(PublicKey(number.to_bytes(32, "big")), Endpoint(host, port))


def prefix_rule(config: DhtConfig) -> PrefixRule:
    """Return the rule that a configuration asks for."""
    return PrefixRule(are_private_exempt=config.are_private_prefixes_exempt)


def node_record(number: int, *, age_s: float = 0.0, ttl_s: int = 7200, hostname: str = "") -> SignedRecord:
    """Return a NODE record signed ``age_s`` seconds ago."""
    record = NodeRecord(
        public_key=keys_of(number).public_key,
        issued_ms=int((UNIX_TIME - age_s) * 1000),
        ttl_s=ttl_s,
        hostname=hostname,
        endpoints=(Endpoint("192.0.2.1", 4000),),
    )
    return sign_record(keys_of(number), record)


def revocation(number: int, *, age_s: float = 0.0, reason: str = "") -> SignedRecord:
    """Return the end of a key."""
    record = Revocation(
        public_key=keys_of(number).public_key, issued_ms=int((UNIX_TIME - age_s) * 1000), ttl_s=7200, reason=reason
    )
    return sign_record(keys_of(number), record)


def tag_entry(number: int, *, tag: str = "mcp", age_s: float = 0.0, ttl_s: int = 3600, shard: int = 0) -> SignedRecord:
    """Return that a node carries a tag."""
    record = TagEntry(
        public_key=keys_of(number).public_key,
        issued_ms=int((UNIX_TIME - age_s) * 1000),
        ttl_s=ttl_s,
        tag=tag,
        shard=shard,
    )
    return sign_record(keys_of(number), record)


def name_claim(number: int, *, hostname: str = "agent", age_s: float = 0.0, ttl_s: int = 3600) -> SignedRecord:
    """Return that a node claims a name."""
    record = NameClaim(
        public_key=keys_of(number).public_key,
        issued_ms=int((UNIX_TIME - age_s) * 1000),
        ttl_s=ttl_s,
        hostname=hostname,
    )
    return sign_record(keys_of(number), record)
