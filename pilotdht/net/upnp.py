"""Asking the router by UPnP to let peers in: behind :class:`pilotdht.net.doors.PortForwarder`, with ``miniupnpc``.

UPnP's Internet Gateway Device is found by multicast and spoken to in XML over HTTP; a well-kept library does that. It
blocks, so each call runs in a thread of its own, one at a time. A call that takes too long is not waited for any more;
the library gives it up by itself after some seconds, and until then no other is made. A call that is cancelled may
leave a mapping behind, which ends with its lifetime.

The library is an extra (``pip install pilotdht[upnp]``); without it there is no UPnP, and :func:`upnp_forwarder` says
so.

Source: UPnP Forum, InternetGatewayDevice:1 and WANIPConnection:1, section 2.4.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import threading
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from pilotdht.wire.endpoint import Endpoint

ANSWER_S = 12.0
"""Longest wait for one call: a search takes 4 s when nobody answers, and each request to a slow router up to 5 s."""

PORTS_TRIED = 4
"""Ports asked for when another machine at home holds the one before."""

_SEARCH_MS = 500
_UDP = "UDP"
_NAME = "pilotdht"
_CONFLICT = "ConflictInMappingEntry"  # error 718
_PERMANENT_ONLY = "OnlyPermanentLeasesSupported"  # error 725
_LEAST_PORT, _MOST_PORT = 1024, 65_535

ResultT = TypeVar("ResultT")


class Gateway(Protocol):
    """What is used of ``miniupnpc.UPnP``; every method blocks, and raises a plain ``Exception`` that says why."""

    def discover(self) -> int:
        """Search for routers."""
        ...

    def selectigd(self) -> str:
        """Choose the one that is connected."""
        ...

    def externalipaddress(self) -> str:
        """Return its address outside."""
        ...

    def addportmapping(self, *mapping: Any) -> bool:  # noqa: ANN401 - positional only, of several types
        """Map: port outside, protocol, host, port, name, remote host, lifetime."""
        ...

    def getspecificportmapping(self, port: int, protocol: str) -> tuple[Any, ...] | None:
        """Return host, port, … of a mapping, or nothing."""
        ...

    def deleteportmapping(self, port: int, protocol: str) -> bool:
        """Delete one."""
        ...


class UpnpForwarder:
    """The real forwarder. Everything that the library or the router does wrong is "not possible", never an error."""

    def __init__(self, new_gateway: Callable[[str], Gateway], *, answer_s: float = ANSWER_S) -> None:
        """Make it; nothing is sent before the first call.

        Args:
            new_gateway: makes the library's object for an own address.
            answer_s: longest wait for one call.
        """
        self._answer_s = answer_s
        self._new_gateway = new_gateway
        self._gateway: Gateway | None = None
        self._is_busy = False

    async def forward(self, *, own: str, port: int, outside_port: int, lifetime_s: int) -> Endpoint | None:
        """Have a port mapped, or the mapping renewed; return where, or nothing when it is not possible."""
        return await self._call(self._forward, own, port, outside_port, lifetime_s)

    async def is_forwarded(self, *, own: str, port: int, outside: Endpoint) -> bool | None:
        """Return whether a mapping is still there, at the same address; nothing when the router does not say."""
        return await self._call(self._is_forwarded, own, port, outside)

    async def withdraw(self, outside: Endpoint) -> None:
        """Have a mapping deleted; when this is cancelled, it goes on in its thread."""
        await self._call(self._withdraw, outside.port)

    async def _call(self, function: Callable[..., ResultT], *arguments: object) -> ResultT | None:
        """Run a function in a thread; nothing when it fails, takes too long, or the one before still runs."""
        if self._is_busy:
            return None
        self._is_busy = True
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[ResultT | None] = loop.create_future()

        def work() -> None:
            result = None
            with contextlib.suppress(Exception):  # the library has no narrower type: no router, a refusal, broken XML
                result = function(*arguments)
            self._is_busy = False
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_settle, answered, result)

        # Not the loop's own executor: leaving it would wait for a router that does not answer.
        threading.Thread(target=work, name="upnp", daemon=True).start()
        try:
            async with asyncio.timeout(self._answer_s):
                return await answered
        except TimeoutError:
            return None

    # In the thread

    def _forward(self, own: str, port: int, outside_port: int, lifetime_s: int) -> Endpoint | None:
        if self._gateway is None:
            gateway = self._new_gateway(own)
            gateway.discover()
            gateway.selectigd()
            self._gateway = gateway
        try:
            return _mapped(self._gateway, own, port, outside_port, lifetime_s)
        except Exception:
            self._gateway = None  # it is searched for anew: the router may be another one by now
            raise

    def _is_forwarded(self, own: str, port: int, outside: Endpoint) -> bool | None:
        if self._gateway is None:
            return None
        found = self._gateway.getspecificportmapping(outside.port, _UDP)
        return found is not None and found[:2] == (own, port) and _address(self._gateway) == outside.host

    def _withdraw(self, outside_port: int) -> None:
        if self._gateway is not None:
            self._gateway.deleteportmapping(outside_port, _UDP)


def upnp_forwarder() -> UpnpForwarder | None:
    """Return the forwarder, or nothing when the library is not installed."""
    try:
        import miniupnpc
    except ImportError:
        return None
    return UpnpForwarder(lambda own: miniupnpc.UPnP(multicastif=own, discoverdelay=_SEARCH_MS))


def _mapped(gateway: Gateway, own: str, port: int, outside_port: int, lifetime_s: int) -> Endpoint | None:
    host = _address(gateway)
    if host is None:
        return None
    for _ in range(PORTS_TRIED):
        try:
            _add(gateway, own, port, outside_port, lifetime_s)
        except Exception as error:
            if str(error) != _CONFLICT:
                raise
            outside_port = outside_port + 1 if outside_port < _MOST_PORT else _LEAST_PORT
        else:
            return Endpoint(host, outside_port)
    return None


def _add(gateway: Gateway, own: str, port: int, outside_port: int, lifetime_s: int) -> None:
    try:
        gateway.addportmapping(outside_port, _UDP, own, port, _NAME, "", lifetime_s)
    except Exception as error:
        if str(error) != _PERMANENT_ONLY:
            raise
        gateway.addportmapping(outside_port, _UDP, own, port, _NAME, "", 0)  # stays until it is deleted


def _address(gateway: Gateway) -> str | None:
    """Return the router's address outside when it is one that somebody can have."""
    try:
        address = ipaddress.IPv4Address(gateway.externalipaddress())
    except ValueError:
        return None
    is_nobody = address.is_unspecified or address.is_loopback or address.is_multicast or address.is_reserved
    return None if is_nobody else str(address)


def _settle(answered: asyncio.Future[ResultT | None], result: ResultT | None) -> None:
    if not answered.done():
        answered.set_result(result)
