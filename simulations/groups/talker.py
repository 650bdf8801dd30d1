"""A member that takes part in a group's messages alone: everybody is known to be a member, nobody is probed.

That is how messages spread in very large groups, where no member knows all others, and what the overlay has to survive
by itself: it finds out about the dead by what stays unanswered.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from random import Random

from prometheus_client import CollectorRegistry

from pilotdht.config.broadcast import BroadcastConfig
from pilotdht.gossip.broadcast.broadcast import Broadcast
from pilotdht.gossip.broadcast.metrics import BroadcastMetrics
from pilotdht.gossip.broadcast.subscriptions import Subscription
from pilotdht.gossip.post import Post
from pilotdht.gossip.values import Event
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import KeyPair
from pilotdht.net.doors import Doors
from pilotdht.net.metrics import NetMetrics
from pilotdht.net.node_socket import NodeSocket
from pilotdht.tasks import TaskScope
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.events import event_signatures
from pilotdht.wire.gossip_messages import Summarise
from simulations.groups.liars import HONEST
from simulations.groups.member import GROUP
from simulations.groups.sockets import opened_socket
from simulations.population.keys import SimulatedKeyPair
from simulations.population.member import Answer, Identity
from simulations.world.world import World

SIGNATURES_REMEMBERED = 20_000
"""Events are checked by each member, which are all in this process."""

Heard = Callable[[int, Event], None]
"""Told the number of a member, and an event that it read."""


class Everybody:
    """Knows no members, and admits all: who is there is found by the overlay's walks alone."""

    def is_member(self, public_key: PublicKey) -> bool:
        """Return that everybody is."""
        return True

    def contact_of(self, public_key: PublicKey) -> Contact | None:
        """Return nothing: passive views remember where others are."""
        return None

    def sample(self, count: int, random: Random, *, without: Container[PublicKey] = ()) -> list[Contact]:
        """Return nobody."""
        return []


class Talker:
    """One life of one member; see :class:`simulations.population.member.Member`."""

    def __init__(
        self,
        identity: Identity,
        *,
        doors: Doors,
        config: BroadcastConfig,
        contact_of: Callable[[Endpoint], Contact],
        endpoint_of: Callable[[PublicKey], Endpoint],
        on_event: Heard,
    ) -> None:
        """Make it; :meth:`start` opens it.

        Args:
            identity: who it is.
            doors: network, clock and entropy of this life.
            config: tunables.
            contact_of: returns who is at an endpoint.
            endpoint_of: returns where somebody is.
            on_event: told each event that it reads.
        """
        self.identity = identity
        """Who it is."""
        self.keys: KeyPair = SimulatedKeyPair.from_seed(identity.seed)
        """Who it is, in all its lives."""
        self._doors = doors
        self._config = config
        self._contact_of = contact_of
        self._endpoint_of = endpoint_of
        self._told = on_event
        registry = CollectorRegistry()
        self._net_metrics = NetMetrics(registry)
        self.metrics = BroadcastMetrics(registry)
        """What it counts."""
        self._scope = TaskScope("talker")
        self._socket: NodeSocket | None = None
        self.broadcast: Broadcast
        """Its part in the messages; present once it was started."""

    async def start(self, contacts: Sequence[Endpoint]) -> None:
        """Open the socket and look for neighbours, by ``contacts`` first."""
        await self._scope.__aenter__()
        self._socket = await opened_socket(self.keys, self._doors, self._net_metrics, self.identity.endpoint)
        post = Post(self._socket.rpc)
        self.broadcast = Broadcast(
            GROUP,
            "simulation",
            self.keys,
            post=post,
            membership=Everybody(),
            bodies=None,
            config=self._config,
            metrics=self.metrics,
            scope=self._scope,
            random=self._doors.random,
            unix_time=self._doors.unix_time,
            hostname_of=lambda _key: "",
        )
        post.serve(GROUP, Summarise, self.broadcast.summarise)
        self._scope.start(self._read(self.broadcast.subscribe("**")), name="read")
        self.broadcast.start([self._contact_of(endpoint) for endpoint in contacts])

    async def stop(self) -> None:
        """Say goodbye to all neighbours, and close."""
        if self._socket is not None:
            self.broadcast.close()
        await self.crash()

    async def crash(self) -> None:
        """Be gone: the network is unplugged, so nobody hears a goodbye."""
        socket, self._socket = self._socket, None
        if socket is not None:
            self.broadcast.close()
            await self._scope.close()
            await socket.close()

    def saved_state(self) -> object:
        """Return nothing: members remember nobody."""
        return None

    def contacts(self) -> Sequence[Endpoint]:
        """Return where its neighbours are."""
        if self._socket is None:
            return ()
        return [self._endpoint_of(key) for key in self.broadcast.neighbours]

    @property
    def version(self) -> int:
        """Return 0: it has no record."""
        return 0

    async def publish(self) -> Answer:
        """Send a message to all."""
        self.say(b"")
        return Answer(is_ok=True)

    async def lookup(self, identity: Identity, version: int) -> Answer:
        """Return that it looks nothing up."""
        return Answer(is_ok=False, error="not_found")

    def say(self, data: bytes) -> Event:
        """Send a message to all members."""
        return self.broadcast.publish("news", data)

    async def _read(self, subscription: Subscription) -> None:
        async for event in subscription:
            self._told(self.identity.number, event)


class TalkerKind:
    """Makes members that take part in a group's messages alone."""

    name = "pilotdht"

    def __init__(self, world: World) -> None:
        """Make it; members have the default configuration.

        Args:
            world: where they live.
        """
        event_signatures.set_capacity(SIGNATURES_REMEMBERED)
        self.config = BroadcastConfig()
        """Tunables of those that are made from now on."""
        self.on_event: list[Heard] = []
        """Told of each event that a member reads."""
        self._world = world
        self._lives: dict[int, int] = {}
        self._contacts: dict[Endpoint, Contact] = {}
        self._endpoints: dict[PublicKey, Endpoint] = {}

    def figures(self) -> dict[str, float]:
        """Return nothing: scenarios measure."""
        return {}

    def make(self, identity: Identity, *, behaviour: str = HONEST, saved: object = None) -> Talker:
        """Return a member that is not started; see :class:`simulations.population.member.MemberKind`."""
        life = self._lives.get(identity.number, 0)
        self._lives[identity.number] = life + 1
        if not life:
            public_key = SimulatedKeyPair.from_seed(identity.seed).public_key
            self._contacts[identity.endpoint] = Contact(public_key, identity.endpoint)
            self._endpoints[public_key] = identity.endpoint
        return Talker(
            identity,
            doors=self._world.doors(identity.number, life=life),
            config=self.config,
            contact_of=self._contacts.__getitem__,
            endpoint_of=self._endpoints.__getitem__,
            on_event=self._heard,
        )

    def _heard(self, number: int, event: Event) -> None:
        for told in self.on_event:
            told(number, event)
