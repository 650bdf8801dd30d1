"""What the keeper of roads asks about the local network: where a peer is announced, and what a peer may be told."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pilotdht.identity.ids import PublicKey
from pilotdht.traversal.lan.telling import may_be_told
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.traversal_messages import MAX_MEETING_ENDPOINTS

MAX_PRIVATE = 2
"""Private endpoints that are told: one of each address family."""


class Near:
    """Answers for one node."""

    def __init__(
        self,
        *,
        public: Callable[[], Sequence[Endpoint]],
        private: Callable[[], Sequence[Endpoint]],
        neighbours: Callable[[PublicKey], Sequence[Endpoint]],
        is_trusted: Callable[[PublicKey], bool],
    ) -> None:
        """Make it.

        Args:
            public: returns where anybody may meet this node.
            private: returns its endpoints with private addresses.
            neighbours: returns where a key is announced on the link.
            is_trusted: whether a peer is trusted.
        """
        self._public = public
        self._private = private
        self._is_trusted = is_trusted
        self.endpoints_of = neighbours
        """Returns where a key is announced on the link; a hint."""

    def points_for(self, key: PublicKey, *, seen: Sequence[Endpoint], said: Sequence[str]) -> tuple[Endpoint, ...]:
        """Return where a peer may try to meet this node, at most as many as a message holds.

        Args:
            key: whom it is told.
            seen: where the peer's own datagrams came from, or its answers.
            said: the addresses at which it says that it may be met.
        """
        public, private = tuple(self._public()), tuple(self._private())[:MAX_PRIVATE]
        private = tuple(endpoint for endpoint in private if endpoint not in public)
        if private and may_be_told(private, public=public, seen=seen, said=said, is_trusted=self._is_trusted(key)):
            public = (*public[: MAX_MEETING_ENDPOINTS - len(private)], *private)
        return public[:MAX_MEETING_ENDPOINTS]
