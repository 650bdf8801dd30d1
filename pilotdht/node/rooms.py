"""The rooms of one node, joined: who gets what of whom. Nothing happens here but construction and wiring."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

from prometheus_client import CollectorRegistry

from pilotdht.config.config import Config
from pilotdht.dht.dht import Dht
from pilotdht.dht.metrics import DhtMetrics
from pilotdht.errors import LinkClosed, TimedOut
from pilotdht.identity.ids import PublicKey, node_id_of
from pilotdht.identity.keys import KeyPair, did_of
from pilotdht.names.own import Profile
from pilotdht.names.resolve import Resolver
from pilotdht.net.doors import Doors
from pilotdht.net.metrics import NetMetrics
from pilotdht.net.node_socket import NodeSocket
from pilotdht.node.announce import Announcer
from pilotdht.node.endpoints import published_endpoints
from pilotdht.node.join import Joiner, parse_seed
from pilotdht.node.metrics import NodeMetrics
from pilotdht.node.reach import Reach
from pilotdht.tasks import TaskScope
from pilotdht.trust.book import TrustBook
from pilotdht.trust.handshake import Handshakes
from pilotdht.trust.metrics import TrustMetrics
from pilotdht.trust.policy import TrustGate
from pilotdht.tunnel.metrics import TunnelMetrics
from pilotdht.tunnel.stream import Stream
from pilotdht.tunnel.tunnels import Tunnels
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.seal import network_salt

LINK_ANSWER_S = 1.0
"""Time for a peer to accept a stream on a link that stands."""

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
        """
        self._keys = keys
        self._config = config
        self._identity = identity
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
            is_reachable=lambda: rpc.reachability.is_reachable(now=self._loop.time()),
        )
        """Records and contacts."""
        self.tunnels = Tunnels(
            keys=keys,
            config=config.tunnel,
            doors=doors,
            metrics=TunnelMetrics(registry),
            send_train=self.socket.send_train,
            gate=TrustGate(self.book),
            scope=scope,
        )
        """Links to peers."""
        self.socket.set_quic_handler(self.tunnels.datagrams_received)
        self.resolver = Resolver(records=self.dht, known=self.book, unix_time=doors.unix_time, network=config.network)
        """From names to keys."""
        self.reach = Reach(
            resolver=self.resolver,
            tunnels=self.tunnels,
            verified=self._verified_endpoint,
            metrics=self.metrics,
            remember_s=config.resolve_cache_s,
        )
        """From names to links."""
        self.announcer = Announcer(dht=self.dht, profile=self.profile)
        """From what the node is to what the mesh knows of it."""
        rpc.observed.on_change = rpc.on_role = self.announcer.look
        self.joiner = Joiner(
            seeds=[parse_seed(text) for text in config.bootstrap],
            mesh=self.dht,
            hello=rpc.hello,
            doors=doors,
            joined=self.dht.publish_soon,
        )
        """Into the mesh, and back into it."""
        self.handshakes = Handshakes(
            book=self.book,
            config=config.trust,
            metrics=TrustMetrics(registry),
            dialer=self,
            doors=doors,
            scope=scope,
            hostname=lambda: identity()[0],
            cut=self._cut,
        )
        """How trust is asked for and given."""

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

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return where others are told to find this node, best first."""
        observed = self.socket.rpc.observed.candidates(now=self._loop.time())
        return published_endpoints(
            advertised=self._config.advertise,
            bound=self.socket.local_endpoints,
            observed=observed,
            agreement=self._config.net.observed_agreement,
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
            is_server=not self.socket.rpc.is_client,
            node_ttl_s=self._config.dht.node_ttl_s,
            entry_ttl_s=self._config.dht.entry_ttl_s,
        )

    def _verified_endpoint(self, peer: PublicKey) -> Endpoint | None:
        known = self.dht.table.find(node_id_of(peer))
        return None if known is None else known.contact.endpoint

    def _cut(self, peer: PublicKey) -> None:
        self.tunnels.drop_peer(peer, "not trusted any more")
