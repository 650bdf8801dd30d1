"""Keeps one UDP port of this node mapped by the router in front of it, for as long as it runs.

PCP is asked first, then NAT-PMP, then UPnP; a router that stays silent is asked again after pauses that double. A
mapping is renewed from half of its lifetime on, asked for at once when the router restarted (its clock went back) or
when this node moved, and deleted when the keeper stops. What the router says is a *candidate*: it may stand behind
another NAT, or lie. :func:`pilotdht.traversal.behaviour.judge` believes it once peers see this node at the same
address.

Not done: listening for the multicast by which a router announces its restart (RFC 6887, section 14.1): the door to the
network has no multicast, and asking each minute finds the same.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from pilotdht.config.traversal import TraversalConfig
from pilotdht.net.doors import Doors, Host
from pilotdht.traversal.changes import FAR_IPV4
from pilotdht.traversal.portmap.gateway import gateways_to_ask
from pilotdht.traversal.portmap.lease import PortMapState, failure_pause_s, refusal_pause_s, renewal_pause_s
from pilotdht.traversal.portmap.metrics import PortMapMetrics
from pilotdht.traversal.portmap.packets import Outcome, Protocol, Refusal
from pilotdht.traversal.portmap.router import PortMapping, RouterPort

REFRESH_SPACING_S = 1.0
"""Least time between two attempts, however often somebody asks for one."""

_logger = logging.getLogger(__name__)


class PortMapKeeper:
    """The keeper; start :meth:`run` in a scope of tasks, and cancel it to have the mapping deleted."""

    def __init__(
        self,
        doors: Doors,
        config: TraversalConfig,
        metrics: PortMapMetrics,
        *,
        internal_port: int,
        nonce: bytes,
        on_change: Callable[[], None],
    ) -> None:
        """Make it; nothing is asked before :meth:`run`.

        Args:
            doors: the world; without a host nothing is ever asked.
            config: times and bounds.
            metrics: counters.
            internal_port: the port of the node's socket.
            nonce: 12 bytes, secret, and the same after a restart: a router that remembers our mapping refuses another.
            on_change: called when :attr:`mapping` or :attr:`state` is another one. What it raises is logged.
        """
        self.mapping: PortMapping | None = None
        """What a router maps now, as it says; absent when none does."""
        self.state = PortMapState.OFF
        """How far it is."""
        self.refusal: Outcome | None = None
        """Why a router refused last; absent when none did since the last attempt."""
        self._host: Host | None = doors.host
        self._random = doors.random
        self._config = config
        self._metrics = metrics
        self._on_change = on_change
        self._port = RouterPort(doors, config, metrics, internal_port=internal_port, nonce=nonce)
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._renew_at = 0.0
        self._failures = 0

    def refresh(self) -> None:
        """Ask again soon: this node moved, slept, or is seen elsewhere."""
        self._wake.set()

    async def run(self) -> None:
        """Keep the port mapped until cancelled; then delete the mapping, which takes a second at most."""
        if self._host is None:
            self._tell(PortMapState.NOWHERE)
            return
        self._tell(PortMapState.SEARCHING)
        try:
            is_forced = True
            while True:
                begun = self._loop.time()
                pause_s = await self._attempt(self._host, is_forced=is_forced)
                is_forced = await self._pause(pause_s)
                await asyncio.sleep(max(0.0, begun + REFRESH_SPACING_S - self._loop.time()))
        finally:
            await self._leave()

    async def _pause(self, pause_s: float) -> bool:
        """Return whether somebody wants another attempt before the pause is over."""
        try:
            async with asyncio.timeout(pause_s):
                await self._wake.wait()
        except TimeoutError:
            return False
        self._wake.clear()
        self._failures = 0
        return True

    async def _attempt(self, host: Host, *, is_forced: bool) -> float:
        """Do what is due; return how long to wait for the next time."""
        routers = gateways_to_ask(
            configured=self._config.gateway, routes=host.routing_table(), own=host.local_address(FAR_IPV4)
        )
        self._forget_what_is_over(host, routers)
        mapping = self.mapping
        if mapping is not None:
            if not is_forced and self._loop.time() < self._renew_at and not await self._port.has_restarted(mapping):
                return self._until_due()
            routers = (mapping.router,)
        refusal, is_anybody_asked = None, False
        for router in routers:
            if not await self._open_towards(host, router):
                continue
            is_anybody_asked = True
            found = await self._port.map(
                router,
                first=Protocol.PCP if mapping is None else mapping.protocol,
                is_last=router == routers[-1],
            )
            if isinstance(found, PortMapping):
                return self._granted(found)
            refusal = refusal or found
        return self._failed(refusal, is_anybody_asked=is_anybody_asked)

    def _forget_what_is_over(self, host: Host, routers: tuple[str, ...]) -> None:
        """Forget a mapping that ended, or that leads to where this node was before."""
        mapping = self.mapping
        if mapping is not None and (
            mapping.expires_at <= self._loop.time()
            or mapping.router not in routers
            or mapping.own != host.local_address(mapping.router)
        ):
            self.mapping = None
            self._tell(PortMapState.SEARCHING, is_changed=True)

    async def _open_towards(self, host: Host, router: str) -> bool:
        """Have the socket on the own address that the router sees; return whether there is one."""
        own = host.local_address(router)
        return own is not None and ":" not in own and await self._port.open(own)

    def _granted(self, mapping: PortMapping) -> float:
        before, self.mapping = self.mapping, mapping
        self._failures, self.refusal = 0, None
        self._metrics.outcomes.labels(Outcome.OK.value).inc()
        is_changed = before is None or before.endpoint != mapping.endpoint
        if is_changed:
            _logger.info(
                "the router maps a port", extra={"endpoint": str(mapping.endpoint), "reason": mapping.protocol.value}
            )
        self._plan_renewal(mapping)
        self._tell(PortMapState.MAPPED, is_changed=is_changed)
        return self._until_due()

    def _failed(self, refusal: Refusal | None, *, is_anybody_asked: bool) -> float:
        """Return how long to wait after an attempt that mapped nothing."""
        self.refusal = None if refusal is None else refusal.outcome
        if is_anybody_asked:
            self._metrics.outcomes.labels("silent" if refusal is None else refusal.outcome.value).inc()
        if refusal is not None:
            self.mapping = None  # it is gone, or will be: better to publish nothing than what does not work
            self._tell(PortMapState.REFUSED)
            return refusal_pause_s(refusal.outcome, refusal.retry_after_s, self._config)
        if self.mapping is not None:
            self._plan_renewal(self.mapping)
            return self._until_due()
        self._failures += 1
        self._tell(PortMapState.SILENT if is_anybody_asked else PortMapState.NOWHERE)
        return failure_pause_s(self._failures, self._random.random(), self._config)

    def _plan_renewal(self, mapping: PortMapping) -> None:
        now = self._loop.time()
        self._renew_at = now + renewal_pause_s(mapping.expires_at - now, self._random.random())

    def _until_due(self) -> float:
        """Return how long until the mapping is renewed or looked after."""
        assert self.mapping is not None, "there is one to look after"
        due_at = min(self._renew_at, self.mapping.expires_at)
        return max(0.0, min(due_at - self._loop.time(), self._config.port_mapping_check_s))

    def _tell(self, state: PortMapState, *, is_changed: bool = False) -> None:
        is_changed = is_changed or state is not self.state
        self.state = state
        self._metrics.is_mapped.set(float(self.mapping is not None))
        if is_changed:
            try:
                self._on_change()
            except Exception:
                _logger.exception("a handler of port mappings failed")

    async def _leave(self) -> None:
        """Delete what is mapped, and close the socket; under its own short waits, as this runs after cancellation."""
        mapping, self.mapping = self.mapping, None
        try:
            if mapping is not None:
                await self._port.delete(mapping)
        finally:
            await self._port.close()
            self._tell(PortMapState.OFF)
