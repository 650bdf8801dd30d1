"""What the keeper of roads needs of the links that it moves."""

from __future__ import annotations

from typing import Protocol

from pilotdht.identity.ids import PublicKey
from pilotdht.wire.endpoint import Endpoint


class MovableLink(Protocol):
    """What is needed of a link."""

    @property
    def peer_key(self) -> PublicKey:
        """Who is on the other side."""
        ...

    @property
    def endpoint(self) -> Endpoint | None:
        """Where its datagrams go."""
        ...

    @property
    def rtt_s(self) -> float | None:
        """Smoothed round-trip time in seconds; absent before it was measured."""
        ...

    def move(self, endpoint: Endpoint) -> None:
        """Send along a road that is new, or has changed; at once, so that the peer sees where this node is."""
        ...
