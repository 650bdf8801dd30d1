"""Answers that this node keeps, for itself and for members of its groups. Pure.

Bounded in bytes and count: what expired goes first, then what was used longest ago. Each offering member has a share
that it cannot exceed: whoever offers without end displaces its own offers. When two answers to one question meet, the
one with more signers stays; the held one when they are as many, unless all its signers say something else since. Equal
answers are made one with the signers of both.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from pilotdht.config.query import QueryConfig
from pilotdht.identity.ids import PublicKey
from pilotdht.services.query.signed import MAX_SIGNERS, QuestionKey, SharedAnswer
from pilotdht.values import dataclass


@dataclass(frozen=True, slots=True)
class _Held:
    answer: SharedAnswer
    by: PublicKey


class AnswerCache:
    """Shared answers by question."""

    def __init__(self, config: QueryConfig, *, own: PublicKey) -> None:
        """Make an empty cache of the node with key ``own``, which alone can fill all of it."""
        self._own = own
        self._most_bytes = config.cache_bytes
        self._most_answers = config.cache_answers
        self._most_bytes_each = int(config.cache_bytes * config.cache_share_per_peer)
        self._most_answers_each = max(1, int(config.cache_answers * config.cache_share_per_peer))
        self._held: OrderedDict[QuestionKey, _Held] = OrderedDict()
        self._by_peer: dict[PublicKey, OrderedDict[QuestionKey, None]] = {}
        self._bytes_by_peer: dict[PublicKey, int] = {}
        self.size_bytes = 0
        """About what it takes in memory."""
        self.evicted = 0
        """Answers dropped for want of room."""

    def __len__(self) -> int:
        """Return how many answers are held."""
        return len(self._held)

    def get(self, key: QuestionKey, *, group: bytes, now_s: float) -> SharedAnswer | None:
        """Return the answer to a question in a group, unless it expired; ``now_s`` is Unix time."""
        held = self._held.get(key)
        if held is None or held.answer.group != group:
            return None
        if now_s >= held.answer.expires_s:
            self._drop(key)
            return None
        self._held.move_to_end(key)
        return held.answer

    def put(self, answer: SharedAnswer, *, by: PublicKey, now_s: float, is_newest: bool = False) -> bool:
        """Keep an answer whose signatures were checked.

        Args:
            answer: what to keep.
            by: who offers it; this node itself for what it asked.
            now_s: Unix time.
            is_newest: take it in place of a held one, as it was just asked for anew.

        Returns:
            Whether it, or one as good, is held now.
        """
        key = answer.key
        held = self._held.get(key)
        if held is not None and now_s < held.answer.expires_s and not is_newest:
            merged = _merged(held.answer, answer, now_s)
            if merged is held.answer:
                return held.answer.content == answer.content
            answer = merged
        if answer.size_bytes > (self._most_bytes if by == self._own else self._most_bytes_each):
            return False
        if held is not None:
            self._drop(key)
        self._held[key] = _Held(answer, by)
        self._by_peer.setdefault(by, OrderedDict())[key] = None
        self._bytes_by_peer[by] = self._bytes_by_peer.get(by, 0) + answer.size_bytes
        self.size_bytes += answer.size_bytes
        self._make_room(by, now_s)
        return key in self._held

    def forget_group(self, group: bytes) -> None:
        """Drop every answer of a group that this node left."""
        for key in [key for key, held in self._held.items() if held.answer.group == group]:
            self._drop(key)

    def _make_room(self, by: PublicKey, now_s: float) -> None:
        if by != self._own and self._has_too_much(by):
            self._drop_expired(self._by_peer[by], now_s)
            while self._has_too_much(by):
                self.evicted += 1
                self._drop(next(iter(self._by_peer[by])))
        if self._is_full():
            self._drop_expired(self._held, now_s)
        while self._is_full():
            self.evicted += 1
            self._drop(next(iter(self._held)))

    def _has_too_much(self, by: PublicKey) -> bool:
        offered = self._by_peer.get(by)
        return offered is not None and (
            len(offered) > self._most_answers_each or self._bytes_by_peer[by] > self._most_bytes_each
        )

    def _drop_expired(self, keys: Iterable[QuestionKey], now_s: float) -> None:
        for key in [key for key in keys if now_s >= self._held[key].answer.expires_s]:
            self._drop(key)

    def _is_full(self) -> bool:
        return len(self._held) > self._most_answers or self.size_bytes > self._most_bytes

    def _drop(self, key: QuestionKey) -> None:
        held = self._held.pop(key)
        size = held.answer.size_bytes
        self.size_bytes -= size
        own = self._by_peer[held.by]
        del own[key]
        self._bytes_by_peer[held.by] -= size
        if not own:
            del self._by_peer[held.by], self._bytes_by_peer[held.by]


def _merged(held: SharedAnswer, offered: SharedAnswer, now_s: float) -> SharedAnswer:
    """Return which of two answers to one question stays, or both in one; ``held`` itself when nothing changes."""
    if held.content != offered.content:
        before, after = ({one.author: one for one in a.endorsements if one.expires_s > now_s} for a in (held, offered))
        is_corrected = all(
            author in after and after[author].issued_ms > one.issued_ms for author, one in before.items()
        )
        return offered if len(after) > len(before) or is_corrected else held
    latest = {one.author: one for one in held.endorsements if one.expires_s > now_s}
    for one in offered.endorsements:
        known = latest.get(one.author)
        if known is None or one.expires_s > known.expires_s:
            latest[one.author] = one
    endorsements = tuple(sorted(latest.values(), key=lambda one: -one.expires_s)[:MAX_SIGNERS])
    if sorted(one.signature for one in endorsements) == sorted(one.signature for one in held.endorsements):
        return held
    return SharedAnswer(key=held.key, group=held.group, content=held.content, endorsements=endorsements)
