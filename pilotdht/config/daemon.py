"""Tunables of the daemon: bounds of its control socket, its log, its metrics."""

from __future__ import annotations

from pilotdht.config.fields import Section, tunable
from pilotdht.errors import ConfigError
from pilotdht.values import dataclass
from pilotdht.wire.endpoint import Endpoint

LOG_LEVELS = ("debug", "info", "warning", "error")
"""Names that ``log_level`` accepts."""

LOG_FORMATS = ("auto", "text", "json")
"""Names that ``log_format`` accepts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonConfig(Section):
    """Everything about the daemon that can be set."""

    max_connections: int = tunable(
        128, low=4, high=10_000, reason="a client that leaks connections must not exhaust the node's descriptors"
    )
    """Connections to the control socket at one time."""

    max_header_bytes: int = tunable(
        16_384, unit="bytes", low=1024, high=1 << 20, reason="our own requests need a few hundred"
    )
    """Request line and headers of one request."""

    max_body_bytes: int = tunable(
        4 << 20, unit="bytes", low=1024, high=1 << 30, reason="a message of 3 MB in base64; more goes through a pipe"
    )
    """Body of one request that is not a pipe."""

    request_timeout_s: float = tunable(
        10.0, unit="s", low=0.1, high=600.0, reason="a local client sends its request at once or is broken"
    )
    """Time for a request's head and body to arrive."""

    idle_connection_s: float = tunable(
        60.0, unit="s", low=1.0, high=3600.0, reason="clients keep a connection for the next request"
    )
    """Time that a connection without a request is kept."""

    max_unclaimed_streams: int = tunable(
        64, low=1, high=10_000, reason="a listener that does not claim its streams must not collect them"
    )
    """Incoming streams that wait to be claimed by their listener."""

    claim_timeout_s: float = tunable(
        10.0, unit="s", low=0.1, high=600.0, reason="a listener claims at once; a peer should not wait for a dead one"
    )
    """Time for a listener to claim an incoming stream, and for a program to claim a question."""

    max_questions: int = tunable(
        64, low=1, high=10_000, reason="as many as a node answers at one time; each has a connection of its own"
    )
    """Most questions at one time that a program may ask to be given."""

    metrics: Endpoint | None = tunable(
        None, reason="metrics are on the control socket; a port is opened when asked for"
    )
    """TCP endpoint that serves ``/metrics`` besides the control socket."""

    is_metrics_announced: bool = tunable(
        False, reason="where a node may be scraped is nobody's business unless its owner says so"
    )
    """Whether trusted peers and members of one's orgs who ask are told the port of ``metrics``."""

    is_listing_targets: bool = tunable(
        False, reason="whoever reaches the metrics port would learn whom this node trusts, and where they are"
    )
    """Whether the metrics port serves ``/targets``: the peers that may be scraped, for Prometheus."""

    max_targets: int = tunable(
        256, low=1, high=10_000, reason="each costs a tunnel; a larger mesh is scraped from several nodes"
    )
    """Peers that are asked where they may be scraped."""

    target_refresh_s: float = tunable(
        60.0, unit="s", low=1.0, high=86_400.0, reason="Prometheus looks once a minute by itself"
    )
    """How long what a peer told is believed; those that decline or are silent are asked less often."""

    target_keep_s: float = tunable(
        86_400.0,
        unit="s",
        low=0.0,
        high=31_536_000.0,
        reason="a node that died must stay on the list until somebody was told of it",
    )
    """How long a peer that fell silent stays among those that may be scraped."""

    target_timeout_s: float = tunable(
        3.0, unit="s", low=0.1, high=60.0, reason="finding and dialling a peer takes a second where lines are long"
    )
    """Time for one peer to tell."""

    targets_wait_s: float = tunable(
        5.0,
        unit="s",
        low=0.1,
        high=60.0,
        reason="a first list is worth a short wait; those that are late come next time",
    )
    """Time that a list waits for peers that are to be asked."""

    log_level: str = tunable("info", reason="life cycle and worse; 'debug' tells each decision")
    """One of ``debug``, ``info``, ``warning``, ``error``."""

    log_format: str = tunable("auto", reason="people read terminals, collectors read everything else")
    """One of ``auto`` (text on a terminal, JSON elsewhere), ``text``, ``json``."""

    log_max_bytes: int = tunable(4 << 20, unit="bytes", low=4096, high=1 << 30, reason="a log must never fill a disk")
    """Size at which the log file is rotated."""

    log_files_kept: int = tunable(2, low=1, high=100, reason="enough to look back over a restart")
    """Rotated log files kept besides the current one."""

    def __post_init__(self) -> None:
        """Check ranges and names.

        Raises:
            ConfigError: a value is out of range or unknown.
        """
        Section.__post_init__(self)
        if self.log_level not in LOG_LEVELS:
            raise ConfigError(f"log_level must be one of {', '.join(LOG_LEVELS)}")
        if self.log_format not in LOG_FORMATS:
            raise ConfigError(f"log_format must be one of {', '.join(LOG_FORMATS)}")
        if self.metrics is None and (self.is_metrics_announced or self.is_listing_targets):
            raise ConfigError(
                "there is no metrics port to announce, or to list targets on", hint="set daemon.metrics, or --metrics"
            )
