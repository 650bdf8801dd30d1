"""Nodes that relay and are relayed: socket, requests, server, client and attachments, and nothing above."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from types import TracebackType
from typing import Self

from prometheus_client import CollectorRegistry

from pilotdht.config.net import NetConfig
from pilotdht.config.relay import RelayConfig
from pilotdht.errors import PilotError
from pilotdht.identity.ids import PublicKey
from pilotdht.net.doors import Batch, Doors, real_doors
from pilotdht.net.socket import UdpNetwork
from pilotdht.traversal.attachments import Attachments
from pilotdht.traversal.relay.client import RelayClient
from pilotdht.traversal.relay.junction import Junction
from pilotdht.traversal.relay.metrics import RelayMetrics
from pilotdht.traversal.relay.server import RelayServer
from pilotdht.wire.contact import Contact
from pilotdht.wire.dht_messages import Ping
from pilotdht.wire.endpoint import Endpoint
from simulations.world.conditions import Conditions
from simulations.world.network import MemoryNetwork
from simulations.world.world import virtual_doors
from tests.support.net_nodes import CALM, LOOPBACK, NetNode

QUIC_LIKE = b"\x40"
"""First byte of a datagram that a QUIC handler gets, and nobody else."""


class RelayNode(NetNode):
    """A node in both roles; what its QUIC handler gets is kept."""

    def __init__(
        self,
        doors: Doors,
        *,
        seed: int,
        listen: Endpoint = LOOPBACK,
        relay: RelayConfig | None = None,
        net: NetConfig | None = None,
    ) -> None:
        super().__init__(doors, seed=seed, listen=listen, config=net)
        self.relay_config = RelayConfig() if relay is None else relay
        self.counts = RelayMetrics(CollectorRegistry())
        self.candidates: list[Contact] = []
        self.preferred: list[Contact] = []
        self.is_wanted = True
        self.is_relied = False
        self.silent: list[Contact] = []
        self.searches = 0
        self.search_failures: list[PilotError] = []
        self.changes: list[tuple[Contact, ...]] = []
        self.calls: list[tuple[PublicKey, Contact, Endpoint]] = []
        self.closed: list[Endpoint] = []
        self.quic: list[tuple[bytes, Endpoint]] = []
        self.has_quic = asyncio.Event()
        config, counts = self.relay_config, self.counts
        self.server = RelayServer(socket=self.socket, token_bytes=doors.token_bytes, config=config, metrics=counts)
        self.client = RelayClient(socket=self.socket, config=config, metrics=counts)
        self.client.on_closed = self.closed.append
        self.junction = Junction(socket=self.socket, server=self.server, client=self.client)
        self.attachments = self.new_attachments()

    def new_attachments(self) -> Attachments:
        """Return attachments as this node has them now."""
        return Attachments(
            rpc=self.rpc,
            client=self.client,
            config=self.relay_config,
            metrics=self.counts,
            random=Random(7),
            candidates=self._found,
            is_wanted=lambda: self.is_wanted,
            on_ring=lambda caller, relay, endpoint: self.calls.append((caller, relay, endpoint)),
            on_change=lambda: self.changes.append(self.attachments.servers),
            is_relied=lambda: self.is_relied,
            on_silent=self.silent.append,
            preferred=self._preferred,
        )

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self.socket.set_quic_handler(self._quic)
        self.junction.start()
        self.attachments.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.junction.stop()
        await super().__aexit__(kind, error, trace)

    async def attach(self, *servers: RelayNode) -> None:
        """Attach to servers, one round."""
        self.candidates = [server.contact for server in servers]
        self.attachments.hurry()
        await self.attachments.look()

    async def _preferred(self) -> list[Contact]:
        return self.preferred

    async def quic_at_least(self, count: int) -> list[tuple[bytes, Endpoint]]:
        """Return what the QUIC handler got, once it got so many."""
        async with asyncio.timeout(10):
            while len(self.quic) < count:
                self.has_quic.clear()
                await self.has_quic.wait()
        return self.quic

    def tuned(self, peer: RelayNode, endpoint: Endpoint) -> Contact:
        """Return another node at a virtual endpoint of this one."""
        return Contact(peer.keys.public_key, endpoint)

    async def _found(self) -> list[Contact]:
        self.searches += 1
        if self.search_failures:
            raise self.search_failures.pop()
        return self.candidates

    def _quic(self, batch: Batch) -> None:
        self.quic += batch
        self.has_quic.set()


def virtual_relay_node(
    network: MemoryNetwork,
    seed: int,
    *,
    relay: RelayConfig | None = None,
    host: str = "",
    port: int = 4000,
) -> RelayNode:
    """Return a node on a network in memory; each has a public address in a prefix of its own."""
    listen = Endpoint(host or f"203.0.{seed}.1", port)
    return RelayNode(virtual_doors(network, seed=1, node=seed), seed=seed, listen=listen, relay=relay)


def real_relay_node(seed: int, *, relay: RelayConfig | None = None, listen: Endpoint = LOOPBACK) -> RelayNode:
    """Return a node with a real socket."""
    return RelayNode(real_doors(UdpNetwork()), seed=seed, relay=relay, listen=listen)


@asynccontextmanager
async def virtual_three(
    *, relay: RelayConfig | None = None, conditions: Conditions = CALM
) -> AsyncIterator[tuple[MemoryNetwork, RelayNode, RelayNode, RelayNode]]:
    """Open a caller, a server and a node that is attached to it, on a network in memory."""
    network = MemoryNetwork(seed=1, conditions=conditions)
    async with (
        virtual_relay_node(network, 1, relay=relay) as caller,
        virtual_relay_node(network, 2, relay=relay) as server,
        virtual_relay_node(network, 3, relay=relay) as target,
    ):
        await target.attach(server)
        yield network, caller, server, target


def now() -> float:
    """Return the loop's clock."""
    return asyncio.get_running_loop().time()


def counted(counts: dict[str, int]) -> dict[str, int]:
    """Return what was counted at all."""
    return {name: count for name, count in counts.items() if count}


async def reached(caller: RelayNode, server: RelayNode, target: RelayNode) -> Endpoint:
    """Call, and ping through the channel; return its endpoint."""
    endpoint = await caller.client.call(server.contact, target.keys.public_key)
    await caller.rpc.request(caller.tuned(target, endpoint), Ping())
    return endpoint


def relaunched(server: RelayNode) -> RelayServer:
    """Return a server that has forgotten everything, in the place of the old one."""
    fresh = RelayServer(
        socket=server.socket,
        token_bytes=lambda size: b"\x07" * size,
        config=server.relay_config,
        metrics=RelayMetrics(CollectorRegistry()),
    )
    server.junction.server = server.server = fresh
    fresh.start()
    return fresh
