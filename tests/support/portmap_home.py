"""A node's keeper of a port mapping at home, in virtual time, with a router that behaves as a test wishes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry

from pilotdht.config.traversal import TraversalConfig
from pilotdht.net.doors import Doors
from pilotdht.tasks import TaskScope
from pilotdht.traversal.portmap.keeper import PortMapKeeper
from pilotdht.traversal.portmap.lease import PortMapState
from pilotdht.traversal.portmap.metrics import PortMapMetrics
from pilotdht.wire.endpoint import Endpoint
from simulations.world.conditions import CONDITIONS
from simulations.world.network import MemoryNetwork
from tests.support.fake_router import FakeHost, FakeRouter, routes_via

OWN, ROUTER, OUTSIDE = "10.0.0.2", "10.0.0.1", "203.0.113.9"
INSIDE = Endpoint(OWN, 4433)
NONCE = b"n" * 12


class FakeForwarder:
    """UPnP, as the keeper sees it."""

    def __init__(self) -> None:
        self.outside: Endpoint | None = Endpoint(OUTSIDE, 4433)
        self.holds = False
        self.asked = 0

    async def forward(self, *, own: str, port: int, outside_port: int, lifetime_s: int) -> Endpoint | None:
        """Map it when there is an address outside."""
        assert (OWN, 4433, 4433, 7200) == (own, port, outside_port, lifetime_s)
        self.asked += 1
        await asyncio.sleep(2)
        self.holds = self.outside is not None
        return self.outside

    async def is_forwarded(self, *, own: str, port: int, outside: Endpoint) -> bool | None:
        """Return whether it is."""
        return self.holds

    async def withdraw(self, outside: Endpoint) -> None:
        """Forget it."""
        self.holds = False


class Home:
    """A node's keeper at home, with a router."""

    def __init__(
        self,
        router: FakeRouter,
        *,
        has_host: bool = True,
        forwarder: FakeForwarder | None = None,
        on_change: Callable[[], None] | None = None,
    ) -> None:
        self.router = router
        self.host = FakeHost(OWN, routes_via(ROUTER))
        self.network = MemoryNetwork(seed=1, conditions=CONDITIONS["perfect"])
        self.told: list[tuple[PortMapState, Endpoint | None]] = []
        self.registry = CollectorRegistry()
        self.scope = TaskScope("home")
        doors = Doors(
            network=self.network,
            unix_time=lambda: 1.8e9,
            random=random.Random(1),
            token_bytes=random.Random(2).randbytes,
            host=self.host if has_host else None,
            forwarder=forwarder,
        )
        self.keeper = PortMapKeeper(
            doors,
            TraversalConfig(),
            PortMapMetrics(self.registry),
            internal_port=INSIDE.port,
            nonce=NONCE,
            on_change=on_change or (lambda: self.told.append((self.keeper.state, self.candidate))),
        )

    @property
    def candidate(self) -> Endpoint | None:
        """The endpoint that the router says it mapped."""
        return None if self.keeper.mapping is None else self.keeper.mapping.endpoint

    def state(self) -> PortMapState:
        """Return how far the keeper is."""
        return self.keeper.state

    def counted(self, name: str, **labels: str) -> float:
        """Return a counter's value."""
        return self.registry.get_sample_value(f"pilotdht_portmap_{name}", labels) or 0.0


@asynccontextmanager
async def home(router: FakeRouter | None = None, *, forwarder: FakeForwarder | None = None) -> AsyncIterator[Home]:
    """Open router and keeper; on leaving, the keeper is cancelled as a node cancels it."""
    it = Home(FakeRouter(ROUTER) if router is None else router, forwarder=forwarder)
    await it.router.open(it.network)
    async with it.scope:
        it.scope.start(it.keeper.run(), name="port mapping")
        yield it
