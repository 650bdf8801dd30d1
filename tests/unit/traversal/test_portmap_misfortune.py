"""Keeping a port mapped while the node moves, the router sends rubbish, and neighbours forge."""

from __future__ import annotations

import asyncio

import pytest

from pilotdht.errors import ConfigError
from pilotdht.net.doors import DatagramSocket, Receive
from pilotdht.traversal.portmap.lease import PortMapState
from pilotdht.traversal.portmap.packets import Protocol
from pilotdht.wire.endpoint import Endpoint
from simulations.engine.virtual_loop import run_virtually
from simulations.world.network import MemoryNetwork
from tests.support.fake_router import FakeRouter, routes_via
from tests.support.portmap_home import NONCE, OUTSIDE, OWN, ROUTER, Home, home


def test_keeper_follows_a_move() -> None:
    """Another network has another router; what the one before mapped leads nowhere and is forgotten at once."""

    async def scene() -> None:
        async with home() as it:
            await asyncio.sleep(10)
            there = FakeRouter("10.9.0.1", external="198.51.100.7")
            await there.open(it.network)
            it.host.own, it.host.routes = "10.9.0.2", routes_via("10.9.0.1")
            it.keeper.refresh()
            await asyncio.sleep(2)
            assert Endpoint("198.51.100.7", 4433) == it.candidate
            assert (PortMapState.SEARCHING, None) in it.told
            assert {Endpoint("10.9.0.2", 4433)} == set(there.held)
            assert 0.0 == it.counted("router_restarts_total")

    run_virtually(scene())


def test_keeper_follows_another_own_address_at_the_same_router() -> None:
    """The cable was plugged in: the router maps to the address that is ours now."""

    async def scene() -> None:
        async with home() as it:
            await asyncio.sleep(10)
            it.host.own = "10.0.0.3"
            it.router.is_silent = True
            it.keeper.refresh()
            await asyncio.sleep(1)
            before = it.candidate
            it.router.is_silent = False
            it.keeper.refresh()
            await asyncio.sleep(9)
            mapping = it.keeper.mapping
            assert (None, "10.0.0.3") == (before, None if mapping is None else mapping.own)

    run_virtually(scene())


def test_keeper_follows_another_router_with_the_same_own_address() -> None:
    """Two homes may give the same address; what the router of the one maps is worth nothing in the other."""

    async def scene() -> None:
        async with home() as it:
            await asyncio.sleep(10)
            there = FakeRouter("10.0.0.254", external="198.51.100.7")
            await there.open(it.network)
            it.host.routes = routes_via("10.0.0.254")
            it.keeper.refresh()
            await asyncio.sleep(1)
            assert Endpoint("198.51.100.7", 4433) == it.candidate

    run_virtually(scene())


def test_keeper_that_is_told_of_a_change_is_patient_no_longer() -> None:
    """After a day of silence a refresh begins with short pauses again."""

    async def scene() -> None:
        async with home(FakeRouter(ROUTER, is_silent=True)) as it:
            await asyncio.sleep(24 * 3600)
            it.keeper.refresh()
            await asyncio.sleep(1)
            before = it.router.heard.count("pcp map 7200")
            await asyncio.sleep(30)
            assert it.router.heard.count("pcp map 7200") - before >= 2

    run_virtually(scene())


def test_keeper_without_a_network_waits_for_one() -> None:
    """No address, no router, no error."""

    async def scene() -> None:
        async with home() as it:
            it.host.own, it.host.routes = None, ""
            it.keeper.refresh()
            await asyncio.sleep(3)
            assert PortMapState.NOWHERE is it.state()
            it.host.own, it.host.routes = OWN, routes_via(ROUTER)
            it.keeper.refresh()
            await asyncio.sleep(1.5)
            assert PortMapState.MAPPED is it.state()

    run_virtually(scene())


