"""Participants of simulations that do nothing but exist: for tests of whatever moves a population."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from pilotdht.wire.endpoint import Endpoint
from simulations.population.member import Answer, Identity


class IdleMember:
    """Starts within a second, knows whom it was told of, remembers how many lives it has had."""

    def __init__(self, identity: Identity, saved: object, kind: IdleKind) -> None:
        self.identity = identity
        self.life = (saved if isinstance(saved, int) else 0) + 1
        self._kind = kind
        self._contacts: Sequence[Endpoint] = ()

    async def start(self, contacts: Sequence[Endpoint]) -> None:
        """Take a second."""
        await asyncio.sleep(1.0)
        self._contacts = contacts

    async def stop(self) -> None:
        """Take two seconds."""
        self._kind.ends.append((self.identity.number, "stop"))
        await asyncio.sleep(2.0)

    async def crash(self) -> None:
        """Be gone."""
        self._kind.ends.append((self.identity.number, "crash"))

    def saved_state(self) -> object:
        """Return the number of this life."""
        return self.life

    def contacts(self) -> Sequence[Endpoint]:
        """Return whom it was told of."""
        return self._contacts

    @property
    def version(self) -> int:
        """The number of this life."""
        return self.life

    async def publish(self) -> Answer:
        """Succeed."""
        return Answer(is_ok=True)

    async def lookup(self, identity: Identity, version: int) -> Answer:
        """Succeed."""
        return Answer(is_ok=True)


class IdleKind:
    """Makes them, and keeps who was made and how it ended."""

    name = "idle"

    def __init__(self) -> None:
        self.made: list[tuple[int, object]] = []
        self.ends: list[tuple[int, str]] = []

    def figures(self) -> dict[str, float]:
        """Return none."""
        return {}

    def make(self, identity: Identity, *, behaviour: str = "honest", saved: object = None) -> IdleMember:
        """Make one."""
        self.made.append((identity.number, saved))
        return IdleMember(identity, saved, self)
