"""Sharing answers: looking for one before an expert is asked, and offering it to its homes afterwards.

Everything that comes from outside is checked on arrival and again on reading: the author is a live member of the group,
the signature is its own over this answer to this question, it has not expired. Whoever keeps answers for others can
therefore withhold them and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from pilotdht.config.query import QueryConfig
from pilotdht.errors import BadMessage, LinkClosed, PilotError
from pilotdht.gossip.values import MemberInfo, MemberStatus
from pilotdht.identity.ids import PublicKey
from pilotdht.services.answers.cache import AnswerCache
from pilotdht.services.answers.homes import homes
from pilotdht.services.ports import WellKnownPort
from pilotdht.services.query.content import Content
from pilotdht.services.query.frames import read_frame
from pilotdht.services.query.metrics import QueryMetrics
from pilotdht.services.query.needs import QueryNeeds
from pilotdht.services.query.race import RaceRules, race
from pilotdht.services.query.signed import (
    MAX_SIGNERS,
    Endorsement,
    QuestionKey,
    SharedAnswer,
    checked,
    is_live,
    shared_untrusted,
)
from pilotdht.services.query.words import Kept, Look, Offer, Shared, kept_untrusted, looked_untrusted
from pilotdht.tunnel.byte_stream import ByteStream
from pilotdht.values import dataclass
from pilotdht.wire.groups import GroupId
from pilotdht.wire.verified import VerifiedSignatures

_ROUND_TRIPS = 4
"""A home that has not answered after so many round trips is passed over."""


@dataclass(frozen=True, slots=True)
class _Found:
    answer: SharedAnswer | None


class SharedAnswers:
    """The shared answers of one node."""

    def __init__(
        self, *, needs: QueryNeeds, config: QueryConfig, metrics: QueryMetrics, memory: VerifiedSignatures
    ) -> None:
        """Make it.

        Args:
            needs: groups, streams, clock.
            config: times and bounds.
            metrics: counters.
            memory: signatures found good before.
        """
        self.cache = AnswerCache(config, own=needs.keys.public_key)
        """What is kept here."""
        self._needs = needs
        self._config = config
        self._metrics = metrics
        self._memory = memory
        self._offers = 0
        metrics.cached.set_function(lambda: float(len(self.cache)))
        metrics.cached_bytes.set_function(lambda: float(self.cache.size_bytes))

    # What others want.

    def looked(self, look: Look, peer: PublicKey) -> Shared:
        """Answer a member that looks for an answer; nobody else learns whether there is one."""
        if not self._needs.groups.is_member(GroupId(look.group), peer):
            return Shared(fields=None)
        held = self.cache.get(look.key, group=look.group, now_s=self._needs.unix_time())
        return Shared(fields=None if held is None else held.fields())

    def offered(self, offer: Offer, peer: PublicKey) -> Kept:
        """Keep what a member offers, when it is what it says."""
        counts, answer = self._metrics.offers, offer.answer
        if not self._needs.groups.is_member(GroupId(answer.group), peer):
            counts["not_allowed"].inc()
            return Kept(is_kept=False)
        good = self._checked(answer, lambda author: self._needs.groups.is_member(GroupId(answer.group), author))
        if good is None:
            counts["rejected"].inc()
            return Kept(is_kept=False)
        is_kept = self._put(good, by=peer)
        counts["kept" if is_kept else "not_kept"].inc()
        return Kept(is_kept=is_kept)

    # What this node wants.

    async def find(
        self,
        key: QuestionKey,
        *,
        group: GroupId,
        members: Sequence[MemberInfo],
        capability: str,
        quorum: int,
        until: float,
    ) -> SharedAnswer | None:
        """Return an answer with enough live signatures, from here or from the nearest home; ``None``: there is none.

        Args:
            key: of the question.
            group: id of the group.
            members: of the group, as known here.
            capability: what an author must declare, or empty.
            quorum: signatures needed.
            until: time of the loop at which the asker gives up.
        """
        live = {one.public_key: one for one in members if one.status in (MemberStatus.ALIVE, MemberStatus.SUSPECT)}

        def is_author(author: PublicKey) -> bool:
            member = live.get(author)
            return member is not None and (not capability or capability in member.capabilities)

        counts = self._metrics.shared
        own = self.cache.get(key, group=group, now_s=self._needs.unix_time())
        good = None if own is None else self._checked(own, is_author)
        if good is not None and len(good.endorsements) >= quorum:
            counts["own"].inc()
            return good
        nearest = [
            one.public_key
            for one in sorted(
                (live[home] for home in homes(key, live, count=self._config.homes) if not live[home].is_self),
                key=lambda one: self._config.rtt_guess_s if one.rtt_s is None else one.rtt_s,
            )
        ]
        if not nearest:
            counts["none"].inc()
            return None
        found = await self._look(Look(group=group, key=key), nearest, live, is_author, until)
        if found is None or len(found.endorsements) < quorum:
            return None
        counts["home"].inc()
        self._put(found, by=self._needs.keys.public_key)
        return found

    def keep(
        self,
        content: Content,
        endorsements: Sequence[Endorsement],
        *,
        key: QuestionKey,
        group: GroupId,
        members: Sequence[MemberInfo],
    ) -> float | None:
        """Keep a new answer and offer it to its homes, when its authors allow that.

        Returns:
            Unix time until which it is shared; ``None``: it is not.
        """
        config, now_s = self._config, self._needs.unix_time()
        allowed = tuple(
            one
            for one in endorsements[:MAX_SIGNERS]
            if is_live(one, now_s=now_s, skew_s=config.clock_skew_s, max_ttl_s=config.max_ttl_s)
        )
        canonical = content.canonicalised()
        if not allowed or len(canonical.data) > config.max_shared_bytes:
            return None
        answer = SharedAnswer(key=key, group=group, content=canonical, endorsements=allowed)
        self._put(answer, by=self._needs.keys.public_key, is_newest=True)
        own = self._needs.keys.public_key
        live = [one.public_key for one in members if one.status is MemberStatus.ALIVE]
        for home in homes(key, live, count=config.homes):
            if home != own:
                self._offer(Offer(answer=answer), home)
        return answer.expires_s

    def _put(self, answer: SharedAnswer, *, by: PublicKey, is_newest: bool = False) -> bool:
        before = self.cache.evicted
        is_kept = self.cache.put(answer, by=by, now_s=self._needs.unix_time(), is_newest=is_newest)
        self._metrics.evicted.inc(self.cache.evicted - before)
        return is_kept

    async def _look(
        self,
        look: Look,
        nearest: list[PublicKey],
        live: dict[PublicKey, MemberInfo],
        is_author: Callable[[PublicKey], bool],
        until: float,
    ) -> SharedAnswer | None:
        config, counts = self._config, self._metrics.shared
        most_until = min(until, asyncio.get_running_loop().time() + config.look_timeout_s)

        async def ask(home: PublicKey, on_begin: Callable[[], None]) -> _Found:
            body = await self._exchange(home, look.framed(), until=most_until)
            shared = looked_untrusted(body)
            if shared.fields is None:
                return _Found(None)
            answer = shared_untrusted(shared.fields, key=look.key, group=look.group, most_bytes=config.max_shared_bytes)
            good = self._checked(answer, is_author)
            if good is None:
                counts["rejected"].inc()
                raise BadMessage("query_shared")
            return _Found(good)

        def delay_s(home: PublicKey) -> float:
            rtt_s = live[home].rtt_s
            expected_s = _ROUND_TRIPS * (config.rtt_guess_s if rtt_s is None else rtt_s)
            return min(max(expected_s, config.hedge_low_s), config.look_timeout_s / 2)

        rules = RaceRules(
            delay_s=delay_s,
            may_hedge=lambda: True,  # a look costs a home nothing
            on_hedge_won=lambda: None,
            max_hedges=1,
            max_attempts=len(nearest),
            until=most_until,
        )
        try:
            found = await race(iter(nearest), ask, rules)
        except PilotError:
            counts["failed"].inc()
            return None
        if found.answer is None:
            counts["none"].inc()
        return found.answer

    def _offer(self, offer: Offer, home: PublicKey) -> None:
        counts = self._metrics.offers
        if self._offers >= self._config.max_offers:
            counts["dropped"].inc()
            return

        async def work() -> None:
            try:
                until = asyncio.get_running_loop().time() + self._config.offer_timeout_s
                kept_untrusted(await self._exchange(home, offer.framed(), until=until))
                counts["sent"].inc()
            except PilotError:
                counts["failed"].inc()
            finally:
                self._offers -= 1

        try:
            self._needs.scope.start(work(), name="offer an answer")
        except RuntimeError:  # the node is closing
            counts["dropped"].inc()
            return
        self._offers += 1

    async def _exchange(self, peer: PublicKey, framed: bytes, *, until: float) -> bytes:
        """Say one word to a peer and return what it answers.

        Raises:
            PilotError: it cannot be reached, or does not answer in time.
        """
        stream: ByteStream | None = None
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(until):
                timeout_s = max(0.0, until - loop.time())
                stream = await self._needs.open_stream(peer, WellKnownPort.QUERY, timeout_s=timeout_s)
                await stream.write(framed)
                body = await read_frame(stream)
        except BaseException as error:
            if stream is not None:
                stream.abort()
            if isinstance(error, TimeoutError):
                raise LinkClosed("no answer in time") from error
            raise
        await stream.close()
        return body

    def _checked(self, answer: SharedAnswer, is_author: Callable[[PublicKey], bool]) -> SharedAnswer | None:
        return checked(
            answer,
            is_author=is_author,
            now_s=self._needs.unix_time(),
            skew_s=self._config.clock_skew_s,
            max_ttl_s=self._config.max_ttl_s,
            memory=self._memory,
        )
