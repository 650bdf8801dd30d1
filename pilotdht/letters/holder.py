"""Keeping letters for others, handing them to their targets, and telling a target that comes by that some wait.

A letter is kept for whoever leaves it from an address where it receives, and given to nobody but its target: the key
that asks is proven by the sealed request itself. A notice is one small datagram to an endpoint that has just shown to
receive; nothing here sends more to an address than was asked for from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pilotdht.config.letters import LetterConfig
from pilotdht.identity.ids import PublicKey
from pilotdht.letters.metrics import LetterMetrics
from pilotdht.letters.shelf import KeptLetter, Shelf
from pilotdht.net.limits import PrefixLimiter
from pilotdht.net.outcomes import Sender
from pilotdht.net.prefixes import group_of
from pilotdht.net.rpc import Rpc
from pilotdht.net.switchboard import is_virtual
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.letter_messages import (
    MAX_LETTERS,
    MAX_WAITING,
    Collect,
    Leave,
    LeaveResult,
    Left,
    Letters,
    LettersWait,
)

ANSWER_BYTES = 1060
"""Letters in one answer, their headers included; what is around them takes the rest of a datagram."""

_LETTER_HEADER_BYTES = 3


class _Notices:
    """When a target may be told again that letters wait."""

    __slots__ = ("due_at", "gap_s")

    def __init__(self, gap_s: float) -> None:
        self.due_at = float("-inf")
        self.gap_s = gap_s


class LetterHolder:
    """Serves writers and targets."""

    def __init__(
        self,
        own_key: PublicKey,
        *,
        rpc: Rpc,
        config: LetterConfig,
        metrics: LetterMetrics,
        whereabouts: Callable[[PublicKey], Endpoint | None],
    ) -> None:
        """Make one that serves nobody yet.

        Args:
            own_key: who we are.
            rpc: the node's requests.
            config: bounds and rates.
            metrics: where everything is counted.
            whereabouts: returns where a key has shown to receive of late; absent when that is not known.
        """
        self.shelf = Shelf(config)
        """What is kept."""
        self._own_key = own_key
        self._rpc = rpc
        self._config = config
        self._metrics = metrics
        self._whereabouts = whereabouts
        self._limiter = PrefixLimiter(
            rate_per_s=config.leaves_per_s, burst=config.leaves_burst, capacity=config.prefixes_limited
        )
        self._notices: dict[PublicKey, _Notices] = {}  # of targets that something is kept for
        self._collecting: PublicKey | None = None

    def start(self) -> None:
        """Answer from now on."""
        self._rpc.serve(Leave, self.leave)
        self._rpc.serve(Collect, self.collect)
        self._rpc.on_heard(self._heard)
        shelf, show = self.shelf, self._metrics.show
        show("kept", "Letters of others kept here", lambda: len(shelf))
        show("kept_bytes", "Bytes of letters of others kept here", lambda: shelf.size_bytes)
        show("evicted", "Letters of others that had to make room", lambda: shelf.evicted, is_counter=True)
        show("expired", "Letters of others that nobody fetched in time", lambda: shelf.expired, is_counter=True)
        show("replaced", "Letters of others replaced by newer ones", lambda: shelf.replaced, is_counter=True)

    # Requests

    def leave(self, message: Leave, sender: Sender) -> Left:
        """Keep a letter, or say why not; tell its target when that is known to be up."""
        result = self._left(message, sender)
        self._metrics.leaves[result] += 1
        if result is LeaveResult.KEPT:
            endpoint = self._whereabouts(message.target)
            if endpoint is not None:  # it is up, and could not be reached by the writer
                self._notify(Contact(message.target, endpoint))
        return Left(result)

    def _left(self, message: Leave, sender: Sender) -> LeaveResult:
        contact = sender.contact
        if not self._config.is_enabled:
            return LeaveResult.DISABLED
        if is_virtual(contact.endpoint) or message.target in (contact.public_key, self._own_key):
            return LeaveResult.REFUSED
        if not sender.is_validated:
            return LeaveResult.UNPROVEN
        now, group = self._now(), group_of(contact.endpoint.host, contact.public_key)
        if not self._limiter.take(group, now):
            return LeaveResult.QUOTA
        return self.shelf.leave(
            target=message.target,
            writer=contact.public_key,
            group=group,
            letter=message.letter,
            lifetime_s=message.lifetime_s,
            now=now,
        )

    def collect(self, message: Collect, sender: Sender) -> Letters:
        """Forget what its target has got, and hand over the next letters."""
        target = sender.contact.public_key
        self._collecting = target
        self._notices.pop(target, None)
        self._metrics.fetched += self.shelf.take(target, message.taken)
        skipped = dict.fromkeys(message.skipped)
        waiting = self.shelf.waiting(target, now=self._now())
        letters = _first([kept for kept in waiting if kept.letter_id not in skipped])
        self._metrics.handed_over += len(letters)
        return Letters(letters, min(len(waiting), MAX_WAITING))

    # Telling

    def _heard(self, sender: Sender) -> None:
        """Tell a target that asked for something that letters wait; who has just fetched them knows."""
        target, collecting = sender.contact.public_key, self._collecting
        self._collecting = None
        if target != collecting and target in self.shelf:
            self._notify(sender.contact)

    def _notify(self, contact: Contact) -> None:
        now, target = self._now(), contact.public_key
        waiting = len(self.shelf.waiting(target, now=now))
        if not waiting:
            return
        notices = self._notices.get(target)
        if notices is None:
            self._forget_notices()
            notices = self._notices[target] = _Notices(self._config.notice_first_s)
        if now >= notices.due_at and self._rpc.tell(contact, LettersWait(min(waiting, MAX_WAITING))):
            notices.due_at = now + notices.gap_s
            notices.gap_s = min(2 * notices.gap_s, self._config.notice_most_s)
            self._metrics.notices_sent += 1

    def _forget_notices(self) -> None:
        """Leave out targets whose letters are gone, once there are more than could be kept for."""
        if len(self._notices) >= self._config.max_letters:
            self._notices = {key: notices for key, notices in self._notices.items() if key in self.shelf}

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _first(waiting: list[KeptLetter]) -> tuple[bytes, ...]:
    """Return as many letters as fit into an answer, at least one when there is any."""
    letters: list[bytes] = []
    room_bytes = ANSWER_BYTES
    for kept in waiting[:MAX_LETTERS]:
        room_bytes -= len(kept.letter) + _LETTER_HEADER_BYTES
        if room_bytes < 0:
            break
        letters.append(kept.letter)
    return tuple(letters)
