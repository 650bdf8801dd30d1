"""Members of a group as an implementation: what a population is made of when a scenario is about groups alone."""

from __future__ import annotations

from collections.abc import Callable

from pilotdht.config.gossip import GossipConfig
from pilotdht.gossip.items import item_reader
from pilotdht.gossip.members import Change
from pilotdht.identity.ids import NodeId, node_id_of
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.events import event_signatures
from pilotdht.wire.membership import membership_signatures
from simulations.groups.liars import HONEST, liar_named
from simulations.groups.member import GroupMember
from simulations.groups.speaker import Heard, SpeakingMember
from simulations.population.keys import SimulatedKeyPair
from simulations.population.member import Identity
from simulations.world.world import World

ITEMS_REMEMBERED = 100_000
"""Facts and suspicions are read by every member, which are all in this process: 150 MB at most."""


class GroupKind:
    """Makes members of one group."""

    name = "pilotdht"

    def __init__(self, world: World) -> None:
        """Make it; members have the default configuration until :attr:`config` is set.

        Args:
            world: where they live.
        """
        membership_signatures.set_capacity(ITEMS_REMEMBERED)
        event_signatures.set_capacity(ITEMS_REMEMBERED)
        item_reader.set_capacity(ITEMS_REMEMBERED)
        self.config = GossipConfig()
        """Tunables of those that are made from now on."""
        self.on_event: Heard | None = None
        """Told of each message that a member reads; when it is set, those made from then on take part in messages."""
        self.on_change: list[Callable[[int, Change], None]] = []
        """Told of each change of membership: who noticed it, and what it is."""
        self._world = world
        self._lives: dict[int, int] = {}
        self._numbers: dict[NodeId, int] = {}
        self._ids: dict[int, NodeId] = {}
        self._contacts: dict[Endpoint, Contact] = {}

    def number_of(self, node_id: NodeId) -> int | None:
        """Return the number of a member; absent for somebody that was never made."""
        return self._numbers.get(node_id)

    def id_of(self, number: int) -> NodeId:
        """Return the id of a member that was made."""
        return self._ids[number]

    def figures(self) -> dict[str, float]:
        """Return nothing: scenarios measure."""
        return {}

    def make(self, identity: Identity, *, behaviour: str = HONEST, saved: object = None) -> GroupMember:
        """Return a member that is not started; see :class:`simulations.population.member.MemberKind`."""
        number = identity.number
        life = self._lives.get(number, 0)
        self._lives[number] = life + 1
        if not life:
            public_key = SimulatedKeyPair.from_seed(identity.seed).public_key
            self._ids[number] = node_id_of(public_key)
            self._numbers[self._ids[number]] = number
            self._contacts[identity.endpoint] = Contact(public_key, identity.endpoint)
        maker = liar_named(behaviour) if behaviour != HONEST else SpeakingMember if self.on_event else GroupMember
        member = maker(
            identity,
            doors=self._world.doors(number, life=life),
            config=self.config,
            contact_of=self._contacts.__getitem__,
            on_change=self._noticed,
        )
        if self.on_event is not None and isinstance(member, SpeakingMember):
            member.on_event = self.on_event
        return member

    def _noticed(self, number: int, change: Change) -> None:
        for told in self.on_change:
            told(number, change)
