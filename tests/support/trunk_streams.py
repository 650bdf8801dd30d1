"""TLS connections in memory, under a virtual clock, and trunks on them: what tests of trunks stand on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from prometheus_client import CollectorRegistry

from pilotdht.config.net import NetConfig
from pilotdht.config.trunk import TrunkConfig
from pilotdht.errors import ConfigError, LinkClosed, Unreachable
from pilotdht.net.doors import ByteStream, ConnectProxy, Doors, Incoming, Receive, StreamListener
from pilotdht.tasks import TaskScope
from pilotdht.traversal.trunk.candidates import Candidate
from pilotdht.traversal.trunk.metrics import TrunkMetrics
from pilotdht.traversal.trunk.opening import Failure, TrunkOpener
from pilotdht.traversal.trunk.server import TrunkServer
from pilotdht.traversal.trunk.trunk import Trunk
from pilotdht.wire.endpoint import Endpoint
from simulations.world.network import MemoryNetwork
from simulations.world.world import virtual_doors
from tests.support.net_nodes import CALM, SALT, NetNode

ONE_WAY_S = 0.010
"""Each end is so far from the other."""

SERVER = Endpoint("203.0.1.1", 4000)
"""UDP endpoint of the server's node."""


class MemoryStream:
    """One end of a connection."""

    def __init__(self, remote: Endpoint, local: Endpoint, certificate: bytes) -> None:
        self.remote = remote
        self.local = local
        self.certificate = certificate
        self.backlog_bytes = 0
        self.other: MemoryStream | None = None
        self.is_over = False
        self.is_silent = False
        self.written = bytearray()
        self._buffer = bytearray()
        self._arrived = asyncio.Event()
        self._received: Callable[[bytes], None] | None = None
        self._ended: Callable[[], None] | None = None

    async def read_exactly(self, count: int) -> bytes:
        """Return the next bytes."""
        while len(self._buffer) < count:
            if self.is_over:
                raise LinkClosed("closed")
            self._arrived.clear()
            await self._arrived.wait()
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    def deliver(self, received: Callable[[bytes], None], ended: Callable[[], None]) -> None:
        """Hand over what arrives."""
        self._received, self._ended = received, ended
        early, self._buffer = bytes(self._buffer), bytearray()
        if early:
            received(early)

    def write(self, data: bytes) -> None:
        """Send bytes; they arrive later, unless the line is silent."""
        self.written += data
        if self.other is not None and not self.is_over and not self.is_silent:
            asyncio.get_running_loop().call_later(ONE_WAY_S, self.other.take, bytes(data))

    def take(self, data: bytes) -> None:
        """Take in what the other end sent."""
        if self.is_over:
            return
        if self._received is not None:
            self._received(data)
            return
        self._buffer += data
        self._arrived.set()

    def lose(self) -> None:
        """Take in that the other end is gone."""
        is_told, self.is_over = self.is_over, True
        self._arrived.set()
        if self._ended is not None and not is_told:
            self._ended()

    def close(self) -> None:
        """Close it."""
        if not self.is_over and self.other is not None and not self.is_silent:
            asyncio.get_running_loop().call_later(ONE_WAY_S, self.other.lose)
        self.is_over = True

    abort = close


class MemoryIncoming:
    """A connection before its handshake."""

    def __init__(self, stream: MemoryStream) -> None:
        self.remote = stream.remote
        self._stream = stream

    async def secure(self) -> ByteStream:
        """Return it after a round trip."""
        await asyncio.sleep(2 * ONE_WAY_S)
        return self._stream

    def abort(self) -> None:
        """Close it."""
        self._stream.close()


class MemoryListener:
    """An open port."""

    def __init__(self, streams: MemoryStreams, endpoint: Endpoint) -> None:
        self._streams = streams
        self.local_endpoints = (endpoint,)

    async def close(self) -> None:
        """Close it."""
        self._streams.ports.pop(self.local_endpoints[0], None)


class MemoryStreams:
    """All connections of one network; each host has a view of its own."""

    def __init__(self) -> None:
        self.ports: dict[Endpoint, tuple[Callable[[Incoming], None], bytes]] = {}
        self.opened: list[tuple[MemoryStream, MemoryStream]] = []
        self.refused_ports: list[int] = []
        self.is_intercepted = False
        self.asked: list[Endpoint] = []
        self.proxies: list[ConnectProxy | None] = []

    def at(self, host: str) -> HostStreams:
        """Return what a node at a host gets."""
        return HostStreams(self, host)

    def vanish(self, host: str) -> None:
        """Have a host lose its power: nobody is told anything."""
        self.ports = {place: found for place, found in self.ports.items() if place.host != host}
        for pair in self.opened:
            if host in (pair[0].local.host, pair[1].local.host):
                for stream in pair:
                    stream.is_silent = True

    def kill(self, host: str) -> None:
        """End the process at a host: the kernel tells the other ends."""
        self.ports = {place: found for place, found in self.ports.items() if place.host != host}
        for client, server in self.opened:
            if server.local.host == host:
                server.close()
                client.lose()


