"""Other ways to a peer than its endpoints: through a server that it is attached to, and where it is announced near."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from pilotdht.errors import PilotError
from pilotdht.identity.ids import PublicKey
from pilotdht.names.peer import Peer
from pilotdht.tasks import TaskScope
from pilotdht.traversal.road_choice import worth_trying
from pilotdht.tunnel.tunnels import Tunnels
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint

NEAR_AFTER_S = 0.002
"""How soon a peer is tried where it is announced on the link, beside its own endpoints: an announcement is a hint, so
it must not hold up a dial, and on the link all is decided within milliseconds."""

MAX_NEAR = 2
"""Announced endpoints that are dialled: anybody on the link can announce more."""


class Caller(Protocol):
    """What is needed of the keeper of roads."""

    async def call(
        self, key: PublicKey, introducers: Sequence[Contact], *, more: Callable[[Endpoint], None] | None = None
    ) -> Endpoint | None:
        """Return a virtual endpoint through one of some servers; absent when none has a way to the peer.

        ``more`` takes those through the others, as long as nobody answers there.
        """
        ...


class Ways:
    """Calls peers through their introducers, and looks for them on the link."""

    def __init__(
        self,
        *,
        caller: Caller,
        tunnels: Tunnels,
        own_endpoints: Callable[[], Sequence[Endpoint]],
        neighbours: Callable[[PublicKey], Sequence[Endpoint]],
        scope: TaskScope,
    ) -> None:
        """Make it.

        Args:
            caller: finds a way.
            tunnels: dials along it.
            own_endpoints: returns where this node may be met: a peer's private addresses are dialled from its own
                network only.
            neighbours: returns where a key is announced on the link.
            scope: owner of the tasks.
        """
        self._caller = caller
        self._tunnels = tunnels
        self._own_endpoints = own_endpoints
        self._neighbours = neighbours
        self._scope = scope
        self._calling: dict[PublicKey, None] = {}
        self._looking: dict[PublicKey, None] = {}

    async def endpoints(self, peer: Peer) -> tuple[Endpoint, ...]:
        """Return where to dial a peer.

        A peer with endpoints is called meanwhile, and what is found joins the dial; one without is called first. Where
        it is announced on the link joins the dial as well.
        """
        key = peer.public_key
        if self._tunnels.link_to(key) is not None:
            return peer.endpoints
        near = tuple(self._neighbours(key))[:MAX_NEAR]
        endpoints = peer.endpoints
        if peer.introducers:
            endpoints = tuple(worth_trying(peer.endpoints, self._own_endpoints()))
        if endpoints and any(endpoint not in endpoints for endpoint in near) and key not in self._looking:
            self._looking[key] = None
            self._scope.start(self._look_near(key, near), name="dial-near")
        endpoints = endpoints or near
        if not peer.introducers:
            return endpoints
        if endpoints:
            if key not in self._calling:
                self._calling[key] = None
                self._scope.start(self._join(peer), name="call")
            return endpoints
        called = await self._caller.call(key, peer.introducers, more=partial(self._dial_too, key))
        return () if called is None else (called,)

    def _dial_too(self, key: PublicKey, endpoint: Endpoint) -> None:
        """Try one more endpoint beside those that are being dialled: a server may give channels that lead nowhere."""
        self._scope.start(self._dial(key, endpoint), name="dial")

    async def _dial(self, key: PublicKey, endpoint: Endpoint) -> None:
        with contextlib.suppress(PilotError):  # whoever dials is told
            await self._tunnels.dial(key, [endpoint])

    async def _look_near(self, key: PublicKey, near: Sequence[Endpoint]) -> None:
        try:
            await asyncio.sleep(NEAR_AFTER_S)
            with contextlib.suppress(PilotError):  # whoever dials is told
                await self._tunnels.dial(key, near)
        finally:
            del self._looking[key]

    async def _join(self, peer: Peer) -> None:
        key = peer.public_key
        try:
            called = await self._caller.call(key, peer.introducers, more=partial(self._dial_too, key))
            if called is not None:
                await self._dial(key, called)
        finally:
            del self._calling[key]
