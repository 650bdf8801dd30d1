"""A contact that a lookup heard of: what is known of it, who named it, and what that word is worth. Pure."""

from __future__ import annotations

from enum import Enum

from pilotdht.dht.prefixes import Prefix
from pilotdht.errors import InternalError
from pilotdht.wire.contact import Contact

MAX_LOST = 2
"""So many contacts that do not answer, and more than those that do, cost their namer its word. A liar invents keys
nearer to the target than any real node; waiting for all of them would use up a lookup's requests and its time."""

MAX_NAMERS = 3
"""Those who named a contact first are remembered."""


class State(Enum):
    """What is known of a candidate."""

    HEARD = "heard"
    """A reply or the table named it."""
    ASKED = "asked"
    """A request to it is under way."""
    ANSWERED = "answered"
    """It answered."""
    SILENT = "silent"
    """It answered at none of its endpoints, or as a client: it counts for nothing."""


_STEPS: dict[State, tuple[State, ...]] = {
    State.HEARD: (State.ASKED,),
    State.ASKED: (State.ANSWERED, State.SILENT, State.HEARD),
    State.ANSWERED: (),
    State.SILENT: (),
}


class Candidate:
    """A contact that the lookup heard of."""

    __slots__ = (
        "contact",
        "depth",
        "distance",
        "is_doubted",
        "is_lost",
        "is_slow",
        "live",
        "lost",
        "namers",
        "others",
        "path",
        "prefix",
        "state",
        "token",
        "tries",
        "views",
    )

    def __init__(self, contact: Contact, distance: int, prefix: Prefix | None, depth: int) -> None:
        self.contact = contact
        """Where it is asked."""
        self.depth = depth
        """How many contacts stand between this node and it, itself included."""
        self.distance = distance
        """XOR distance to the target; unique in a lookup."""
        self.prefix = prefix
        """What it is counted under; absent when exempt."""
        self.state = State.HEARD
        """What is known of it."""
        self.is_doubted = False
        """It did not answer lately: it is asked, and nobody waits for it."""
        self.is_slow = False
        """Its request has been under way for longer than usual, or is doubted."""
        self.path = 0
        """The path that asked it."""
        self.views = 0
        """The paths that heard of it, one bit each."""
        self.others: tuple[Contact, ...] = ()
        """Other endpoints under which it was named."""
        self.token = b""
        """Its store token; empty when it gave none."""
        self.tries = 0
        """How many endpoints of it were asked."""
        self.is_lost = False
        """It counts among those that its namers named in vain."""
        self.namers: tuple[Candidate, ...] = ()
        """Who named it, the first few; none for a contact that the lookup began with."""
        self.live = 0
        """Contacts that it named and that answered."""
        self.lost = 0
        """Contacts that it named and that are silent, or slow."""

    @property
    def is_believed(self) -> bool:
        """Its word counts: no more of those that it named are lost than live, but for one."""
        return self.lost < MAX_LOST or self.lost <= self.live

    def note_namer(self, namer: Candidate) -> None:
        """Take in that somebody else names it too; a contact that the lookup began with needs nobody's word."""
        if 0 < len(self.namers) < MAX_NAMERS and namer not in self.namers:
            self.namers = (*self.namers, namer)

    def count_lost(self, is_lost: bool) -> None:
        """Tell those who named it that it is silent or slow, or that it is not after all."""
        if is_lost is not self.is_lost:
            self.is_lost = is_lost
            for namer in self.namers:
                namer.lost += 1 if is_lost else -1

    def enter(self, state: State) -> None:
        """Change the state.

        Raises:
            InternalError: no such step exists.
        """
        if state not in _STEPS[self.state]:
            raise InternalError(f"a candidate cannot go from {self.state.value} to {state.value}")
        self.state = state
