"""Multicast DNS behind :class:`pilotdht.net.doors.LinkBoard`, with ``zeroconf``.

Each interface gets a responder of its own, which announces there the addresses of that interface and no others: a
network must not learn that its guest has a tunnel to somewhere else as well. What the library keeps is bounded by
itself (10,000 records); what it hands over is a claim.

The library is an extra (``pip install pilotdht[lan]``); without it there is no multicast DNS, and :func:`mdns_board`
says so. It is imported in a thread when it is needed, as that takes 60 ms.

Source: RFC 6762, RFC 6763.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import ipaddress
import logging
from collections.abc import Awaitable, Callable, Sequence
from types import ModuleType
from typing import Any

from pilotdht.errors import ConfigError
from pilotdht.net.doors import LinkNotice, LinkPost
from pilotdht.tasks import TaskScope
from pilotdht.values import dataclass

SERVICE = "_pilotdht._udp.local."
"""The type of the service; at most 15 characters, RFC 6763, section 7."""

MAX_INTERFACES = 8
"""Interfaces that are used; a machine with more has virtual ones, of containers."""

MAX_LOOKED_UP = 64
"""Announcements whose details are being asked for; what comes on top waits for its next repetition."""

DETAILS_S = 3.0
"""Wait for the details of an announcement that came without them."""

CLOSE_S = 1.0
"""Longest wait for the library to withdraw what it announced; it sends that three times, 125 ms apart."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Interface:
    """One interface of this machine, with what is of use here."""

    index: int
    """As the system numbers it."""
    addresses: tuple[str, ...]
    """Those that peers on the link can send to."""
    networks: tuple[str, ...]
    """What is reached without a router."""

    @property
    def choice(self) -> list[str | int]:
        """The interface as the library wants it: by one IPv4 address, and by number for IPv6."""
        ipv4 = [address for address in self.addresses if ":" not in address][:1]
        has_ipv6 = any(":" in address for address in self.addresses)
        return [*ipv4, self.index] if has_ipv6 else [*ipv4]


class MdnsBoard:
    """The real board."""

    async def open(self, post: LinkPost) -> MdnsLink:
        """Find out what links there are; nothing is sent yet.

        Raises:
            ConfigError: there is no such interface.
        """
        library = await asyncio.to_thread(_library)
        interfaces = _interfaces(post)
        if not interfaces:
            raise ConfigError(
                "the local network cannot be listened to: no interface has such an address",
                hint="connect the machine, or see mdns.interfaces",
            )
        return MdnsLink(library, post, interfaces)


