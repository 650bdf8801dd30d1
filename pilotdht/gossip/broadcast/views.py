"""Whom a member knows of its group: a few neighbours, and others to replace them. Pure.

Neighbours are mutual: whoever is taken in here takes us in, and is told when it is dropped. The others are contacts
seen lately, refreshed by exchanges with members at the end of random walks; only when a neighbour is lost are they
asked. Both are bounded whatever the group's size.

Source: HyParView (Leitao, Pereira, Rodrigues, DSN 2007), section 4.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random

from pilotdht.config.broadcast import BroadcastConfig
from pilotdht.identity.ids import PublicKey
from pilotdht.wire.broadcast_messages import WalkKind, Wish
from pilotdht.wire.contact import Contact

_STANDING = 2
"""Neighbours that never make room: those that stand longest. Many who wish at the same time cannot cut a member off."""


class Views:
    """Neighbours and their possible replacements."""

    def __init__(self, own_key: PublicKey, config: BroadcastConfig) -> None:
        """Know nobody.

        Args:
            own_key: never to be taken in.
            config: sizes.
        """
        self._own_key = own_key
        self._config = config
        self.active: dict[PublicKey, Contact] = {}
        """Neighbours, the longest standing first."""
        self.passive: dict[PublicKey, Contact] = {}
        """Others, the longest known first."""
        self._refused: dict[PublicKey, None] = {}

    @property
    def has_room(self) -> bool:
        """Another neighbour would be taken in."""
        return len(self.active) < self._config.active_size

    @property
    def is_sated(self) -> bool:
        """As many others are remembered as may be."""
        return len(self.passive) >= self._config.passive_size

    def wanted(self) -> int:
        """Return how many neighbours to look for.

        One fewer than there is room for: where everybody asked for the last one as well, the last ones to ask would
        find nobody with room, and ask for ever.
        """
        return max(0, self._config.active_size - 1 - len(self.active))

    def to_ask(self, silent: int) -> int:
        """Return how many to ask at one time, when so many in a row were silent.

        Where most are dead, asking one after another for each place would take minutes; the first to answer are taken.
        """
        wanted = self.wanted()
        return min(wanted * (1 + silent), max(wanted, self._config.max_asked))

    def wish(self) -> Wish:
        """Return how much another neighbour is wanted."""
        return Wish.LOW if self.active else Wish.HIGH

    def is_accepted(self, wish: Wish) -> bool:
        """Return whether somebody who is no neighbour and wishes to be one is taken in."""
        return self.has_room or wish in (Wish.HIGH, Wish.JOIN)

    def linked(self, contact: Contact, random: Random) -> Contact | None:
        """Take in a neighbour; return the one that had to make room for it, now among the others.

        Whoever has to go is drawn by lot from those that came last.
        """
        key = contact.public_key
        if key == self._own_key:
            return None
        dropped = None
        if key not in self.active and not self.has_room:
            dropped = random.choice(list(self.active.values())[min(_STANDING, len(self.active) - 1) :])
            del self.active[dropped.public_key]
        self.passive.pop(key, None)
        self._refused.pop(key, None)
        self.active[key] = contact
        if dropped is not None:
            self.met(dropped, random)
        return dropped

    def unlinked(self, key: PublicKey, *, is_alive: bool, random: Random) -> Contact | None:
        """Drop a neighbour and return it; keep it among the others when it is only no neighbour any more."""
        contact = self.active.pop(key, None)
        if contact is not None and is_alive:
            self.met(contact, random)
        return contact

    def met(self, contact: Contact, random: Random, *, expendable: Sequence[PublicKey] = ()) -> None:
        """Remember a contact, in the place of one of ``expendable`` or of a random one when there is no room."""
        key = contact.public_key
        if key == self._own_key or key in self.active:
            return
        if key not in self.passive and len(self.passive) >= self._config.passive_size:
            victim = next((one for one in expendable if one in self.passive), None)
            if victim is None:
                victim = random.choice(list(self.passive))
            self.forget(victim)
        self.passive[key] = contact

    def forget(self, key: PublicKey) -> None:
        """Remember somebody no longer among the others."""
        self.passive.pop(key, None)
        self._refused.pop(key, None)

    # Replacing

    def candidate(self, busy: Iterable[PublicKey], random: Random) -> Contact | None:
        """Return one of the others to ask, not among ``busy`` and not refused us since :meth:`begin_round`."""
        excluded = dict.fromkeys(busy)
        free = [contact for key, contact in self.passive.items() if key not in excluded and key not in self._refused]
        return random.choice(free) if free else None

    def refused(self, key: PublicKey) -> None:
        """Note that somebody had no room for us; it is not asked again in this round."""
        if key in self.passive:
            self._refused[key] = None

    def begin_round(self) -> None:
        """Ask everybody again."""
        self._refused.clear()

    # Walks

    def next_step(self, without: Sequence[PublicKey], random: Random) -> Contact | None:
        """Return the neighbour to which a walk goes on; absent when there is none but ``without``."""
        free = [contact for key, contact in self.active.items() if key not in without]
        return random.choice(free) if free else None

    def ends_here(self, kind: WalkKind, ttl: int) -> bool:
        """Return whether a walk ends at this member."""
        return ttl <= 0 or len(self.active) <= 1 or kind is WalkKind.SHUFFLED

    def offer(self, random: Random) -> tuple[Contact, ...]:
        """Return what is offered in an exchange: some neighbours and some others."""
        active, passive = list(self.active.values()), list(self.passive.values())
        return (
            *random.sample(active, min(len(active), self._config.shuffle_active)),
            *random.sample(passive, min(len(passive), self._config.shuffle_passive)),
        )

    def counter_offer(self, count: int, random: Random) -> tuple[Contact, ...]:
        """Return up to ``count`` others, in answer to an exchange."""
        passive = list(self.passive.values())
        return tuple(random.sample(passive, min(len(passive), count)))
