"""The whole configuration of a node, and the presets to start from.

Every tunable has its type, unit, default, reason and range where it is declared, one module a room. A configuration is
a frozen value: change it with :func:`dataclasses.replace`.
"""

from __future__ import annotations

from dataclasses import field
from pathlib import Path

from pilotdht.config.broadcast import BroadcastConfig
from pilotdht.config.daemon import DaemonConfig
from pilotdht.config.dht import DhtConfig
from pilotdht.config.fields import Section, tunable
from pilotdht.config.gossip import GossipConfig
from pilotdht.config.lan import LanConfig
from pilotdht.config.letters import LetterConfig
from pilotdht.config.net import NetConfig
from pilotdht.config.query import QueryConfig
from pilotdht.config.relay import RelayConfig
from pilotdht.config.roads import RoadConfig
from pilotdht.config.tracing import TracingConfig
from pilotdht.config.traversal import TraversalConfig
from pilotdht.config.trunk import WEB_PORT, TrunkConfig
from pilotdht.config.trust import TrustConfig
from pilotdht.config.tunnel import TunnelConfig
from pilotdht.config.ui import UiConfig
from pilotdht.errors import ConfigError
from pilotdht.identity.address import MAX_NETWORK
from pilotdht.identity.names import check_hostname, check_tag
from pilotdht.values import dataclass
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.records import MAX_ENDPOINTS, MAX_TAGS

DEFAULT_PORT = 4433
"""The port of nodes that others are told to bootstrap from."""


METRICS_PORT = 9464
"""Where Prometheus looks for the metrics of a bootstrap node; the port that OpenTelemetry's exporter uses as well."""

