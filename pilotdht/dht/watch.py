"""What lookups do, for whoever watches: whom they asked, when each answered, how they ended. Pure.

Nothing is kept, and nothing computed, while nobody watches: then :meth:`LookupWatch.begin` returns nothing, and a
lookup pays for one comparison. What is kept is bounded: so many lookups, and so many requests of each.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from types import TracebackType
from typing import Self

from pilotdht.dht.lookup import Lookup
from pilotdht.net.outcomes import Answered, Outcome, Slow
from pilotdht.wire.contact import Contact

MAX_LOOKUPS = 32
"""Lookups kept, the newest: as many as a page shows; about 250 kB when each has all its requests."""

MAX_REQUESTS = 128
"""Requests kept of one lookup: twice what lookups send unless they are configured otherwise."""


class RequestState(Enum):
    """What became of a request."""

    WAITING = "waiting"
    """No answer yet."""
    ANSWERED = "answered"
    """It was answered."""
    SILENT = "silent"
    """It was not."""
    ABANDONED = "abandoned"
    """The lookup ended first."""


class WatchedRequest:
    """One request of a lookup."""

    __slots__ = ("asked_s", "contact", "ended_s", "is_slow", "state")

    def __init__(self, contact: Contact, asked_s: float) -> None:
        self.contact = contact
        """Who was asked."""
        self.asked_s = asked_s
        """When, in seconds since the lookup began."""
        self.ended_s: float | None = None
        """When it was answered or given up, in seconds since the lookup began; absent while it waits."""
        self.is_slow = False
        """Whether it was sent a second time."""
        self.state = RequestState.WAITING
        """What became of it."""


class WatchedLookup:
    """One lookup, as it was seen from its begin on."""

    __slots__ = (
        "_waiting",
        "began_at",
        "changes",
        "duration_s",
        "ending",
        "hops",
        "left_out",
        "number",
        "purpose",
        "requests",
        "target",
    )

    def __init__(self, number: int, target: bytes, purpose: str, began_at: float) -> None:
        self.number = number
        """Counts the lookups that were watched, from 1."""
        self.target = target
        """The 20-byte key it comes close to."""
        self.purpose = purpose
        """The type of the messages that it sends."""
        self.began_at = began_at
        """When, on the loop's clock."""
        self.requests: list[WatchedRequest] = []
        """In the order in which they were sent."""
        self.left_out = 0
        """Requests that there was no room for."""
        self.ending: str | None = None
        """Why it stopped; absent while it goes on."""
        self.hops = 0
        """Length of the longest chain of contacts that led to an answer."""
        self.duration_s: float | None = None
        """What it took; absent while it goes on."""
        self.changes = 0
        """Grows with each change, so that a reader knows what it has seen."""
        self._waiting: dict[Contact, WatchedRequest] = {}

    def asked(self, contact: Contact, now: float) -> None:
        """Take in that a request was sent."""
        self.changes += 1
        if len(self.requests) >= MAX_REQUESTS:
            self.left_out += 1
            return
        request = self._waiting[contact] = WatchedRequest(contact, now - self.began_at)
        self.requests.append(request)

    def heard(self, outcome: Outcome, now: float) -> None:
        """Take in what came of a request."""
        self.changes += 1
        if isinstance(outcome, Slow):
            waiting = self._waiting.get(outcome.contact)
            if waiting is not None:
                waiting.is_slow = True
            return
        request = self._waiting.pop(outcome.contact, None)
        if request is not None:
            request.state = RequestState.ANSWERED if isinstance(outcome, Answered) else RequestState.SILENT
            request.ended_s = now - self.began_at

    def ended(self, lookup: Lookup, now: float) -> None:
        """Take in that it stopped, for whatever reason."""
        self.changes += 1
        self.ending = "cancelled" if lookup.ending is None else lookup.ending.value
        self.hops = lookup.hops
        self.duration_s = now - self.began_at
        for request in self._waiting.values():
            request.state, request.ended_s = RequestState.ABANDONED, self.duration_s
        self._waiting.clear()


class LookupWatch:
    """Keeps the newest lookups while somebody watches: ``with watch: … watch.lookups``. Several may watch at a time."""

    def __init__(self) -> None:
        self._watchers = 0
        self._begun = 0
        self._lookups: deque[WatchedLookup] = deque(maxlen=MAX_LOOKUPS)

    def __enter__(self) -> Self:
        """Begin to watch."""
        self._watchers += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Watch no more; what was kept is forgotten with the last watcher."""
        self._watchers -= 1
        if not self._watchers:
            self._lookups.clear()

    @property
    def lookups(self) -> tuple[WatchedLookup, ...]:
        """What is kept, oldest first."""
        return tuple(self._lookups)

    def begin(self, target: bytes, purpose: str, now: float) -> WatchedLookup | None:
        """Return what to tell of a lookup that begins; absent while nobody watches."""
        if not self._watchers:
            return None
        self._begun += 1
        watched = WatchedLookup(self._begun, target, purpose, now)
        self._lookups.append(watched)
        return watched
