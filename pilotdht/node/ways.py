"""Other ways to a peer than its endpoints: through a server that it is attached to, while its endpoints are tried."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Protocol

from pilotdht.errors import PilotError
from pilotdht.identity.ids import PublicKey
from pilotdht.names.peer import Peer
from pilotdht.tasks import TaskScope
from pilotdht.traversal.road_choice import worth_trying
from pilotdht.tunnel.tunnels import Tunnels
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint


class Caller(Protocol):
    """What is needed of the keeper of roads."""

    async def call(self, key: PublicKey, introducers: Sequence[Contact]) -> Endpoint | None:
        """Return a virtual endpoint through one of some servers; absent when none has a way to the peer."""
        ...


class Ways:
    """Calls peers through their introducers."""

    def __init__(
        self,
        *,
        caller: Caller,
        tunnels: Tunnels,
        own_endpoints: Callable[[], Sequence[Endpoint]],
        scope: TaskScope,
    ) -> None:
        """Make it.

        Args:
            caller: finds a way.
            tunnels: dials along it.
            own_endpoints: returns where this node may be met: a peer's private addresses are dialled from its own
                network only.
            scope: owner of the tasks.
        """
        self._caller = caller
        self._tunnels = tunnels
        self._own_endpoints = own_endpoints
        self._scope = scope
        self._calling: dict[PublicKey, None] = {}

    async def endpoints(self, peer: Peer) -> tuple[Endpoint, ...]:
        """Return where to dial a peer.

        A peer with endpoints is called meanwhile, and what is found joins the dial; one without is called first.
        """
        key = peer.public_key
        if not peer.introducers or self._tunnels.link_to(key) is not None:
            return peer.endpoints
        endpoints = tuple(worth_trying(peer.endpoints, self._own_endpoints()))
        if endpoints:
            if key not in self._calling:
                self._calling[key] = None
                self._scope.start(self._join(peer), name="call")
            return endpoints
        called = await self._caller.call(key, peer.introducers)
        return () if called is None else (called,)

    async def _join(self, peer: Peer) -> None:
        key = peer.public_key
        try:
            called = await self._caller.call(key, peer.introducers)
            if called is not None:
                with contextlib.suppress(PilotError):  # whoever dials is told
                    await self._tunnels.dial(key, [called])
        finally:
            del self._calling[key]
