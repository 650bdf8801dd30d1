"""What the control API needs of a node: :class:`pilotdht.node.Node` has it, and so has a fake in the tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from prometheus_client import CollectorRegistry

from pilotdht.config.config import Config
from pilotdht.daemon.group_verbs import GroupVerbs, QueryVerbs
from pilotdht.daemon.watch_verbs import WatchVerbs
from pilotdht.identity.address import Address
from pilotdht.names.peer import Peer
from pilotdht.node.facts import Connection, ConnectionInfo, LookupInfo, Message, NetCheck, NodeInfo, PeerInfo, Trace
from pilotdht.trust.book import TrustEntry
from pilotdht.tunnel.byte_stream import ByteStream


class NodeVerbs(GroupVerbs, QueryVerbs, WatchVerbs, Protocol):
    """The verbs of a node."""

    @property
    def registry(self) -> CollectorRegistry:
        """The node's metrics."""
        ...

    def info(self) -> NodeInfo:
        """Return what the node tells about itself."""
        ...

    def netcheck(self) -> NetCheck:
        """Return where the node stands in the network."""
        ...

    def peers(self) -> Sequence[PeerInfo]:
        """Return the routing table."""
        ...

    def connections(self) -> Sequence[ConnectionInfo]:
        """Return the live links."""
        ...

    def trusted(self) -> Sequence[TrustEntry]:
        """Return whom this node trusts."""
        ...

    def pending(self) -> Sequence[TrustEntry]:
        """Return whose requests wait for an answer."""
        ...

    def dht_stats(self) -> Mapping[str, object]:
        """Return figures of the DHT."""
        ...

    def reconfigure(self, config: Config) -> None:
        """Change what can be changed while the node runs, its name and tags excepted."""
        ...

    async def set_hostname(self, hostname: str) -> None:
        """Change the own hostname and publish it."""
        ...

    async def set_tags(self, tags: Sequence[str]) -> None:
        """Change the own tags and publish them."""
        ...

    async def find(self, target: str, *, fresh: bool = True) -> Peer:
        """Resolve a name, address, did:key or alias."""
        ...

    async def set_alias(self, alias: str, target: str) -> Peer:
        """Let a local name stand for a peer."""
        ...

    async def remove_alias(self, alias: str) -> bool:
        """Forget a local name; returns whether there was one."""
        ...

    def aliases(self) -> Mapping[str, Address]:
        """Return the local names."""
        ...

    async def lookup(self, *, tag: str, limit: int = 256) -> Sequence[Peer]:
        """Return the peers that carry a tag."""
        ...

    async def ping(self, target: str, *, timeout_s: float = 5.0) -> float:
        """Return the round-trip time over the tunnel."""
        ...

    async def traceroute(self, target: str, *, timeout_s: float = 10.0) -> Trace:
        """Return how a peer is reached."""
        ...

    async def connect(self, target: str, *, timeout_s: float = 10.0) -> Connection:
        """Establish the tunnel."""
        ...

    async def dial(self, target: str, port: int, *, timeout_s: float = 10.0) -> ByteStream:
        """Open a stream."""
        ...

    def listen(self, port: int) -> AbstractAsyncContextManager[AsyncIterator[ByteStream]]:
        """Accept streams to a port."""
        ...

    async def request(self, target: str, message: bytes, *, port: int = 1000, timeout_s: float = 30.0) -> bytes:
        """Send a message and return the answer."""
        ...

    async def send(self, target: str, message: bytes, *, port: int = 1000, timeout_s: float = 30.0) -> None:
        """Send a message; returns when the peer has stored or handled it."""
        ...

    async def receive(self, port: int = 1000, *, timeout_s: float | None = None) -> Message:
        """Take the oldest message from the inbox, or wait for one."""
        ...

    async def put_back(self, message: Message) -> None:
        """Make a received message the oldest of its port again."""
        ...

    async def disconnect(self, target: str) -> bool:
        """Close the tunnel to a peer; returns whether there was one."""
        ...

    async def handshake(self, target: str, reason: str = "") -> TrustEntry:
        """Ask a peer for trust; returns where it stands."""
        ...

    async def approve(self, target: str) -> TrustEntry:
        """Give trust to a peer that asked."""
        ...

    async def reject(self, target: str, reason: str = "") -> TrustEntry:
        """Refuse trust to a peer that asked."""
        ...

    async def untrust(self, target: str) -> TrustEntry:
        """Take trust back and cut the peer's links."""
        ...

    async def dht_lookup(self, target: str) -> LookupInfo:
        """Walk the DHT towards a name, address or key."""
        ...

    async def dht_get(self, target: str) -> Sequence[Mapping[str, object]]:
        """Return the records under a key or name."""
        ...