class HostStreams:
    """Connections from and to one host."""

    def __init__(self, streams: MemoryStreams, host: str) -> None:
        self._streams = streams
        self._host = host

    async def connect(self, host: str, port: int, *, proxy: ConnectProxy | None = None) -> ByteStream:
        """Open a connection."""
        streams, place = self._streams, Endpoint(host, port)
        streams.asked.append(place)
        streams.proxies.append(proxy)
        await asyncio.sleep(2 * ONE_WAY_S)
        if place not in streams.ports:
            raise Unreachable("nobody listens there")
        accept, certificate = streams.ports[place]
        shown = b"of the firewall" if streams.is_intercepted else certificate
        client = MemoryStream(place, Endpoint(self._host, 50_000), shown)
        server = MemoryStream(client.local, place, certificate)
        client.other, server.other = server, client
        streams.opened.append((client, server))
        accept(MemoryIncoming(server))
        await asyncio.sleep(2 * ONE_WAY_S)
        return client

    async def listen(
        self, listen: Endpoint, accept: Callable[[Incoming], None], *, certificate_file: str, key_file: str, seed: bytes
    ) -> StreamListener:
        """Open a port."""
        if listen.port in self._streams.refused_ports:
            raise ConfigError(f"{listen} cannot be bound: not permitted")
        place = Endpoint(self._host, listen.port)
        self._streams.ports[place] = (accept, b"certificate of " + seed)
        return MemoryListener(self._streams, place)


class TrunkWorld:
    """A server of trunks on a network in memory, and clients that are nothing but connections."""

    def __init__(self, *, config: TrunkConfig | None = None, salt: bytes = SALT) -> None:
        self.network = MemoryNetwork(seed=1, conditions=CALM)
        self.streams = MemoryStreams()
        self.config = TrunkConfig() if config is None else config
        self.salt = salt
        self.server_node = self.node(1)
        self.counts = TrunkMetrics(CollectorRegistry())
        self.scope = TaskScope("trunks")
        self.own_hosts: list[str] = [SERVER.host]
        self.server: TrunkServer | None = None

    def doors(self, number: int, host: str) -> Doors:
        """Return the doors of a node at a host."""
        return replace(virtual_doors(self.network, seed=1, node=number), streams=self.streams.at(host))

    def node(self, number: int, *, host: str = "") -> NetNode:
        """Return a node that is not open yet."""
        at = host or f"203.0.{number}.1"
        return NetNode(self.doors(number, at), seed=number, listen=Endpoint(at, 4000), salt=self.salt)

    def client(self, number: int, *, host: str = "", salt: bytes | None = None) -> TrunkClient:
        """Return a client at a host of its own."""
        return TrunkClient(self, number, host or f"198.51.{number}.1", self.salt if salt is None else salt)

    @property
    def counts_of_refusals(self) -> dict[str, int]:
        """What was refused at all."""
        return {reason: count for reason, count in self.counts.refused.items() if count}

    @property
    def counts_of_drops(self) -> dict[str, int]:
        """What was dropped at all."""
        return {reason: count for reason, count in self.counts.dropped.items() if count}

    @property
    def counts_of_ends(self) -> dict[str, int]:
        """What ended at all."""
        return {reason: count for reason, count in self.counts.ended.items() if count}


class TrunkClient:
    """Opens trunks, and keeps what comes out of them."""

    def __init__(self, world: TrunkWorld, number: int, host: str, salt: bytes) -> None:
        doors = world.doors(number, host)
        self.node = NetNode(doors, seed=number, listen=Endpoint(host, 4000), salt=salt)
        self.keys = self.node.keys
        self.received: list[tuple[bytes, Endpoint]] = []
        self.receive: Receive = self.received.extend
        self.counts = TrunkMetrics(CollectorRegistry())
        assert doors.streams is not None
        self.opener = TrunkOpener(
            self.keys,
            doors.streams,
            salt=salt,
            token_bytes=doors.token_bytes,
            config=world.config,
            proxy=None,
            metrics=self.counts,
            receive=lambda batch: self.receive(batch),
        )


PLACE = Candidate(host=SERVER.host, port=443, public_key=None)
"""Where the server of a world is."""


@asynccontextmanager
async def trunk_world(*, config: TrunkConfig | None = None, salt: bytes = SALT) -> AsyncIterator[TrunkWorld]:
    """Open a world with its server."""
    world = TrunkWorld(config=config, salt=salt)
    async with world.server_node, world.scope:
        world.server = TrunkServer(
            world.server_node.keys,
            world.doors(1, SERVER.host),
            salt=salt,
            config=world.config,
            net=NetConfig(),
            metrics=world.counts,
            net_metrics=world.server_node.metrics,
            scope=world.scope,
            own_hosts=lambda: world.own_hosts,
            own_ports=lambda: [SERVER.port],
        )
        await world.server.start(Endpoint("::", 443), udp=SERVER)
        yield world
        await world.server.stop()


async def opened(client: TrunkClient) -> Trunk:
    """Open a trunk, which must succeed."""
    trunk = await client.opener.open(PLACE)
    assert isinstance(trunk, Trunk), trunk
    return trunk


async def refused(client: TrunkClient) -> str:
    """Try to open a trunk, which must fail; return how."""
    failure = await client.opener.open(PLACE)
    assert isinstance(failure, Failure)
    return failure.result


async def raw(world: TrunkWorld, *, host: str = "198.51.9.1") -> MemoryStream:
    """Return a connection that says nothing by itself."""
    stream = await world.streams.at(host).connect(SERVER.host, 443)
    assert isinstance(stream, MemoryStream)
    return stream
