"""Keeps neighbours: asks for them, answers who asks, replaces those that are lost, and exchanges contacts.

The rules stand in :mod:`pilotdht.gossip.broadcast.views`; here is what is sent. No task, no timer: whoever owns this
calls :meth:`Overlay.tick` at :meth:`Overlay.next_due`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from random import Random
from typing import Protocol

from pilotdht.config.broadcast import BroadcastConfig
from pilotdht.errors import NodeClosed, Overloaded
from pilotdht.gossip.broadcast.admission import Admission
from pilotdht.gossip.broadcast.deadlines import Deadlines
from pilotdht.gossip.broadcast.metrics import BroadcastMetrics
from pilotdht.gossip.broadcast.outside import Membership, Post
from pilotdht.gossip.broadcast.views import Views
from pilotdht.identity.ids import PublicKey
from pilotdht.net.outcomes import Answered, Outcome, Sender, Silent
from pilotdht.net.pending import Pending
from pilotdht.net.rtt import Waits
from pilotdht.wire.broadcast_messages import (
    MAX_CONTACTS,
    LinkState,
    Neighbour,
    Neighbourhood,
    Relink,
    Walk,
    WalkKind,
    Wish,
)
from pilotdht.wire.contact import Contact
from pilotdht.wire.events import EventId
from pilotdht.wire.groups import GroupId

_ALARM_S = 10.0
"""Neighbours lost within so long were lost at once: a push that is not answered tells within a second."""

_SHUFFLE_ANSWER_S = 10.0
"""An answer to an exchange of contacts is taken for so long: six hops and the way back take less."""


class Links(Protocol):
    """Who wants to know of neighbours: the spreading of events."""

    def linked(self, key: PublicKey) -> None:
        """Take in a neighbour."""
        ...

    def unlinked(self, key: PublicKey) -> None:
        """Drop a neighbour."""
        ...

    def recent_ids(self) -> tuple[EventId, ...]:
        """Return the ids of recent events, newest first."""
        ...

    def told(self, ids: tuple[EventId, ...], contact: Contact) -> None:
        """Take in ids of events that somebody has for some time."""
        ...


class Overlay:
    """The neighbours of one member."""

    def __init__(
        self,
        group: GroupId,
        views: Views,
        *,
        post: Post,
        membership: Membership,
        admission: Admission,
        config: BroadcastConfig,
        metrics: BroadcastMetrics,
        random: Random,
        now: Callable[[], float],
        on_change: Callable[[], None],
    ) -> None:
        """Make it; :meth:`start` looks for neighbours.

        Args:
            group: of which group.
            views: whom we know.
            post: carries messages.
            membership: who is in the group.
            admission: rates.
            config: bounds and times.
            metrics: where everything is counted.
            random: for choices.
            now: the loop's clock.
            on_change: called when :meth:`next_due` may have come nearer.
        """
        self._group = group
        self._views = views
        self._post = post
        self._membership = membership
        self._admission = admission
        self._config = config
        self._metrics = metrics
        self._random = random
        self._now = now
        self._on_change = on_change
        self._links: Links | None = None
        self._asking: dict[PublicKey, Pending | None] = {}
        self._heard_at: dict[PublicKey, float] = {}
        self._refreshes: Deadlines[PublicKey] = Deadlines()
        self._seek_at: float | None = None
        self._seek_pause_s = config.seek_pause_s
        self._silent_streak = 0
        self._losses: deque[float] = deque(maxlen=(config.active_size + 1) // 2)
        self._is_alarmed = False
        self._has_sampled = False
        self._has_joined = False
        self._shuffle_at: float | None = None
        self._shuffled_at: float | None = None
        self._offered: tuple[PublicKey, ...] = ()
        self._is_open = False

    # Life

    def start(self, links: Links, seeds: Iterable[Contact]) -> None:
        """Look for neighbours, among ``seeds`` first."""
        self._links = links
        self._is_open = True
        for contact in seeds:
            self._views.met(contact, self._random)
        self._shuffle_at = self._now() + self._config.shuffle_interval_s * self._random.random()
        self._post.serve(self._group, Neighbour, self._on_neighbour)
        self._post.serve(self._group, Walk, self._on_walk)
        self._seek()

    def close(self) -> None:
        """Tell all neighbours goodbye, and ask nobody any more; safe to call twice."""
        if not self._is_open:
            return
        self._is_open = False
        for pending in self._asking.values():
            if pending is not None:
                self._post.abandon(pending)
        self._asking.clear()
        for key, contact in list(self._views.active.items()):
            self._post.tell(contact, Relink(self._group, LinkState.NONE))
            self._drop(key, is_alive=False)
        self._seek_at = self._shuffle_at = None
        self._refreshes.clear()

    def next_due(self) -> float | None:
        """Return when :meth:`tick` has something to do; absent: nothing."""
        moments = [one for one in (self._seek_at, self._shuffle_at, self._refreshes.first()) if one is not None]
        return min(moments) if moments else None

    def tick(self, now: float) -> None:
        """Do what is due."""
        for key in self._refreshes.due(now):
            self._refresh(key, now)
        if self._seek_at is not None and now >= self._seek_at:
            self._seek_at = None
            self._has_sampled = False
            self._views.begin_round()
            self._seek()
        if self._shuffle_at is not None and now >= self._shuffle_at:
            self._shuffle_at = now + self._config.shuffle_interval_s * self._random.uniform(0.9, 1.1)
            self._shuffle(now)

    # What others know

    def contact_of(self, key: PublicKey) -> Contact | None:
        """Return where to reach somebody; absent when that is not known."""
        contact = self._views.active.get(key)
        return contact or self._membership.contact_of(key) or self._views.passive.get(key)

    def waits_for(self, contact: Contact) -> Waits | None:
        """Return how long to wait for somebody; absent: as its round-trip time suggests."""
        if self._post.rtt_of(contact) is not None:
            return None
        return Waits(self._config.link_slow_s, self._config.link_silent_s)

    def is_neighbour(self, key: PublicKey) -> bool:
        """Return whether somebody is a neighbour."""
        return key in self._views.active

    def neighbours(self) -> list[Contact]:
        """Return all neighbours, the longest standing first."""
        return list(self._views.active.values())

    def somebody(self, *, is_far: bool) -> Contact | None:
        """Return a random neighbour, or some random member when ``is_far``; absent when nobody is known."""
        far = self._membership.sample(1, self._random) if is_far else []
        if far:
            return far[0]
        near = list(self._views.active.values()) or list(self._views.passive.values())
        return self._random.choice(near) if near else None

    def heard(self, key: PublicKey) -> None:
        """Note that a neighbour is alive."""
        if key in self._heard_at:
            self._heard_at[key] = self._now()

    def met(self, contact: Contact) -> None:
        """Remember a member, and ask it when there are too few neighbours."""
        self._views.met(contact, self._random)
        self._seek()

    def failed(self, key: PublicKey) -> None:
        """Replace a neighbour that did not answer, at once."""
        self._views.forget(key)
        if self._drop(key, is_alive=False):
            self._metrics.lost_neighbours.inc()
            self._note_loss()
            self._hurry()

    def parted(self, key: PublicKey) -> None:
        """Take in that somebody is no neighbour any more, and alive."""
        if self._drop(key, is_alive=True):
            self._hurry()

    def banish(self, key: PublicKey) -> None:
        """Have nothing to do with somebody: it is gone, expelled, or passed on a forgery."""
        contact = self._views.active.get(key)
        self._views.forget(key)
        if contact is not None:
            self._post.tell(contact, Relink(self._group, LinkState.NONE))
            self._drop(key, is_alive=False)
            self._hurry()

    # Looking for neighbours

    def _note_loss(self) -> None:
        """Sound the alarm when half of the neighbours were lost at once: then everybody remembered is asked.

        Others may be cut off altogether and remembered by us alone; being asked, they learn what is new.
        """
        now = self._now()
        self._losses.append(now)
        if len(self._losses) == self._losses.maxlen and now - self._losses[0] <= _ALARM_S:
            self._is_alarmed = True

    def _hurry(self) -> None:
        """Look for neighbours at once, whoever refused before."""
        self._seek_pause_s = self._config.seek_pause_s
        self._seek_at = None
        self._has_sampled = False
        self._views.begin_round()
        self._seek()

    def _seek(self) -> None:
        """Ask as many as are wanted; pause when everybody known was asked in vain."""
        if not self._is_open:
            return
        while len(self._asking) < self._most_asked():
            contact = self._candidate()
            if contact is None:
                self._is_alarmed = False
                break
            wish = self._views.wish()
            if wish is Wish.HIGH and not self._has_joined:
                wish = Wish.JOIN
            self._ask(contact, wish)
        if self._seek_at is None and not self._asking and self._views.wanted():
            self._seek_at = self._now() + self._seek_pause_s * self._random.uniform(0.75, 1.25)
            self._seek_pause_s = min(2 * self._seek_pause_s, self._config.seek_most_s)
        self._on_change()

    def _most_asked(self) -> int:
        return self._config.max_asked if self._is_alarmed else self._views.to_ask(self._silent_streak)

    def _candidate(self) -> Contact | None:
        contact = self._views.candidate(self._asking, self._random)
        if contact is None and not self._has_sampled and self._views.wanted():
            self._has_sampled = True
            known = {**self._views.active, **self._views.passive}
            for one in self._membership.sample(self._config.passive_size, self._random, without=known):
                self._views.met(one, self._random)
            contact = self._views.candidate(self._asking, self._random)
        return contact

    def _ask(self, contact: Contact, wish: Wish) -> None:
        key = contact.public_key
        if key in self._asking:
            return
        ids = self._links.recent_ids() if self._links is not None else ()
        message = Neighbour(self._group, wish, ids)
        self._asking[key] = None
        try:
            pending = self._post.begin(
                contact, message, partial(self._on_outcome, contact, wish), waits=self.waits_for(contact)
            )
        except (Overloaded, NodeClosed):
            self._asking.pop(key, None)
            self._views.refused(key)
            self._metrics.dropped["busy"].inc()
            return
        if pending is not None and key in self._asking:
            self._asking[key] = pending

    def _on_outcome(self, contact: Contact, wish: Wish, outcome: Outcome | NodeClosed) -> None:
        key = contact.public_key
        if type(outcome) is Answered:
            self._asking.pop(key, None)
            reply = outcome.answer.message
            if self._is_open and isinstance(reply, Neighbourhood):
                self._answered(contact, wish, reply)
        elif type(outcome) is Silent:
            self._asking.pop(key, None)
            if self._is_open:
                self._silent_streak += 1
                self._has_sampled = False
                self.failed(key)
                self._seek()

    def _answered(self, contact: Contact, wish: Wish, reply: Neighbourhood) -> None:
        key = contact.public_key
        self._silent_streak = 0
        for other in reply.contacts:
            if not self._views.is_sated:  # among many dead, hearsay must not take the place of those not tried yet
                self._learn(other)
        if reply.is_neighbour:
            self._has_joined = True
            if key not in self._views.active:
                self._link(contact)
            self.heard(key)
        elif wish is Wish.REFRESH:
            self.parted(key)
        else:
            self._views.refused(key)
        if self._links is not None and reply.ids:
            self._links.told(reply.ids, contact)
        self._seek()

    def _learn(self, contact: Contact, expendable: tuple[PublicKey, ...] = ()) -> None:
        """Remember somebody that was named to us, when it is a member; what membership knows of it counts more."""
        key = contact.public_key
        if self._membership.is_member(key) and not self._admission.is_shunned(key, self._now()):
            known = self._membership.contact_of(key) or contact
            self._views.met(known, self._random, expendable=expendable)

    def _link(self, contact: Contact) -> None:
        key = contact.public_key
        if key in self._views.active:
            self._views.active[key] = contact  # it may have moved
            return
        dropped = self._views.linked(contact, self._random)
        if key not in self._views.active:
            return
        if dropped is not None:
            self._post.tell(dropped, Relink(self._group, LinkState.NONE))
            self._forget_link(dropped.public_key)
        now = self._now()
        self._heard_at[key] = now
        self._refreshes.set(key, now + self._config.refresh_interval_s * self._random.uniform(0.75, 1.25))
        self._metrics.neighbours.inc()
        if self._links is not None:
            self._links.linked(key)
        self._seek_pause_s = self._config.seek_pause_s

    def _drop(self, key: PublicKey, *, is_alive: bool) -> bool:
        if self._views.unlinked(key, is_alive=is_alive, random=self._random) is None:
            return False
        self._forget_link(key)
        return True

    def _forget_link(self, key: PublicKey) -> None:
        self._heard_at.pop(key, None)
        self._refreshes.discard(key)
        self._metrics.neighbours.dec()
        if self._links is not None:
            self._links.unlinked(key)

    def _refresh(self, key: PublicKey, now: float) -> None:
        contact = self._views.active.get(key)
        if contact is None:
            return
        idle_s = now - self._heard_at[key]
        if idle_s >= self._config.refresh_interval_s / 2:
            self._ask(contact, Wish.REFRESH)
        self._refreshes.set(key, now + self._config.refresh_interval_s * self._random.uniform(0.75, 1.25))

    # Answering

    def _on_neighbour(self, message: Neighbour, sender: Sender) -> Neighbourhood | None:
        contact = sender.contact
        key = contact.public_key
        now = self._now()
        if not self._is_open or self._links is None or not self._membership.is_member(key):
            self._metrics.dropped["stranger"].inc()
            return None
        if self._admission.is_shunned(key, now) or not self._admission.may_ask(key, now):
            self._metrics.dropped["rate"].inc()
            return Neighbourhood(is_neighbour=False)
        is_neighbour = key in self._views.active or self._views.is_accepted(message.wish)
        if is_neighbour:
            is_new = key not in self._views.active
            self._link(contact)
            self.heard(key)
            if is_new and message.wish is Wish.JOIN:
                self._announce_newcomer(contact)
        else:
            self._views.met(contact, self._random)
        self._links.told(message.ids, contact)
        ids = self._links.recent_ids()
        known = (*self._views.counter_offer(4, self._random), *self._views.active.values())
        contacts = tuple(one for one in known if one.public_key != key)[: MAX_CONTACTS - 2]
        self._on_change()
        return Neighbourhood(is_neighbour, contacts if message.wish is not Wish.REFRESH else (), ids)

    def _announce_newcomer(self, contact: Contact) -> None:
        walk = Walk(self._group, WalkKind.JOIN, self._config.join_walk, contact)
        for neighbour in self.neighbours():
            if neighbour.public_key != contact.public_key:
                self._post.tell(neighbour, walk)

    def _on_walk(self, message: Walk, sender: Sender) -> None:
        key = sender.contact.public_key
        if not self._is_open or not self._membership.is_member(key):
            self._metrics.dropped["stranger"].inc()
            return
        if not self._admission.may_ask(key, self._now()):
            self._metrics.dropped["rate"].inc()
            return
        self.heard(key)
        if message.kind is WalkKind.SHUFFLED:
            self._on_shuffled(message)
            return
        origin = message.origin or sender.contact
        if not self._membership.is_member(origin.public_key):
            self._metrics.dropped["walk"].inc()
            return
        origin = self._membership.contact_of(origin.public_key) or origin
        step = None
        ttl = min(message.ttl, self._config.join_walk)
        if not self._views.ends_here(message.kind, ttl):
            step = self._views.next_step((key, origin.public_key), self._random)
        if step is not None:
            if message.kind is WalkKind.JOIN and ttl == self._config.passive_walk:
                self._learn(origin)
            self._post.tell(step, Walk(self._group, message.kind, ttl - 1, origin, message.contacts))
        elif message.kind is WalkKind.JOIN:
            self._welcome(origin)
        else:
            self._exchange(message, origin)

    def _welcome(self, origin: Contact) -> None:
        """End a newcomer's walk: ask it when there is room, remember it otherwise."""
        key = origin.public_key
        self._learn(origin)
        if key in self._views.passive and self._views.has_room and not self._asking:
            self._ask(origin, self._views.wish())

    def _shuffle(self, now: float) -> None:
        """Send contacts on a walk, and meet some members that membership knows."""
        for one in self._membership.sample(self._config.shuffle_passive, self._random, without=self._views.active):
            self._views.met(one, self._random)
        step = self._views.next_step((), self._random)
        if step is not None:
            offer = self._views.offer(self._random)
            self._offered = tuple(one.public_key for one in offer)
            self._shuffled_at = now
            self._post.tell(step, Walk(self._group, WalkKind.SHUFFLE, self._config.join_walk, None, offer))
        self._seek()

    def _exchange(self, message: Walk, origin: Contact) -> None:
        counter = self._views.counter_offer(max(1, len(message.contacts)), self._random)
        self._post.tell(origin, Walk(self._group, WalkKind.SHUFFLED, 0, None, counter))
        expendable = tuple(one.public_key for one in counter)
        for contact in (origin, *message.contacts):
            self._learn(contact, expendable)

    def _on_shuffled(self, message: Walk) -> None:
        """Take in the answer to our exchange; nobody fills our memory unasked."""
        if self._shuffled_at is None or self._now() - self._shuffled_at > _SHUFFLE_ANSWER_S:
            self._metrics.dropped["walk"].inc()
            return
        self._shuffled_at = None
        for contact in message.contacts:
            self._learn(contact, self._offered)
