"""What a node does with its tunnels: establish, measure, list and close them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from pilotdht.identity.address import Address
from pilotdht.identity.ids import PublicKey
from pilotdht.node.facts import Connection, ConnectionInfo, NeighbourInfo, NetCheck, Trace
from pilotdht.node.reach import Target
from pilotdht.node.rooms import Rooms
from pilotdht.node.views import live_connections, road_of, trunk_server
from pilotdht.traversal.advice import findings


class LinkVerbs:
    """The verbs of :class:`pilotdht.node.node.Node` that are about tunnels."""

    @property
    def rooms(self) -> Rooms:
        """The running node."""
        raise NotImplementedError

    @property
    def _network(self) -> int:
        raise NotImplementedError

    async def _known_key(self, target: Target) -> PublicKey:
        raise NotImplementedError

    async def connect(self, target: Target, *, timeout_s: float = 10.0) -> Connection:
        """Establish the tunnel to a peer, and measure it; needs no trust.

        Raises:
            PilotError: as :meth:`dial`, except NotTrusted and Refused.
        """
        loop = asyncio.get_running_loop()
        begun = loop.time()
        peer, link = await self.rooms.reach.link(target, timeout_s=timeout_s)
        setup_s = loop.time() - begun
        rtt_s = await link.ping(timeout_s)
        road = road_of(self.rooms, link, network=self._network)
        return Connection(
            address=peer.address,
            endpoint=road.endpoint,
            relay=road.relay,
            is_lan=road.is_lan,
            trunk=road.trunk,
            setup_s=setup_s,
            rtt_s=rtt_s,
        )

    async def traceroute(self, target: Target, *, timeout_s: float = 10.0) -> Trace:
        """Return how a peer is reached, step by step.

        Raises:
            PilotError: as :meth:`connect`.
        """
        loop = asyncio.get_running_loop()
        begun = loop.time()
        peer = await self.rooms.reach.peer(target, fresh=True)
        resolved = loop.time()
        is_live = self.rooms.tunnels.link_to(peer.public_key) is not None
        _, link = await self.rooms.reach.link(peer, timeout_s=timeout_s)
        dialled = loop.time()
        rtt_s = await link.ping(timeout_s)
        road = road_of(self.rooms, link, network=self._network)
        traversal = self.rooms.traversal
        peer_nat = await traversal.roads.mapping_of(peer.public_key)
        return Trace(
            address=peer.address,
            hostname=peer.hostname,
            source=peer.source.value,
            resolve_s=resolved - begun,
            endpoints=peer.endpoints,
            endpoint=road.endpoint,
            relay=road.relay,
            is_lan=road.is_lan,
            trunk=road.trunk,
            dial_s=0.0 if is_live else dialled - resolved,
            rtt_s=rtt_s,
            own_nat=traversal.behaviour(is_ipv6=road.endpoint.is_ipv6).mapping,
            peer_nat=peer_nat,
        )

    def connections(self) -> list[ConnectionInfo]:
        """Return the live links."""
        return live_connections(self.rooms, network=self._network)

    async def disconnect(self, target: Target) -> bool:
        """Close the tunnel to a peer; return whether there was one. The next dial opens another."""
        link = self.rooms.tunnels.link_to(await self._known_key(target))
        if link is None:
            return False
        await link.close()
        return True

    def netcheck(self) -> NetCheck:
        """Return where this node stands in the network: what NAT is in front of it, and what to do about it."""
        trunks = self.rooms.trunks
        trunk = trunks.trunk
        facts = replace(
            self.rooms.traversal.facts(),
            trunk=None if trunk is None else trunk.remote,
            trunk_server="" if trunk is None else str(trunk_server(self.rooms, network=self._network)),
            trunk_failure=trunks.failure,
        )
        servers = self.rooms.traversal.introducers
        lan = self.rooms.lan.facts()
        return NetCheck(
            own_addresses=facts.own_addresses,
            ipv4=facts.ipv4,
            ipv6=facts.ipv6,
            is_server=not self.rooms.socket.rpc.is_client,
            port_mapping=facts.portmap_state.value,
            mapped=facts.portmap_endpoint,
            servers=tuple(
                (Address.of_public_key(one.public_key, network=self._network), one.endpoint) for one in servers
            ),
            lan=lan.state.value,
            lan_reason=lan.reason,
            neighbours=tuple(
                NeighbourInfo(
                    address=Address.of_public_key(key, network=self._network), endpoint=place, standing=standing.value
                )
                for key, place, standing in lan.neighbours
            ),
            findings=findings(facts),
        )
