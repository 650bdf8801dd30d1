"""Members of one open group without the rest of a node: a socket, the requests on it, and the membership."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from prometheus_client import CollectorRegistry

from pilotdht.config.gossip import GossipConfig
from pilotdht.config.net import NetConfig
from pilotdht.errors import PilotError
from pilotdht.gossip.admission import OpenAdmission
from pilotdht.gossip.members import Change, Member
from pilotdht.gossip.metrics import GossipMetrics
from pilotdht.gossip.post import Post
from pilotdht.gossip.swim import Swim
from pilotdht.gossip.values import MemberChange, MemberStatus
from pilotdht.gossip.voice import Description
from pilotdht.identity.ids import NodeId
from pilotdht.identity.keys import KeyPair
from pilotdht.net.doors import Doors
from pilotdht.net.metrics import NetMetrics
from pilotdht.net.node_socket import NodeSocket
from pilotdht.tasks import TaskScope
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.gossip_messages import Gossip, Summarise
from pilotdht.wire.groups import GroupId, open_group_id
from pilotdht.wire.membership import (
    FactKind,
    MemberFact,
    SignedFact,
    SignedSuspicion,
    Suspicion,
    sign_fact,
    sign_suspicion,
)
from pilotdht.wire.seal import network_salt
from simulations.world.conditions import Conditions
from simulations.world.world import World
from tests.support.net_nodes import key_pair

TOWN: GroupId = open_group_id("town")
"""The group that everybody is in."""

NOW_MS = 1_800_000_000_000
"""A Unix time in milliseconds: that at which the virtual clock shows zero."""


@lru_cache(maxsize=4096)
def fact_of(
    seed: int,
    incarnation: int = NOW_MS,
    kind: FactKind = FactKind.ALIVE,
    *,
    group: GroupId = TOWN,
    host: str = "",
    hostname: str = "",
    more_hosts: tuple[str, ...] = (),
) -> SignedFact:
    """Return what member number ``seed`` says of itself."""
    hosts = (host or f"10.1.{seed // 250}.{seed % 250 + 1}", *more_hosts)
    fact = MemberFact(
        group=group,
        public_key=key_pair(seed).public_key,
        kind=kind,
        incarnation=incarnation,
        endpoints=tuple(Endpoint(one, 4000) for one in hosts),
        hostname=hostname,
    )
    return sign_fact(key_pair(seed), fact)


def id_of(seed: int) -> NodeId:
    """Return the id of member number ``seed``."""
    return key_pair(seed).node_id


def suspicion_of(suspect: int, accuser: int, incarnation: int = NOW_MS, *, group: GroupId = TOWN) -> SignedSuspicion:
    """Return that one member suspects another."""
    keys = key_pair(accuser)
    return sign_suspicion(
        keys, Suspicion(group=group, suspect=id_of(suspect), incarnation=incarnation, accuser=keys.public_key)
    )


class Citizen:
    """One life of one member."""

    def __init__(self, keys: KeyPair, doors: Doors, *, config: GossipConfig, listen: Endpoint) -> None:
        self.keys = keys
        self.doors = doors
        self.changes: list[tuple[float, MemberChange, NodeId]] = []
        self.endpoints: tuple[Endpoint, ...] | None = None
        registry = CollectorRegistry()
        self.metrics = GossipMetrics(registry)
        self.net_metrics = NetMetrics(registry)
        self.scope = TaskScope("citizen")
        self.config = config
        self.socket = NodeSocket(
            keys, doors, NetConfig(), self.net_metrics, salt=network_salt(0, b""), listen=listen, preferred_port=0
        )
        self.is_open = False
        self.tags: tuple[str, ...] = ()
        self.heard: Callable[[], None] = lambda: None

    @property
    def contact(self) -> Contact:
        """Where others reach it."""
        return Contact(self.keys.public_key, self.socket.local_endpoints[0])

    async def start(self, contacts: Iterable[Contact] = ()) -> None:
        """Open, and join through the first contact that answers."""
        await self.scope.__aenter__()
        await self.socket.__aenter__()
        self.is_open = True
        self.post = Post(self.socket.rpc)
        self.swim = Swim(
            group=TOWN,
            keys=self.keys,
            post=self.post,
            config=self.config,
            metrics=self.metrics,
            random=self.doors.random,
            unix_time=self.doors.unix_time,
            admission=OpenAdmission(),
            describe=self._describe,
            on_change=self._changed,
        )
        self.swim.start(self.scope)
        self.post.serve(TOWN, Summarise, self.swim.summarise)
        for contact in contacts:
            try:
                await self.swim.join(contact)
            except PilotError:
                continue
            return

    async def crash(self) -> None:
        """Be gone; nobody is told."""
        if self.is_open:
            self.is_open = False
            self.swim.close()
            await self.scope.close()
            await self.socket.close()

    def tell(self, to: Citizen, items: Sequence[bytes]) -> None:
        """Tell a member something, whatever it is."""
        self.post.tell(to.contact, Gossip(TOWN, tuple(items)))

    def holds(self, other: Citizen) -> MemberStatus | None:
        """Return what it holds of another member."""
        member = self.member(other)
        return None if member is None else member.status

    def member(self, other: Citizen) -> Member | None:
        """Return another member as it knows it."""
        return self.swim.members.find(other.keys.node_id)

    def count(self, change: MemberChange, other: Citizen | None = None) -> int:
        """Return how often something happened to others, or to one of them."""
        own = self.keys.node_id
        return sum(
            kind is change and node_id != own and (other is None or node_id == other.keys.node_id)
            for _, kind, node_id in self.changes
        )

    def _describe(self) -> Description:
        endpoints = self.socket.local_endpoints if self.endpoints is None else self.endpoints
        return Description(endpoints=endpoints, tags=self.tags)

    def _changed(self, change: Change) -> None:
        if change.kind is not None:
            now = asyncio.get_running_loop().time()
            self.changes.append((now, change.kind, change.member.node_id))
        self.heard()


class Town:
    """Members on a simulated network, inside a running virtual loop."""

    def __init__(
        self,
        *,
        conditions: str | Conditions = "perfect",
        config: GossipConfig | None = None,
        seed: int = 1,
    ) -> None:
        self.world = World(seed=seed, conditions=conditions)
        self.config = GossipConfig() if config is None else config
        self.citizens: list[Citizen] = []
        self._lives: dict[int, int] = {}

    @property
    def up(self) -> list[Citizen]:
        """Members that were not stopped."""
        return [citizen for citizen in self.citizens if citizen.is_open]

    def make(self, number: int, *, skew_s: float = 0.0) -> Citizen:
        """Return a life of member ``number`` that is not started."""
        life = self._lives.get(number, 0)
        self._lives[number] = life + 1
        doors = self.world.doors(number, life=life)
        if skew_s:
            true_time = doors.unix_time
            doors = Doors(
                network=doors.network,
                unix_time=lambda: true_time() + skew_s,
                random=doors.random,
                token_bytes=doors.token_bytes,
            )
        listen = Endpoint(f"10.0.{number // 250}.{number % 250 + 1}", 4000)
        citizen = Citizen(key_pair(number + 1), doors, config=self.config, listen=listen)
        self.citizens.append(citizen)
        return citizen

    async def settle(self, count: int) -> list[Citizen]:
        """Start so many members, all of whom join through the first; return them when all know all."""
        first = self.make(0)
        await first.start()
        for number in range(1, count):
            await self.make(number).start([first.contact])
        await self.until(lambda: all(one.swim.alive_count() == count for one in self.citizens), within_s=60)
        return list(self.citizens)

    async def until(self, condition: Callable[[], bool], *, within_s: float) -> float:
        """Return after how many virtual seconds a condition holds.

        Raises:
            AssertionError: it does not hold in time.
        """
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while not condition():
            assert loop.time() - begun < within_s, "the condition does not hold in time"
            await asyncio.sleep(0.1)
        return loop.time() - begun

    async def close(self) -> None:
        """Stop everybody."""
        for citizen in self.citizens:
            await citizen.crash()
        self.world.network.close()
