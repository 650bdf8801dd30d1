"""Which records a node publishes about itself. Pure: what it is goes in, functions that make records come out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import SIGNATURE_BYTES
from pilotdht.values import dataclass
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.records import (
    MAX_ENDPOINTS,
    MAX_ENTRY_TTL_S,
    MAX_INTRODUCERS,
    MAX_NODE_TTL_S,
    MAX_RECORD_BYTES,
    MAX_SERVICES,
    MAX_TAGS,
    NameClaim,
    NodeFlags,
    NodeRecord,
    Record,
    Service,
    TagEntry,
)

_WRAPPING_BYTES = SIGNATURE_BYTES + 8

NODE_PUBLICATION = "node"
"""What the NODE record is called among a node's publications."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a node says about itself."""

    public_key: PublicKey
    """Who it is."""
    network: int = 0
    """Which mesh it is in."""
    hostname: str = ""
    """The hostname it claims, or empty."""
    tags: tuple[str, ...] = ()
    """The tags it claims."""
    endpoints: tuple[Endpoint, ...] = ()
    """Where it answers, best first."""
    services: tuple[Service, ...] = ()
    """What it offers, most important first."""
    introducers: tuple[Contact, ...] = ()
    """Servers that it is attached to."""
    is_server: bool = False
    """Whether it is reachable from outside."""
    node_ttl_s: int = MAX_NODE_TTL_S
    """Lifetime of its NODE record."""
    entry_ttl_s: int = MAX_ENTRY_TTL_S
    """Lifetime of its name claim and tag entries."""


def own_records(profile: Profile) -> dict[str, Callable[[int], Record]]:
    """Return each record to publish by its name, as a function of the time of issue in milliseconds.

    The NODE record comes first: a name or tag is worth nothing without it.
    """
    records: dict[str, Callable[[int], Record]] = {NODE_PUBLICATION: lambda issued_ms: node_record(profile, issued_ms)}
    if profile.hostname:
        records[f"name {profile.hostname}"] = lambda issued_ms: NameClaim(
            public_key=profile.public_key,
            network=profile.network,
            issued_ms=issued_ms,
            ttl_s=profile.entry_ttl_s,
            hostname=profile.hostname,
        )
    for tag in profile.tags:
        records[f"tag {tag}"] = lambda issued_ms, tag=tag: TagEntry(  # type: ignore[misc]  # mypy cannot type the default
            public_key=profile.public_key,
            network=profile.network,
            issued_ms=issued_ms,
            ttl_s=profile.entry_ttl_s,
            tag=tag,
        )
    return records


def node_record(profile: Profile, issued_ms: int) -> NodeRecord:
    """Return the NODE record, within its size bound: services go first, then the last endpoints."""
    record = NodeRecord(
        public_key=profile.public_key,
        network=profile.network,
        issued_ms=issued_ms,
        ttl_s=profile.node_ttl_s,
        hostname=profile.hostname,
        tags=profile.tags[:MAX_TAGS],
        endpoints=profile.endpoints[:MAX_ENDPOINTS],
        services=profile.services[:MAX_SERVICES],
        introducers=profile.introducers[:MAX_INTRODUCERS],
        flags=NodeFlags.SERVER if profile.is_server else NodeFlags.NONE,
    )
    while len(record.body()) + _WRAPPING_BYTES > MAX_RECORD_BYTES:
        if record.services:
            record = replace(record, services=record.services[:-1])
        else:
            record = replace(record, endpoints=record.endpoints[:-1])
    return record
