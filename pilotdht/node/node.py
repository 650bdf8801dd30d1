"""The node: ``async with Node(Config(hostname="agent-alpha")) as node``.

Each verb here is short: it turns what the caller wrote into what a room understands. The rooms are joined in
:mod:`pilotdht.node.rooms`, started and stopped in :mod:`pilotdht.node.life`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from types import TracebackType
from typing import Self

from prometheus_client import CollectorRegistry

from pilotdht import __version__
from pilotdht.config.config import Config
from pilotdht.errors import ConfigError, NodeClosed
from pilotdht.identity.address import Address
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keyfile import load_or_create_key_file
from pilotdht.identity.keys import KeyPair
from pilotdht.identity.names import check_hostname, check_tag
from pilotdht.names.peer import Peer
from pilotdht.net.doors import Doors, real_doors
from pilotdht.net.host import OwnHost
from pilotdht.net.mdns import mdns_board
from pilotdht.net.socket import UdpNetwork
from pilotdht.net.streams import TcpNetwork
from pilotdht.net.upnp import upnp_forwarder
from pilotdht.node.facts import LookupInfo, Message, NodeInfo, PeerInfo
from pilotdht.node.group_verbs import GroupVerbs
from pilotdht.node.life import Life
from pilotdht.node.link_verbs import LinkVerbs
from pilotdht.node.listener import Listener
from pilotdht.node.query_verbs import QueryVerbs
from pilotdht.node.reach import Target
from pilotdht.node.records import describe_record, record_target
from pilotdht.node.rooms import Rooms
from pilotdht.node.state import NodeState
from pilotdht.node.trust_verbs import TrustVerbs
from pilotdht.node.views import known_peers, trunk_server
from pilotdht.node.watching import WatchVerbs
from pilotdht.services.echo import measure
from pilotdht.services.inbox import Letter
from pilotdht.services.ports import WellKnownPort
from pilotdht.services.stdio import exchange
from pilotdht.tracing.spans import OFF, Tracer
from pilotdht.tunnel.header import OptionValue
from pilotdht.tunnel.stream import Stream
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.records import MAX_TAGS

IDENTITY_FILE = "identity"


def _real_world(config: Config) -> Doors:
    return real_doors(
        UdpNetwork(config.net),
        host=OwnHost(),
        forwarder=upnp_forwarder(),
        link_board=mdns_board(),
        streams=TcpNetwork(),
    )


class Node(TrustVerbs, LinkVerbs, GroupVerbs, QueryVerbs, WatchVerbs):
    """One agent on the network: found by others, finding others, talking to those that trust it."""

    def __init__(
        self,
        config: Config | None = None,
        *,
        keys: KeyPair | None = None,
        doors: Doors | None = None,
        state: NodeState | None = None,
    ) -> None:
        """Make a node; ``async with`` starts and stops it.

        Args:
            config: absent: a node without a name that starts a mesh of its own.
            keys: who it is; absent: the identity in the data directory, or a new one.
            doors: the world outside; absent: the real one.
            state: what :meth:`state` of an earlier life returned; absent: what is in the data directory, if anything.

        Raises:
            KeyFileError: the identity file cannot be used.
        """
        QueryVerbs.__init__(self)
        self.config = Config() if config is None else config
        """As given; hostname and tags may have been changed since."""
        self.registry = CollectorRegistry()
        """This node's metrics, from its start on."""
        self._keys = keys if keys is not None else self._own_keys()
        self._doors = _real_world(self.config) if doors is None else doors
        self._state = state
        self._life: Life | None = None
        self._tracer = OFF

    async def __aenter__(self) -> Self:
        """Start: open the socket, join the mesh, publish; the last two go on in the background when they take long.

        Raises:
            ConfigError: the socket or a file cannot be opened.
        """
        self.registry = CollectorRegistry()
        doors = self._doors
        if self.config.tracing.is_enabled and doors.tracer is OFF:
            self._tracer = self._own_tracer()
            doors = replace(doors, tracer=self._tracer)
        life = Life(
            keys=self._keys,
            config=self.config,
            doors=doors,
            registry=self.registry,
            state=self._state,
            identity=lambda: (self.config.hostname, self.config.tags),
            handlers=self._query_handlers,
        )
        await life.start()
        self._life = life
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop: withdraw records, save what is remembered, close links and socket; safe to call twice."""
        life, self._life = self._life, None
        if life is not None:
            await life.stop()
        tracer, self._tracer = self._tracer, OFF
        await tracer.close()

    async def abort(self) -> None:
        """Stop at once, as if the power failed: nothing is withdrawn, told or saved; safe to call twice."""
        life, self._life = self._life, None
        if life is not None:
            await life.abort()

    def state(self) -> NodeState:
        """Return what the node would remember over a restart, for those who keep it elsewhere than in a data directory.

        Raises:
            NodeClosed: the node is not open.
        """
        return self._running.state()

    # Who this node is.

    @property
    def public_key(self) -> PublicKey:
        """The identity, 32 bytes."""
        return self._keys.public_key

    @property
    def address(self) -> Address:
        """The virtual address."""
        return Address.of_node_id(self._keys.node_id, network=self.config.network)

    @property
    def did(self) -> str:
        """The ``did:key`` text form of the public key."""
        return self._keys.did

    @property
    def hostname(self) -> str:
        """The hostname it is found by, or empty."""
        return self.config.hostname

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags it is found by."""
        return self.config.tags

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Where others are told to find it, best first."""
        return self.rooms.endpoints()

    def info(self) -> NodeInfo:
        """Return what the node tells about itself."""
        rooms = self.rooms
        stats = rooms.dht.stats()
        return NodeInfo(
            address=self.address,
            did=self.did,
            hostname=self.config.hostname,
            tags=self.config.tags,
            listen=rooms.socket.local_endpoints,
            endpoints=rooms.endpoints(),
            is_joined=stats.contacts > 0,
            is_server=stats.is_server,
            uptime_s=asyncio.get_running_loop().time() - self._running.started_at,
            peers=stats.contacts,
            connections=sum(1 for _ in rooms.tunnels.links()),
            records=stats.records,
            version=__version__,
            trunk=trunk_server(rooms, network=self.config.network),
        )

    async def set_hostname(self, hostname: str) -> None:
        """Change the hostname, publish it, and withdraw the old one; empty: be found by address and tags only.

        Raises:
            InvalidArgument: it is malformed.
        """
        self.config = replace(self.config, hostname=check_hostname(hostname) if hostname else "")
        await self.rooms.announcer.announce()

    async def set_tags(self, tags: Sequence[str]) -> None:
        """Change the tags, publish them, and withdraw the old ones.

        Raises:
            InvalidArgument: one is malformed.
            ConfigError: more than 8, or one twice.
        """
        checked = tuple(check_tag(tag) for tag in tags)
        if len(checked) > MAX_TAGS:
            raise ConfigError(f"a node has at most {MAX_TAGS} tags")
        self.config = replace(self.config, tags=checked)
        await self.rooms.announcer.announce()

    def reconfigure(self, config: Config) -> None:
        """Change what can be changed while the node runs: bootstrap, advertise, trust, and what is carried for others.

        Name and tags have verbs of their own, as they are published; all else is read when the node starts.

        Raises:
            InvalidArgument: a bootstrap node is malformed; nothing was changed.
        """
        self.rooms.reconfigure(replace(config, hostname=self.config.hostname, tags=self.config.tags))
        self.config = replace(
            self.config, bootstrap=config.bootstrap, advertise=config.advertise, trust=config.trust, relay=config.relay
        )

    # Finding.

    async def find(self, target: Target, *, fresh: bool = True) -> Peer:
        """Return the peer that a hostname, alias, address or did:key means now.

        Args:
            target: whom.
            fresh: ask the network even when the peer was found a moment ago.

        Raises:
            InvalidArgument: none of these forms.
            NotFound: nobody live is found under it.
            Ambiguous: several keys claim the name.
            KeyChanged: the name was pinned to another key.
        """
        return await self.rooms.reach.peer(target, fresh=fresh)

    async def lookup(self, *, tag: str, limit: int = 256) -> list[Peer]:
        """Return up to ``limit`` live peers that carry a tag, in the order of their addresses.

        Raises:
            InvalidArgument: the tag is malformed.
        """
        return await self.rooms.resolver.with_tag(tag, limit=limit)

    def peers(self) -> list[PeerInfo]:
        """Return the contacts of the routing table."""
        return known_peers(self.rooms, network=self.config.network)

    # Talking.

    async def dial(
        self,
        target: Target,
        port: int,
        *,
        timeout_s: float = 10.0,
        options: Mapping[str, OptionValue] | None = None,
        traceparent: str | None = None,
    ) -> Stream:
        """Open a byte stream to a port of a peer; use it as ``async with await node.dial(…) as stream``.

        Args:
            target: whom.
            port: the virtual port, 1..65535.
            timeout_s: for resolving, dialling and the peer's answer together.
            options: few small values for the program behind the port.
            traceparent: W3C trace context.

        Raises:
            NotFound: nobody live is found under that name.
            Unreachable: the peer does not answer where it says.
            NotTrusted: the peer did not approve this node.
            Refused: nothing listens there.
            TimedOut: time is up.
        """
        _, stream = await self.rooms.reach.stream(
            target, port, timeout_s=timeout_s, options=options, traceparent=traceparent
        )
        return stream

    def listen(self, port: int) -> Listener:
        """Accept streams: ``async with node.listen(80) as listener: async for stream in listener``."""
        rooms = self.rooms
        return Listener(rooms.tunnels, port, lend=self._running.mailboxes.lend)

    async def ping(self, target: Target, *, timeout_s: float = 5.0) -> float:
        """Return the seconds of one round trip through the tunnel, to the peer's echo and back.

        Raises:
            PilotError: as :meth:`dial`.
        """
        async with await self.dial(target, WellKnownPort.ECHO, timeout_s=timeout_s) as stream:
            return await measure(stream, token_bytes=self._doors.token_bytes, timeout_s=timeout_s)

    async def request(
        self, target: Target, message: bytes, *, port: int = WellKnownPort.STDIO, timeout_s: float = 30.0
    ) -> bytes:
        """Send a message and return its answer; empty when the peer kept it and nobody answered yet.

        Raises:
            PilotError: as :meth:`dial`; Overloaded when the peer has no room.
        """
        async with await self.dial(target, port, timeout_s=timeout_s) as stream:
            return await exchange(stream, message, timeout_s=timeout_s)

    async def send(
        self, target: Target, message: bytes, *, port: int = WellKnownPort.STDIO, timeout_s: float = 30.0
    ) -> None:
        """Send a message; returns when the peer has kept or handled it.

        Raises:
            PilotError: as :meth:`request`.
        """
        await self.request(target, message, port=port, timeout_s=timeout_s)

    async def receive(self, port: int = WellKnownPort.STDIO, *, timeout_s: float | None = None) -> Message:
        """Return the oldest message to a port, waiting for one.

        Raises:
            TimedOut: none came in time.
            AlreadyExists: a program listens on that port.
        """
        letter = await self._running.mailboxes.take(port, timeout_s=timeout_s)
        rooms = self.rooms
        return Message(
            peer=letter.peer,
            address=Address.of_public_key(letter.peer, network=self.config.network),
            hostname=rooms.book.entry(letter.peer).hostname or rooms.reach.hostname_of(letter.peer),
            port=int(port),
            data=letter.data,
        )

    async def put_back(self, message: Message) -> None:
        """Make a received message the oldest of its port again, because it could not be handed on."""
        await self._running.mailboxes.put_back(message.port, Letter(peer=message.peer, data=message.data))

    # Names of one's own.

    async def set_alias(self, alias: str, target: Target) -> Peer:
        """Let a local name stand for a peer, whatever anybody claims; returns the peer.

        Raises:
            InvalidArgument: the alias is not formed like a hostname.
            Overloaded: there are too many.
            PilotError: as :meth:`find`.
        """
        peer = await self.rooms.reach.peer(target, fresh=True)
        self.rooms.book.set_alias(alias, peer.public_key)
        self.rooms.reach.forget(alias)
        return peer

    async def remove_alias(self, alias: str) -> bool:
        """Forget a local name; return whether there was one."""
        self.rooms.reach.forget(alias)
        return self.rooms.book.remove_alias(alias)

    def aliases(self) -> dict[str, Address]:
        """Return the address of each local name's peer."""
        keys = self.rooms.book.aliases()
        return {alias: Address.of_public_key(key, network=self.config.network) for alias, key in keys.items()}

    # Looking into the DHT.

    async def dht_lookup(self, target: str) -> LookupInfo:
        """Walk towards the key of a name, address or did:key, or to 40 hex digits.

        Raises:
            InvalidArgument: none of these forms.
        """
        key = record_target(target, network=self.config.network)
        found = await self.rooms.dht.find_node(key.as_node_id())
        return LookupInfo(
            target=key.key,
            contacts=found.contacts,
            requests=found.requests,
            hops=found.hops,
            duration_s=found.duration_s,
        )

    async def dht_get(self, target: str) -> list[dict[str, object]]:
        """Return the live records under a name, address, did:key, ``tag:NAME``, ``group:NAME``, or 40 hex digits.

        Raises:
            InvalidArgument: none of these forms.
        """
        key = record_target(target, network=self.config.network)
        rooms = self.rooms
        single = await rooms.dht.get_record(key.key, signer=key.signer)
        many = [] if key.is_single else await rooms.dht.get_entries(key.key)
        return [describe_record(signed) for signed in ([single] if single is not None else []) + many]

    def dht_stats(self) -> dict[str, object]:
        """Return figures of the DHT."""
        return asdict(self.rooms.dht.stats())

    # Inside.

    @property
    def rooms(self) -> Rooms:
        """What the running node consists of: for tests, simulations and extensions; not part of the stable interface.

        Raises:
            NodeClosed: the node is not open.
        """
        return self._running.rooms

    @property
    def _running(self) -> Life:
        if self._life is None:
            raise NodeClosed("the node is not open")
        return self._life

    def _own_keys(self) -> KeyPair:
        folder = self.config.data_dir
        return KeyPair.generate() if folder is None else load_or_create_key_file(folder / IDENTITY_FILE)

    def _own_tracer(self) -> Tracer:
        from pilotdht.tracing.opentelemetry import open_telemetry_tracer  # loaded by those alone who trace

        config = self.config.tracing
        return open_telemetry_tracer(
            endpoint=config.endpoint, share=config.share, instance=str(self.address), version=__version__
        )

    @property
    def _network(self) -> int:
        return self.config.network
