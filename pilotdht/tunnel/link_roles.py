"""What a link needs of others: somebody to move its datagrams, and somebody to decide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pilotdht.tunnel.header import Answer, StreamHeader
from pilotdht.tunnel.quic.events import ConnectionClosed
from pilotdht.tunnel.stream import Stream
from pilotdht.wire.endpoint import Endpoint

if TYPE_CHECKING:  # a link is made with these
    from pilotdht.tunnel.link import Link


class LinkDriver(Protocol):
    """Moves a link's datagrams: the endpoint."""

    def touch(self, link: Link) -> None:
        """Send what the link's connection has to send, soon."""

    def route(self, connection_id: bytes, link: Link) -> None:
        """Hand datagrams with this connection id to the link."""

    def unroute(self, connection_id: bytes, link: Link) -> None:
        """The peer does not use this connection id any more."""

    def forget(self, link: Link) -> None:
        """Stop the link's timer and forget its connection ids."""

    def on_link_up(self, link: Link) -> None:
        """The handshake is done."""

    def on_link_closed(self, link: Link, closed: ConnectionClosed) -> None:
        """The link is of no more use."""


class RoadWatcher(Protocol):
    """Decides along which road a link's datagrams go."""

    def astray(self, link: Link, endpoint: Endpoint) -> None:
        """A datagram that only the peer can have sent came from elsewhere than where we send."""

    def in_doubt(self, link: Link) -> None:
        """What was sent was asked after several times, and not answered."""


class LinkOwner(Protocol):
    """Decides what may happen on a link: the tunnels."""

    def admit(self, link: Link, stream: Stream, header: StreamHeader) -> Answer:
        """Say whether an incoming stream is accepted."""
        ...

    def serve(self, link: Link, stream: Stream) -> None:
        """Run the handler of a stream that was accepted."""

    def on_refused(self, answer: Answer) -> None:
        """Count an incoming stream that was refused."""

    def on_message(self, link: Link, port: int, data: bytes) -> None:
        """Take in an unreliable message."""

    def on_message_dropped(self, reason: str) -> None:
        """Count an unreliable message that was dropped."""

    def traceparent(self) -> str | None:
        """Return the trace context of the task that runs; absent when nothing is recorded."""
