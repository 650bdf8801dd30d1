"""All participants of a simulation: made in order of their numbers, started, stopped, killed and brought back.

Who comes back keeps key, name, place and what it had saved, as a restarted machine does.
"""

from __future__ import annotations

import asyncio
import contextvars
import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from pilotdht.tasks import TaskScope
from pilotdht.wire.endpoint import Endpoint
from simulations.engine.streams import stream
from simulations.engine.virtual_loop import OWNER
from simulations.population.member import Identity, Member, MemberKind
from simulations.world.places import endpoint_of
from simulations.world.world import World

CONTACTS_PER_JOIN = 3
"""Nodes that a newcomer is told to join through: three survive losses, one makes islands."""


class State(enum.Enum):
    """Where a participant stands."""

    DOWN = "down"
    """It does not run."""
    STARTING = "starting"
    """It runs, and has not finished joining."""
    UP = "up"
    """It runs and has joined, or given up waiting for that."""


@dataclass(slots=True, eq=False)
class Slot:
    """One participant over all its lives."""

    identity: Identity
    """Who it is."""
    behaviour: str = "honest"
    """How it behaves."""
    state: State = State.DOWN
    """Whether it runs."""
    member: Member | None = None
    """What runs; present unless down."""
    up_since_s: float = 0.0
    """Loop time at which its start was complete."""
    began_s: float = 0.0
    """Loop time at which its last start began."""
    lives: int = 0
    """How often it was started."""
    saved: object = None
    """What its last life left behind."""
    published: int = 0
    """Version of its record that it published last, over all lives; 0: never."""
    join_s: float = 0.0
    """How long its last start took."""

    @property
    def is_honest(self) -> bool:
        """Whether it follows the protocol."""
        return self.behaviour == "honest"

    @property
    def is_up(self) -> bool:
        """Whether it runs and its start is complete."""
        return self.state is State.UP


class Population:
    """Makes, starts and ends participants; keeps who is up."""

    def __init__(self, *, world: World, kind: MemberKind) -> None:
        """Make an empty population; used as ``async with``, which ends everybody in the end.

        Args:
            world: where they live.
            kind: which implementation they run.
        """
        self.world = world
        """Where they live."""
        self.slots: list[Slot] = []
        """Everybody, by number."""
        self.landmarks: int | None = None
        """How many of the first participants newcomers join through; absent: through anybody who is up."""
        self.on_joined: list[Callable[[Slot], None]] = []
        """Called after each start that is complete."""
        self.on_ended: list[Callable[[Slot], None]] = []
        """Called when somebody ends, in that instant."""
        self.kind = kind
        """Which implementation they run."""
        self._up: dict[int, Slot] = {}
        self._up_list: list[Slot] | None = None
        self._random = stream(world.seed, "population")
        self._scope = TaskScope("population")

    async def __aenter__(self) -> Population:
        await self._scope.__aenter__()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._scope.close()
        for slot in self.slots:
            member, slot.member = slot.member, None
            if member is not None:
                self.world.network.unplug(slot.identity.endpoint.host)
                await member.crash()

    @property
    def up(self) -> Sequence[Slot]:
        """Everybody who is up, in a stable order."""
        if self._up_list is None:
            self._up_list = list(self._up.values())
        return self._up_list

    @property
    def honest_up(self) -> Sequence[Slot]:
        """Everybody honest who is up."""
        return [slot for slot in self.up if slot.is_honest]

    def add(self, *, behaviour: str = "honest", seed: bytes | None = None, endpoint: Endpoint | None = None) -> Slot:
        """Make one more participant, not started yet.

        Args:
            behaviour: see :class:`simulations.population.member.MemberKind`.
            seed: what its key is made from; absent: drawn.
            endpoint: where it listens; absent: in a prefix of its own.
        """
        number = len(self.slots)
        identity = Identity(
            number=number,
            seed=self._random.randbytes(32) if seed is None else seed,
            endpoint=endpoint_of(number) if endpoint is None else endpoint,
        )
        slot = Slot(identity, behaviour=behaviour)
        self.slots.append(slot)
        return slot

    async def start(self, slot: Slot, *, contacts: Sequence[Endpoint] | None = None) -> None:
        """Start a participant that is down, and wait until it has joined.

        Args:
            slot: who.
            contacts: whom it is told to join through; absent: some that are up (or landmarks, up or not).
        """
        if slot.state is not State.DOWN:
            return
        loop = asyncio.get_running_loop()
        began = loop.time()
        slot.state, slot.lives, slot.began_s = State.STARTING, slot.lives + 1, began
        member = self.kind.make(slot.identity, behaviour=slot.behaviour, saved=slot.saved)
        slot.member = member
        self.world.network.plug(slot.identity.endpoint.host)
        await member.start(self._contacts_for(slot) if contacts is None else contacts)
        if slot.member is not member:  # it was killed meanwhile
            return
        slot.join_s, slot.up_since_s = loop.time() - began, loop.time()
        slot.state, slot.published = State.UP, max(slot.published, member.version)
        self._up[slot.identity.number] = slot
        self._up_list = None
        for callback in self.on_joined:
            callback(slot)

    def start_soon(self, slot: Slot, *, contacts: Sequence[Endpoint] | None = None) -> None:
        """Start a participant in the background, in a context of its own: stalls find its callbacks by it."""
        context = contextvars.copy_context()
        context.run(OWNER.set, slot.identity.number)
        context.run(self._scope.start, self.start(slot, contacts=contacts), name=f"start {slot.identity.number}")

    async def stop(self, slot: Slot) -> None:
        """Have a participant leave politely, and wait until it is gone; it keeps what it saved."""
        member = self._end(slot)
        if member is not None:
            await member.stop()
            self.world.network.unplug(slot.identity.endpoint.host)

    async def crash(self, slot: Slot) -> None:
        """Kill a participant: from now on it sends nothing and nothing reaches it; it keeps what it saved."""
        member = self._end(slot)
        if member is not None:
            self.world.network.unplug(slot.identity.endpoint.host)
            await member.crash()

    def crash_soon(self, slot: Slot) -> None:
        """Kill a participant now and tidy up in the background."""
        member = self._end(slot)
        if member is not None:
            self.world.network.unplug(slot.identity.endpoint.host)
            self._scope.start(member.crash(), name=f"crash {slot.identity.number}")

    def stop_soon(self, slot: Slot) -> None:
        """Have a participant leave politely in the background."""
        self._scope.start(self.stop(slot), name=f"stop {slot.identity.number}")

    def pick(self, random: Random, *, but: Slot | None = None) -> Slot:
        """Return somebody who is up, other than ``but``."""
        up = self.up
        while True:
            slot = up[random.randrange(len(up))]
            if slot is not but:
                return slot

    def _end(self, slot: Slot) -> Member | None:
        member, slot.member = slot.member, None
        if member is None:
            return None
        slot.published = max(slot.published, member.version)
        if slot.state is State.UP:
            slot.saved = member.saved_state()
        slot.state = State.DOWN
        if self._up.pop(slot.identity.number, None) is not None:
            self._up_list = None
        for callback in self.on_ended:
            callback(slot)
        return member

    def _contacts_for(self, slot: Slot) -> list[Endpoint]:
        if self.landmarks is not None:
            known = self.slots[: self.landmarks]
        elif len(self.up) > CONTACTS_PER_JOIN:
            known = self._random.sample(self.up, CONTACTS_PER_JOIN)
        else:
            known = list(self.up)
        return [one.identity.endpoint for one in known if one is not slot]