def test_keeper_with_an_address_that_cannot_be_bound_has_nowhere_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address may go between two looks."""
    opened = MemoryNetwork.open
    failures = [ConfigError("there is no such address here")]

    async def fail_once(network: MemoryNetwork, listen: Endpoint, receive: Receive) -> DatagramSocket:
        if listen.host == OWN and failures:
            raise failures.pop()
        return await opened(network, listen, receive)

    async def scene() -> None:
        it = Home(FakeRouter(ROUTER))
        await it.router.open(it.network)
        monkeypatch.setattr(MemoryNetwork, "open", fail_once)
        async with it.scope:
            it.scope.start(it.keeper.run(), name="port mapping")
            await asyncio.sleep(1)
            assert PortMapState.NOWHERE is it.state()
            await asyncio.sleep(10)
            assert PortMapState.MAPPED is it.state()

    run_virtually(scene())


def test_keeper_asked_to_refresh_all_the_time_asks_once_a_second() -> None:
    """Nobody can make it flood the router."""

    async def scene() -> None:
        async with home() as it:
            for _ in range(1000):
                it.keeper.refresh()
                await asyncio.sleep(0.01)
            assert len(it.router.heard) <= 12

    run_virtually(scene())


def test_keeper_mapping_for_seconds_is_none() -> None:
    """What ends before anybody reads of it is not published."""

    async def scene() -> None:
        async with home(FakeRouter(ROUTER, most_lifetime_s=5)) as it:
            await asyncio.sleep(1)
            assert (PortMapState.REFUSED, None) == (it.state(), it.candidate)

    run_virtually(scene())


FORGED = bytes.fromhex("02810000" + "00001c20" + "000003e8" + "00" * 12) + (
    b"?" * 12 + bytes.fromhex("11000000" + "1151" + "2222" + "00000000000000000000ffff" + "c6336401")
)


def test_keeper_router_that_also_sends_rubbish_is_heard() -> None:
    """Rubbish is counted by reason; another's answer is not taken for ours."""

    async def scene() -> None:
        rubbish = [b"", b"\x07\x81" + bytes(58), b"\x00" * 60, b"\x02\x81" + bytes(1102), FORGED]
        async with home(FakeRouter(ROUTER, first_sends=rubbish)) as it:
            await asyncio.sleep(1)
            assert Endpoint(OUTSIDE, 4433) == it.candidate
            reasons = ("portmap_size", "portmap_version", "portmap_request", "other_answer")
            assert [2.0, 1.0, 1.0, 1.0] == [it.counted("dropped_total", reason=reason) for reason in reasons]

    run_virtually(scene())


def test_keeper_refusal_of_somebody_elses_wish_is_not_ours() -> None:
    """A refusal repeats the request, and with it the nonce."""

    async def scene() -> None:
        refusal = bytes([2, 0x81, 0, 2]) + FORGED[4:]
        async with home(FakeRouter(ROUTER, first_sends=[refusal])) as it:
            await asyncio.sleep(1)
            assert it.keeper.mapping is not None
            assert Protocol.PCP is it.keeper.mapping.protocol

    run_virtually(scene())


def test_keeper_ignores_whoever_is_not_the_router() -> None:
    """A neighbour that answers faster than the router is not heard, asked or unasked."""

    async def scene() -> None:
        async with home(FakeRouter(ROUTER, is_silent=True)) as it:
            await asyncio.sleep(0)
            neighbour = it.network.bind(Endpoint("10.0.0.66", 5351), lambda batch: None)
            answer = FORGED.replace(b"?" * 12, NONCE)
            for _ in range(400):
                neighbour.send(answer, Endpoint(OWN, 20_000))
                await asyncio.sleep(0.1)
            assert it.keeper.mapping is None
            assert 100 <= it.counted("dropped_total", reason="stranger")
            assert 10 <= it.counted("dropped_total", reason="unasked")

    run_virtually(scene())


def test_keeper_handler_that_raises_stops_nothing() -> None:
    """The mapping is kept all the same."""

    async def scene() -> None:
        def broken() -> None:
            raise RuntimeError("handler")

        it = Home(FakeRouter(ROUTER), on_change=broken)
        await it.router.open(it.network)
        async with it.scope:
            it.scope.start(it.keeper.run(), name="port mapping")
            await asyncio.sleep(1)
            assert PortMapState.MAPPED is it.state()

    run_virtually(scene())


def test_keeper_without_a_host_asks_nobody() -> None:
    """As in a simulation."""

    async def scene() -> None:
        it = Home(FakeRouter(ROUTER), has_host=False)
        await it.keeper.run()
        assert PortMapState.NOWHERE is it.state()

    run_virtually(scene())
