"""The rooms of one node, joined: who gets what of whom. Nothing happens here but construction and wiring."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

from prometheus_client import CollectorRegistry

from pilotdht import __version__
from pilotdht.config.config import Config
from pilotdht.dht.dht import Dht
from pilotdht.dht.metrics import DhtMetrics
from pilotdht.errors import LinkClosed, NotFound, TimedOut
from pilotdht.gossip.broadcast.bodies import BodyKeeper, BodyServer, StreamBodies
from pilotdht.gossip.broadcast.metrics import BroadcastMetrics
from pilotdht.gossip.groups import Groups
from pilotdht.gossip.metrics import GossipMetrics
from pilotdht.gossip.post import Post
from pilotdht.gossip.surroundings import Surroundings
from pilotdht.identity.ids import PublicKey, node_id_of
from pilotdht.identity.keys import KeyPair, did_of
from pilotdht.letters.places import places
from pilotdht.letters.post_office import PostOffice
from pilotdht.names.own import Profile
from pilotdht.names.resolve import Resolver
from pilotdht.net.doors import Doors
from pilotdht.net.metrics import NetMetrics
from pilotdht.net.node_socket import NodeSocket
from pilotdht.node.announce import Announcer
from pilotdht.node.endpoints import published_endpoints
from pilotdht.node.join import Joiner, parse_seed
from pilotdht.node.metrics import NodeMetrics
from pilotdht.node.preferred import PreferredServers
from pilotdht.node.reach import Reach
from pilotdht.node.ways import Ways
from pilotdht.services.ports import WellKnownPort
from pilotdht.services.query.handlers import Handlers
from pilotdht.services.query.metrics import QueryMetrics
from pilotdht.services.query.needs import QueryNeeds
from pilotdht.services.query.service import QueryService
from pilotdht.tasks import TaskScope
from pilotdht.traversal.lan.lan import Lan
from pilotdht.traversal.traversal import Traversal
from pilotdht.traversal.trunk.trunks import Trunks
from pilotdht.trust.book import TrustBook
from pilotdht.trust.handshake import Handshakes
from pilotdht.trust.metrics import TrustMetrics
from pilotdht.trust.policy import TrustGate
from pilotdht.tunnel.metrics import TunnelMetrics
from pilotdht.tunnel.stream import Stream
from pilotdht.tunnel.tunnels import Tunnels
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.groups import GroupId
from pilotdht.wire.seal import network_salt

LINK_ANSWER_S = 1.0
"""Time for a peer to accept a stream on a link that stands."""

ASKED_AROUND = 8
"""Contacts that are asked where they see this node when it may have moved."""

DIAL_FOR_TRUST_S = 10.0
"""Time for dialling a peer that a word of trust is owed to."""


class Rooms:
    """Everything a running node consists of; made while its loop runs, opened and closed by the node."""

    def __init__(
        self,
        *,
        keys: KeyPair,
        config: Config,
        doors: Doors,
        registry: CollectorRegistry,
        scope: TaskScope,
        preferred_port: int,
        book_path: Path | None,
        identity: Callable[[], tuple[str, tuple[str, ...]]],
        groups_changed: Callable[[], None],
        handlers: Handlers,
    ) -> None:
        """Make all rooms.

        Args:
            keys: who the node is.
            config: every tunable.
            doors: the world outside.
            registry: where metrics are kept.
            scope: owner of all background tasks.
            preferred_port: the UDP port to try first when the configuration leaves it open; 0 for none.
            book_path: the trust book's file, or absent for one in memory.
            identity: returns the hostname and tags that the node carries now.
            groups_changed: called when what is to be kept of groups has changed.
            handlers: the programs that answer questions.
        """
        self._keys = keys
        self._config = config
        self._identity = identity
        self._random = doors.random
        self._scope = scope
        self._loop = asyncio.get_running_loop()
        self.metrics = NodeMetrics(registry)
        """Counters of names and services."""
        self.book = TrustBook(book_path, unix_time=doors.unix_time, config=config.trust, network=config.network)
        """Who is trusted, which names are pinned."""
        self.socket = NodeSocket(
            keys,
            doors,
            config.net,
            NetMetrics(registry),
            salt=network_salt(config.network, config.network_key),
            listen=config.listen,
            preferred_port=preferred_port,
        )
        """The one UDP socket."""
        rpc = self.socket.rpc
        self.dht = Dht(
            keys=keys,
            doors=doors,
            config=config.dht,
            requester=rpc,
            metrics=DhtMetrics(registry),
            scope=scope,
            network=config.network,
            is_reachable=lambda: self.traversal.is_open(mesh_size=self.dht.stats().mesh_size),
            is_translated=lambda: self.traversal.is_translated(),
        )
        """Records and contacts."""
        self.tunnels = Tunnels(
            keys=keys,
            config=config.tunnel,
            doors=doors,
            metrics=TunnelMetrics(registry),
            send_train=self.socket.send_train,
            gate=TrustGate(self.book, grants=(self._may_as_member,)),
            scope=scope,
        )
        """Links to peers."""
        self.socket.set_quic_handler(self.tunnels.datagrams_received)
        self.lan = Lan(
            keys.public_key,
            salt=network_salt(config.network, config.network_key),
            socket=self.socket,
            doors=doors,
            config=config.mdns,
            registry=registry,
            scope=scope,
            on_found=lambda key: self.traversal.roads.neighbour_found(key),
            on_proven=self._meet_neighbour,
        )
        """Neighbours on the same link."""
        preferred = [parse_seed(text) for text in config.relay.preferred]
        self.traversal = Traversal(
            keys,
            socket=self.socket,
            doors=doors,
            listen=config.listen,
            config=config.traversal,
            relay=config.relay,
            roads=config.roads,
            registry=registry,
            scope=scope,
            servers_near=self._servers_near,
            preferred=PreferredServers(preferred, hello=rpc.hello).contacts if preferred else None,
            introducers_of=self._introducers_of,
            own_endpoints=self.endpoints,
            is_trusted=self._is_trusted,
            neighbours=self.lan.endpoints_of,
            on_moved=self.lan.moved,
            ask_around=self._ask_around,
            strangers=self._strangers,
            on_change=lambda: self.announcer.look(),
        )
        """Ways to peers behind NATs, and to this node."""
        self.tunnels.watch_roads(self.traversal.roads)
        self.tunnels.on_link_up(self.traversal.roads.link_up)
        self.tunnels.on_link_down(self.traversal.roads.link_down)
        self.resolver = Resolver(
            records=self.dht, known=self.book, unix_time=doors.unix_time, network=config.network, fellows=self
        )
        """From names to keys."""
        self.reach = Reach(
            resolver=self.resolver,
            tunnels=self.tunnels,
            verified=self._verified_endpoint,
            metrics=self.metrics,
            remember_s=config.resolve_cache_s,
            key_named=self.key_named,
            tracer=doors.tracer,
            endpoints=Ways(
                caller=self.traversal.roads,
                tunnels=self.tunnels,
                own_endpoints=self.traversal.meeting_points,
                neighbours=self.lan.endpoints_of,
                scope=scope,
            ).endpoints,
        )
        """From names to links."""
        self.announcer = Announcer(dht=self.dht, profile=self.profile)
        """From what the node is to what the mesh knows of it."""
        rpc.observed.on_change = self.announcer.look
        rpc.on_role = self._role_changed
        self.joiner = Joiner(
            seeds=[parse_seed(text) for text in config.bootstrap],
            mesh=self.dht,
            hello=rpc.hello,
            doors=doors,
            joined=self._joined,
            near=self.lan.contacts,
        )
        """Into the mesh, and back into it."""
        self.letters = PostOffice(
            keys,
            rpc=rpc,
            salt=network_salt(config.network, config.network_key),
            config=config.letters,
            doors=doors,
            registry=registry,
            scope=scope,
            places=self._letter_places,
            near=self._nearest,
            whereabouts=self._whereabouts,
            read=lambda author, content: self.handshakes.hear_letter(author, content),
        )
        """Words for peers that are away, and those that others left for this node."""
        self.handshakes = Handshakes(
            book=self.book,
            config=config.trust,
            metrics=TrustMetrics(registry),
            dialer=self,
            doors=doors,
            scope=scope,
            hostname=lambda: identity()[0],
            cut=self._cut,
            post=self.letters,
        )
        """How trust is asked for and given."""
        self.remembered: list[Contact] = []
        """Contacts of an earlier life."""
        self.trunks = Trunks(
            keys,
            doors,
            socket=self.socket,
            salt=network_salt(config.network, config.network_key),
            config=config.trunk,
            net=config.net,
            registry=registry,
            scope=scope,
            named=lambda: self.joiner.named,
            resolved=self.joiner.seed_endpoints,
            contacts=self._known_contacts,
            own_endpoints=self.endpoints,
            own_addresses=lambda: self.traversal.own_addresses,
            on_change=self._changed_roads,
        )
        """The way over TCP where UDP is blocked."""
        self.traversal.on_place_changed = self.trunks.moved

        broadcast_metrics = BroadcastMetrics(registry)
        self.groups = Groups(
            Surroundings(
                keys=keys,
                network=config.network,
                version=__version__,
                post=Post(rpc, self.traversal),
                entries=self.dht,
                locate=self._locate,
                endpoints=self.endpoints,
                introducers=lambda: self.traversal.introducers if rpc.is_client else (),
                hostname=lambda: identity()[0],
                tags=lambda: identity()[1],
                capabilities=handlers.capabilities,
                bodies=StreamBodies(self.open, config.broadcast),
                doors=doors,
                config=config.gossip,
                broadcast=config.broadcast,
                metrics=GossipMetrics(registry),
                broadcast_metrics=broadcast_metrics,
                entry_ttl_s=config.dht.entry_ttl_s,
            ),
            changed=lambda: groups_changed(),
        )
        """The groups that this node is in."""
        self.announcer.on_announced = self.groups.refresh
        self.bodies = BodyServer(self._messages_of, config.broadcast, broadcast_metrics, now=self._loop.time)
        """Hands out what is too long for a datagram."""
        self.queries = QueryService(
            needs=QueryNeeds(
                keys=keys,
                open_stream=self._open_within,
                groups=self.groups,
                is_trusted=self._is_trusted,
                peers_with_tag=self.resolver.with_tag,
                hostname_of=self.hostname_of,
                unix_time=doors.unix_time,
                random=doors.random,
                scope=scope,
                tracer=doors.tracer,
            ),
            config=config.query,
            metrics=QueryMetrics(registry),
            handlers=handlers,
        )
        """Questions and answers."""

    def reconfigure(self, config: Config) -> None:
        """Hold to other settings from now on, as far as they can be changed while the node runs.

        Raises:
            InvalidArgument: a bootstrap node is malformed; nothing was changed.
        """
        seeds = [parse_seed(text) for text in config.bootstrap]
        self._config = config
        self.joiner.set_seeds(seeds)
        self.handshakes.reconfigure(config.trust)
        self.traversal.reconfigure(config.relay)
        self.announcer.look()

    async def open(self, peer: PublicKey, port: int) -> Stream:
        """Open a stream to a peer known by its key: what handshakes dial with.

        Raises:
            PilotError: the peer cannot be reached, or refuses.
        """
        link = self.tunnels.link_to(peer)
        if link is not None:
            with contextlib.suppress(LinkClosed, TimedOut):  # the peer may have restarted: it is dialled below
                return await link.open_stream(port, timeout_s=LINK_ANSWER_S)
        _, stream = await self.reach.stream(did_of(peer), port, timeout_s=DIAL_FOR_TRUST_S)
        return stream

    async def _open_within(self, peer: PublicKey, port: int, *, timeout_s: float) -> Stream:
        try:
            async with asyncio.timeout(timeout_s):
                return await self.open(peer, port)
        except TimeoutError as error:
            raise TimedOut(f"the peer did not accept a stream within {timeout_s:g} s") from error

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return where others are told to find this node, best first."""
        observed = self.socket.rpc.observed.candidates(now=self._loop.time())
        mapped = self.traversal.mapped_endpoint()
        advertised = self._config.advertise if mapped is None else (*self._config.advertise, mapped)
        bound = self.socket.local_endpoints
        if self.trunks.trunk is not None:  # what comes by UDP from outside does not arrive
            advertised, bound = (), tuple(endpoint for endpoint in bound if self.trunks.is_beside(endpoint))
        return published_endpoints(
            advertised=advertised,
            bound=bound,
            observed=observed,
            agreement=self._config.net.observed_agreement,
            is_translated=self.traversal.is_translated(),
        )

    def profile(self) -> Profile:
        """Return what the node says about itself now."""
        hostname, tags = self._identity()
        return Profile(
            public_key=self._keys.public_key,
            network=self._config.network,
            hostname=hostname,
            tags=tags,
            endpoints=self.endpoints(),
            introducers=self.traversal.introducers,
            is_server=not self.socket.rpc.is_client,
            node_ttl_s=self._config.dht.node_ttl_s,
            entry_ttl_s=self._config.dht.entry_ttl_s,
        )

    async def _meet_neighbour(self, neighbour: Contact) -> None:
        """Join through a neighbour on the link; or let two meshes grow together, when it serves one not known here."""
        if await self.joiner.join_near(neighbour) or self.dht.table.find(neighbour.node_id) is not None:
            return
        await self.dht.verify([neighbour])
        if self.dht.table.find(neighbour.node_id) is not None:
            await self.dht.bootstrap([neighbour])

    def _role_changed(self) -> None:
        self.announcer.look()
        self.traversal.look()

    def _joined(self) -> None:
        self.dht.publish_soon()
        self.letters.joined()

    async def _letter_places(self, peer: PublicKey) -> list[Contact]:
        """Return whom to leave a letter with: servers of the peer, if its record is live, and nodes near its id."""
        introducers: tuple[Contact, ...] = ()
        with contextlib.suppress(NotFound):  # it is offline, and its record with it
            introducers = (await self.reach.peer(did_of(peer))).introducers
        found = await self.dht.find_node(node_id_of(peer))
        own = self._keys.public_key
        return places(peer, introducers=introducers, nearest=found.contacts, without=own)

    def _nearest(self, count: int) -> list[Contact]:
        """Return so many known nodes, the nearest to this one first."""
        return self.dht.table.nearest(self._keys.node_id, count)

    def _whereabouts(self, peer: PublicKey) -> Endpoint | None:
        """Return where a key receives, as a node attached here or a contact that answered."""
        return self.traversal.attached_endpoint(peer) or self._verified_endpoint(peer)

    def _changed_roads(self) -> None:
        """Make up for having gone onto a trunk, or off it: peers see this node elsewhere, and may be found only now."""
        self.traversal.moved()
        self._scope.start(self._join_again(), name="join-again")

    async def _join_again(self) -> None:
        await self.joiner.join_once(self.remembered)

    def _known_contacts(self) -> list[Contact]:
        """Return contacts of this life, then those of an earlier one."""
        return list(dict.fromkeys([*(known.contact for known in self.dht.contacts()), *self.remembered]))

    async def _servers_near(self) -> list[Contact]:
        """Return servers near this node in the key space: others look for it there anyway."""
        found = await self.dht.find_node(self._keys.node_id, limit=self._config.dht.bucket_size)
        return list(found.contacts)

    async def _introducers_of(self, peer: PublicKey) -> tuple[Contact, ...]:
        """Return the servers through which a peer says that it can be called now."""
        return (await self.resolver.find(did_of(peer))).introducers

    def _strangers(self, count: int) -> list[Contact]:
        """Return so many contacts, chosen at random."""
        known = self.dht.contacts()
        return [one.contact for one in self._random.sample(known, min(count, len(known)))]

    async def _ask_around(self) -> None:
        """Ask some contacts whether they are there: each says where it sees us."""
        contacts = self.dht.table.nearest(self._keys.node_id, self._config.net.observed_reports)
        await self.dht.verify(contacts[:ASKED_AROUND])

    def _verified_endpoint(self, peer: PublicKey) -> Endpoint | None:
        known = self.dht.table.find(node_id_of(peer))
        return None if known is None else known.contact.endpoint

    async def _locate(self, peer: PublicKey) -> Contact | None:
        """Return where the owner of a key answers: where it did, else what it publishes."""
        verified = self._verified_endpoint(peer)
        if verified is not None:
            return Contact(peer, verified)
        found = await self.resolver.find(did_of(peer))
        road = self.traversal.road(peer, found.introducers) if found.introducers else None
        if road is not None:
            return Contact(peer, road)
        return Contact(peer, found.endpoints[0]) if found.endpoints else None

    def key_named(self, name: str) -> PublicKey | None:
        """Return the key of the member that ``host.org`` means; absent when the node is in no org of that name.

        Raises:
            NotFound: nobody in the org has that name.
            Ambiguous: several do.
        """
        member = self.groups.find_member(name)
        return None if member is None else member.public_key

    def is_fellow(self, public_key: PublicKey) -> bool:
        """Return whether a key is a member of an org of this node."""
        return self.groups.is_org_member(public_key)

    def hostname_of(self, public_key: PublicKey) -> str:
        """Return what a peer is called: as this node trusts it, in a group, or as it was last found; or empty."""
        members = (group.member(public_key) for group in self.groups)
        in_group = (member.hostname for member in members if member is not None and member.hostname)
        return self.book.entry(public_key).hostname or next(in_group, "") or self.reach.hostname_of(public_key)

    def _is_trusted(self, peer: PublicKey) -> bool:
        return self.book.is_trusted(peer) or self.groups.is_org_member(peer)

    def _may_as_member(self, peer: PublicKey, port: int) -> bool:
        """Members of an org trust one another; members of any group may fetch its messages, and ask its questions."""
        if self.groups.is_org_member(peer):
            return True
        if port == WellKnownPort.EVENTS:
            return self.groups.is_member_of_any(peer)
        return port == WellKnownPort.QUERY and self.queries.may_open(peer)

    def _messages_of(self, group: GroupId) -> BodyKeeper | None:
        found = self.groups.of_id(group)
        return None if found is None else found.messages

    def _cut(self, peer: PublicKey) -> None:
        self.tunnels.drop_peer(peer, "not trusted any more")
