"""What this node keeps for others: letters by target, with an order of who has to go when there is no room. Pure.

Invariants:

* One writer has at most one letter for one target: a newer one takes its place, and the same one again changes nothing.
* Where there is no room, in all or for one target, the source prefix that has most letters there loses its oldest
  one, and only to a prefix that has at least two fewer. So no prefix pushes out a letter of one that has no more than
  itself, and nobody's only letter is ever pushed out.
* One prefix, or one writer, never has more than its share; beyond it is refused, and nothing of its own is pushed out.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable

from pilotdht.config.letters import LetterConfig
from pilotdht.identity.ids import PublicKey
from pilotdht.wire.letter import letter_id
from pilotdht.wire.letter_messages import LeaveResult

Group = str | bytes
"""What letters are shared out by: a source prefix; see :func:`pilotdht.net.prefixes.group_of`."""


class KeptLetter:
    """One letter that is kept here."""

    __slots__ = ("expires_at", "group", "letter", "letter_id", "target", "writer")

    def __init__(self, *, target: PublicKey, writer: PublicKey, group: Group, letter: bytes, expires_at: float) -> None:
        self.target = target
        """Who may fetch it."""
        self.writer = writer
        """Who left it."""
        self.group = group
        """The prefix it counts for."""
        self.letter = letter
        """Sealed bytes."""
        self.letter_id = letter_id(letter)
        """What the target calls it."""
        self.expires_at = expires_at
        """Forgotten then, on the loop's clock."""


class Shelf:
    """All letters that this node keeps for others."""

    def __init__(self, config: LetterConfig) -> None:
        self.evicted = 0
        """Letters that had to go before their time."""
        self.expired = 0
        """Letters whose time was over."""
        self.replaced = 0
        """Letters whose writer left a newer one."""
        self._config = config
        self._targets: dict[PublicKey, dict[PublicKey, KeptLetter]] = {}  # by writer, the oldest first
        self._groups: dict[Group, dict[KeptLetter, None]] = {}  # the oldest first
        self._writers: Counter[PublicKey] = Counter()
        self._count = 0
        self._serial = 0
        self._by_time: list[tuple[float, int, KeptLetter]] = []

    def __len__(self) -> int:
        """Return how many letters are kept, those included whose time is over and that were not looked at since."""
        return self._count

    def __contains__(self, target: object) -> bool:
        """Return whether letters for a key may be kept here; one look into a dictionary."""
        return target in self._targets

    @property
    def size_bytes(self) -> int:
        """Bytes of all letters."""
        return sum(len(kept.letter) for letters in self._targets.values() for kept in letters.values())

    def leave(
        self, *, target: PublicKey, writer: PublicKey, group: Group, letter: bytes, lifetime_s: float, now: float
    ) -> LeaveResult:
        """Keep a letter, or say why not: ``KEPT``, ``FULL`` or ``QUOTA``.

        The same letter again is not kept any longer for it: otherwise a repeated datagram could.
        """
        self.expire(now)
        before = self._targets.get(target, {}).get(writer)
        if before is not None and before.letter == letter:
            return LeaveResult.KEPT
        if before is None and self._writers[writer] >= self._config.letters_per_writer:
            return LeaveResult.QUOTA
        own = len(self._groups.get(group, ())) - (before is not None and before.group == group)
        if own >= self._config.letters_per_prefix:
            return LeaveResult.QUOTA
        if before is not None:
            self.replaced += 1
            self._remove(before)
        elif not self._make_room(target, group):
            return LeaveResult.FULL
        expires_at = now + min(lifetime_s, self._config.max_lifetime_s)
        self._add(KeptLetter(target=target, writer=writer, group=group, letter=letter, expires_at=expires_at))
        return LeaveResult.KEPT

    def waiting(self, target: PublicKey, *, now: float) -> list[KeptLetter]:
        """Return the letters for a key, the oldest first."""
        self.expire(now)
        return list(self._targets.get(target, {}).values())

    def take(self, target: PublicKey, ids: Iterable[bytes]) -> int:
        """Forget letters that their target has got; return how many there were."""
        taken = dict.fromkeys(ids)
        found = [kept for kept in self._targets.get(target, {}).values() if kept.letter_id in taken]
        for kept in found:
            self._remove(kept)
        return len(found)

    def expire(self, now: float) -> None:
        """Forget letters whose time is over."""
        while self._by_time and self._by_time[0][0] <= now:
            kept = heapq.heappop(self._by_time)[2]
            if self._is_current(kept):
                self.expired += 1
                self._remove(kept)

    # Inside

    def _make_room(self, target: PublicKey, group: Group) -> bool:
        """See to it that one more letter of ``group`` for ``target`` has room; return whether it may have any."""
        others = self._targets.get(target, {})
        if len(others) >= self._config.letters_per_target:
            shares = Counter(kept.group for kept in others.values())
            loser = _loser(shares, group)
            if loser is None:
                return False
            self._evict(next(kept for kept in others.values() if kept.group == loser))
        elif self._count >= self._config.max_letters:
            loser = _loser({each: len(letters) for each, letters in self._groups.items()}, group)
            if loser is None:
                return False
            self._evict(next(iter(self._groups[loser])))
        return True

    def _evict(self, kept: KeptLetter) -> None:
        self.evicted += 1
        self._remove(kept)

    def _add(self, kept: KeptLetter) -> None:
        self._targets.setdefault(kept.target, {})[kept.writer] = kept
        self._groups.setdefault(kept.group, {})[kept] = None
        self._writers[kept.writer] += 1
        self._count += 1
        self._serial += 1
        heapq.heappush(self._by_time, (kept.expires_at, self._serial, kept))
        if len(self._by_time) > 2 * self._count + 64:  # leave out what is gone, so that it stays as small as the shelf
            self._by_time = [item for item in self._by_time if self._is_current(item[2])]
            heapq.heapify(self._by_time)

    def _remove(self, kept: KeptLetter) -> None:
        letters = self._targets[kept.target]
        del letters[kept.writer]
        if not letters:
            del self._targets[kept.target]
        group = self._groups[kept.group]
        del group[kept]
        if not group:
            del self._groups[kept.group]
        self._writers[kept.writer] -= 1
        if not self._writers[kept.writer]:
            del self._writers[kept.writer]
        self._count -= 1

    def _is_current(self, kept: KeptLetter) -> bool:
        return self._targets.get(kept.target, {}).get(kept.writer) is kept


def _loser(shares: dict[Group, int], newcomer: Group) -> Group | None:
    """Return the group that has most, the one counted first among equals, when that is two more than the newcomer."""
    fullest = max(shares, key=lambda group: shares[group])
    return fullest if shares[fullest] >= shares.get(newcomer, 0) + 2 else None
