"""Our own node as a participant: :class:`pilotdht.node.node.Node` itself, on simulated doors."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from pilotdht.config.config import Config
from pilotdht.config.dht import DhtConfig
from pilotdht.config.net import NetConfig
from pilotdht.dht.writes import PutReport
from pilotdht.errors import PilotError
from pilotdht.identity.address import Address
from pilotdht.identity.keys import KeyPair
from pilotdht.names.own import NODE_PUBLICATION, own_records
from pilotdht.node.node import Node
from pilotdht.node.state import NodeState
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.records import node_key
from simulations.adversaries.behaviours import HONEST, Conspiracy, corrupt
from simulations.population.keys import SimulatedKeyPair
from simulations.population.member import Answer, Identity
from simulations.world.world import World

_logger = logging.getLogger(__name__)


class PilotKind:
    """Makes participants that run our node."""

    name = "pilotdht"

    def __init__(self, world: World, *, dht: DhtConfig | None = None, net: NetConfig | None = None) -> None:
        """Make it.

        Args:
            world: where they live.
            dht: tunables to try; absent: what every node has by default.
            net: the same.
        """
        self._world = world
        self._dht = DhtConfig() if dht is None else dht
        self._net = NetConfig() if net is None else net
        self.conspiracy = Conspiracy(seed=world.seed)
        """What the dishonest among them share."""
        self._lives: dict[int, int] = {}

    def figures(self) -> dict[str, float]:
        """Return nothing: whatever is measured of our node is measured of others as well."""
        return {}

    def make(self, identity: Identity, *, behaviour: str = HONEST, saved: object = None) -> PilotMember:
        """Return a participant that is not started; see :class:`simulations.population.member.MemberKind`."""
        life = self._lives.get(identity.number, 0)
        self._lives[identity.number] = life + 1
        return PilotMember(
            identity,
            world=self._world,
            life=life,
            dht=self._dht,
            net=self._net,
            behaviour=behaviour,
            conspiracy=self.conspiracy,
            state=saved if isinstance(saved, NodeState) else None,
        )


class PilotMember:
    """One life of one participant; see :class:`simulations.population.member.Member`."""

    def __init__(
        self,
        identity: Identity,
        *,
        world: World,
        life: int,
        dht: DhtConfig,
        net: NetConfig,
        behaviour: str,
        conspiracy: Conspiracy,
        state: NodeState | None,
    ) -> None:
        self._identity = identity
        self._doors = world.doors(identity.number, life=life)
        self._dht = dht
        self._net = net
        self._behaviour = behaviour
        self._conspiracy = conspiracy
        self._state = state
        self._node: Node | None = None
        self._is_crashed = False
        self._version = 0

    async def start(self, contacts: Sequence[Endpoint]) -> None:
        """Join and publish."""
        config = Config(
            hostname=self._identity.name,
            listen=self._identity.endpoint,
            bootstrap=tuple(str(endpoint) for endpoint in contacts),
            dht=self._dht,
            net=self._net,
        )
        keys: KeyPair = SimulatedKeyPair.from_seed(self._identity.seed)
        node = Node(config, keys=keys, doors=self._doors, state=self._state)
        self._state = None
        await node.__aenter__()
        if self._is_crashed:
            await node.abort()
            return
        self._node = node
        if self._behaviour != HONEST:
            corrupt(node, self._identity, self._behaviour, self._conspiracy)

    async def stop(self) -> None:
        """Withdraw everything, and close."""
        if self._node is not None:
            await self._node.close()

    async def crash(self) -> None:
        """Free what it holds; one that is still starting does so as soon as it has started."""
        self._is_crashed = True
        if self._node is not None:
            await self._node.abort()

    def saved_state(self) -> object:
        """Return the state that the node would have on disk."""
        return None if self._node is None else self._node.state()

    def contacts(self) -> Sequence[Endpoint]:
        """Return the endpoints in the routing table."""
        if self._node is None:
            return ()
        return [known.contact.endpoint for known in self._node.rooms.dht.contacts()]

    @property
    def node(self) -> Node | None:
        """The node, for what only ours can do; absent before it has started."""
        return self._node

    @property
    def version(self) -> int:
        """Issue time in milliseconds of the NODE record that enough holders took last."""
        if self._node is not None:
            published = self._node.rooms.dht.published(NODE_PUBLICATION)
            self._version = self._version if published is None else published.record.issued_ms
        return self._version

    async def publish(self) -> Answer:
        """Publish the NODE record anew."""
        assert self._node is not None, "who is asked to publish was started"
        rooms = self._node.rooms
        build = own_records(rooms.profile())[NODE_PUBLICATION]
        try:
            report: PutReport = await rooms.dht.publish(NODE_PUBLICATION, build)
        except PilotError as error:
            return Answer(is_ok=False, error=error.code)
        return Answer(is_ok=report.is_kept, acks=report.acks, error="" if report.is_kept else "not_kept")

    async def lookup(self, identity: Identity, version: int) -> Answer:
        """Read another's NODE record, by its key, from as many holders as a node compares by default."""
        assert self._node is not None, "who is asked to look up was started"
        public_key = KeyPair.from_seed(identity.seed).public_key
        key = node_key(Address.of_public_key(public_key))
        try:
            found = await self._node.rooms.dht.find_record(key, signer=public_key)
        except PilotError as error:
            return Answer(is_ok=False, error=error.code)
        if found.signed is None:
            return Answer(is_ok=False, error="not_found", hops=found.hops)
        record = found.signed.record
        is_wrong = record.issued_ms < version or record.public_key != public_key
        return Answer(is_ok=not is_wrong, is_wrong=is_wrong, hops=found.hops, error="outdated" if is_wrong else "")
