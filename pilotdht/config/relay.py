"""Tunables of serving nodes behind NATs, and of being served."""

from __future__ import annotations

from pilotdht.config.fields import Section, tunable
from pilotdht.errors import ConfigError
from pilotdht.values import dataclass

_KIB = 1024
_MB = 1_000_000

MAX_PREFERRED = 16
"""Servers that one node may prefer; three are attached to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayConfig(Section):
    """What this node carries for others, and how it stays in touch with those that carry for it."""

    is_enabled: bool = tunable(True, reason="a mesh in which nobody serves leaves everybody behind a NAT out")
    """Whether nodes may attach here and be called."""

    is_relay: bool = tunable(
        True, reason="pairs that no NAT lets meet have no other way; what it may cost is bounded below"
    )
    """Whether channels carry traffic; otherwise only the few messages that two nodes need to find a direct way."""

    introduction_bytes: int = tunable(
        16 * _KIB, unit="bytes", low=0, high=1 << 30, reason="a meeting and its repetitions; no tunnel fits in it"
    )
    """Bytes that a channel carries in all where ``is_relay`` is off."""

    max_attached: int = tunable(
        4096, low=0, high=1 << 20, reason="about 2 MB, and 200 short requests a second to keep them attached"
    )
    """Nodes attached here."""

    attached_per_prefix: int = tunable(
        256,
        low=1,
        high=1 << 20,
        reason="an office or a carrier's NAT has many honest nodes; one owner cannot fill us up",
    )
    """Nodes attached here from one source prefix (/24, /48)."""

    lifetime_s: int = tunable(
        60, unit="s", low=5, high=3600, reason="two of three renewals may be lost before a node is forgotten"
    )
    """How long a node stays attached without saying so again."""

    rings_per_s: float = tunable(
        5.0,
        unit="1/s",
        low=0.01,
        high=10_000,
        reason="a busy agent is called so often; a flood of calls goes no further",
    )
    """Calls passed on to one attached node, on average."""

    ring_burst: int = tunable(20, low=1, high=100_000, reason="a group that meets again calls everybody at once")
    """Calls passed on to one attached node at once."""

    calls_per_s: float = tunable(
        2.0,
        unit="1/s",
        low=0.01,
        high=10_000,
        reason="below what one node is told of: no network alone takes all of that",
    )
    """Calls of one source prefix (/24, /48) that are passed on, on average, whomever they are for."""

    call_burst: int = tunable(
        64,
        low=1,
        high=100_000,
        reason="a node that starts calls its peers; those behind one address may start together",
    )
    """Calls of one source prefix that are passed on at once."""

    max_channels: int = tunable(4096, low=0, high=1 << 20, reason="about 3 MB")
    """Channels through this node."""

    max_unproven: int = tunable(
        64, low=0, high=1 << 20, reason="a round trip is saved to callers that are new here; forged ones gain little"
    )
    """Channels of callers that have not shown yet that they receive where they say; beyond it they must do so first."""

    unproven_s: float = tunable(
        5.0, unit="s", low=0.1, high=600, reason="who called sends at once; two repetitions fit in it"
    )
    """How long such a channel waits for its caller's first frame."""

    channels_per_client: int = tunable(
        64, low=1, high=1 << 20, reason="peers of a node that all have no direct way to it; others are met, not relayed"
    )
    """Channels of one caller."""

    channels_per_prefix: int = tunable(
        512, low=1, high=1 << 20, reason="keys cost nothing: without it one owner of many could take all channels"
    )
    """Channels of callers from one source prefix (/24, /48)."""

    channels_per_target: int = tunable(
        1024, low=1, high=1 << 20, reason="a service behind a NAT has many callers; three others still get a share"
    )
    """Channels to one attached node."""

    client_bytes_per_s: float = tunable(
        10.0 * _MB, unit="bytes/s", low=1, high=1e12, reason="80 Mbit/s: a relay that crawls is none"
    )
    """What one client may send through this node on average; each frame counts 200 bytes more than it has."""

    client_burst_bytes: float = tunable(
        5.0 * _MB,
        unit="bytes",
        low=65_536,
        high=1e12,
        reason="half a second's worth: links probe for their speed in bursts",
    )
    """What one client may send at once."""

    total_bytes_per_s: float = tunable(
        25.0 * _MB,
        unit="bytes/s",
        low=1,
        high=1e12,
        reason="a fifth of a gigabit: 4 % of a core in trains, most of one in single short frames",
    )
    """What all clients together may send through this node on average."""

    total_burst_bytes: float = tunable(12.5 * _MB, unit="bytes", low=65_536, high=1e12, reason="half a second's worth")
    """What all clients together may send at once."""

    channel_idle_s: float = tunable(
        60.0, unit="s", low=1, high=86_400, reason="six keepalives of a tunnel; a channel is made again in a round trip"
    )
    """Silence after which a channel ends, at the server and at its two ends."""

    attach_interval_s: float = tunable(
        20.0, unit="s", low=1, high=3600, reason="below the 30 s after which many NATs forget a UDP mapping"
    )
    """How often an attached node, and a caller with an open channel, tells its servers that it is still there."""

    relied_interval_s: float = tunable(
        4.0,
        unit="s",
        low=0.5,
        high=3600,
        reason="a peer that loses all three servers of ours at once finds us again within 10 s; few links need it",
    )
    """How often servers are told so while a link of this node goes through a relay, as nothing else carries it."""

    attachments_wanted: int = tunable(3, low=0, high=3, reason="two may vanish at once; a record names three")
    """Servers that a node which cannot be reached attaches to, each on another network."""

    preferred: tuple[str, ...] = tunable((), reason="servers near one's own key are as good as any for most")
    """``HOST:PORT`` or ``did:key:…@HOST:PORT`` of servers to attach to before all others; up to 16."""

    is_preferred_only: bool = tunable(False, reason="a node whose servers are all down should still be found")
    """Whether no others are taken: traffic that no direct way carries then goes through these servers or not at all."""

    attach_retry_s: float = tunable(
        300.0, unit="s", low=1, high=86_400, reason="who was full or silent is asked again when others may have left"
    )
    """How long a server that refused or was silent is left alone while there are others."""

    search_interval_s: float = tunable(
        5.0,
        unit="s",
        low=0.1,
        high=3600,
        reason="a node without a server cannot be called: it looks on, doubling the pause",
    )
    """First pause between searches for servers while some are missing; doubled up to ``attach_interval_s`` times 3."""

    max_open: int = tunable(256, low=1, high=1 << 20, reason="links that have no direct way; about 1 kB each")
    """Channels that this node has open through other servers."""

    def __post_init__(self) -> None:
        """Check ranges, and that a node renews before it is forgotten.

        Raises:
            ConfigError: a value is out of range or does not fit another.
        """
        Section.__post_init__(self)
        if len(self.preferred) > MAX_PREFERRED:
            raise ConfigError(f"at most {MAX_PREFERRED} servers may be preferred")
        if self.is_preferred_only and not self.preferred:
            raise ConfigError("'relay.is_preferred_only' without any 'relay.preferred' leaves no server at all")
        if self.client_burst_bytes > self.total_burst_bytes or self.client_bytes_per_s > self.total_bytes_per_s:
            raise ConfigError("what one client may send must not be above what all together may send")