class MdnsLink:
    """Responders and browsers on the interfaces of this machine."""

    def __init__(self, library: ModuleType, post: LinkPost, interfaces: Sequence[_Interface]) -> None:
        """Make it.

        Args:
            library: ``zeroconf.asyncio``.
            post: what is to be announced.
            interfaces: where.
        """
        self._library = library
        self._post = post
        self._interfaces = interfaces
        self._on_notice: Callable[[LinkNotice], None] = _ignore
        self._on_gone: Callable[[str], None] = _ignore
        self._responders: list[Any] = []
        self._announcing: list[Awaitable[Any]] = []
        self._looking_up: dict[str, None] = {}
        self._scope = TaskScope("mdns")
        self._is_closed = False

    @property
    def networks(self) -> tuple[str, ...]:
        """What is reached on these links without a router."""
        return tuple(dict.fromkeys(network for one in self._interfaces for network in one.networks))

    async def begin(self, *, on_notice: Callable[[LinkNotice], None], on_gone: Callable[[str], None]) -> None:
        """Announce and listen; some interfaces may fail as long as one works.

        Raises:
            ConfigError: none works.
        """
        self._on_notice, self._on_gone = on_notice, on_gone
        await self._scope.__aenter__()
        reason, working = "", 0
        for number, interface in enumerate(self._interfaces, 1):
            try:
                await self._begin_on(interface, number)
                working += 1
            except (OSError, RuntimeError, TimeoutError) as error:  # the library has no error of its own for sockets
                reason = str(error) or type(error).__name__
                _logger.info("an interface cannot be listened to", extra={"reason": reason})
        if not working:
            raise ConfigError(
                f"the local network cannot be listened to: {reason}",
                hint="another program may hold UDP port 5353 for itself; or set mdns.mode to off",
            )

    async def close(self) -> None:
        """Withdraw what was announced, and listen no more; safe to call twice, at most a second."""
        if self._is_closed:
            return
        self._is_closed = True
        await self._scope.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                closing = [responder.async_close() for responder in self._responders]
                await asyncio.gather(*closing, *self._announcing, return_exceptions=True)

    # What the library calls.

    def add_service(self, zeroconf: Any, kind: str, name: str) -> None:  # noqa: ANN401 - the library's own
        """Take in that something was announced, or has changed."""
        if self._is_closed:
            return
        details = self._library.AsyncServiceInfo(kind, name)
        if details.load_from_cache(zeroconf):
            self._tell(details)
        elif name not in self._looking_up and len(self._looking_up) < MAX_LOOKED_UP:
            self._looking_up[name] = None
            self._scope.start(self._look_up(zeroconf, name, details), name="details")

    def update_service(self, zeroconf: Any, kind: str, name: str) -> None:  # noqa: ANN401 - the library's own
        """Take in that an announcement has changed."""
        self.add_service(zeroconf, kind, name)

    def remove_service(self, zeroconf: Any, kind: str, name: str) -> None:  # noqa: ANN401 - the library's own
        """Take in that an announcement was withdrawn, or has expired."""
        if not self._is_closed:
            self._on_gone(name)

    # Inside.

    async def _begin_on(self, interface: _Interface, number: int) -> None:
        """Announce and listen on one interface."""
        post = self._post
        responder = self._library.AsyncZeroconf(interfaces=interface.choice)
        self._responders.append(responder)
        await responder.async_add_service_listener(SERVICE, self)
        if not post.is_told:
            return
        name = post.name if number == 1 else f"{post.name}-{number}"  # two interfaces may be on one link
        own = self._library.AsyncServiceInfo(
            SERVICE,
            f"{name}.{SERVICE}",
            port=post.port,
            properties=dict(post.text),
            server=f"{name}.local.",
            parsed_addresses=list(interface.addresses),
        )
        # Names are of keys, and nobody else's: to probe for the same one first would take a second and a half.
        self._announcing.append(await responder.async_register_service(own, cooperating_responders=True))

    async def _look_up(self, zeroconf: Any, name: str, details: Any) -> None:  # noqa: ANN401 - the library's own
        """Ask for what an announcement came without."""
        try:
            if await details.async_request(zeroconf, DETAILS_S * 1000):
                self._tell(details)
        finally:
            del self._looking_up[name]

    def _tell(self, details: Any) -> None:  # noqa: ANN401 - the library's own
        text = {_text(key): bytes(value or b"") for key, value in details.properties.items()}
        notice = LinkNotice(
            name=str(details.name), addresses=tuple(details.parsed_addresses()), port=int(details.port or 0), text=text
        )
        self._on_notice(notice)


def mdns_board() -> MdnsBoard | None:
    """Return the board, or nothing when the library is not installed."""
    return None if importlib.util.find_spec("zeroconf") is None else MdnsBoard()


def _library() -> ModuleType:
    import zeroconf.asyncio

    return zeroconf.asyncio


def _text(key: bytes) -> str:
    return key.decode("ascii", "replace")


def _interfaces(post: LinkPost) -> list[_Interface]:
    """Return the interfaces to use, those with an address that may be announced."""
    import ifaddr

    found = []
    for adapter in ifaddr.get_adapters():
        addresses: dict[str, str] = {}
        for one in adapter.ips:
            host = one.ip if isinstance(one.ip, str) else one.ip[0].partition("%")[0]
            if _is_used(ipaddress.ip_address(host), post):
                addresses[host] = str(ipaddress.ip_network(f"{host}/{one.network_prefix}", strict=False))
        if addresses and adapter.index is not None:
            found.append(_Interface(adapter.index, tuple(addresses), tuple(dict.fromkeys(addresses.values()))))
    return found[:MAX_INTERFACES]


def _is_used(address: ipaddress.IPv4Address | ipaddress.IPv6Address, post: LinkPost) -> bool:
    if post.interfaces:
        return str(address) in post.interfaces
    if address.is_loopback or (address.version == 6 and address.is_link_local):  # the latter need their interface named
        return False
    return post.has_ipv6 if address.version == 6 else post.has_ipv4


def _ignore(_: object) -> None:
    pass
