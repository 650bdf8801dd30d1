"""The keeper of a port mapping over real sockets, against a router on loopback that speaks the protocols."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from prometheus_client import CollectorRegistry

from pilotdht.config.traversal import TraversalConfig
from pilotdht.net.doors import real_doors
from pilotdht.net.socket import UdpNetwork
from pilotdht.tasks import TaskScope
from pilotdht.traversal.portmap.keeper import PortMapKeeper
from pilotdht.traversal.portmap.lease import PortMapState
from pilotdht.traversal.portmap.metrics import PortMapMetrics
from pilotdht.traversal.portmap.packets import Protocol
from pilotdht.wire.endpoint import Endpoint
from tests.support.fake_router import FakeHost, FakeRouter

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs more than one loopback address"),
]

# The port of routers is fixed, so each process of tests has loopback addresses of its own.
ROUTER = f"127.{os.getpid() >> 8 & 127 | 64}.{os.getpid() & 255}.1"
OWN = ROUTER.removesuffix("1") + "2"
NEIGHBOUR = ROUTER.removesuffix("1") + "3"
QUICK = TraversalConfig(
    gateway=ROUTER, port_mapping_pcp_wait_s=0.3, port_mapping_natpmp_wait_s=0.05, port_mapping_stop_wait_s=0.2
)


class Watched:
    """A keeper that tells a test when its state changed."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.network = UdpNetwork()
        self._changed = asyncio.Event()
        self.keeper = PortMapKeeper(
            real_doors(self.network, host=FakeHost(OWN)),
            QUICK,
            PortMapMetrics(self.registry),
            internal_port=4433,
            nonce=random.Random(1).randbytes(12),
            on_change=self._changed.set,
        )

    async def reaches(self, state: PortMapState) -> None:
        """Return once the keeper is in this state."""
        async with asyncio.timeout(10):
            while self.keeper.state is not state:
                self._changed.clear()
                await self._changed.wait()

    def candidate(self) -> Endpoint | None:
        """Return the endpoint that the router says it mapped."""
        return None if self.keeper.mapping is None else self.keeper.mapping.endpoint

    def dropped(self, reason: str) -> float:
        """Return how many datagrams were dropped for a reason."""
        return self.registry.get_sample_value("pilotdht_portmap_dropped_total", {"reason": reason}) or 0.0


@asynccontextmanager
async def running(router: FakeRouter) -> AsyncIterator[Watched]:
    """Open the router and run the keeper."""
    watched = Watched()
    await router.open(watched.network)
    try:
        async with TaskScope("test") as scope:
            scope.start(watched.keeper.run(), name="port mapping")
            yield watched
    finally:
        await router.close()


@pytest.mark.parametrize("speaks_pcp", [True, False])
def test_keeper_maps_and_deletes_over_real_sockets(speaks_pcp: bool) -> None:
    """In either protocol."""

    async def scene() -> None:
        router = FakeRouter(ROUTER, speaks_pcp=speaks_pcp, port_offset=1)
        async with running(router) as watched:
            await watched.reaches(PortMapState.MAPPED)
            mapping = watched.keeper.mapping
            assert mapping is not None
            assert Endpoint("203.0.113.9", 4434) == mapping.endpoint
            assert (Protocol.PCP if speaks_pcp else Protocol.NATPMP) is mapping.protocol
            assert {Endpoint(OWN, 4433)} == set(router.held)
        assert {} == router.held

    asyncio.run(scene())


def test_keeper_no_router_listens_is_silence() -> None:
    """The system reports that nobody listens there; that is no error, and a router that starts later is found."""

    async def scene() -> None:
        router = FakeRouter(ROUTER)
        async with running(router) as watched:
            await watched.reaches(PortMapState.MAPPED)
        async with TaskScope("test") as scope:
            again = Watched()
            scope.start(again.keeper.run(), name="port mapping")
            await again.reaches(PortMapState.SILENT)
            late = FakeRouter(ROUTER)
            await late.open(again.network)
            again.keeper.refresh()
            await again.reaches(PortMapState.MAPPED)
            await scope.close()
            await late.close()
            assert {} == late.held

    asyncio.run(scene())


def test_keeper_hostile_neighbour_and_rubbish_change_nothing() -> None:
    """A neighbour forges answers under its own address, and the router sends rubbish before each answer."""

    async def scene() -> None:
        source = random.Random(3)
        router = FakeRouter(ROUTER, is_silent=True)
        router.first_sends = [source.randbytes(source.randrange(1, 200)) for _ in range(100)]
        async with running(router) as watched:
            neighbour = await watched.network.open(Endpoint(NEIGHBOUR, 5351), lambda batch: None)
            async with asyncio.timeout(10):
                while not watched.dropped("stranger"):
                    if router.client is not None:
                        neighbour.send(bytes.fromhex("0080000000000001c6336401"), router.client)
                    await asyncio.sleep(0)
            assert watched.candidate() is None
            router.is_silent = False
            watched.keeper.refresh()
            await watched.reaches(PortMapState.MAPPED)
            assert Endpoint("203.0.113.9", 4433) == watched.candidate()
            await neighbour.close()

    asyncio.run(scene())
