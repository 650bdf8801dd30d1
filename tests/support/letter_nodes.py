"""Nodes that write, keep and fetch letters: socket, requests and post office, and nothing above."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from prometheus_client import CollectorRegistry

from pilotdht.config.letters import LetterConfig
from pilotdht.identity.ids import PublicKey
from pilotdht.letters.post_office import PostOffice
from pilotdht.tasks import TaskScope
from pilotdht.wire.contact import Contact
from pilotdht.wire.dht_messages import Ping
from pilotdht.wire.endpoint import Endpoint
from simulations.world.network import MemoryNetwork
from simulations.world.world import virtual_doors
from tests.support.net_nodes import SALT, NetNode


class LetterNode(NetNode):
    """One node; what its letters said is in ``read``."""

    def __init__(
        self, network: MemoryNetwork, seed: int, *, config: LetterConfig | None = None, host: str = ""
    ) -> None:
        self.doors = doors = virtual_doors(network, seed=1, node=seed)
        super().__init__(doors, seed=seed, listen=Endpoint(host or f"45.0.{seed}.1", 4000))
        self.registry = CollectorRegistry()
        self.places: list[Contact] = []
        self.near: list[Contact] = []
        self.whereabouts: dict[PublicKey, Endpoint] = {}
        self.read: list[tuple[PublicKey, bytes]] = []
        self.has_room = True
        self.scope = TaskScope("letters")
        self.office = PostOffice(
            self.keys,
            rpc=self.rpc,
            salt=SALT,
            config=config or LetterConfig(),
            doors=doors,
            registry=self.registry,
            scope=self.scope,
            places=self._places,
            near=lambda count: self.near[:count],
            whereabouts=self.whereabouts.get,
            read=self._read,
        )

    @property
    def key(self) -> PublicKey:
        """Whose node it is."""
        return self.keys.public_key

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        await self.scope.__aenter__()
        self.office.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.office.stop()
        await self.scope.close()
        await super().__aexit__(kind, error, trace)
        assert 0 == self.scope.failures

    async def meet(self, other: NetNode) -> None:
        """Ask another node twice, so that each request from now on proves where this one is."""
        for _ in range(2):
            await self.rpc.request(other.contact, Ping())

    def counted(self, name: str, **labels: str) -> float:
        """Return a counter or gauge of letters."""
        return self.registry.get_sample_value(f"pilotdht_letters_{name}", labels) or 0.0

    async def _places(self, _target: PublicKey) -> list[Contact]:
        return list(self.places)

    def _read(self, author: PublicKey, content: bytes) -> bool:
        if self.has_room:
            self.read.append((author, content))
        return self.has_room
