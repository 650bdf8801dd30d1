"""Who announces itself on the link: a bounded table of claims, and what came of asking them. Pure.

Whoever is on the link can announce what it likes, as often as it likes. So the table is bounded, a key is named by few
announcements, and when the table is full it is a silent neighbour that goes, or any that has not answered yet, by lot:
a flood may push out what is not proven, never whom we know.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from random import Random

from pilotdht.config.lan import LanConfig
from pilotdht.identity.ids import PublicKey
from pilotdht.traversal.lan.notices import Claim
from pilotdht.values import dataclass
from pilotdht.wire.endpoint import Endpoint


class Heard(Enum):
    """What an announcement is to the table; the values are labels of a counter."""

    NEW = "new"
    """Of a neighbour, or of endpoints, that were not known."""
    KNOWN = "known"
    """Known already."""
    CLAIMED = "claimed"
    """Of a key that others announce as well, as many as are remembered."""
    FULL = "full"
    """No place: all that are remembered have answered."""


class Standing(Enum):
    """What came of asking a neighbour; the values are shown to people."""

    HEARD = "heard"
    """It was not asked yet."""
    PROVEN = "answered"
    """Its key answered there."""
    SILENT = "silent"
    """Nobody answered, or somebody else."""


@dataclass(slots=True)
class Neighbour:
    """One announcement that is remembered."""

    public_key: PublicKey
    """Who it says it is; proven when :attr:`standing` says so."""
    endpoints: tuple[Endpoint, ...]
    """Where it says it is; the one that answered first."""
    standing: Standing = Standing.HEARD
    """What came of asking it."""
    quiet_until: float = float("-inf")
    """It is left alone until then: time of the loop."""


class Neighbours:
    """What was announced on the link."""

    def __init__(self, config: LanConfig, random: Random) -> None:
        """Make an empty table.

        Args:
            config: bounds.
            random: chooses who goes.
        """
        self._config = config
        self._random = random
        self._by_name: dict[str, Neighbour] = {}
        self._names: dict[PublicKey, list[str]] = {}

    def __len__(self) -> int:
        """Return how many announcements are remembered."""
        return len(self._by_name)

    def __iter__(self) -> Iterator[Neighbour]:
        """Go through them, in the order in which they were heard first."""
        return iter(tuple(self._by_name.values()))

    @property
    def proven(self) -> int:
        """How many have answered."""
        return sum(one.standing is Standing.PROVEN for one in self._by_name.values())

    def heard(self, name: str, claim: Claim) -> Heard:
        """Take in an announcement; one that says something else than before is asked anew."""
        known = self._by_name.get(name)
        if known is not None:
            if known.public_key == claim.public_key and sorted(known.endpoints) == sorted(claim.endpoints):
                return Heard.KNOWN
            self.gone(name)
        names = self._names.get(claim.public_key, [])
        if len(names) >= self._config.names_per_key:
            other = next((one for one in names if self._by_name[one].standing is Standing.SILENT), None)
            if other is None:
                return Heard.CLAIMED
            self.gone(other)
        if len(self._by_name) >= self._config.max_neighbours and not self._make_room():
            return Heard.FULL
        self._by_name[name] = Neighbour(claim.public_key, claim.endpoints)
        self._names.setdefault(claim.public_key, []).append(name)
        return Heard.NEW

    def gone(self, name: str) -> bool:
        """Forget an announcement; return whether it was known. Who really goes falls silent; this is a hint as well."""
        known = self._by_name.pop(name, None)
        if known is None:
            return False
        names = self._names[known.public_key]
        names.remove(name)
        if not names:
            del self._names[known.public_key]
        return True

    def clear(self) -> None:
        """Forget everything: the link is another one."""
        self._by_name.clear()
        self._names.clear()

    def endpoints_of(self, public_key: PublicKey) -> tuple[Endpoint, ...]:
        """Return where a key is announced, those that answered first; silent ones are left out."""
        known = [self._by_name[name] for name in self._names.get(public_key, ())]
        known = [one for one in known if one.standing is not Standing.SILENT]
        known.sort(key=lambda one: one.standing is not Standing.PROVEN)
        return tuple(dict.fromkeys(endpoint for one in known for endpoint in one.endpoints))

    def next_to_ask(self, now: float) -> Neighbour | None:
        """Return a neighbour to greet, chosen by lot, and leave it alone for a while; absent when there is none."""
        if self.proven >= self._config.greeted_most:
            return None
        waiting = [
            one for one in self._by_name.values() if one.standing is not Standing.PROVEN and one.quiet_until <= now
        ]
        if not waiting:
            return None
        fresh = [one for one in waiting if one.standing is Standing.HEARD]  # a flood of silent ones comes after them
        chosen = self._random.choice(fresh or waiting)
        chosen.quiet_until = now + self._config.silent_pause_s
        return chosen

    def answered(self, neighbour: Neighbour, endpoint: Endpoint) -> None:
        """Take in that the key answered at an endpoint."""
        neighbour.standing = Standing.PROVEN
        neighbour.endpoints = tuple(dict.fromkeys((endpoint, *neighbour.endpoints)))

    def silent(self, neighbour: Neighbour, now: float) -> None:
        """Take in that the key did not answer at any endpoint."""
        neighbour.standing = Standing.SILENT
        neighbour.quiet_until = now + self._config.silent_pause_s

    def _make_room(self) -> bool:
        names = [name for name, one in self._by_name.items() if one.standing is Standing.SILENT]
        names = names or [name for name, one in self._by_name.items() if one.standing is not Standing.PROVEN]
        return bool(names) and self.gone(self._random.choice(names))
