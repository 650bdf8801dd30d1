"""Whatever a router, or somebody who forges its address, sends: it is read or refused, and nothing else happens."""

from __future__ import annotations

import asyncio
import ipaddress
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from pilotdht.config.traversal import TraversalConfig
from pilotdht.errors import BadMessage
from pilotdht.net.doors import Batch, Doors
from pilotdht.tasks import TaskScope
from pilotdht.traversal.portmap.gateway import MAX_GATEWAYS, gateways_to_ask
from pilotdht.traversal.portmap.keeper import PortMapKeeper
from pilotdht.traversal.portmap.metrics import PortMapMetrics
from pilotdht.traversal.portmap.packets import Mapped, PublicAddress, answer_untrusted
from pilotdht.wire.endpoint import Endpoint, unpack_endpoint_untrusted
from simulations.engine.virtual_loop import run_virtually
from simulations.world.conditions import CONDITIONS
from simulations.world.network import MemoryNetwork
from tests.support.fake_router import PORT, FakeHost, FakeRouter, routes_via

pytestmark = pytest.mark.property

NONCE = b"n" * 12
OWN, ROUTER = "10.0.0.2", "10.0.0.1"

heads = st.sampled_from(
    [b"\x00\x80\x00\x00", b"\x00\x81\x00\x00", b"\x02\x81\x00\x00", b"\x02\x80\x00\x00", b"\x00\x81\x00\x01"]
)
replies = st.one_of(
    st.binary(max_size=1200),
    st.builds(bytes.__add__, heads, st.binary(max_size=100)),
    st.builds(bytes.__add__, heads, st.binary(min_size=56, max_size=56)),
    st.builds(bytes.__add__, heads, st.binary(min_size=12, max_size=12)),
)


@given(replies)
def test_answer_is_read_or_refused(reply: bytes) -> None:
    """Only ``BadMessage`` comes out; what is read names places that somebody could be at."""
    try:
        answer = answer_untrusted(reply)
    except BadMessage:
        return
    if isinstance(answer, PublicAddress):
        unpack_endpoint_untrusted(Endpoint(answer.host, 1).packed())
    if isinstance(answer, Mapped) and answer.lifetime_s and answer.external_host:
        place = Endpoint(answer.external_host, answer.external_port)
        assert place == unpack_endpoint_untrusted(place.packed())


@given(st.text(max_size=400), st.sampled_from(["192.168.1.2", "8.8.8.8", None]))
def test_gateways_of_any_text_are_addresses(routes: str, own: str | None) -> None:
    """A kernel that writes otherwise than expected costs nothing."""
    found = gateways_to_ask(configured="", routes="titles\n" + routes, own=own)
    assert len(found) <= MAX_GATEWAYS
    assert all(ipaddress.IPv4Address(gateway) for gateway in found)


@given(st.lists(replies, max_size=30))
@settings(max_examples=50)
def test_keeper_lives_through_any_router(rubbish: list[bytes]) -> None:
    """It answers every request with rubbish for half an hour; once it behaves, the port is mapped."""

    async def scene() -> None:
        network = MemoryNetwork(seed=1, conditions=CONDITIONS["perfect"])
        doors = Doors(
            network=network,
            unix_time=lambda: 1.8e9,
            random=random.Random(1),
            token_bytes=random.Random(2).randbytes,
            host=FakeHost(OWN, routes_via(ROUTER)),
        )
        keeper = PortMapKeeper(
            doors,
            TraversalConfig(),
            PortMapMetrics(CollectorRegistry()),
            internal_port=4433,
            nonce=NONCE,
            on_change=lambda: None,
        )
        answers = iter(rubbish * 1000)

        def mad(batch: Batch) -> None:
            for _, client in batch:
                for _ in range(3):
                    socket.send(next(answers, b""), client)

        socket = network.bind(Endpoint(ROUTER, PORT), mad)
        async with TaskScope("home") as scope:
            scope.start(keeper.run(), name="port mapping")
            await asyncio.sleep(1800)
            await socket.close()
            router = FakeRouter(ROUTER)
            await router.open(network)
            keeper.refresh()
            await asyncio.sleep(10)
            assert keeper.mapping is not None
            assert scope.failures == 0

    run_virtually(scene())
