"""NAT traversal of one node: it serves others as introducer and relay, and is served when it cannot be reached."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from hashlib import sha256
from typing import Any

from prometheus_client import CollectorRegistry

from pilotdht.config.relay import RelayConfig
from pilotdht.config.roads import RoadConfig
from pilotdht.config.traversal import TraversalConfig
from pilotdht.errors import PilotError
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import KeyPair
from pilotdht.net.doors import Doors
from pilotdht.net.node_socket import NodeSocket
from pilotdht.net.prefixes import is_local, is_private
from pilotdht.tasks import TaskScope
from pilotdht.traversal.advice import Facts
from pilotdht.traversal.attachments import Attachments
from pilotdht.traversal.behaviour import NatBehaviour, Standing, judge
from pilotdht.traversal.changes import Change, ChangeWatcher, Reason
from pilotdht.traversal.knocking import Knocks
from pilotdht.traversal.lan.near import Near
from pilotdht.traversal.metrics import RoadMetrics
from pilotdht.traversal.portmap.keeper import PortMapKeeper
from pilotdht.traversal.portmap.lease import PortMapState
from pilotdht.traversal.portmap.metrics import PortMapMetrics
from pilotdht.traversal.random_punch import RandomPunch
from pilotdht.traversal.relay.client import RelayClient
from pilotdht.traversal.relay.junction import Junction
from pilotdht.traversal.relay.metrics import RelayMetrics
from pilotdht.traversal.relay.server import RelayServer
from pilotdht.traversal.relay.standing import StandingRoads
from pilotdht.traversal.relay.use import RelayUse
from pilotdht.traversal.roads import RoadKeeper
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.traversal_messages import NatMapping

PORT_MAP_LOOK_S = 5.0
"""How often is looked whether a router stands in front of this node, until one does."""

PORT_MAP_NONCE_BYTES = 12
_NONCE_LABEL = b"pilotdht/1 port mapping"
_UNSPECIFIED = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound


class Traversal:
    """Serves and is served; :meth:`start` and :meth:`stop` bound its life."""

    def __init__(
        self,
        keys: KeyPair,
        *,
        socket: NodeSocket,
        doors: Doors,
        listen: Endpoint,
        config: TraversalConfig,
        relay: RelayConfig,
        roads: RoadConfig,
        registry: CollectorRegistry,
        scope: TaskScope,
        servers_near: Callable[[], Awaitable[list[Contact]]],
        preferred: Callable[[], Awaitable[Sequence[Contact]]] | None,
        introducers_of: Callable[[PublicKey], Awaitable[Sequence[Contact]]],
        own_endpoints: Callable[[], Sequence[Endpoint]],
        is_trusted: Callable[[PublicKey], bool],
        neighbours: Callable[[PublicKey], Sequence[Endpoint]],
        on_moved: Callable[[], None],
        ask_around: Callable[[], Coroutine[Any, Any, object]],
        strangers: Callable[[int], Sequence[Contact]],
        on_change: Callable[[], None],
    ) -> None:
        """Make it.

        Args:
            keys: who we are.
            socket: the node's.
            doors: network and entropy.
            listen: where the node's socket was to be bound.
            config: how this node finds out where it stands.
            relay: what is carried for others, and how this node stays attached.
            roads: how better roads are found.
            registry: where metrics are kept.
            scope: owner of the tasks.
            servers_near: returns servers to attach to, the best first.
            preferred: returns the servers that the operator wants before all others; absent: none.
            introducers_of: returns the servers that a peer has published; may raise what a lookup raises.
            own_endpoints: returns where this node is told to be found.
            is_trusted: whether a peer is trusted.
            neighbours: returns where a key is announced on the link of this machine; a hint.
            on_moved: called when this machine may be on another link.
            strangers: returns so many contacts of the mesh, chosen at random.
            ask_around: asks some peers anything, for what they say of our endpoint.
            on_change: called when the servers that this node is attached to, or what the router maps, have changed.
        """
        metrics = RelayMetrics(registry)
        client = RelayClient(socket=socket, config=relay, metrics=metrics)
        server = RelayServer(socket=socket, token_bytes=doors.token_bytes, config=relay, metrics=metrics)
        self._standing = StandingRoads(socket=socket, client=client)
        self._junction = Junction(socket=socket, server=server, client=client)
        self._rpc = socket.rpc
        self._socket = socket
        self._config = config
        self._own_endpoints = own_endpoints
        self._scope = scope
        self._loop = asyncio.get_running_loop()
        self._started_at = self._loop.time()
        self._punch = RandomPunch(
            keys.public_key, socket=socket, network=doors.network, listen=listen, config=roads, random=doors.random
        )
        self.roads = RoadKeeper(
            keys.public_key,
            rpc=socket.rpc,
            channels=client,
            punch=self._punch,
            may_punch=is_trusted,
            own_endpoints=self.meeting_points,
            near=Near(
                public=self.meeting_points,
                private=self._private_endpoints,
                neighbours=neighbours,
                is_trusted=is_trusted,
            ),
            mapping=lambda: self.behaviour().mapping,
            own_introducers=lambda: self.introducers,
            look_up=introducers_of,
            on_silence=lambda: self._attachments.doubt(),
            scope=scope,
            config=roads,
            metrics=RoadMetrics(registry),
        )
        """The roads of all links."""
        self._own_key = keys.public_key
        client.on_closed = self.roads.channel_ended
        self._attachments = Attachments(
            rpc=socket.rpc,
            client=client,
            config=relay,
            metrics=metrics,
            random=doors.random,
            candidates=servers_near,
            is_wanted=self._is_to_be_attached,
            on_ring=self.roads.rung,
            on_change=lambda: self._servers_changed(on_change),
            is_relied=self.roads.is_relayed,
            on_silent=self.roads.server_silent,
            preferred=preferred,
        )
        self._ask_around = ask_around
        self._on_moved = on_moved
        self._knocks = Knocks(
            socket.rpc,
            config=config,
            strangers=strangers,
            servers=lambda: self.introducers,
            is_wanted=self._is_unreached,
        )
        self._watcher = ChangeWatcher(doors, config, seen=self._seen, on_change=self._changed)
        self._has_host = doors.host is not None
        self._moved_at: float | None = None
        self.on_place_changed: Callable[[], None] = _ignore
        """Called when this machine is at another place in the network, or slept."""
        self._new_port_map = partial(
            PortMapKeeper,
            doors,
            config,
            PortMapMetrics(registry),
            nonce=sha256(keys.sign(_NONCE_LABEL)).digest()[:PORT_MAP_NONCE_BYTES],
            on_change=on_change,
        )
        self.port_map: PortMapKeeper | None = None
        """Keeps a port mapped by the router; present once this node knows that it stands behind one."""

    def start(self) -> None:
        """Serve others and be served from now on; the socket and the scope are open."""
        self._started_at = self._loop.time()
        self._junction.start()
        self._attachments.start()
        self._knocks.start()
        self._scope.start(self._knocks.run(), name="knocks")
        self._scope.start(self._attachments.run(), name="attachments")
        if self._has_host:
            self._scope.start(self._watcher.run(), name="changes")
            if self._config.is_port_mapping:
                self._scope.start(self._keep_port_mapped(), name="port-mapping")

    async def stop(self) -> None:
        """End all channels, and tell whoever is at their other ends; the socket is still open. Safe to call twice."""
        self._junction.stop()
        await self._punch.close_all()

    def reconfigure(self, relay: RelayConfig) -> None:
        """Carry for others within other bounds from now on; how this node is carried stays as it began."""
        self._junction.server.reconfigure(relay)

    @property
    def introducers(self) -> tuple[Contact, ...]:
        """The servers through which this node can be called."""
        return self._attachments.servers

    def road(self, key: PublicKey, introducers: Sequence[Contact]) -> Endpoint | None:
        """Return an endpoint that leads to a node now, for a word now and then; absent when nothing does.

        Args:
            key: whom.
            introducers: servers through which it says that it is called, the one to take first.
        """
        used = self.roads.used_to(key)
        if used is not None:
            return used
        attached = self._junction.server.attached.find(key, now=self._loop.time())
        if attached is not None:
            return attached.endpoint
        servers = (one for one in introducers if one.public_key not in (key, self._own_key))
        server = next(servers, None)
        return None if server is None else self._standing.endpoint(server, key)

    def attached_endpoint(self, key: PublicKey) -> Endpoint | None:
        """Return where a node is heard that is attached to this one; absent when it is not."""
        node = self._junction.server.attached.find(key, now=self._loop.time())
        return None if node is None else node.endpoint

    def relay_of(self, endpoint: Endpoint) -> Contact | None:
        """Return the server behind a virtual endpoint; absent when it is a real one."""
        return self._junction.client.relay_of(endpoint)

    def place_of(self, endpoint: Endpoint) -> Endpoint:
        """Return where datagrams to an endpoint go: the endpoint itself, or the real one behind a virtual one."""
        relay = self.relay_of(endpoint)
        if relay is not None:
            return relay.endpoint
        return self._punch.remote_of(endpoint) or endpoint

    def behaviour(self, *, is_ipv6: bool = False) -> NatBehaviour:
        """Return what the NAT in front of this node does, in one address family."""
        now = self._loop.time()
        standing = Standing(
            local=self._local_endpoints(),
            is_reachable=self._rpc.reachability.is_reachable(
                now=now, is_ipv6=is_ipv6, is_from_outside=self.is_translated()
            ),
            in_mesh_since=self._started_at,
            moved_at=self._moved_at,
            mapped=self._mapped(),
        )
        return judge(self._rpc.observed.sightings(now=now), standing, self._config, now=now, is_ipv6=is_ipv6)

    def relay_use(self) -> RelayUse:
        """Return what this node carries for others, and what others carry for it."""
        return self._junction.server.use(own_channels=len(self._junction.client))

    @property
    def punches_sent(self) -> int:
        """Small datagrams sent so far to meet peers by chance."""
        return self._punch.sent

    def is_translated(self) -> bool:
        """Return whether most peers see this node at a public address that is not its own: a NAT stands in between."""
        candidates = self._rpc.observed.candidates(now=self._loop.time())
        if not candidates:
            return False
        seen = candidates[0][0]
        own = [endpoint.host for endpoint in self._local_endpoints() if endpoint.is_ipv6 == seen.is_ipv6]
        return bool(own) and seen.host not in own and not is_local(seen.host)

    def is_open(self, *, mesh_size: int) -> bool:
        """Return whether this node may take itself for one that strangers reach.

        Either some did. Or nobody is left who could show it: the node has the public address that peers see, and has
        sent to most of a small mesh already. Servers that are told of each other would never serve otherwise.

        Args:
            mesh_size: how many nodes there seem to be.
        """
        now, reachability = self._loop.time(), self._rpc.reachability
        is_translated = self.is_translated()
        if reachability.is_reachable(now=now, is_from_outside=is_translated):
            return True
        own = {endpoint.host for endpoint in self._local_endpoints() if not is_local(endpoint.host)}
        return not is_translated and bool(own) and 2 * reachability.hosts_asked(now=now) >= mesh_size

    def look(self) -> None:
        """Look whether servers are wanted: it may have become known whether others reach this node."""
        self._attachments.hurry()
        self._knocks.hurry()

    def facts(self) -> Facts:
        """Return what is known of this node's place in the network."""
        requests = self._socket.metrics.requests.values()
        port_map = self.port_map
        return Facts(
            ipv4=self.behaviour(),
            ipv6=self.behaviour(is_ipv6=True),
            own_addresses=self.own_addresses,
            are_addresses_known=self._has_host,
            requests_sent=int(sum(counts.sent for counts in requests)) + self._socket.metrics.hellos_sent,
            requests_answered=int(sum(counts.answered for counts in requests)),
            is_port_mapping=self._config.is_port_mapping,
            portmap_state=PortMapState.OFF if port_map is None else port_map.state,
            portmap_refusal=None if port_map is None else port_map.refusal,
            portmap_endpoint=self._mapped(),
            relays=len(self.introducers),
        )

    @property
    def own_addresses(self) -> tuple[str, ...]:
        """The machine's own addresses towards the Internet, as far as they are known."""
        return self._watcher.own_addresses

    def mapped_endpoint(self) -> Endpoint | None:
        """Return the endpoint that the router maps to us, once peers see us at its address."""
        return self.behaviour().mapped

    def _mapped(self) -> Endpoint | None:
        mapping = None if self.port_map is None else self.port_map.mapping
        return None if mapping is None else mapping.endpoint

    def _local_endpoints(self) -> tuple[Endpoint, ...]:
        """Return what the socket is bound to, with the machine's own addresses in the place of unspecified ones."""
        bound = self._socket.local_endpoints
        own = self._watcher.own_addresses
        found = [
            endpoint
            for place in bound
            for endpoint in (
                [Endpoint(host, place.port) for host in own if (":" in host) == place.is_ipv6]
                if place.host in _UNSPECIFIED
                else [place]
            )
        ]
        return tuple(found)

    def local_hosts(self) -> tuple[str, ...]:
        """Return the addresses of this machine that the node's socket may use, as far as they are known."""
        return tuple(dict.fromkeys(endpoint.host for endpoint in self._local_endpoints()))

    def _private_endpoints(self) -> tuple[Endpoint, ...]:
        return tuple(endpoint for endpoint in self._local_endpoints() if is_private(endpoint.host))

    def _servers_changed(self, on_change: Callable[[], None]) -> None:
        self.roads.introducers_changed()
        on_change()

    def _seen(self, is_ipv6: bool) -> Endpoint | None:
        return self._rpc.observed.public_endpoint(now=self._loop.time(), is_ipv6=is_ipv6)

    def _changed(self, change: Change) -> None:
        """Make up for a change of place: whoever has to know where we are is told or asked at once."""
        if change.reason is Reason.DISCONNECTED:
            return
        if change.reason is not Reason.SEEN_ELSEWHERE:
            self.on_place_changed()
        if change.reason in (Reason.MOVED, Reason.CONNECTED):
            self._on_moved()
            self.moved()
        else:
            self._renew()

    def moved(self) -> None:
        """Take in that peers see this node elsewhere from now on: at another place, on a trunk, or off it."""
        self._moved_at = self._loop.time()
        self._rpc.observed.forget()
        self._renew()

    def _renew(self) -> None:
        """Show peers where this node is now, and have them say where they see it."""
        self.look()
        self._junction.client.renew_all()
        self.roads.moved()
        if self.port_map is not None:
            self.port_map.refresh()
        self._scope.start(self._ask(), name="ask-around")

    async def _ask(self) -> None:
        with contextlib.suppress(PilotError):
            await self._ask_around()

    async def _keep_port_mapped(self) -> None:
        """Ask the router for a port once peers see this node at a public address that is not its own."""
        while not self._is_behind_router():  # noqa: ASYNC110 - what peers say changes with each of their answers
            await asyncio.sleep(PORT_MAP_LOOK_S)
        self.port_map = self._new_port_map(internal_port=self._socket.local_endpoints[0].port)
        await self.port_map.run()

    def _is_behind_router(self) -> bool:
        behaviour = self.behaviour()
        host = behaviour.public_host
        is_guest = self._rpc.must_be_client  # peers see us at the place of somebody else: no router of ours is there
        return not is_guest and host is not None and not is_local(host) and behaviour.mapping is not NatMapping.NONE

    def meeting_points(self) -> tuple[Endpoint, ...]:
        """Return where anybody may try to meet this node; behind a random NAT at least at which address."""
        points = tuple(self._own_endpoints())
        host = self.behaviour().public_host
        if host is None or any(point.host == host for point in points):
            return points
        return (Endpoint(host, self._socket.local_endpoints[0].port), *points)

    def _is_unreached(self) -> bool:
        return self._rpc.is_client

    def _is_to_be_attached(self) -> bool:
        """Return whether servers are wanted: to be called through, or to keep what a NAT lets everybody in by."""
        return self._rpc.is_client or self.is_translated()


def _ignore() -> None:
    pass