PRESETS = ("local", "lan", "wan", "bootstrap")
"""Names that :func:`preset_of` knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(Section):
    """Everything that can be set for one node."""

    preset: str = tunable("", reason="the defaults suit a mesh over the internet, and a laboratory as well")
    """``local``, ``lan``, ``wan`` or ``bootstrap``, which the values started from; or empty. See :func:`preset_of`."""

    hostname: str = tunable("", reason="the name others find this node by; empty: it is found by address and tags only")
    """1..63 lower-case letters, digits and inner hyphens, or empty."""

    tags: tuple[str, ...] = tunable((), reason="what this node is found by besides its name")
    """Up to 8 tags."""

    listen: Endpoint = tunable(Endpoint("::", 0), reason="both address families, any free port")
    """Where the one UDP socket is bound."""

    advertise: tuple[Endpoint, ...] = tunable((), reason="for hosts whose public endpoint peers cannot observe")
    """Endpoints to publish besides the observed ones."""

    bootstrap: tuple[str, ...] = tunable((), reason="any node of the mesh will do; three or more survive losses")
    """``HOST:PORT`` or ``did:key:…@HOST:PORT`` of nodes to join through; empty starts a mesh of its own."""

    data_dir: Path | None = tunable(None, reason="an agent that lives for one process needs no files")
    """Where identity, trust and DHT state are kept; absent: in memory only."""

    network: int = tunable(0, low=0, high=MAX_NETWORK, reason="0 is the public mesh")
    """Which mesh to join."""

    network_key: bytes = field(
        default=b"", repr=False, metadata={"unit": "", "reason": "nobody without it can read or answer"}
    )
    """Pre-shared key of a private mesh."""

    start_timeout_s: float = tunable(
        3.0, unit="s", low=0.0, high=600.0, reason="an unreachable bootstrap must not keep an agent from starting"
    )
    """How long starting waits to have joined and published; both go on in the background afterwards."""

    stop_timeout_s: float = tunable(
        2.0, unit="s", low=0.0, high=60.0, reason="withdrawing records is a courtesy, not a duty"
    )
    """How long stopping waits for records to be withdrawn and links to close."""

    resolve_cache_s: float = tunable(
        30.0,
        unit="s",
        low=0.0,
        high=3600.0,
        reason="dialling again should not walk the DHT; a failed dial refreshes it",
    )
    """How long a resolved peer is used without asking the DHT again."""

    net: NetConfig = field(default_factory=NetConfig)
    """Sockets and requests."""

    dht: DhtConfig = field(default_factory=DhtConfig)
    """Routing, lookups and records."""

    tunnel: TunnelConfig = field(default_factory=TunnelConfig)
    """Links and streams."""

    traversal: TraversalConfig = field(default_factory=TraversalConfig)
    """Where this node stands behind its NAT, and the port that its router maps."""

    roads: RoadConfig = field(default_factory=RoadConfig)
    """How links find better roads, and others when theirs are gone."""

    mdns: LanConfig = field(default_factory=LanConfig)
    """Neighbours on the local network: what they are told, and what is heard of them."""

    trunk: TrunkConfig = field(default_factory=TrunkConfig)
    """The way into the mesh over TLS/TCP where UDP is blocked."""

    tracing: TracingConfig = field(default_factory=TracingConfig)
    """What is recorded of dials, lookups and questions for OpenTelemetry."""

    gossip: GossipConfig = field(default_factory=GossipConfig)
    """Membership of groups."""

    broadcast: BroadcastConfig = field(default_factory=BroadcastConfig)
    """Messages to groups."""

    trust: TrustConfig = field(default_factory=TrustConfig)
    """Handshakes and the trust book."""

    letters: LetterConfig = field(default_factory=LetterConfig)
    """Letters kept for peers that are away, and those that this node leaves and fetches."""

    query: QueryConfig = field(default_factory=QueryConfig)
    """Questions, answers, and answers kept for others."""

    relay: RelayConfig = field(default_factory=RelayConfig)
    """Being a relay for nodes behind NATs, and using others as one."""

    daemon: DaemonConfig = field(default_factory=DaemonConfig)
    """The long-running process around a node; an embedded node does not read it."""

    ui: UiConfig = field(default_factory=UiConfig)
    """The status page that the daemon serves."""

    def __post_init__(self) -> None:
        """Check names and bounds.

        Raises:
            ConfigError: a value is out of range.
            InvalidArgument: a hostname or tag is malformed.
        """
        Section.__post_init__(self)
        if self.preset not in ("", *PRESETS):
            raise ConfigError(f"{self.preset!r} is no preset", hint=f"presets are {', '.join(PRESETS)}")
        if self.hostname:
            check_hostname(self.hostname)
        for tag in self.tags:
            check_tag(tag)
        if len(self.tags) > MAX_TAGS or len(set(self.tags)) != len(self.tags):
            raise ConfigError(f"a node has at most {MAX_TAGS} different tags")
        if len(self.advertise) > MAX_ENDPOINTS:
            raise ConfigError(f"a node advertises at most {MAX_ENDPOINTS} endpoints")
        if self.network == 0 and self.network_key:
            raise ConfigError("the public mesh has no network key", hint="choose a network from 1 to 65535")

    @classmethod
    def local(cls) -> Config:
        """Return the settings for agents on one machine: loopback only, every node serves, short first waits."""
        return cls(
            preset="local",
            listen=Endpoint("127.0.0.1", 0),
            net=NetConfig(first_timeout_s=0.2, hello_timeout_s=0.5),
            dht=DhtConfig(mode="server"),
            traversal=TraversalConfig(is_port_mapping=False),
            trunk=TrunkConfig(mode="off"),
        )

    @classmethod
    def lan(cls) -> Config:
        """Return the settings for one trusted network: every node serves, and private ranges are not limited."""
        return cls(
            preset="lan",
            net=NetConfig(first_timeout_s=0.3, is_private_limited=False),
            dht=DhtConfig(mode="server"),
            traversal=TraversalConfig(is_port_mapping=False),
        )

    @classmethod
    def wan(cls) -> Config:
        """Return the settings for the internet: private addresses get no exemption from any cap."""
        return cls(
            preset="wan",
            net=NetConfig(is_private_limited=True),
            dht=DhtConfig(are_private_prefixes_exempt=False),
        )

    @classmethod
    def for_bootstrap(cls) -> Config:
        """Return the settings for a public server that thousands of strangers join and are reached through.

        Sized for 2 cores, 1 GB and 100 Mbit/s: more strangers are remembered and greeted, four times as many are
        attached, and no single client gets more than a tenth of what all together may send. It serves from its first
        second, on known ports, and tells a Prometheus on the same host how it is. ``docs/runbook-bootstrap.md`` has
        the reasons one by one.
        """
        return cls(
            preset="bootstrap",
            listen=Endpoint("::", DEFAULT_PORT),
            net=NetConfig(
                receive_buffer_bytes=16 << 20,
                prefixes_tracked=65_536,
                peers_known=16_384,
                sealing_keys=16_384,
                strangers_per_s=4000.0,
                stranger_burst=8000,
                hello_signatures_per_s=2000.0,
                hello_signature_burst=4000,
            ),
            dht=DhtConfig(mode="server"),
            traversal=TraversalConfig(is_port_mapping=False),
            relay=RelayConfig(
                max_attached=16_384,
                attached_per_prefix=1024,
                max_channels=16_384,
                client_bytes_per_s=1_250_000.0,
                client_burst_bytes=2_500_000.0,
                total_bytes_per_s=12_500_000.0,
            ),
            trunk=TrunkConfig(listen=Endpoint("::", WEB_PORT)),
            daemon=DaemonConfig(metrics=Endpoint("127.0.0.1", METRICS_PORT)),
            mdns=LanConfig(mode="off"),
        )


def preset_of(name: str) -> Config:
    """Return the settings to start from.

    Args:
        name: ``local``, ``lan``, ``wan``, ``bootstrap``, or empty for the defaults.

    Raises:
        ConfigError: another name.
    """
    makers = {
        "": Config,
        "local": Config.local,
        "lan": Config.lan,
        "wan": Config.wan,
        "bootstrap": Config.for_bootstrap,
    }
    if name not in makers:
        raise ConfigError(f"{name[:80]!r} is no preset", hint=f"presets are {', '.join(PRESETS)}")
    return makers[name]()
