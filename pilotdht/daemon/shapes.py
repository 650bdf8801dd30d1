"""The shape of each JSON answer, key by key: what programs may rely on, and what the catalogue of commands prints.

Durations are seconds, sizes bytes, times Unix seconds. Bytes travel as base64 where they may be no text.
"""

from __future__ import annotations

from typing import TypedDict

from pilotdht.daemon.group_shapes import GroupShape

TRUNK_ROAD = "trunk via "
"""Before the address of a trunk's server, in the name of a road over TCP."""


class InfoShape(TypedDict):
    """The node about itself, and the daemon around it."""

    address: str
    did: str
    hostname: str
    tags: list[str]
    listen: list[str]
    endpoints: list[str]
    is_joined: bool
    is_server: bool
    trunk: str | None
    uptime_s: float
    peers: int
    connections: int
    records: int
    groups: list[GroupShape]
    version: str
    pid: int
    socket: str
    data_dir: str
    log: str
    settings: dict[str, str]


class ReloadShape(TypedDict):
    """What reading the configuration anew has changed: names of settings."""

    changed: list[str]
    needs_restart: list[str]


class ServiceShape(TypedDict):
    """Something a peer offers on a virtual port."""

    name: str
    port: int


class PeerShape(TypedDict):
    """A peer as it was resolved."""

    address: str
    did: str
    hostname: str
    tags: list[str]
    endpoints: list[str]
    services: list[ServiceShape]
    issued: float
    is_trusted: bool
    source: str


class PeersShape(TypedDict):
    """Peers found by a tag."""

    peers: list[PeerShape]


class ContactShape(TypedDict):
    """One contact of the routing table."""

    address: str
    endpoint: str
    rtt_s: float | None
    last_seen_s: float


class ContactsShape(TypedDict):
    """The routing table."""

    peers: list[ContactShape]


class RoadShape(TypedDict):
    """Which road is taken: ``lan``, ``direct``, ``trunk via ADDRESS``, or ``relayed``, and then by whom."""

    road: str
    relay: str | None


class ConnectionShape(TypedDict):
    """One live tunnel."""

    address: str
    hostname: str
    endpoint: str
    road: str
    relay: str | None
    is_outgoing: bool
    is_trusted: bool
    rtt_s: float | None
    lost_share: float
    received_bytes: int
    sent_bytes: int
    streams: int
    age_s: float


class ConnectionsShape(TypedDict):
    """All live tunnels."""

    connections: list[ConnectionShape]


class NatShape(TypedDict):
    """What is in front of a node in one address family; ``mapping`` and ``filtering`` as in RFC 4787."""

    mapping: str
    filtering: str
    are_ports_kept: bool | None
    public: str | None
    public_host: str | None
    samples: int
    prefixes: int
    confidence: float


class FindingShape(TypedDict):
    """One thing that was found out; ``severity`` is good, notice, warning or error."""

    code: str
    severity: str
    sentence: str
    advice: str


class ServerShape(TypedDict):
    """A node through which this one can be called."""

    address: str
    endpoint: str


class NeighbourShape(TypedDict):
    """A node that announces itself on the local network; ``standing`` is heard, answered or silent."""

    address: str
    endpoint: str
    standing: str


class NetCheckShape(TypedDict):
    """Where a node stands in the network."""

    own_addresses: list[str]
    ipv4: NatShape
    ipv6: NatShape
    is_server: bool
    port_mapping: str
    mapped: str | None
    servers: list[ServerShape]
    lan: str
    lan_reason: str
    neighbours: list[NeighbourShape]
    findings: list[FindingShape]


class PingShape(TypedDict):
    """One round trip."""

    address: str
    rtt_s: float
    road: str
    relay: str | None


class TraceShape(TypedDict):
    """How a peer was reached."""

    address: str
    hostname: str
    source: str
    resolve_s: float
    endpoints: list[str]
    endpoint: str
    road: str
    relay: str | None
    dial_s: float
    rtt_s: float
    own_nat: str
    peer_nat: str


class TunnelShape(TypedDict):
    """A tunnel that stands."""

    address: str
    endpoint: str
    road: str
    relay: str | None
    setup_s: float
    rtt_s: float


class DisconnectedShape(TypedDict):
    """Whether there was a tunnel to close."""

    was_connected: bool


class AliasShape(TypedDict):
    """A local name, and whom it stands for."""

    alias: str
    address: str


class AliasesShape(TypedDict):
    """All local names."""

    aliases: list[AliasShape]


class AliasRemovedShape(TypedDict):
    """Whether there was a local name to forget."""

    was_set: bool


class AnswerShape(TypedDict):
    """The answer to a message."""

    address: str
    answer_base64: str


class SentShape(TypedDict):
    """A message that the peer has stored or handled."""

    address: str
    port: int
    size_bytes: int


class MessageShape(TypedDict):
    """A message from a peer."""

    peer: str
    address: str
    hostname: str
    port: int
    data_base64: str


class IncomingShape(TypedDict):
    """A stream that a peer opened, to be claimed by its name."""

    stream: str
    peer: str
    address: str
    hostname: str
    port: int


class TrustShape(TypedDict):
    """Where trust with one peer stands."""

    address: str
    did: str
    hostname: str
    state: str
    reason: str
    since: float
    owed: str | None
    letter_holders: int


class TrustedShape(TypedDict):
    """Whom the node trusts."""

    trusted: list[TrustShape]


class PendingShape(TypedDict):
    """Whose requests wait for an answer."""

    pending: list[TrustShape]


class LookupContactShape(TypedDict):
    """A contact that a lookup ended at."""

    address: str
    did: str
    endpoint: str


class LookupShape(TypedDict):
    """One walk through the DHT."""

    target: str
    contacts: list[LookupContactShape]
    requests: int
    hops: int
    duration_s: float


class RecordsShape(TypedDict):
    """Records found under a key."""

    records: list[dict[str, object]]


class HostnamesShape(TypedDict):
    """Names known without asking the network, for completion."""

    hostnames: list[str]


class StartedShape(TypedDict):
    """A daemon that has become ready."""

    pid: int
    address: str
    did: str
    hostname: str
    tags: list[str]
    endpoints: list[str]
    is_joined: bool
    socket: str
    data_dir: str
    log: str


class TrafficShape(TypedDict):
    """All that went through the node's socket since it was started; of ``at_s`` only differences mean something."""

    received_bytes: int
    sent_bytes: int
    at_s: float


class RelayUseShape(TypedDict):
    """What the node carries for others, and what others carry for it."""

    is_serving: bool
    is_relay: bool
    attached: int
    max_attached: int
    channels: int
    max_channels: int
    forwarded_frames: int
    forwarded_bytes: int
    dropped_frames: int
    total_bytes_per_s: float
    own_channels: int


class PageShape(TypedDict):
    """Where the status page is served, and a link that logs a browser in once, until ``expires`` (Unix seconds)."""

    url: str
    port: int
    expires: float


class StoppedShape(TypedDict):
    """A daemon that was asked to stop."""

    pid: int


class ScrapeTargetShape(TypedDict):
    """Somebody who may be scraped, as HTTP service discovery of Prometheus has it."""

    targets: list[str]
    labels: dict[str, str]


class ScrapeTargetsShape(TypedDict):
    """Who may be scraped."""

    targets: list[ScrapeTargetShape]
