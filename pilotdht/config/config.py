"""The whole configuration of a node, and the presets to start from.

Every tunable has its type, unit, default, reason and range where it is declared, one module a room. A configuration is
a frozen value: change it with :func:`dataclasses.replace`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pilotdht.config.broadcast import BroadcastConfig
from pilotdht.config.daemon import DaemonConfig
from pilotdht.config.dht import DhtConfig
from pilotdht.config.fields import Section, tunable
from pilotdht.config.gossip import GossipConfig
from pilotdht.config.net import NetConfig
from pilotdht.config.query import QueryConfig
from pilotdht.config.relay import RelayConfig
from pilotdht.config.roads import RoadConfig
from pilotdht.config.traversal import TraversalConfig
from pilotdht.config.trust import TrustConfig
from pilotdht.config.tunnel import TunnelConfig
from pilotdht.errors import ConfigError
from pilotdht.identity.address import MAX_NETWORK
from pilotdht.identity.names import check_hostname, check_tag
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.records import MAX_ENDPOINTS, MAX_TAGS

DEFAULT_PORT = 4433
"""The port of nodes that others are told to bootstrap from."""


PRESETS = ("local", "lan", "wan")
"""Names that :func:`preset_of` knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(Section):
    """Everything that can be set for one node."""

    preset: str = tunable("", reason="the defaults suit a mesh over the internet, and a laboratory as well")
    """One of ``local``, ``lan``, ``wan`` that the values started from, or empty; see :func:`preset_of`."""

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

    gossip: GossipConfig = field(default_factory=GossipConfig)
    """Membership of groups."""

    broadcast: BroadcastConfig = field(default_factory=BroadcastConfig)
    """Messages to groups."""

    trust: TrustConfig = field(default_factory=TrustConfig)
    """Handshakes and the trust book."""

    query: QueryConfig = field(default_factory=QueryConfig)
    """Questions, answers, and answers kept for others."""

    relay: RelayConfig = field(default_factory=RelayConfig)
    """Being a relay for nodes behind NATs, and using others as one."""

    daemon: DaemonConfig = field(default_factory=DaemonConfig)
    """The long-running process around a node; an embedded node does not read it."""

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


def preset_of(name: str) -> Config:
    """Return the settings to start from.

    Args:
        name: ``local``, ``lan``, ``wan``, or empty for the defaults.

    Raises:
        ConfigError: another name.
    """
    makers = {"": Config, "local": Config.local, "lan": Config.lan, "wan": Config.wan}
    if name not in makers:
        raise ConfigError(f"{name[:80]!r} is no preset", hint=f"presets are {', '.join(PRESETS)}")
    return makers[name]()
