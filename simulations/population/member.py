"""What a scenario may ask of one participant, whichever implementation it runs.

Our node and the stock server of the package ``kademlia`` are both wrapped into this, so that one scenario, one clock
and one network measure either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pilotdht.wire.endpoint import Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How one lookup or write ended. Times are virtual seconds."""

    is_ok: bool
    """Found, and found true: the value is the one that its owner published last; or written to enough holders."""
    is_wrong: bool = False
    """A value was returned that its owner never published, or an older one than it published last."""
    hops: int | None = None
    """Rounds of contacts between the asker and the answer; absent where the implementation does not tell."""
    acks: int | None = None
    """Holders that acknowledged a write; absent for lookups."""
    error: str = ""
    """Code or type of what went wrong; empty when nothing did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a participant is: it keeps this, and its place in the network, however often it stops and starts."""

    number: int
    """0, 1, 2, …: the order in which participants were made."""
    seed: bytes
    """32 bytes that its key, or its id, is made from."""
    endpoint: Endpoint
    """Where it listens."""

    @property
    def name(self) -> str:
        """The name it publishes itself under."""
        return f"agent-{self.number}"


class Member(Protocol):
    """One participant that was made; it runs between ``start`` and ``stop`` or ``crash``, once."""

    async def start(self, contacts: Sequence[Endpoint]) -> None:
        """Join through ``contacts`` (none: it is the first) and publish its own record; return when done or given up.

        It never raises for what the network does to it: whether it joined is seen in :meth:`contacts`.
        """
        ...

    async def stop(self) -> None:
        """Leave as the implementation does when it is asked to."""
        ...

    async def crash(self) -> None:
        """Be gone from this instant: the network has cut it off already; free what it holds."""
        ...

    def saved_state(self) -> object:
        """Return what it would have on disk now; handed to its successor by :class:`MemberKind`."""
        ...

    def contacts(self) -> Sequence[Endpoint]:
        """Return the endpoints in its routing table."""
        ...

    @property
    def version(self) -> int:
        """Version of its own record that it published last; 0 before the first."""
        ...

    async def publish(self) -> Answer:
        """Publish its own record anew, one version higher, and wait for the acknowledgements it wants."""
        ...

    async def lookup(self, identity: Identity, version: int) -> Answer:
        """Read the record of another participant from the network, caches of earlier reads left out.

        Args:
            identity: whose record.
            version: what its owner published last, as the scenario knows; what is older counts as wrong.
        """
        ...


class MemberKind(Protocol):
    """An implementation: makes members."""

    @property
    def name(self) -> str:
        """``pilotdht`` or ``kademlia``."""
        ...

    def figures(self) -> dict[str, float]:
        """Return numbers that only this implementation has, at the end of a run."""
        ...

    def make(self, identity: Identity, *, behaviour: str = "honest", saved: object = None) -> Member:
        """Return a member that is not started.

        Args:
            identity: who it is.
            behaviour: ``honest``, or the name of a way to misbehave that :mod:`simulations.adversaries` defines.
            saved: what an earlier life of it left behind; absent for a first life.
        """
        ...
