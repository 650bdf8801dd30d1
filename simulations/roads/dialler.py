"""Dials by name, and keeps for each tunnel how soon it answered, when it became direct, and which road it had.

A participant has one measured tunnel at a time: what two of them cost each other is another question.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from pilotdht.config.roads import RoadConfig
from pilotdht.errors import PilotError
from pilotdht.net.prefixes import is_local
from pilotdht.net.switchboard import is_relayed, is_virtual
from pilotdht.tunnel.link import Link
from pilotdht.wire.contact import Contact
from simulations.population.population import Slot
from simulations.results.result import Links
from simulations.roads.kind import make_friends, node_of
from simulations.roads.mix import SURROUNDINGS, needs_punching
from simulations.roads.town import Town
from simulations.world.network import MemoryNetwork

ROADS = ("local", "direct", "punched", "chance", "relayed")
"""Kinds of roads: inside of one network; one side lets strangers in; both filter; by trying ports; through a server."""

DIAL_TIMEOUT_S = 10.0
"""Time for a dial after the name was answered, as every dial has by default."""

NEIGHBOURLY = 0.3
"""Of the dials of nodes that share a router, so many are for one behind the same: machines of one house talk."""

CALLED_AT_ONCE = RoadConfig().calls_at_once
"""Servers of a peer that are called at the same time."""

TRIES = 64
"""Draws of a pair until both are free."""

PING_S = 2.0
"""Between two pings on a tunnel that is watched: somebody uses it."""

_STEPS = ((0.5, 0.005), (3.0, 0.02), (float("inf"), 0.1))
"""How often is looked whether a tunnel is direct, in seconds, until it is so old."""


@dataclass(slots=True, kw_only=True)
class Tunnel:
    """One tunnel that stands, and both ends of it."""

    caller: Slot
    """Who dialled."""
    called: Slot
    """Who was dialled."""
    row: int
    """Its place in :attr:`Dialler.links`."""
    resolved_s: float
    """Loop time of the name's answer."""

    def ends(self) -> tuple[Link | None, Link | None]:
        """Return the link at either end, absent where it is gone."""
        return link_between(self.caller, self.called), link_between(self.called, self.caller)


