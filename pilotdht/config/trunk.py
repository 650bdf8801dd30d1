"""Tunables of trunks: ways into the mesh over TLS/TCP for nodes whose UDP is blocked."""

from __future__ import annotations

from dataclasses import field
from pathlib import Path

from pilotdht.config.fields import Section, tunable
from pilotdht.errors import ConfigError
from pilotdht.values import dataclass
from pilotdht.wire.endpoint import Endpoint

TRUNK_MODES = ("auto", "always", "off")
"""When a node opens a trunk: where no UDP passes, at once, never."""

WEB_PORT = 443
"""The port that even strict firewalls let out: TLS of the web."""

_KIB = 1024
_MB = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkConfig(Section):
    """When this node opens a trunk, whether it serves them to others, and what that may cost."""

    mode: str = tunable("auto", reason="UDP is quicker where it passes; a trunk is for where it does not")
    """``auto``: where no UDP passes; ``always``: at once, for tests and for people who know; ``off``: never."""

    listen: Endpoint | None = tunable(None, reason="an open TCP port would be a surprise on a laptop")
    """TCP address at which trunks are served; absent: nowhere. ``bootstrap run`` sets port 443."""

    certificate_file: Path | None = tunable(None, reason="nodes prove themselves by their keys inside TLS")
    """PEM certificate (chain) to present, for firewalls that look at names; absent: one made at the start."""

    key_file: Path | None = tunable(None, reason="belongs to certificate_file")
    """PEM private key of ``certificate_file``, without a passphrase."""

    proxy: str = field(
        default="", repr=False, metadata={"unit": "", "reason": "the daemon takes it from HTTPS_PROXY or ALL_PROXY"}
    )
    """``http://[USER:PASSWORD@]HOST:PORT`` of an HTTP proxy that trunks are opened through (CONNECT), or empty."""

    no_proxy: tuple[str, ...] = tunable((), reason="the daemon takes it from NO_PROXY")
    """Hosts, domains, addresses and networks that are reached without the proxy; ``*`` for all."""

    # Opening

    blocked_after_s: float = tunable(
        2.5, unit="s", low=0.1, high=600.0, reason="three greetings of a bootstrap node have gone unanswered by then"
    )
    """Asking without any answer since the start, or since a change of place, after which UDP counts as blocked."""

    lost_after_s: float = tunable(
        10.0, unit="s", low=0.5, high=3600.0, reason="three pings of a tunnel; longer than a router needs to restart"
    )
    """The same, where UDP has passed before."""

    stagger_s: float = tunable(
        0.25, unit="s", low=0.01, high=10.0, reason="RFC 8305, section 5: the next one is tried while one is silent"
    )
    """Time that one candidate has before the next one is tried as well."""

    connect_timeout_s: float = tunable(
        8.0, unit="s", low=0.5, high=120.0, reason="a proxy on a slow line, TLS and the proof: six round trips"
    )
    """How long one candidate may take to prove itself."""

    candidates: int = tunable(24, low=1, high=256, reason="six hosts of two families with two ports each")
    """Places tried in one round, at most."""

    retry_s: float = tunable(1.0, unit="s", low=0.05, high=600.0, reason="one lost connection must not cost seconds")
    """First pause after a round in which no candidate proved itself; doubled up to ``retry_most_s``."""

    retry_most_s: float = tunable(
        60.0, unit="s", low=0.1, high=3600.0, reason="a firewall that lets nothing out changes seldom"
    )
    """Longest such pause."""

    udp_retry_s: float = tunable(
        300.0, unit="s", low=0.5, high=86_400.0, reason="a changed firewall is noticed soon; costs a few greetings"
    )
    """How often a node on a trunk tries whether UDP passes again; it does so after each change of place as well."""

    # Serving

    max_trunks: int = tunable(256, low=0, high=1 << 16, reason="a socket, a connection and about 40 kB of TLS each")
    """Trunks served at one time."""

    trunks_per_prefix: int = tunable(
        32, low=1, high=1 << 16, reason="an office behind one address; one owner cannot take all"
    )
    """Trunks to one source prefix (/24, /48)."""

    max_handshakes: int = tunable(64, low=1, high=1 << 16, reason="a handshake costs 1 ms and 40 kB; more are refused")
    """Connections that have not proven themselves yet."""

    handshakes_per_prefix: int = tunable(
        16, low=1, high=1 << 16, reason="slow handshakes of one owner leave room for three others"
    )
    """Such connections from one source prefix."""

    handshakes_per_s: float = tunable(
        50.0,
        unit="1/s",
        low=0.1,
        high=100_000,
        reason="a TLS handshake costs 2 ms: a tenth of a core goes to strangers",
    )
    """Connections taken in on average, whoever opens them."""

    handshake_burst: int = tunable(200, low=1, high=1 << 20, reason="an office that wakes up; four seconds' worth")
    """Connections taken in at once."""

    prefix_handshakes_per_s: float = tunable(
        5.0, unit="1/s", low=0.01, high=100_000, reason="no network alone takes all of that"
    )
    """Connections taken in from one source prefix, on average."""

    prefix_handshake_burst: int = tunable(64, low=1, high=1 << 20, reason="an office whose line comes back")
    """Connections taken in from one source prefix at once."""

    handshake_timeout_s: float = tunable(
        5.0, unit="s", low=0.2, high=120.0, reason="four round trips to anywhere; a slow one holds its place no longer"
    )
    """From the accepted connection to the client's proof."""

    keepalive_s: float = tunable(
        15.0, unit="s", low=0.5, high=600.0, reason="proxies and firewalls forget silent connections after a minute"
    )
    """How often a client that sends nothing else shows that it is there."""

    idle_s: float = tunable(
        50.0, unit="s", low=1.0, high=3600.0, reason="three keepalives; what is silent for longer is gone"
    )
    """Silence of the other end after which a trunk is over."""

    silence_s: float = tunable(
        3.0, unit="s", low=0.1, high=600.0, reason="two retransmissions of TCP; a server that vanished is missed in 6 s"
    )
    """A client that has sent something and heard nothing for so long asks whether the server is there."""

    client_bytes_per_s: float = tunable(
        10.0 * _MB, unit="bytes/s", low=1, high=1e12, reason="as for a relay: 80 Mbit/s"
    )
    """What one client may send, and what it may be sent, on average; each datagram counts 200 bytes more."""

    client_burst_bytes: float = tunable(
        5.0 * _MB, unit="bytes", low=65_536, high=1e12, reason="as for a relay: half a second's worth"
    )
    """The same, at once."""

    total_bytes_per_s: float = tunable(
        25.0 * _MB, unit="bytes/s", low=1, high=1e12, reason="as for a relay: a fifth of a gigabit"
    )
    """What all clients together may send and be sent on average."""

    total_burst_bytes: float = tunable(
        12.5 * _MB, unit="bytes", low=65_536, high=1e12, reason="as for a relay: half a second's worth"
    )
    """The same, at once."""

    backlog_bytes: int = tunable(
        256 * _KIB, unit="bytes", low=4096, high=1 << 30, reason="what is older is better lost: QUIC sends it anew"
    )
    """Bytes that wait for a slow connection; datagrams beyond it are dropped and counted, at either end."""

    verdicts: int = tunable(
        2048, low=16, high=1 << 20, reason="about 400 kB a client at most: contacts and peers of a busy agent"
    )
    """Endpoints of which is remembered, for one client, whether a node answers there; the oldest go."""

    verdict_s: float = tunable(
        300.0, unit="s", low=1.0, high=86_400.0, reason="an address may get another owner; a greeting costs 183 bytes"
    )
    """How long it is remembered that a node answers somewhere."""

    refusal_s: float = tunable(
        1.0, unit="s", low=0.0, high=600.0, reason="a NAT that was closed may be open after the next try to meet"
    )
    """How long it is remembered that nobody answered somewhere."""

    greetings_per_s: float = tunable(
        5.0, unit="1/s", low=0.01, high=10_000, reason="new peers of a busy agent; as a scan of the Internet, useless"
    )
    """Unknown endpoints that are greeted for one client, on average."""

    greeting_burst: int = tunable(128, low=1, high=100_000, reason="a node that joins asks two lookups' worth of nodes")
    """Unknown endpoints that are greeted for one client at once."""

    greetings_pending: int = tunable(32, low=1, high=65_536, reason="requests of several lookups under way")
    """Endpoints whose answer is waited for, for one client; what goes elsewhere meanwhile is dropped."""

    held_datagrams: int = tunable(8, low=0, high=1024, reason="a QUIC handshake's first flight and its repetitions")
    """Datagrams to one endpoint that wait for its answer to the greeting; later ones are dropped."""

    def __post_init__(self) -> None:
        """Check names, ranges, and that the values fit one another.

        Raises:
            ConfigError: a value is out of range or does not fit another.
        """
        Section.__post_init__(self)
        if self.mode not in TRUNK_MODES:
            raise ConfigError(f"trunk.mode {self.mode[:80]!r} is unknown", hint=f"it is {', '.join(TRUNK_MODES)}")
        if self.client_burst_bytes > self.total_burst_bytes or self.client_bytes_per_s > self.total_bytes_per_s:
            raise ConfigError("what one client may send must not be above what all together may send")
        if (self.certificate_file is None) != (self.key_file is None):
            raise ConfigError("trunk.certificate_file and trunk.key_file belong together")
        if self.idle_s <= self.keepalive_s:
            raise ConfigError("trunk.idle_s must be above trunk.keepalive_s")
