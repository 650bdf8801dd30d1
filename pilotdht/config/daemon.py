"""Tunables of the daemon: bounds of its control socket, its log, its metrics."""

from __future__ import annotations

from dataclasses import dataclass

from pilotdht.config.fields import Section, tunable
from pilotdht.errors import ConfigError
from pilotdht.wire.endpoint import Endpoint

LOG_LEVELS = ("debug", "info", "warning", "error")
"""Names that ``log_level`` accepts."""

LOG_FORMATS = ("text", "json")
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

    log_level: str = tunable("info", reason="life cycle and worse; 'debug' tells each decision")
    """One of ``debug``, ``info``, ``warning``, ``error``."""

    log_format: str = tunable("text", reason="people read it first; 'json' is for collectors")
    """One of ``text``, ``json``."""

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
