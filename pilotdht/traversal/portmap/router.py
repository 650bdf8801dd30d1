"""What is asked of a router about one port of ours: to map it, whether it forgot, to delete it.

PCP first, then NAT-PMP, then UPnP where there is a door to it, whatever the reason that the one before did not do: some
routers refuse one and grant the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import TypeVar

from pilotdht.config.traversal import TraversalConfig
from pilotdht.errors import ConfigError
from pilotdht.net.doors import Doors
from pilotdht.traversal.portmap.exchange import Exchange
from pilotdht.traversal.portmap.gateway import PCP_ANYCAST
from pilotdht.traversal.portmap.lease import LEAST_LIFETIME_S, MOST_LIFETIME_S, EpochRule
from pilotdht.traversal.portmap.metrics import PortMapMetrics
from pilotdht.traversal.portmap.packets import (
    SERVER_PORT,
    Alive,
    Answer,
    Mapped,
    Outcome,
    Protocol,
    PublicAddress,
    Refusal,
    natpmp_address_request,
    natpmp_map_request,
    pcp_announce_request,
    pcp_map_request,
)
from pilotdht.values import dataclass
from pilotdht.wire.endpoint import Endpoint

AnswerT = TypeVar("AnswerT")

_DELETIONS = 2
_WITHDRAWAL_S = 1.0

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PortMapping:
    """A port that a router maps to ours."""

    endpoint: Endpoint
    """Outside, as the router says: a candidate."""
    protocol: Protocol
    """In which it was asked."""
    router: str
    """Address of the router, IPv4 literal; by UPnP: of the one that the system's routes led to then."""
    own: str
    """Our own address that it maps to, IPv4 literal."""
    expires_at: float
    """Until when, in the time of the loop."""


