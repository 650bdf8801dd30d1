"""A peer as it was found: whose key, and what its own signed record says."""

from __future__ import annotations

from enum import Enum

from pilotdht.identity.address import Address
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import did_of
from pilotdht.values import dataclass
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.records import NodeRecord, Service


class Source(Enum):
    """Which step of the resolution order knew the peer."""

    KEY = "key"
    """The caller gave the public key itself."""
    ADDRESS = "address"
    """The caller gave the virtual address."""
    ALIAS = "alias"
    """A local alias."""
    TRUST = "trust book"
    """The name of a peer that this node trusts."""
    ORG = "org"
    """The name of a member of an org that this node is in."""
    PIN = "pinned name"
    """A hostname that was resolved before, and still belongs to the same key."""
    CLAIM = "name claim"
    """The only live claim of a hostname."""
    TAG = "tag"
    """A tag's entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Who was found, and where it says that it is."""

    public_key: PublicKey
    """The identity, 32 bytes; everything else is what its owner signed."""
    network: int
    """The mesh."""
    hostname: str
    """The hostname it claims, or empty."""
    tags: tuple[str, ...]
    """The tags it claims."""
    endpoints: tuple[Endpoint, ...]
    """Where it says it answers, best first."""
    services: tuple[Service, ...]
    """What it says it offers."""
    issued_s: float
    """Unix time at which it said so."""
    is_trusted: bool
    """Whether this node trusts it."""
    source: Source
    """How it was found."""
    introducers: tuple[Contact, ...] = ()
    """Servers that hold a live path to it, for when no NAT lets it be reached directly; not shown to other programs."""

    @property
    def address(self) -> Address:
        """The virtual address."""
        return Address.of_public_key(self.public_key, network=self.network)

    @property
    def did(self) -> str:
        """The ``did:key`` text form of the public key."""
        return did_of(self.public_key)


def peer_of(record: NodeRecord, *, source: Source, is_trusted: bool) -> Peer:
    """Return the peer that a NODE record describes."""
    return Peer(
        public_key=record.public_key,
        network=record.network,
        hostname=record.hostname,
        tags=record.tags,
        endpoints=record.endpoints,
        services=record.services,
        issued_s=record.issued_ms / 1000,
        is_trusted=is_trusted,
        source=source,
        introducers=record.introducers,
    )