@dataclass(slots=True)
class Dialler:
    """Dials, watches, hangs up."""

    town: Town
    """Who lives where."""
    network: MemoryNetwork
    """How far they are apart."""
    began_s: float
    """Loop time that the times of links are relative to."""
    links: Links = field(default_factory=Links)
    """All that were dialled so far."""
    broken: int = 0
    """Tunnels that ended, or did not answer a ping, while they were watched."""
    _busy: dict[int, None] = field(default_factory=dict)

    def is_free(self, slot: Slot) -> bool:
        """Return whether a participant is up and has no measured tunnel."""
        return slot.is_up and slot.identity.number not in self._busy

    def drawn_pair(self, random: Random) -> tuple[Slot, Slot] | None:
        """Return two free participants, the first to dial the second; absent when none were found in some tries."""
        slots = self.town.slots
        for _ in range(TRIES):
            caller, called = slots[random.randrange(len(slots))], slots[random.randrange(len(slots))]
            neighbours = self.town.neighbours_of(caller)
            if neighbours and random.random() < NEIGHBOURLY:
                called = neighbours[random.randrange(len(neighbours))]
            if caller is not called and self.is_free(caller) and self.is_free(called):
                return caller, called
        return None

    async def use(self, caller: Slot, called: Slot, *, is_trusted: bool, hold_s: float) -> None:
        """Dial somebody, watch the tunnel for a while, and end it."""
        tunnel = await self.dial(caller, called, is_trusted=is_trusted)
        if tunnel is not None:
            await self.watch(tunnel, until_s=tunnel.resolved_s + hold_s)
            await self.hang_up(tunnel)

    async def dial(self, caller: Slot, called: Slot, *, is_trusted: bool) -> Tunnel | None:
        """Dial somebody by name; absent when it failed. Both are busy until :meth:`hang_up`, or at once when it fails.

        Raises:
            InternalError: a room of a node failed in another way than it may.
        """
        node, other = node_of(caller), node_of(called)
        self._busy[caller.identity.number] = self._busy[called.identity.number] = None
        if is_trusted:
            make_friends(node, other)
        loop = asyncio.get_running_loop()
        row = self._begin(caller, called, is_trusted=is_trusted)
        links = self.links
        began = loop.time()
        try:
            peer = await node.find(called.identity.name)
            resolved = loop.time()
            links.resolve_s[row] = round(resolved - began, 6)
            await node.connect(peer, timeout_s=DIAL_TIMEOUT_S)
        except PilotError as error:
            links.errors[row] = error.code
            self._release(caller, called)
            return None
        tunnel = Tunnel(caller=caller, called=called, row=row, resolved_s=resolved)
        first_byte_s = loop.time() - resolved
        links.first_byte_s[row] = round(first_byte_s, 6)
        links.first_roads[row] = self.road_of(tunnel, first_only=True)
        links.round_trips[row] = round(first_byte_s / self._round_trip_s(caller, called, peer.introducers), 3)
        return tunnel

    async def watch(self, tunnel: Tunnel, *, until_s: float) -> None:
        """Use a tunnel, and note when it becomes direct and which road it has at a loop time."""
        loop, links, row = asyncio.get_running_loop(), self.links, tunnel.row
        ping_at = loop.time()
        while (now := loop.time()) < until_s:
            if links.direct_s[row] is None and self.road_of(tunnel) not in ("", "relayed"):
                links.direct_s[row] = round(now - tunnel.resolved_s, 6)
            if now >= ping_at:
                ping_at = now + PING_S
                if await self.ping_s(tunnel.caller, tunnel.called) is None:
                    self.broken += 1
            age_s = now - tunnel.resolved_s
            step_s = next(step_s for until, step_s in _STEPS if age_s < until)
            await asyncio.sleep(step_s if links.direct_s[row] is None else max(0.0, ping_at - loop.time()))
        links.roads[row] = self.road_of(tunnel)

    async def hang_up(self, tunnel: Tunnel) -> None:
        """End a tunnel; both are free again."""
        link = tunnel.ends()[0]
        if link is not None:
            await link.close()
        self._release(tunnel.caller, tunnel.called)

    async def ping_s(self, one: Slot, other: Slot, *, timeout_s: float = DIAL_TIMEOUT_S) -> float | None:
        """Return the seconds until a ping through the tunnel of two is answered; absent when it is not, or is gone."""
        link = link_between(one, other)
        if link is None:
            return None
        try:
            return await link.ping(timeout_s)
        except PilotError:
            return None

    def road_of(self, tunnel: Tunnel, *, first_only: bool = False) -> str:
        """Return what kind of road a tunnel has, of :data:`ROADS`; empty when it is gone.

        Args:
            tunnel: which.
            first_only: ask the caller's end alone; else it is relayed while either end sends through a server.
        """
        links = tunnel.ends()[: 1 if first_only else 2]
        endpoints = [link.endpoint for link in links if link is not None and link.endpoint is not None]
        if len(endpoints) < len(links):
            return ""
        if any(is_relayed(endpoint) for endpoint in endpoints):
            return "relayed"
        if any(is_virtual(endpoint) for endpoint in endpoints):
            return "chance"
        if all(is_local(endpoint.host) for endpoint in endpoints):
            return "local"
        is_hard = needs_punching(self.town.kind_of(tunnel.caller), self.town.kind_of(tunnel.called))
        return "punched" if is_hard else "direct"

    def _round_trip_s(self, caller: Slot, called: Slot, servers: Sequence[Contact]) -> float:
        """Return how long a round trip takes, when nothing delays it, on the first road that there can be.

        That is the direct one to somebody whom strangers reach, or who names no servers, and one through the nearest of
        those servers that are called to others.
        """
        here, there = caller.identity.endpoint.host, called.identity.endpoint.host
        way_s = self.network.way_s
        if SURROUNDINGS[self.town.kind_of(called)].is_open or not servers:
            return 2 * way_s(here, there)
        hosts = [server.endpoint.host for server in servers[:CALLED_AT_ONCE]]
        return 2 * min(way_s(here, host) + way_s(host, there) for host in hosts)

    def _begin(self, caller: Slot, called: Slot, *, is_trusted: bool) -> int:
        links = self.links
        links.times_s.append(round(asyncio.get_running_loop().time() - self.began_s, 6))
        links.callers.append(self.town.kind_of(caller))
        links.called.append(self.town.kind_of(called))
        links.are_trusted.append(is_trusted)
        for absent in (links.resolve_s, links.first_byte_s, links.round_trips, links.direct_s):
            absent.append(None)
        for empty in (links.first_roads, links.roads, links.errors):
            empty.append("")
        return len(links.times_s) - 1

    def _release(self, *slots: Slot) -> None:
        for slot in slots:
            self._busy.pop(slot.identity.number, None)


def link_between(one: Slot, other: Slot) -> Link | None:
    """Return the link of one participant to another; absent when there is none."""
    if not one.is_up or not other.is_up:
        return None
    return node_of(one).rooms.tunnels.link_to(node_of(other).public_key)
