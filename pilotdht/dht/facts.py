"""What the DHT tells about itself: results of lookups and reads, and where a node stands. Pure."""

from __future__ import annotations

from pilotdht.dht.lookup import Ending
from pilotdht.values import dataclass
from pilotdht.wire.contact import Contact
from pilotdht.wire.records import SignedRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class NodesFound:
    """What a lookup of contacts came to."""

    contacts: tuple[Contact, ...]
    """The closest that answered, nearest first."""
    requests: int
    """Requests sent."""
    hops: int
    """Length of the longest chain of contacts that led to an answer."""
    duration_s: float
    """What it took."""
    ending: Ending
    """Why it stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFound:
    """What one read found, and what it took."""

    signed: SignedRecord | None
    """The newest live record; absent when nobody has one."""
    requests: int
    """Requests sent."""
    hops: int
    """Length of the longest chain of contacts that led to an answer; 0 when this node holds the record itself."""
    duration_s: float
    """What it took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DhtStats:
    """Where this node stands."""

    contacts: int
    """Verified contacts in the routing table."""
    mesh_size: int
    """Nodes of the mesh, estimated from how close the nearest contacts are."""
    buckets: int
    """Parts of the key space that the table tells apart."""
    records: int
    """Records and entries kept for others."""
    record_bytes: int
    """Memory that they take, about."""
    cached_copies: int
    """Copies of records left by lookups."""
    candidates: int
    """Contacts heard of that wait to be pinged."""
    publications: tuple[str, ...]
    """What this node keeps alive of its own."""
    is_server: bool
    """Whether it serves others."""
