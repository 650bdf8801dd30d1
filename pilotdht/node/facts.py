"""What a node tells about itself and others: values for programs, tables and JSON."""

from __future__ import annotations

from pilotdht.identity.address import Address
from pilotdht.identity.ids import PublicKey
from pilotdht.traversal.advice import Finding
from pilotdht.traversal.behaviour import NatBehaviour
from pilotdht.values import dataclass
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.traversal_messages import NatMapping


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeInfo:
    """One node about itself."""

    address: Address
    """Virtual address."""
    did: str
    """Text form of the public key."""
    hostname: str
    """Own hostname, or empty."""
    tags: tuple[str, ...]
    """Own tags."""
    listen: tuple[Endpoint, ...]
    """What the socket is bound to."""
    endpoints: tuple[Endpoint, ...]
    """Where others are told to find it."""
    is_joined: bool
    """Whether it knows other nodes."""
    is_server: bool
    """Whether it serves the DHT to others."""
    uptime_s: float
    """Seconds since it was started."""
    peers: int
    """Contacts in the routing table."""
    connections: int
    """Live links."""
    records: int
    """Records and entries held for others."""
    version: str
    """Version of the package."""
    trunk: Address | None = None
    """The server through whose trunk this node reaches the mesh, over TCP; absent: by UDP."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerInfo:
    """One contact of the routing table."""

    address: Address
    """Its virtual address."""
    endpoint: Endpoint
    """Where it answered last."""
    rtt_s: float | None
    """Smoothed round-trip time; absent before the first measurement."""
    last_seen_s: float
    """Seconds since it answered last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionInfo:
    """One live link."""

    address: Address
    """The peer's virtual address."""
    hostname: str
    """The peer's hostname as last resolved, or empty."""
    endpoint: Endpoint
    """Where its datagrams go: the peer's endpoint, or the relay's."""
    relay: Address | None
    """The node that relays to it; absent when its road is direct."""
    is_lan: bool = False
    """Whether its road stays on the local network."""
    trunk: Address | None = None
    """The server through whose trunk its datagrams go, over TCP; absent: over UDP, or through a relay first."""
    is_outgoing: bool
    """Whether this node dialled."""
    is_trusted: bool
    """Whether this node trusts the peer."""
    rtt_s: float | None
    """Smoothed round-trip time."""
    lost_share: float
    """Which share of the packets sent was taken for lost, 0..1."""
    received_bytes: int
    """Bytes of datagrams received."""
    sent_bytes: int
    """Bytes of datagrams sent."""
    streams: int
    """Open streams."""
    age_s: float
    """Seconds since it came up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A tunnel that stands."""

    address: Address
    """The peer's virtual address."""
    endpoint: Endpoint
    """Where its datagrams go: the peer's endpoint, or the relay's."""
    relay: Address | None
    """The node that relays to it; absent when its road is direct."""
    is_lan: bool = False
    """Whether its road stays on the local network."""
    trunk: Address | None = None
    """The server through whose trunk its datagrams go, over TCP; absent: over UDP, or through a relay first."""
    setup_s: float
    """What resolving and dialling took; near zero for a tunnel that stood already."""
    rtt_s: float
    """One measured round trip."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """How a peer was reached, step by step."""

    address: Address
    """The peer's virtual address."""
    hostname: str
    """Its hostname, or empty."""
    source: str
    """Which step of the resolution order knew it."""
    resolve_s: float
    """What resolving took."""
    endpoints: tuple[Endpoint, ...]
    """Its published endpoints."""
    endpoint: Endpoint
    """The endpoint that answered: the peer's, or the relay's."""
    relay: Address | None
    """The node that relays to it; absent when its road is direct."""
    is_lan: bool = False
    """Whether its road stays on the local network."""
    trunk: Address | None = None
    """The server through whose trunk its datagrams go, over TCP; absent: over UDP, or through a relay first."""
    dial_s: float
    """What the handshake took; zero for a link that stood already."""
    rtt_s: float
    """One measured round trip on the link."""
    own_nat: NatMapping = NatMapping.UNKNOWN
    """How the NAT in front of this node maps ports."""
    peer_nat: NatMapping = NatMapping.UNKNOWN
    """How the NAT in front of the peer maps ports, as it says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NeighbourInfo:
    """One node that announces itself on the local network."""

    address: Address
    """Virtual address of the key that it announces."""
    endpoint: Endpoint
    """Where it says it is."""
    standing: str
    """What came of asking there: ``heard`` (not asked), ``answered`` (by that key) or ``silent``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetCheck:
    """Where the node stands in the network, and what to do about it."""

    own_addresses: tuple[str, ...]
    """The machine's own addresses towards the Internet, at most one a family."""
    ipv4: NatBehaviour
    """What is in front of it over IPv4."""
    ipv6: NatBehaviour
    """What is in front of it over IPv6."""
    is_server: bool
    """Whether others can reach it without help, as far as is known."""
    port_mapping: str
    """How far the mapping of a port by the router is."""
    mapped: Endpoint | None
    """What the router says it mapped; absent: nothing."""
    servers: tuple[tuple[Address, Endpoint], ...]
    """Nodes through which it can be called."""
    lan: str
    """What is done on the local network: ``on``, ``listen``, ``off``, ``not installed``, ``opening`` or ``failed``."""
    lan_reason: str
    """Why it failed, or empty."""
    neighbours: tuple[NeighbourInfo, ...]
    """Who announces itself there."""
    findings: tuple[Finding, ...]
    """What there is to say, the worst first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """All that went through a node's socket since it was started."""

    received_bytes: int
    """Bytes of datagrams received."""
    sent_bytes: int
    """Bytes of datagrams sent."""
    at_s: float
    """When these were read, on the loop's clock: for rates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupInfo:
    """One walk through the DHT."""

    target: bytes
    """The 20-byte key that was looked for."""
    contacts: tuple[Contact, ...]
    """The closest live contacts, nearest first."""
    requests: int
    """Requests sent."""
    hops: int
    """Length of the longest chain of contacts that led to an answer."""
    duration_s: float
    """What it took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message from a peer, proven by its link."""

    peer: PublicKey
    """Who sent it."""
    address: Address
    """The sender's virtual address."""
    hostname: str
    """The sender's hostname as this node knows it, or empty; a claim, not a proof."""
    port: int
    """The virtual port it came to."""
    data: bytes
    """Its content."""
