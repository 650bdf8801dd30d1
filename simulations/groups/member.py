"""A member of a group without the rest of a node: its socket, and its part in the group's membership.

How members find the first one (the DHT) is what other scenarios measure; here newcomers are told whom to ask.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry

from pilotdht.config.gossip import GossipConfig
from pilotdht.config.net import NetConfig
from pilotdht.errors import PilotError
from pilotdht.gossip.members import Change
from pilotdht.gossip.metrics import GossipMetrics
from pilotdht.gossip.post import Post
from pilotdht.gossip.swim import Swim
from pilotdht.gossip.voice import Description
from pilotdht.identity.keys import KeyPair
from pilotdht.net.doors import Doors
from pilotdht.net.metrics import NetMetrics
from pilotdht.net.node_socket import NodeSocket
from pilotdht.tasks import TaskScope
from pilotdht.wire.certificates import Role
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.gossip_messages import Summarise
from pilotdht.wire.groups import GroupId, open_group_id
from pilotdht.wire.membership import ItemType, MemberFact
from simulations.groups.sockets import SIMULATED_NET, opened_socket
from simulations.population.keys import SimulatedKeyPair
from simulations.population.member import Answer, Identity

GROUP: GroupId = open_group_id("simulation")
"""The group that everybody is in."""

Noticed = Callable[[int, Change], None]
"""Told the number of a member, and a change of membership that it noticed."""


class OpenDoor:
    """Admits everybody, as an open group does."""

    def role_of(self, fact: MemberFact, unix_time: float) -> Role | None:
        """Return that everybody is a member."""
        return Role.MEMBER

    def take_untrusted(self, item: bytes, kind: ItemType) -> bool:
        """Take in nothing: an open group has no certificates that could be revoked."""
        return False


class GroupMember:
    """One life of one member; see :class:`simulations.population.member.Member`."""

    net_config: NetConfig = SIMULATED_NET
    """Bounds and waits of its socket."""

    def __init__(
        self,
        identity: Identity,
        *,
        doors: Doors,
        config: GossipConfig,
        contact_of: Callable[[Endpoint], Contact],
        on_change: Noticed,
    ) -> None:
        """Make it; :meth:`start` opens it.

        Args:
            identity: who it is.
            doors: network, clock and entropy of this life.
            config: tunables of its membership.
            contact_of: returns who is at an endpoint.
            on_change: told each change that it notices.
        """
        self.identity = identity
        """Who it is."""
        self.keys: KeyPair = SimulatedKeyPair.from_seed(identity.seed)
        """Who it is, in all its lives."""
        self._doors = doors
        self._config = config
        self.contact_of = contact_of
        """Returns who is at an endpoint."""
        self.random = doors.random
        """Its choices."""
        self.unix_time = doors.unix_time
        """Its wall clock."""
        self._told = on_change
        self._net_metrics, self.metrics = _metrics()
        self.scope = TaskScope("member")
        """Owns its tasks."""
        self.is_over = False
        """It was stopped, or killed."""
        self._load: int | None = None
        self._socket: NodeSocket | None = None
        self.post: Post
        """What carries its messages; present once it was started."""
        self.swim: Swim
        """Its part in the membership; present once it was started."""

    @property
    def contact(self) -> Contact:
        """Where others reach it."""
        return Contact(self.keys.public_key, self.identity.endpoint)

    async def start(self, contacts: Sequence[Endpoint]) -> None:
        """Open the socket and join through ``contacts``, the first that answers; none: it is the first member."""
        await self.scope.__aenter__()
        self._socket = await opened_socket(
            self.keys, self._doors, self._net_metrics, self.identity.endpoint, config=self.net_config
        )
        self.post = Post(self._socket.rpc)
        self.swim = Swim(
            group=GROUP,
            keys=self.keys,
            post=self.post,
            config=self._config,
            metrics=self.metrics,
            random=self.random,
            unix_time=self.unix_time,
            admission=OpenDoor(),
            describe=self._describe,
            on_change=self.noticed,
        )
        self.swim.start(self.scope)
        self.serve()
        for endpoint in contacts:
            if self.is_over:
                return
            try:
                await self.swim.join(self.contact_of(endpoint))
            except PilotError:
                continue
            return

    def noticed(self, change: Change) -> None:
        """Tell whoever watches of a change of membership."""
        self._told(self.identity.number, change)

    def serve(self) -> None:
        """Answer what membership does not answer by itself; called when the socket is open."""
        self.post.serve(GROUP, Summarise, self.swim.summarise)

    async def stop(self) -> None:
        """Leave the group and close."""
        if self._socket is not None:
            self.swim.leave()
        await self.crash()

    async def crash(self) -> None:
        """Be gone: nobody is told."""
        self.is_over = True
        socket, self._socket = self._socket, None
        if socket is not None:
            self.swim.close()
            await self.scope.close()
            await socket.close()

    def saved_state(self) -> object:
        """Return nothing: members remember nobody."""
        return None

    def contacts(self) -> Sequence[Endpoint]:
        """Return where those are that it holds for alive, itself left out."""
        if self._socket is None:
            return ()
        return [
            member.signed.fact.endpoints[0]
            for member in self.swim.members.there()
            if member.signed.fact.endpoints and member.signed.fact.public_key != self.keys.public_key
        ]

    @property
    def version(self) -> int:
        """Its incarnation: when it signed what it said of itself last; 0 before it did."""
        return 0 if self._socket is None else self.swim.own_fact.fact.incarnation

    async def publish(self) -> Answer:
        """Say something new of itself."""
        self.announce()
        return Answer(is_ok=True)

    async def lookup(self, identity: Identity, version: int) -> Answer:
        """Return whether it holds another member for alive, and knows what that one said last."""
        key = KeyPair.from_seed(identity.seed).public_key
        member = self.swim.members.of_key(key)
        if member is None or not member.is_there:
            return Answer(is_ok=False, error="not_found", hops=0)
        is_wrong = member.incarnation < version
        return Answer(is_ok=not is_wrong, is_wrong=is_wrong, hops=0, error="outdated" if is_wrong else "")

    def announce(self) -> None:
        """Say something new of itself: that it is busier than before."""
        self._load = 0 if self._load is None else (self._load + 1) % 101
        self.swim.refresh()

    def _describe(self) -> Description:
        return Description(endpoints=(self.identity.endpoint,), hostname=self.identity.name, load=self._load)


def _metrics() -> tuple[NetMetrics, GossipMetrics]:
    registry = CollectorRegistry()
    return NetMetrics(registry), GossipMetrics(registry)
