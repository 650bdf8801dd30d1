"""UPnP by a library that blocks and raises whatever it likes."""

from __future__ import annotations

import asyncio
import threading
from ipaddress import IPv4Address
from typing import Any

import pytest

from pilotdht.net.upnp import PORTS_TRIED, UpnpForwarder
from pilotdht.wire.endpoint import Endpoint

OWN, OUTSIDE = "192.168.1.2", "203.0.113.9"


class FakeGateway:
    """A router, as the library shows it."""

    def __init__(self) -> None:
        self.outside = OUTSIDE
        self.held: dict[int, tuple[str, int, int]] = {}
        self.searches = 0
        self.takes_only_permanent = False
        self.error = ""
        self.gate = threading.Event()
        self.gate.set()

    def discover(self) -> int:
        """Count the search."""
        self.searches += 1
        self.gate.wait(5)
        return 1

    def selectigd(self) -> str:
        """Find it."""
        self._fail()
        return "http://192.168.1.1/ctl"

    def externalipaddress(self) -> str:
        """Return what was set."""
        self._fail()
        return self.outside

    def addportmapping(self, *mapping: Any) -> bool:
        """Map."""
        self._fail()
        outside_port, _, host, port, _, _, lifetime_s = mapping
        if lifetime_s and self.takes_only_permanent:
            raise Exception("OnlyPermanentLeasesSupported")  # noqa: TRY002 - as the library does
        if outside_port in self.held and self.held[outside_port][0] != host:
            raise Exception("ConflictInMappingEntry")  # noqa: TRY002 - as the library does
        self.held[outside_port] = (host, port, lifetime_s)
        return True

    def getspecificportmapping(self, port: int, protocol: str) -> tuple[Any, ...] | None:
        """Return what is mapped."""
        self._fail()
        return self.held.get(port)

    def deleteportmapping(self, port: int, protocol: str) -> bool:
        """Delete."""
        self._fail()
        self.held.pop(port, None)
        return True

    def _fail(self) -> None:
        if self.error:
            raise Exception(self.error)  # noqa: TRY002 - as the library does


async def forward(forwarder: UpnpForwarder, port: int = 4433) -> Endpoint | None:
    """Map a port to the same one outside."""
    return await forwarder.forward(own=OWN, port=port, outside_port=port, lifetime_s=7200)


def test_upnp_maps_checks_and_withdraws() -> None:
    """One search serves all calls."""

    async def scene() -> None:
        gateway = FakeGateway()
        forwarder = UpnpForwarder(lambda own: gateway)
        outside = await forward(forwarder)
        assert Endpoint(OUTSIDE, 4433) == outside
        assert {4433: (OWN, 4433, 7200)} == gateway.held
        assert await forwarder.is_forwarded(own=OWN, port=4433, outside=outside)
        await forwarder.withdraw(outside)
        assert {} == gateway.held
        assert await forwarder.is_forwarded(own=OWN, port=4433, outside=outside) is False
        assert 1 == gateway.searches

    asyncio.run(scene())


def test_upnp_another_address_is_another_mapping() -> None:
    """The provider gave the router another one."""

    async def scene() -> None:
        gateway = FakeGateway()
        forwarder = UpnpForwarder(lambda own: gateway)
        outside = await forward(forwarder)
        assert outside is not None
        gateway.outside = "203.0.113.77"
        assert await forwarder.is_forwarded(own=OWN, port=4433, outside=outside) is False

    asyncio.run(scene())


def test_upnp_port_of_a_neighbour_is_not_taken() -> None:
    """The next free one is; after some tries it is given up."""

    async def scene() -> None:
        gateway = FakeGateway()
        gateway.held = {4433: ("192.168.1.3", 4433, 0), 65_535: ("192.168.1.3", 1, 0)}
        forwarder = UpnpForwarder(lambda own: gateway)
        assert [Endpoint(OUTSIDE, 4434), Endpoint(OUTSIDE, 1024)] == [
            await forward(forwarder),
            await forward(forwarder, 65_535),
        ]
        gateway.held.update({5000 + number: ("192.168.1.3", 1, 0) for number in range(PORTS_TRIED)})
        assert await forward(forwarder, 5000) is None

    asyncio.run(scene())


def test_upnp_router_that_knows_no_lifetimes_is_asked_without() -> None:
    """Version 1 of the protocol allows it."""

    async def scene() -> None:
        gateway = FakeGateway()
        gateway.takes_only_permanent = True
        assert Endpoint(OUTSIDE, 4433) == await forward(UpnpForwarder(lambda own: gateway))
        assert {4433: (OWN, 4433, 0)} == gateway.held

    asyncio.run(scene())


NONE = ["", str(IPv4Address(0)), "127.0.0.1", "224.0.0.1", "2001:db8::1", "<b>", "9" * 10_000]


@pytest.mark.parametrize("outside", NONE)
def test_upnp_address_that_is_none_is_not_believed(outside: str) -> None:
    """Whatever the XML says."""

    async def scene() -> None:
        gateway = FakeGateway()
        gateway.outside = outside
        assert await forward(UpnpForwarder(lambda own: gateway)) is None

    asyncio.run(scene())


def test_upnp_failure_is_no_error_and_the_router_is_searched_anew() -> None:
    """It may be another one by now."""

    async def scene() -> None:
        gateway = FakeGateway()
        forwarder = UpnpForwarder(lambda own: gateway)
        gateway.error = "Action not authorized"
        assert await forward(forwarder) is None
        assert await forwarder.is_forwarded(own=OWN, port=4433, outside=Endpoint(OUTSIDE, 4433)) is None
        await forwarder.withdraw(Endpoint(OUTSIDE, 4433))
        gateway.error = ""
        assert Endpoint(OUTSIDE, 4433) == await forward(forwarder)
        assert 2 == gateway.searches

    asyncio.run(scene())


def threads_ended() -> bool:
    """Wait for all threads of UPnP; return whether there is none any more."""
    threads = [thread for thread in threading.enumerate() if thread.name == "upnp"]
    for thread in threads:
        thread.join(5)
    return not any(thread.is_alive() for thread in threads)


def test_upnp_call_that_hangs_is_given_up_and_no_other_is_begun() -> None:
    """One thread at most, however long the router takes; afterwards there may be another."""

    async def scene() -> None:
        gateway = FakeGateway()
        gateway.gate.clear()
        forwarder = UpnpForwarder(lambda own: gateway, answer_s=0.01)
        assert [None, None] == [await forward(forwarder), await forward(forwarder)]
        assert 1 == gateway.searches
        gateway.gate.set()
        assert threads_ended()
        await forward(forwarder)
        assert threads_ended()
        assert {4433: (OWN, 4433, 7200)} == gateway.held

    asyncio.run(scene())


def test_upnp_cancelled_call_lets_its_caller_go() -> None:
    """Stopping does not wait for a router; the thread ends by itself, also after the loop."""
    gateway = FakeGateway()
    gateway.gate.clear()

    async def scene() -> None:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(forward(UpnpForwarder(lambda own: gateway)))
            await asyncio.sleep(0)
            task.cancel()

    asyncio.run(scene())
    gateway.gate.set()
    assert threads_ended()
