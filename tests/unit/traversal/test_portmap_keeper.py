"""Keeping a port mapped, hours in virtual time, by routers that do it, refuse it, or do not answer."""

from __future__ import annotations

import asyncio

import pytest

from pilotdht.traversal.portmap.lease import PortMapState
from pilotdht.traversal.portmap.packets import Outcome, Protocol
from pilotdht.wire.endpoint import Endpoint
from simulations.engine.virtual_loop import run_virtually
from tests.support.fake_router import FakeRouter, Held
from tests.support.portmap_home import INSIDE, NONCE, OUTSIDE, ROUTER, FakeForwarder, home


@pytest.mark.parametrize(
    ("router", "protocol", "within_s"),
    [
        (FakeRouter(ROUTER), Protocol.PCP, 0.1),
        (FakeRouter(ROUTER, speaks_pcp=False), Protocol.NATPMP, 0.2),
        (FakeRouter(ROUTER, speaks_natpmp=False), Protocol.PCP, 0.1),
        (FakeRouter(ROUTER, speaks_pcp=False, loses=1), Protocol.NATPMP, 3.7),
    ],
)
def test_keeper_maps_a_port(router: FakeRouter, protocol: Protocol, within_s: float) -> None:
    """By PCP when the router speaks it, else by NAT-PMP, at once when the router says that it does not."""

    async def scene() -> None:
        async with home(router) as it:
            await asyncio.sleep(within_s)
            mapping = it.keeper.mapping
            assert mapping is not None
            assert (Endpoint(OUTSIDE, 4433), protocol, ROUTER) == (mapping.endpoint, mapping.protocol, mapping.router)
            assert 1.0 == it.counted("mapped")

    run_virtually(scene())


@pytest.mark.parametrize("speaks_pcp", [True, False])
def test_keeper_deletes_the_mapping_when_it_stops(speaks_pcp: bool) -> None:
    """Nothing is left behind."""

    async def scene() -> None:
        router = FakeRouter(ROUTER, speaks_pcp=speaks_pcp)
        async with home(router) as it:
            await asyncio.sleep(1)
            assert {INSIDE} == set(router.held)
        assert {} == router.held
        assert (PortMapState.OFF, None) == it.told[-1]

    run_virtually(scene())


def test_keeper_stops_soon_when_the_router_is_gone() -> None:
    """Two deletions go out, nobody answers, and it takes less than a second."""

    async def scene() -> float:
        async with home() as it:
            await asyncio.sleep(1)
            it.router.is_silent = True
            begun = asyncio.get_running_loop().time()
        assert ["pcp map 0"] * 2 == it.router.heard[-2:]
        return asyncio.get_running_loop().time() - begun

    assert run_virtually(scene()) == pytest.approx(0.75, abs=0.01)


@pytest.mark.parametrize("speaks_pcp", [True, False])
def test_keeper_renews_between_half_and_five_eighths(speaks_pcp: bool) -> None:
    """For a day, and the mapping never ends; checks in between keep nothing alive by themselves."""

    async def scene() -> None:
        router = FakeRouter(ROUTER, speaks_pcp=speaks_pcp, most_lifetime_s=3600)
        async with home(router) as it:
            for _ in range(24 * 6):
                await asyncio.sleep(600)
                mapping = it.keeper.mapping
                assert mapping is not None
                assert mapping.expires_at > asyncio.get_running_loop().time()
            wishes = sum("map" in heard for heard in router.heard)
            assert 24 * 3600 / 2250 <= wishes <= 24 * 3600 / 1800 + 1
            assert [PortMapState.SEARCHING, PortMapState.MAPPED] == [state for state, _ in it.told]

    run_virtually(scene())


@pytest.mark.parametrize("speaks_pcp", [True, False])
def test_keeper_notices_a_restart_within_a_minute(speaks_pcp: bool) -> None:
    """The router's clock went back: the port is mapped again, long before the renewal."""

    async def scene() -> None:
        router = FakeRouter(ROUTER, speaks_pcp=speaks_pcp)
        async with home(router) as it:
            await asyncio.sleep(300)
            router.restart()
            await asyncio.sleep(62)
            assert {INSIDE: 4433} == {inside: held.external_port for inside, held in router.held.items()}
            assert 1.0 == it.counted("router_restarts_total")

    run_virtually(scene())


def test_keeper_asks_for_the_same_port_after_a_restart() -> None:
    """What was published stays true."""

    async def scene() -> None:
        router = FakeRouter(ROUTER, port_offset=1000)
        async with home(router) as it:
            await asyncio.sleep(10)
            router.port_offset = 0
            router.restart()
            await asyncio.sleep(62)
            assert Endpoint(OUTSIDE, 5433) == it.candidate

    run_virtually(scene())


def test_keeper_tells_of_another_address_within_a_minute() -> None:
    """A router whose provider gave it another address, found out by NAT-PMP's question for it."""

    async def scene() -> None:
        router = FakeRouter(ROUTER, speaks_pcp=False)
        async with home(router) as it:
            await asyncio.sleep(10)
            router.external = "203.0.113.77"
            await asyncio.sleep(62)
            assert (PortMapState.MAPPED, Endpoint("203.0.113.77", 4433)) == it.told[-1]

    run_virtually(scene())


