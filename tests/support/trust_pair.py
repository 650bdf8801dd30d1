"""Nodes in memory that speak the trust handshake with one another: no socket, no clock but the loop's."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from prometheus_client import CollectorRegistry

from pilotdht.config.trust import TrustConfig
from pilotdht.errors import NotTrusted, Unreachable
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import KeyPair
from pilotdht.net.doors import Doors
from pilotdht.tasks import TaskScope
from pilotdht.trust.book import TrustBook
from pilotdht.trust.deliveries import Post
from pilotdht.trust.handshake import Handshakes, TrustChange
from pilotdht.trust.metrics import TrustMetrics
from pilotdht.trust.policy import TrustGate
from pilotdht.trust.states import TrustState
from pilotdht.wire.endpoint import Endpoint
from tests.support.byte_pipe import BytePipe, byte_pipe


class NoNetwork:
    """A network that nobody opens."""

    async def open(self, listen: Endpoint, receive: object) -> object:
        """Fail."""
        raise AssertionError("nothing opens a socket here")


class WallClock:
    """A wall clock that a test moves."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """Return Unix seconds."""
        return self.now


class TrustNode:
    """One node: book, handshakes and gate."""

    def __init__(
        self, mesh: TrustMesh, number: int, *, path: Path | None, config: TrustConfig, post: Post | None = None
    ) -> None:
        self.mesh = mesh
        self.keys = KeyPair.from_seed(bytes([number]) * 32)
        self.key = self.keys.public_key
        self.hostname = f"node-{number}"
        self.is_online = True
        self.clock = WallClock()
        self.cuts: list[PublicKey] = []
        self.was_cut = asyncio.Event()
        self.changes: list[TrustChange] = []
        self.scope = TaskScope(self.hostname)
        self.config = config
        self.registry = CollectorRegistry()
        self.book = TrustBook(path, unix_time=self.clock, config=config)
        self.gate = TrustGate(self.book)
        self.handshakes = Handshakes(
            book=self.book,
            config=config,
            doors=Doors(
                network=NoNetwork(),  # type: ignore[arg-type]  # never opened
                unix_time=self.clock,
                random=random.Random(number),
                token_bytes=bytes,
            ),
            metrics=TrustMetrics(self.registry),
            dialer=self,
            scope=self.scope,
            hostname=lambda: self.hostname,
            cut=self.cut,
            post=post,
        )
        self.handshakes.on_change(self.changes.append)

    async def open(self, peer: PublicKey, port: int) -> BytePipe:
        """Open a stream to another node of the mesh."""
        await asyncio.sleep(0)
        other = self.mesh.nodes.get(peer)
        if not self.is_online or other is None or not other.is_online:
            raise Unreachable("the peer is offline")
        if not other.gate.may_open(self.key, port):
            raise NotTrusted("not trusted")
        opener, acceptor = byte_pipe(opener=self.key, acceptor=peer, port=port)
        other.scope.start(other.handshakes.handle(acceptor), name="handler")
        return opener

    def cut(self, peer: PublicKey) -> None:
        """Remember whose links were cut."""
        self.cuts.append(peer)
        self.was_cut.set()

    def state(self, other: TrustNode) -> TrustState:
        """Return where this node stands with another."""
        return self.book.entry(other.key).state

    def counted(self, name: str, **labels: str) -> float:
        """Return a counter's value."""
        return self.registry.get_sample_value(name, labels) or 0.0

    async def stop(self) -> None:
        """Stop as a node does."""
        self.handshakes.close()
        await self.scope.close()
        self.book.close()


class TrustMesh:
    """A few nodes that reach one another by key; ``async with`` stops them."""

    def __init__(self) -> None:
        self.nodes: dict[PublicKey, TrustNode] = {}

    async def add(
        self, number: int, *, path: Path | None = None, config: TrustConfig | None = None, post: Post | None = None
    ) -> TrustNode:
        """Start a node; a number that was stopped before starts again with the same key."""
        config = config or TrustConfig(retry_first_s=0.01, retry_most_s=0.02)
        node = TrustNode(self, number, path=path, config=config, post=post)
        await node.scope.__aenter__()
        node.handshakes.start()
        self.nodes[node.key] = node
        return node

    async def __aenter__(self) -> TrustMesh:
        """Return the mesh."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop every node."""
        for node in self.nodes.values():
            await node.stop()
            assert node.scope.failures == 0

    @staticmethod
    async def settle(*nodes: TrustNode) -> None:
        """Wait until nobody owes anybody a word."""
        async with asyncio.timeout(10):
            while any(node.book.owing() for node in nodes):  # noqa: ASYNC110 - a book is a value, and tells nobody
                await asyncio.sleep(0)