class RouterPort:
    """Asks routers about one port of ours, from a socket on the own address that they see."""

    def __init__(
        self, doors: Doors, config: TraversalConfig, metrics: PortMapMetrics, *, internal_port: int, nonce: bytes
    ) -> None:
        """Make it; nothing is opened before :meth:`open`. Arguments as of the keeper."""
        self._forwarder = doors.forwarder
        self._random = doors.random
        self._config = config
        self._metrics = metrics
        self._internal_port = internal_port
        self._nonce = nonce
        self._exchange = Exchange(doors.network, metrics)
        self._own = ""
        self._loop = asyncio.get_running_loop()
        self._epoch = EpochRule()
        self._epoch_of = ""
        self._suggested: Endpoint | None = None

    async def open(self, own: str) -> bool:
        """Have the socket on an own address; return whether that could be."""
        if own != self._own:
            self._own = ""
            try:
                await self._exchange.open(own)
            except ConfigError:  # the address went in this moment
                return False
            self._own = own
        return True

    async def close(self) -> None:
        """Close the socket; safe to call twice."""
        self._own = ""
        await self._exchange.close()

    async def map(
        self, router: str, *, first: Protocol = Protocol.PCP, is_last: bool = True
    ) -> PortMapping | Refusal | None:
        """Ask for the mapping, or for it to be renewed, in one protocol after the other.

        Args:
            router: IPv4 literal.
            first: the protocol to begin with.
            is_last: no other router is asked after this one, so UPnP is tried, which finds routers by itself.

        Returns:
            What is mapped, or why it is not; ``None`` when the router is silent.
        """
        if router != self._epoch_of:
            self._epoch, self._epoch_of = EpochRule(), router
        steps = {Protocol.PCP: self._map_by_pcp}
        if router != PCP_ANYCAST:
            steps[Protocol.NATPMP] = self._map_by_natpmp
        if is_last:
            steps[Protocol.UPNP] = self._map_by_upnp
        refusal: Refusal | None = None
        for protocol in sorted(steps, key=lambda protocol: protocol is not first):
            found = await steps[protocol](router)
            if isinstance(found, PortMapping):
                self._suggested = found.endpoint
                return found
            if found is not None and (refusal is None or refusal.outcome is Outcome.VERSION):
                refusal = found
        return refusal

    async def _map_by_pcp(self, router: str) -> PortMapping | Refusal | None:
        def fits(answer: Answer) -> Mapped | Refusal | None:
            if isinstance(answer, Mapped) and answer.lifetime_s:
                return answer if self._is_ours(answer, Protocol.PCP) else None
            if isinstance(answer, Refusal) and answer.belongs_to(self._nonce):
                is_pcp = answer.protocol is Protocol.PCP  # a router that speaks NAT-PMP alone says so in NAT-PMP
                return answer if is_pcp or answer.outcome is Outcome.VERSION else None
            return None

        answer: Mapped | Refusal | None = await self._exchange.ask(
            Endpoint(router, SERVER_PORT),
            pcp_map_request(
                own_host=self._own,
                nonce=self._nonce,
                internal_port=self._internal_port,
                suggested=self._suggested,
                lifetime_s=self._config.port_mapping_lifetime_s,
            ),
            fits=fits,
            first_wait_s=self._config.port_mapping_pcp_wait_s * (0.9 + self._random.random() / 5),
            tries=1,
        )
        if not isinstance(answer, Mapped):
            return answer
        return self._mapping_of(answer, answer.external_host, router)

    async def _map_by_natpmp(self, router: str) -> PortMapping | Refusal | None:
        def fits(answer: Answer) -> Mapped | Refusal | None:
            if isinstance(answer, Mapped) and answer.lifetime_s:
                return answer if self._is_ours(answer, Protocol.NATPMP) else None
            return _refused(answer)

        address: PublicAddress | Refusal | None
        address = await self._ask_patiently(router, natpmp_address_request(), _address_or_refusal)
        if not isinstance(address, PublicAddress):
            return address
        port = self._internal_port if self._suggested is None else self._suggested.port
        wish = natpmp_map_request(
            internal_port=self._internal_port,
            suggested_port=port,
            lifetime_s=self._config.port_mapping_lifetime_s,
        )
        answer: Mapped | Refusal | None = await self._ask_patiently(router, wish, fits)
        return self._mapping_of(answer, address.host, router) if isinstance(answer, Mapped) else answer

    async def _map_by_upnp(self, router: str) -> PortMapping | Refusal | None:
        if self._forwarder is None:
            return None
        lifetime_s = self._config.port_mapping_lifetime_s
        outside = await self._forwarder.forward(
            own=self._own,
            port=self._internal_port,
            outside_port=self._internal_port if self._suggested is None else self._suggested.port,
            lifetime_s=lifetime_s,
        )
        if outside is None:
            return None
        return PortMapping(
            endpoint=outside,
            protocol=Protocol.UPNP,
            router=router,
            own=self._own,
            expires_at=self._loop.time() + lifetime_s,
        )

    async def _ask_patiently(
        self, router: str, datagram: bytes, fits: Callable[[Answer], AnswerT | None]
    ) -> AnswerT | None:
        return await self._exchange.ask(
            Endpoint(router, SERVER_PORT),
            datagram,
            fits=fits,
            first_wait_s=self._config.port_mapping_natpmp_wait_s,
            tries=self._config.port_mapping_natpmp_tries,
        )

    async def has_restarted(self, mapping: PortMapping) -> bool:
        """Ask whether the router has forgotten, or has another address; silence says nothing."""
        if mapping.protocol is Protocol.UPNP:
            assert self._forwarder is not None, "it made the mapping"
            is_there = await self._forwarder.is_forwarded(
                own=mapping.own, port=self._internal_port, outside=mapping.endpoint
            )
            return is_there is False
        answer: Alive | PublicAddress | Refusal | None
        if mapping.protocol is Protocol.PCP:
            answer = await self._ask_patiently(mapping.router, pcp_announce_request(self._own), _alive_or_refusal)
        else:
            answer = await self._ask_patiently(mapping.router, natpmp_address_request(), _address_or_refusal)
        if answer is None:
            return False
        is_elsewhere = isinstance(answer, PublicAddress) and answer.host != mapping.endpoint.host
        return self._note_epoch(answer.epoch_s, mapping.protocol) or is_elsewhere

    def _is_ours(self, answer: Mapped, protocol: Protocol) -> bool:
        return answer.belongs_to(protocol=protocol, internal_port=self._internal_port, nonce=self._nonce)

    def _mapping_of(self, answer: Mapped, host: str, router: str) -> PortMapping | Refusal:
        self._note_epoch(answer.epoch_s, answer.protocol)
        if answer.lifetime_s < LEAST_LIFETIME_S:
            return Refusal(protocol=answer.protocol, outcome=Outcome.FAILED, epoch_s=answer.epoch_s)
        return PortMapping(
            endpoint=Endpoint(host, answer.external_port),
            protocol=answer.protocol,
            router=router,
            own=self._own,
            expires_at=self._loop.time() + min(answer.lifetime_s, MOST_LIFETIME_S),
        )

    def _note_epoch(self, epoch_s: int, protocol: Protocol) -> bool:
        has_restarted = self._epoch.has_restarted(epoch_s, protocol=protocol, now=self._loop.time())
        if has_restarted:
            self._metrics.restarts.inc()
            _logger.info("the router restarted; the port is mapped anew", extra={"reason": protocol.value})
        return has_restarted

    async def delete(self, mapping: PortMapping) -> None:
        """Ask the router to forget a mapping; nothing is done when the socket is on another address by now."""
        if self._own != mapping.own:
            return
        if mapping.protocol is Protocol.UPNP:
            assert self._forwarder is not None, "it made the mapping"
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_WITHDRAWAL_S):
                    await self._forwarder.withdraw(mapping.endpoint)
            return
        if mapping.protocol is Protocol.PCP:
            wish = pcp_map_request(
                own_host=mapping.own,
                nonce=self._nonce,
                internal_port=self._internal_port,
                suggested=None,
                lifetime_s=0,
            )
        else:
            wish = natpmp_map_request(internal_port=self._internal_port, suggested_port=0, lifetime_s=0)
        await self._exchange.ask(
            Endpoint(mapping.router, SERVER_PORT),
            wish,
            fits=lambda answer: answer if isinstance(answer, Mapped | Refusal) else None,
            first_wait_s=self._config.port_mapping_stop_wait_s,
            tries=_DELETIONS,
        )


def _refused(answer: Answer, protocol: Protocol = Protocol.NATPMP) -> Refusal | None:
    """Return a refusal in a protocol."""
    return answer if isinstance(answer, Refusal) and answer.protocol is protocol else None


def _address_or_refusal(answer: Answer) -> PublicAddress | Refusal | None:
    return answer if isinstance(answer, PublicAddress) else _refused(answer)


def _alive_or_refusal(answer: Answer) -> Alive | Refusal | None:
    return answer if isinstance(answer, Alive) else _refused(answer, Protocol.PCP)  # which tells the time as well
