"""Many real nodes of the DHT, with real sockets on 127.0.0.1, in one process: for tests and figures."""

from __future__ import annotations

import random
from types import TracebackType
from typing import Self

from prometheus_client import CollectorRegistry

from pilotdht.config.dht import DhtConfig
from pilotdht.config.net import NetConfig
from pilotdht.dht.dht import Dht
from pilotdht.dht.metrics import DhtMetrics
from pilotdht.identity.keys import KeyPair
from pilotdht.net.doors import DatagramNetwork, Doors, real_doors
from pilotdht.net.metrics import NetMetrics
from pilotdht.net.node_socket import NodeSocket
from pilotdht.net.socket import UdpNetwork
from pilotdht.tasks import TaskScope
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.records import NodeRecord, SignedRecord, TagEntry, sign_record
from pilotdht.wire.seal import network_salt

LISTEN = Endpoint("127.0.0.1", 0)


class MeshNode:
    """One node: socket, requests, DHT; nothing above."""

    def __init__(
        self,
        keys: KeyPair,
        doors: Doors,
        *,
        dht: DhtConfig,
        net: NetConfig,
        net_metrics: NetMetrics | None = None,
        dht_metrics: DhtMetrics | None = None,
        listen: Endpoint = LISTEN,
    ) -> None:
        registry = CollectorRegistry()
        self.keys = keys
        self.doors = doors
        self.metrics = DhtMetrics(registry) if dht_metrics is None else dht_metrics
        self.scope = TaskScope("dht")
        self.socket = NodeSocket(
            keys,
            doors,
            net,
            NetMetrics(registry) if net_metrics is None else net_metrics,
            salt=network_salt(0, b""),
            listen=listen,
        )
        self.dht = Dht(
            keys=keys, doors=doors, config=dht, requester=self.socket.rpc, metrics=self.metrics, scope=self.scope
        )
        self.is_open = False

    @property
    def contact(self) -> Contact:
        """Where it answers."""
        return Contact(self.keys.public_key, self.socket.local_endpoints[0])

    async def open(self) -> None:
        """Open the socket and serve."""
        await self.socket.__aenter__()
        await self.scope.__aenter__()
        self.dht.start()
        self.is_open = True

    async def close(self) -> None:
        """Vanish without a word."""
        self.is_open = False
        await self.scope.close()
        await self.socket.close()

    def signed(
        self, *, hostname: str = "", ttl_s: int = 3600, issued_ms: int | None = None, keys: KeyPair | None = None
    ) -> SignedRecord:
        """Return a NODE record of this node, or of another key that says it is here."""
        keys = self.keys if keys is None else keys
        now_ms = int(self.doors.unix_time() * 1000) if issued_ms is None else issued_ms
        record = NodeRecord(
            public_key=keys.public_key,
            issued_ms=now_ms,
            ttl_s=ttl_s,
            hostname=hostname,
            endpoints=(self.contact.endpoint,),
        )
        return sign_record(keys, record)

    def tag_entry(self, tag: str, *, issued_ms: int | None = None) -> SignedRecord:
        """Return that this node carries a tag."""
        now_ms = int(self.doors.unix_time() * 1000) if issued_ms is None else issued_ms
        entry = TagEntry(public_key=self.keys.public_key, issued_ms=now_ms, ttl_s=3600, tag=tag)
        return sign_record(self.keys, entry)


class LoopbackMesh:
    """So many nodes; ``async with`` opens and joins them all, and closes those that still live."""

    def __init__(
        self,
        count: int,
        *,
        dht: DhtConfig | None = None,
        net: NetConfig | None = None,
        seed: int = 1,
        seeds_per_join: int = 3,
        is_metered_together: bool = True,
    ) -> None:
        self.nodes: list[MeshNode] = []
        self.random = random.Random(f"mesh {seed}")
        self.dht_config = DhtConfig() if dht is None else dht
        self.net_config = NetConfig(receive_buffer_bytes=1 << 20, send_buffer_bytes=1 << 18) if net is None else net
        self.network: DatagramNetwork = UdpNetwork(self.net_config)
        self._count = count
        self._seeds_per_join = seeds_per_join
        self._registry = CollectorRegistry()
        self.net_metrics = NetMetrics(self._registry) if is_metered_together else None
        self.dht_metrics = DhtMetrics(self._registry) if is_metered_together else None

    async def __aenter__(self) -> Self:
        for _ in range(self._count):
            await self.add()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for node in self.nodes:
            await node.close()

    def new_node(self, keys: KeyPair | None = None) -> MeshNode:
        """Return a node that is not open yet."""
        return MeshNode(
            KeyPair.from_seed(self.random.randbytes(32)) if keys is None else keys,
            real_doors(self.network),
            dht=self.dht_config,
            net=self.net_config,
            net_metrics=self.net_metrics,
            dht_metrics=self.dht_metrics,
        )

    async def add(self, keys: KeyPair | None = None) -> MeshNode:
        """Open one more node and join it through nodes that live."""
        node = self.new_node(keys)
        await node.open()
        live = self.live()
        self.nodes.append(node)
        if live:
            seeds = self.random.sample(live, min(len(live), self._seeds_per_join))
            await node.dht.bootstrap([one.contact for one in seeds])
        return node

    def live(self) -> list[MeshNode]:
        """Return the nodes that are open."""
        return [node for node in self.nodes if node.is_open]

    async def kill(self, share: float) -> list[MeshNode]:
        """Close a random share of the nodes without a word; return them."""
        live = self.live()
        dying = self.random.sample(live, int(len(live) * share))
        for node in dying:
            await node.close()
        return dying


def forget_everything(node: MeshNode) -> None:
    """Drop all records of a node, as a holder that was not there when they were written."""
    node.dht.store.clear()
