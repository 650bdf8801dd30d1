"""Along which links events travel whole, along which only their ids, and when to ask for one that did not come. Pure.

Every new link is eager. Whoever gets an event twice makes the second link lazy on both sides, so that after a few
events the eager links are a tree over the group, and each event reaches each member once. Ids go along lazy links; an
event that was announced and does not come is asked for, which makes that link eager again: the tree repairs itself.

What others announce is a claim: the number of awaited events is bounded, and one neighbour's word fills a quarter.

Source: Plumtree (Leitao, Pereira, Rodrigues, "Epidemic broadcast trees", SRDS 2007), section 3.
"""

from __future__ import annotations

from collections import deque

from pilotdht.config.broadcast import BroadcastConfig
from pilotdht.gossip.broadcast.deadlines import Deadlines
from pilotdht.identity.ids import PublicKey
from pilotdht.wire.events import EventId

_LIAR_SHARE = 4


class _Missing:
    """An event that was announced and has not come."""

    __slots__ = ("announcers", "charged", "hops")

    def __init__(self, announcer: PublicKey, hops: int) -> None:
        self.charged = announcer
        self.announcers: deque[PublicKey] = deque((announcer,))
        self.hops = hops


class Tree:
    """The part of the tree that one member sees."""

    def __init__(self, config: BroadcastConfig) -> None:
        self._config = config
        self.eager: dict[PublicKey, None] = {}
        """Neighbours that get events whole."""
        self.lazy: dict[PublicKey, None] = {}
        """Neighbours that get ids."""
        self._missing: dict[EventId, _Missing] = {}
        self._charges: dict[PublicKey, int] = {}
        self._on_trial: dict[PublicKey, None] = {}
        self._deadlines: Deadlines[EventId] = Deadlines()
        self.dropped = 0
        """Announcements not kept for want of room."""
        self.given_up = 0
        """Announced events that nobody who announced them delivered."""

    @property
    def missing(self) -> int:
        """How many announced events are awaited."""
        return len(self._missing)

    # Links

    def linked(self, key: PublicKey) -> None:
        """Take in a neighbour, eagerly."""
        if key not in self.lazy:
            self.eager[key] = None

    def unlinked(self, key: PublicKey) -> None:
        """Drop a neighbour; what it announced it may still be asked for."""
        self.eager.pop(key, None)
        self.lazy.pop(key, None)
        self._on_trial.pop(key, None)

    def pruned(self, key: PublicKey) -> bool:
        """Make a link lazy; return whether that changed anything."""
        if key not in self.eager:
            return False
        del self.eager[key]
        self.lazy[key] = None
        return True

    def grafted(self, key: PublicKey) -> bool:
        """Make a link eager; return whether that changed anything."""
        if key not in self.lazy:
            return False
        del self.lazy[key]
        self.eager[key] = None
        return True

    # Events

    def arrived(self, event_id: EventId) -> None:
        """Await an event no more: it is here."""
        missing = self._missing.pop(event_id, None)
        if missing is not None:
            self._deadlines.discard(event_id)
            self._release(missing)

    def shorter_way(self, event_id: EventId, hops: int) -> PublicKey | None:
        """Return a lazy neighbour over which an event, pushed to us with ``hops``, would have come much shorter.

        To be asked before :meth:`arrived`. A neighbour is tried once, and again after it has brought something: whoever
        announces early and delivers nothing gains one event's delay.

        Source: Plumtree, section 3.8 (optimisation).
        """
        missing = self._missing.get(event_id)
        if missing is None or hops - missing.hops < self._config.optimise_hops or not missing.announcers:
            return None
        announcer = missing.announcers[0]
        if announcer not in self.lazy or announcer in self._on_trial:
            return None
        self._on_trial[announcer] = None
        return announcer

    def brought(self, key: PublicKey) -> None:
        """Note that a neighbour pushed a new event: its link belongs to the tree."""
        self._on_trial.pop(key, None)
        self.grafted(key)

    def announced(self, event_id: EventId, announcer: PublicKey, hops: int, now: float, *, is_late: bool) -> bool:
        """Take in that somebody has an event that is not here.

        Args:
            event_id: which.
            announcer: who.
            hops: how many members passed it on, as the announcer says.
            now: loop time.
            is_late: it is not on its way to us: ask at once.

        Returns:
            Whether it is awaited.
        """
        missing = self._missing.get(event_id)
        if missing is not None:
            if len(missing.announcers) < self._config.max_announcers and announcer not in missing.announcers:
                missing.announcers.append(announcer)
            return True
        charged = self._charges.get(announcer, 0)
        if len(self._missing) >= self._config.max_missing or charged >= self._config.max_missing // _LIAR_SHARE:
            self.dropped += 1
            return False
        self._missing[event_id] = _Missing(announcer, hops)
        self._charges[announcer] = charged + 1
        self._deadlines.set(event_id, now if is_late else now + self._config.graft_after_s)
        return True

    def failed(self, event_id: EventId, now: float) -> None:
        """Ask the next one at once: the one who was asked has it not, or is gone."""
        if event_id in self._missing:
            self._deadlines.set(event_id, now)

    def next_due(self) -> float | None:
        """Return when :meth:`due` has something to say; absent: not before something is announced."""
        return self._deadlines.first()

    def due(self, now: float) -> list[tuple[EventId, PublicKey]]:
        """Return events to ask for, each with whom to ask; ask another one when that fails or takes too long."""
        wanted: list[tuple[EventId, PublicKey]] = []
        for event_id in self._deadlines.due(now):
            missing = self._missing[event_id]
            if not missing.announcers:
                del self._missing[event_id]
                self._release(missing)
                self.given_up += 1
                continue
            wanted.append((event_id, missing.announcers.popleft()))
            self._deadlines.set(event_id, now + self._config.graft_again_s)
        return wanted

    def _release(self, missing: _Missing) -> None:
        left = self._charges[missing.charged] - 1
        if left:
            self._charges[missing.charged] = left
        else:
            del self._charges[missing.charged]
