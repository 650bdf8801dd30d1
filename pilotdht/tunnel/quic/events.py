"""What a connection tells the link above it."""

from __future__ import annotations

import enum
from typing import Protocol

from pilotdht.values import dataclass

CRYPTO_ERROR = 0x100
"""TLS alerts are QUIC errors from here on (RFC 9001, section 4.8)."""

_ALERT_REASONS = {
    40: "no_common_suite",
    42: "bad_certificate",
    43: "unsupported_certificate",
    46: "wrong_key",
    51: "bad_proof",
    116: "no_certificate",
    120: "wrong_protocol",
}


class CloseCode(enum.IntEnum):
    """Application error codes with which links are closed and streams reset."""

    DONE = 0
    """Nothing more to do."""
    IDLE = 1
    """Unused for long."""
    SURPLUS = 2
    """Another link to the same peer stays."""
    NOT_TRUSTED = 3
    """Trust was withdrawn."""
    SHUTDOWN = 4
    """The node stops."""
    ABORTED = 5
    """The application gave up."""
    PROTOCOL = 6
    """The peer does not obey the protocol."""


class CloseCause(enum.Enum):
    """Who or what ended a connection."""

    LOCAL = "local"
    """This side closed it."""
    REMOTE = "remote"
    """The peer closed it."""
    IDLE = "idle"
    """Nothing was heard for too long."""
    RESET = "reset"
    """The peer does not know the connection any more: it was restarted."""
    FAILED = "failed"
    """This side found the peer at fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionClosed:
    """Why a connection ended."""

    cause: CloseCause
    """Who or what ended it."""

    code: int
    """QUIC error code, or application code when :attr:`is_application`."""

    is_application: bool
    """Whether the code is one of :class:`CloseCode`."""

    text: str = ""
    """The peer's or our explanation; untrusted when it came from the peer."""

    @property
    def handshake_result(self) -> str:
        """One of the results that handshakes are counted by."""
        if self.cause is CloseCause.IDLE:
            return "timeout"
        if self.is_application:
            return "closed"
        if CRYPTO_ERROR <= self.code < 2 * CRYPTO_ERROR:
            return _ALERT_REASONS.get(self.code - CRYPTO_ERROR, "tls")
        return "cancelled" if self.cause is CloseCause.LOCAL else "protocol"


class ConnectionSink(Protocol):
    """The link above a connection; its methods only note what happened and wake who waits."""

    def on_proved(self) -> None:
        """The peer has proved its key; our own proof was given, and goes out before all that is sent from now on."""

    def on_stream_data(self, stream_id: int, data: bytes, is_last: bool) -> None:
        """Bytes arrived, in order; ``is_last`` when none follow."""

    def on_stream_reset(self, stream_id: int, code: int) -> None:
        """The peer gave up sending."""

    def on_stop_sending(self, stream_id: int, code: int) -> None:
        """The peer gave up reading."""

    def on_stream_gone(self, stream_id: int) -> None:
        """Both directions of a stream are finished, and acknowledged."""

    def on_message(self, data: bytes) -> None:
        """An unreliable message arrived."""

    def on_ping_acknowledged(self, uid: int) -> None:
        """The ping with this number was answered."""

    def on_id_issued(self, connection_id: bytes) -> None:
        """The peer may from now on write to this connection id."""

    def on_id_retired(self, connection_id: bytes) -> None:
        """The peer does not use this connection id any more."""

    def on_closed(self, closed: ConnectionClosed) -> None:
        """The connection is of no more use; it may still have datagrams to send."""

    def on_terminated(self) -> None:
        """Nothing more will be sent or understood: forget the connection."""
