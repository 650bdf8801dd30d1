"""Many real nodes of the DHT under a virtual clock, on a network in memory: hours in seconds, and repeatable."""

from __future__ import annotations

from pilotdht.config.dht import DhtConfig
from pilotdht.config.net import NetConfig
from pilotdht.identity.keys import KeyPair
from pilotdht.wire.endpoint import Endpoint
from simulations.world.conditions import Conditions
from simulations.world.network import MemoryNetwork
from simulations.world.world import virtual_doors
from tests.support.loopback_mesh import LoopbackMesh, MeshNode


class VirtualMesh(LoopbackMesh):
    """A mesh whose network and clock are simulated; each node has a host of its own."""

    def __init__(
        self,
        count: int,
        *,
        dht: DhtConfig | None = None,
        seed: int = 1,
        seeds_per_join: int = 3,
        conditions: Conditions | None = None,
    ) -> None:
        super().__init__(count, dht=dht, net=NetConfig(), seed=seed, seeds_per_join=seeds_per_join)
        self.memory = MemoryNetwork(seed=seed, conditions=conditions)
        self._seed = seed
        self._made = 0

    def new_node(self, keys: KeyPair | None = None) -> MeshNode:
        """Return a node that is not open yet."""
        self._made += 1
        return MeshNode(
            KeyPair.from_seed(self.random.randbytes(32)) if keys is None else keys,
            virtual_doors(self.memory, seed=self._seed, node=self._made),
            dht=self.dht_config,
            net=self.net_config,
            net_metrics=self.net_metrics,
            dht_metrics=self.dht_metrics,
            listen=Endpoint(f"10.0.{self._made // 200}.{self._made % 200 + 1}", 4000),
        )
