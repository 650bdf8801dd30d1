"""Calls a peer through the servers that it is attached to: a few at once, and others when these fail or keep silent.

A server that is gone answers nothing at all, and waiting for it would cost a second or more: the next one is asked
before that. Channels that come too late stay as further roads until they are idle.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Iterable
from typing import Protocol

from pilotdht.config.roads import RoadConfig
from pilotdht.errors import Overloaded, PilotError, TimedOut
from pilotdht.identity.ids import PublicKey
from pilotdht.tasks import TaskScope
from pilotdht.traversal.metrics import RoadMetrics
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint

_logger = logging.getLogger(__name__)

_RESULTS: dict[type[PilotError], str] = {TimedOut: "silent", Overloaded: "overloaded"}


class Channels(Protocol):
    """What is needed of the client of servers that relay."""

    async def call(self, relay: Contact, target: PublicKey) -> Endpoint:
        """Call a node that is attached to a server; return the virtual endpoint where it can be reached now.

        Raises:
            PilotError: the server does not answer, does not serve us, or does not know the node.
        """
        ...

    def is_relayed(self, endpoint: Endpoint) -> bool:
        """Return whether a channel carries tunnels; others are good for a meeting alone."""
        ...

    def relay_of(self, endpoint: Endpoint) -> Contact | None:
        """Return the server behind a virtual endpoint; absent when it is not one of an open channel."""
        ...

    def close(self, endpoint: Endpoint) -> None:
        """Give a channel up."""
        ...


async def channels_to(
    key: PublicKey,
    introducers: Iterable[Contact],
    *,
    channels: Channels,
    scope: TaskScope,
    config: RoadConfig,
    metrics: RoadMetrics,
) -> AsyncGenerator[Endpoint, None]:
    """Go through the channels to a peer as they open; ends when every server has opened one, refused or kept silent.

    Args:
        key: whom to call.
        introducers: servers that the peer names, the one to ask first in front.
        channels: opens channels.
        scope: owner of the calls; whoever stops early leaves them to it.
        config: how many at once, and how long one is waited for.
        metrics: where everything is counted.
    """
    found: asyncio.Queue[Endpoint | None] = asyncio.Queue()

    async def call(relay: Contact) -> None:
        endpoint = None
        try:
            endpoint = await channels.call(relay, key)
        except PilotError as error:
            _logger.debug("a peer was not called", extra={"reason": error.code, "endpoint": str(relay.endpoint)})
            metrics.calls[_RESULTS.get(type(error), "refused")].inc()
        else:
            metrics.calls["opened"].inc()
        found.put_nowait(endpoint)

    untried, waiting, allowed = deque(introducers), 0, config.calls_at_once
    while untried or waiting:
        while untried and waiting < allowed:
            scope.start(call(untried.popleft()), name="call")
            waiting += 1
        try:
            async with asyncio.timeout(config.call_stagger_s if untried else None):
                endpoint = await found.get()
        except TimeoutError:
            allowed += 1
            continue
        waiting -= 1
        if endpoint is not None:
            yield endpoint
