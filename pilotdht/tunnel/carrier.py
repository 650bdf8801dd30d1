"""What a stream needs of the link that carries it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pilotdht.identity.ids import PublicKey
from pilotdht.tunnel.header import Answer, StreamHeader
from pilotdht.tunnel.quic.events import CloseCode

if TYPE_CHECKING:  # a stream is made with its carrier
    from pilotdht.tunnel.stream import Stream


class StreamCarrier(Protocol):
    """What a stream needs of its link."""

    @property
    def peer_key(self) -> PublicKey:
        """Who is on the other side."""
        ...

    def admit(self, stream: Stream, header: StreamHeader) -> None:
        """Decide about an incoming stream whose header is complete."""

    def refuse(self, stream: Stream, answer: Answer) -> None:
        """Refuse an incoming stream."""

    def send(self, stream_id: int, data: bytes, is_last: bool) -> bool:
        """Queue bytes; False when the stream cannot take any more."""
        ...

    def unacknowledged_bytes(self, stream_id: int) -> int:
        """Bytes written and not acknowledged."""
        ...

    def is_delivered(self, stream_id: int) -> bool:
        """Whether all that was written was acknowledged."""
        ...

    def consumed(self, stream_id: int, size: int) -> None:
        """The application is done with bytes that were received."""

    def reset(self, stream_id: int, code: CloseCode) -> None:
        """Give up sending."""

    def stop(self, stream_id: int, code: CloseCode) -> None:
        """Ask the peer to give up sending."""

    def wake_when_acknowledged(self, stream: Stream) -> None:
        """Call :meth:`Stream.on_acknowledged` after each acknowledgement until it returns True."""
