"""Tunables of the tunnels: sizes, bounds and times of links and streams."""

from __future__ import annotations

from pilotdht.config.fields import Section, tunable
from pilotdht.errors import ConfigError
from pilotdht.values import dataclass

CONGESTION_CONTROLS = ("bbr", "cubic", "reno")
"""Names that ``congestion_control`` accepts."""

_KIB = 1024
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelConfig(Section):
    """Everything about links and streams that can be set."""

    max_datagram_bytes: int = tunable(
        1350,
        unit="bytes",
        low=1200,
        high=9000,
        reason="fits IPv6 over Ethernet with room for a VPN and a relay's header; larger costs less where it fits",
    )
    """UDP payload of a full QUIC datagram."""

    congestion_control: str = tunable(
        "bbr", reason="keeps its rate under random loss, where cubic and reno fall to a fortieth of it"
    )
    """One of ``bbr``, ``cubic``, ``reno``."""

    stream_window_bytes: int = tunable(
        4 * _MIB,
        unit="bytes",
        low=16 * _KIB,
        high=256 * _MIB,
        reason="most that one unread stream holds in memory; three times what 30 MB/s have on the way at 40 ms",
    )
    """Bytes a peer may send on a stream before the application reads."""

    link_window_bytes: int = tunable(
        16 * _MIB,
        unit="bytes",
        low=16 * _KIB,
        high=1024 * _MIB,
        reason="most that one peer makes this node hold in memory; three unread streams do not stop the others",
    )
    """Bytes a peer may send on all streams of a link before the application reads."""

    write_high_bytes: int = tunable(
        4 * _MIB,
        unit="bytes",
        low=_KIB,
        high=256 * _MIB,
        reason="bounds memory of a slow peer; a lost packet holds back what follows it for a round trip or two",
    )
    """Unacknowledged bytes of a stream above which a write waits."""

    write_low_bytes: int = tunable(
        2 * _MIB, unit="bytes", low=0, high=256 * _MIB, reason="wakes the writer well before the pipe runs dry"
    )
    """Unacknowledged bytes of a stream at which a waiting write goes on."""

    max_streams_per_link: int = tunable(
        1024, low=1, high=65535, reason="bounds what one peer can have open; more are queued by the opener"
    )
    """Streams that a peer may have open at once."""

    max_handlers: int = tunable(
        4096, low=1, high=1_000_000, reason="bounds tasks over all links; more are refused as overloaded"
    )
    """Handlers of incoming streams that run at once, over all links."""

    max_links: int = tunable(4096, low=1, high=1_000_000, reason="70 KB each: under 300 MB in all")
    """Links at once; further incoming ones are dropped."""

    max_half_open: int = tunable(
        256, low=1, high=65536, reason="bounds what strangers hold here before they have proved a key"
    )
    """Incoming handshakes at once; further ones are dropped."""

    retry_above_half_open: int = tunable(
        64,
        low=0,
        high=65536,
        reason="from here on a sender first proves its address, which costs us 45 us and no state",
    )
    """Incoming handshakes above which addresses are validated first (Retry, RFC 9000 section 8.1.2)."""

    accept_per_second: float = tunable(
        100.0,
        unit="1/s",
        low=0.1,
        high=1e6,
        reason="a first datagram costs 1.4 ms of CPU: a prefix gets 14 % of a core",
    )
    """First datagrams of new links taken per second from one source prefix."""

    accept_burst: int = tunable(
        200, low=1, high=1_000_000, reason="a machine room that restarts behind one prefix dials all at once"
    )
    """First datagrams of new links taken at once from one source prefix."""

    handshake_timeout_s: float = tunable(
        10.0, unit="s", low=0.1, high=120, reason="six retransmissions on a 100 ms path"
    )
    """Time in which a handshake must be done."""

    dial_stagger_s: float = tunable(
        0.25, unit="s", low=0.0, high=10, reason="connection attempt delay of RFC 8305, section 5"
    )
    """Delay after which the next endpoint of a peer is tried beside the ones under way."""

    suspect_s: float = tunable(
        1.5, unit="s", low=0.05, high=60, reason="a peer that moved is dialled anew before its caller loses patience"
    )
    """Silence on an older link, while a stream is opened on it, after which the peer is dialled anew."""

    open_timeout_s: float = tunable(
        10.0, unit="s", low=0.1, high=120, reason="answer to a stream's header: a round trip and the peer's scheduling"
    )
    """Time in which the peer must accept or refuse a stream."""

    header_timeout_s: float = tunable(
        10.0, unit="s", low=0.1, high=120, reason="a stranger cannot hold a stream open by sending half a header"
    )
    """Time in which an incoming stream must have said what it wants."""

    keepalive_s: float = tunable(
        10.0, unit="s", low=0.1, high=600, reason="below the 30 s after which many NATs forget a UDP mapping"
    )
    """Silence after which a live link is pinged."""

    dead_peer_s: float = tunable(
        30.0, unit="s", low=0.5, high=3600, reason="three keepalives; a lost one does not end a link"
    )
    """Silence after which a link is given up (QUIC idle time-out)."""

    idle_close_s: float = tunable(
        300.0,
        unit="s",
        low=0.1,
        high=86400,
        reason="an unused link costs 70 KB and keepalives; redialling takes two round trips",
    )
    """Time without streams and messages after which a link is closed."""

    drain_s: float = tunable(
        2.0, unit="s", low=0.01, high=60, reason="longer than both sides need to agree which of two links stays"
    )
    """Time a surplus link stays for streams that were opened on it meanwhile."""

    linger_s: float = tunable(
        2.0, unit="s", low=0.0, high=60, reason="lets the last bytes be acknowledged before a link is closed"
    )
    """Time that closing a link waits for what was written to be delivered."""

    initial_rtt_s: float = tunable(
        0.1, unit="s", low=0.001, high=3, reason="first retransmission after twice this; most paths answer sooner"
    )
    """Round-trip time assumed before one was measured."""

    key_update_packets: int = tunable(
        1 << 20,
        low=16,
        high=1 << 22,
        reason="AES-GCM keys must not protect more than 2^23 packets (RFC 9001, section 6.6)",
    )
    """Packets after which the keys of a link are changed."""

    max_messages_queued: int = tunable(
        256, low=1, high=65536, reason="unreliable messages go stale: the oldest are dropped, and counted"
    )
    """Unreliable messages queued per link to send, and per port to receive."""

    housekeeping_s: float = tunable(
        1.0,
        unit="s",
        low=0.01,
        high=60,
        reason="resolution of keepalive, idle and header times; one sweep for all links",
    )
    """Interval of the sweep over all links."""

    has_fast_paths: bool = tunable(True, reason="a third of the CPU a byte; off to compare, or to rule them out")
    """Whether bulk data takes the short ways through the QUIC code."""

    def __post_init__(self) -> None:
        """Check ranges, names and the marks' order.

        Raises:
            ConfigError: a value is out of range or does not fit another.
        """
        Section.__post_init__(self)
        if self.congestion_control not in CONGESTION_CONTROLS:
            raise ConfigError(f"congestion_control must be one of {', '.join(CONGESTION_CONTROLS)}")
        if self.write_low_bytes >= self.write_high_bytes:
            raise ConfigError("write_low_bytes must be below write_high_bytes")
        if self.keepalive_s >= self.dead_peer_s:
            raise ConfigError("keepalive_s must be below dead_peer_s")