def test_keeper_silent_router_is_asked_ever_more_seldom() -> None:
    """Each pause twice the one before, up to 17 minutes, each time in both protocols."""

    async def scene() -> None:
        async with home(FakeRouter(ROUTER, is_silent=True)) as it:
            await asyncio.sleep(24 * 3600)
            assert (PortMapState.SILENT, None) == (it.state(), it.candidate)
            asked = it.router.heard.count("pcp map 7200")
            assert 80 <= asked <= 110
            assert 4 * asked == pytest.approx(it.router.heard.count("natpmp address"), abs=4)
            it.router.is_silent = False
            it.keeper.refresh()
            await asyncio.sleep(1.1)
            assert PortMapState.MAPPED is it.state()

    run_virtually(scene())


@pytest.mark.parametrize(
    ("refuses", "retry_after_s", "outcome", "asked"),
    [(2, 0, Outcome.FORBIDDEN, 4), (2, 600, Outcome.FORBIDDEN, 12), (8, 0, Outcome.FULL, 225)],
)
def test_keeper_refused_waits_as_the_router_wishes(
    refuses: int, retry_after_s: int, outcome: Outcome, asked: int
) -> None:
    """In two hours; without a wish, half an hour for what a person must change, else half a minute."""

    async def scene() -> None:
        router = FakeRouter(ROUTER, speaks_natpmp=False, refuses=refuses, retry_after_s=retry_after_s)
        async with home(router) as it:
            await asyncio.sleep(7190)
            assert (PortMapState.REFUSED, outcome) == (it.state(), it.keeper.refusal)
            assert asked == pytest.approx(router.heard.count("pcp map 7200"), rel=0.2)

    run_virtually(scene())


def test_keeper_refused_in_pcp_is_granted_in_natpmp() -> None:
    """A router that remembers a mapping of another nonce, as after a lost identity, may still do it the older way."""

    async def scene() -> None:
        router = FakeRouter(ROUTER)
        router.held[INSIDE] = Held(4433, b"x" * 12, 7200)
        async with home(router) as it:
            await asyncio.sleep(1)
            assert it.keeper.mapping is not None
            assert Protocol.NATPMP is it.keeper.mapping.protocol

    run_virtually(scene())


def test_keeper_with_the_same_nonce_takes_its_mapping_over_after_a_crash() -> None:
    """The router sees the same client."""

    async def scene() -> None:
        router = FakeRouter(ROUTER, speaks_natpmp=False)
        router.held[INSIDE] = Held(4433, NONCE, 7200)
        async with home(router) as it:
            await asyncio.sleep(1)
            assert Endpoint(OUTSIDE, 4433) == it.candidate

    run_virtually(scene())


def test_keeper_that_is_refused_a_renewal_forgets_the_mapping() -> None:
    """What the router does not do any more is not published any more."""

    async def scene() -> None:
        router = FakeRouter(ROUTER)
        async with home(router) as it:
            await asyncio.sleep(10)
            router.refuses = 2
            it.keeper.refresh()
            await asyncio.sleep(2)
            assert (PortMapState.REFUSED, None) == it.told[-1]

    run_virtually(scene())


def test_keeper_mapping_of_a_router_gone_silent_ends_with_its_lifetime() -> None:
    """It is tried again and again, and then it is over."""

    async def scene() -> None:
        router = FakeRouter(ROUTER)
        async with home(router) as it:
            await asyncio.sleep(10)
            router.is_silent = True
            await asyncio.sleep(7000)
            before = it.candidate
            await asyncio.sleep(260)
            assert (Endpoint(OUTSIDE, 4433), None) == (before, it.candidate)
            assert (PortMapState.SILENT, None) == it.told[-1]

    run_virtually(scene())


def test_keeper_renews_in_the_protocol_that_worked() -> None:
    """A router that does not speak PCP is not asked in it again and again."""

    async def scene() -> None:
        router = FakeRouter(ROUTER, speaks_pcp=False)
        async with home(router):
            await asyncio.sleep(24 * 3600)
        assert 1 == router.heard.count("version")

    run_virtually(scene())


def test_keeper_falls_back_to_upnp_and_keeps_it() -> None:
    """Where the router is silent otherwise: mapped, looked after, mapped again when lost, withdrawn at the end."""

    async def scene() -> None:
        forwarder = FakeForwarder()
        async with home(FakeRouter(ROUTER, is_silent=True), forwarder=forwarder) as it:
            await asyncio.sleep(10)
            mapping = it.keeper.mapping
            assert mapping is not None
            assert (Endpoint(OUTSIDE, 4433), Protocol.UPNP) == (mapping.endpoint, mapping.protocol)
            asked = len(it.router.heard)
            forwarder.holds = False
            await asyncio.sleep(65)
            assert forwarder.holds
            await asyncio.sleep(6 * 3600)
            assert 6 <= forwarder.asked <= 9
            assert asked == len(it.router.heard)
        assert not forwarder.holds

    run_virtually(scene())


def test_keeper_does_not_ask_upnp_where_the_router_grants_otherwise() -> None:
    """It is the last resort."""

    async def scene() -> None:
        forwarder = FakeForwarder()
        async with home(forwarder=forwarder):
            await asyncio.sleep(3600)
        assert 0 == forwarder.asked

    run_virtually(scene())


def test_keeper_upnp_that_is_not_possible_is_silence() -> None:
    """No router speaks anything."""

    async def scene() -> None:
        forwarder = FakeForwarder()
        forwarder.outside = None
        async with home(FakeRouter(ROUTER, is_silent=True), forwarder=forwarder) as it:
            await asyncio.sleep(20)
            assert (PortMapState.SILENT, None) == (it.state(), it.candidate)

    run_virtually(scene())
