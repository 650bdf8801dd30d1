"""Whole nodes in a simulated world: some servers in public, and nodes behind NATs of named kinds."""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import Self

from pilotdht.config.config import Config
from pilotdht.identity.keys import KeyPair
from pilotdht.node.node import Node
from pilotdht.wire.endpoint import Endpoint
from simulations.world.conditions import Conditions
from simulations.world.nat import Nat
from simulations.world.world import World

ONE_WAY_S = 0.010
"""Each host is so far from every other."""

CONDITIONS = Conditions(
    has_regions=False,
    latency_low_s=ONE_WAY_S,
    latency_high_s=ONE_WAY_S,
    home_share=0.0,
    cloud_access_s=0.0,
    jitter_s=0.0,
    loss=0.0,
)


class NatMesh:
    """Servers, and nodes behind NATs."""

    def __init__(self, servers: int = 4, *, seed: int = 1) -> None:
        """Make the world; ``async with`` starts the servers.

        Args:
            servers: how many nodes stand in public, each on a network of its own.
            seed: of everything.
        """
        self.world = World(seed=seed, conditions=CONDITIONS)
        self.servers: list[Node] = []
        """Nodes in public."""
        self.nats: dict[str, Nat] = {}
        """By the name of the node behind them."""
        self._count = servers
        self._made = 0
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        for number in range(self._count):
            endpoint = Endpoint(f"45.{100 + number}.0.1", 4433)
            self.servers.append(await self._start(f"server-{number}", endpoint))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def add(self, name: str, kind: str) -> Node:
        """Start a node behind a NAT of a kind (:data:`simulations.world.nat.NAT_KINDS`), or in ``public``."""
        number = self._made + 1
        if kind == "public":
            return await self._start(name, Endpoint(f"81.{number}.0.1", 4000))
        host = f"192.168.{number}.2"
        self.nats[name] = self.world.network.place_behind_kind(host, kind, f"81.{number}.0.1")
        return await self._start(name, Endpoint(host, 4000))

    async def _start(self, name: str, endpoint: Endpoint) -> Node:
        self._made += 1
        config = Config(
            hostname=name, listen=endpoint, bootstrap=tuple(str(node.endpoints[0]) for node in self.servers[:3])
        )
        keys = KeyPair.from_seed(name.encode().ljust(32, b"\0"))
        node = Node(config, keys=keys, doors=self.world.doors(self._made))
        return await self._stack.enter_async_context(node)
