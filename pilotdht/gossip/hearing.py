"""What others say about members, checked and taken in: the one way by which the table of members changes by hearsay.

Facts count when their author signed them, they are neither void nor from the future, and their author is admitted.
Suspicions count when their accuser is a member that does not err too often. What is new is passed on; what was heard
before costs a look into a dictionary.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import replace
from enum import Enum
from typing import Protocol

from pilotdht.config.gossip import GossipConfig
from pilotdht.errors import BadMessage
from pilotdht.gossip.false_alarms import FalseAlarms
from pilotdht.gossip.items import item_reader
from pilotdht.gossip.members import Change, Member, Members
from pilotdht.gossip.metrics import GossipMetrics
from pilotdht.gossip.outbox import Outbox
from pilotdht.gossip.probing import ProbeOrder
from pilotdht.gossip.values import MemberChange, MemberStatus
from pilotdht.identity.ids import NodeId, PublicKey, node_id_of
from pilotdht.net.limits import PrefixLimiter
from pilotdht.wire.certificates import Role
from pilotdht.wire.groups import GroupId
from pilotdht.wire.membership import ItemType, MemberFact, SignedFact, SignedSuspicion

SKEW_MS = 600_000
"""How far ahead of ours another member's clock may be."""

NEWS_AGE_MS = 5_000
"""What was fetched and is older than this is passed on no more: gossip has told everybody since. A newcomer that passed
on all it learns would double the gossip of a group that grows."""

_LIMITED_SENDERS = 4096
_STRANGER_ITEMS_PER_S = 1.0
_STRANGER_ITEMS_BURST = 8
"""Items taken from somebody who is no member: a newcomer brings its own fact, and what else it was told to bring."""

_MOST_DOUBTERS = 256


class Doubt(Enum):
    """Why what this member says of itself has to be said anew."""

    FORGOTTEN = "forgotten"
    """It said something newer itself, before it lost its memory."""
    SUSPECTED = "suspected"
    """A member did not hear it."""
    SLANDERED = "slandered"
    """Somebody suspects it who erred often: others may believe it nevertheless, but there is no hurry."""


class Admission(Protocol):
    """Says who may be a member."""

    def role_of(self, fact: MemberFact, unix_time: float) -> Role | None:
        """Return what a member is by its certificates now; absent when it is not admitted."""
        ...

    def take_untrusted(self, item: bytes, kind: ItemType) -> bool:
        """Take in a revocation or rotation; return whether it was new.

        Raises:
            BadMessage: it is malformed, or its author may not say so.
        """
        ...


class Hearing:
    """Takes in items of one group."""

    def __init__(
        self,
        *,
        group: GroupId,
        own_key: PublicKey,
        members: Members,
        outbox: Outbox,
        order: ProbeOrder,
        config: GossipConfig,
        metrics: GossipMetrics,
        admission: Admission,
        unix_time: Callable[[], float],
        on_change: Callable[[Change], None],
        on_doubted: Callable[[int, Doubt], None],
        on_notice: Callable[[bytes], None],
    ) -> None:
        """Make it.

        Args:
            group: whose items.
            own_key: this member's.
            members: the table that changes.
            outbox: where news are put to be passed on.
            order: the round of probes that newcomers enter.
            config: bounds and times.
            metrics: counters.
            admission: who may be a member.
            unix_time: the clock that facts are dated by.
            on_change: told of each change.
            on_doubted: told of an incarnation of this member that has to be exceeded, and why.
            on_notice: told of each revocation that is new.
        """
        self._group = group
        self._own_key = own_key
        self._own_id = node_id_of(own_key)
        self._members = members
        self._outbox = outbox
        self._order = order
        self._config = config
        self._metrics = metrics
        self._admission = admission
        self._unix_time = unix_time
        self._on_change = on_change
        self._on_doubted = on_doubted
        self._on_notice = on_notice
        self._limiter = PrefixLimiter(
            rate_per_s=config.items_per_s, burst=config.items_burst, capacity=_LIMITED_SENDERS
        )
        self._strangers = PrefixLimiter(
            rate_per_s=_STRANGER_ITEMS_PER_S, burst=_STRANGER_ITEMS_BURST, capacity=_LIMITED_SENDERS
        )
        self._alarms = FalseAlarms(most=config.false_alarms, window_s=config.false_alarms_window_s)
        self._doubters: dict[NodeId, None] = {}
        self._doubted_incarnation = 0

    def take(
        self,
        items: Sequence[bytes],
        sender: PublicKey,
        now: float,
        *,
        is_asked: bool = False,
        gone: Container[NodeId] = (),
    ) -> int:
        """Take in items that a peer sent.

        Args:
            items: as they travelled.
            sender: who sent them, proven.
            now: loop time.
            is_asked: this node asked the sender for them: it may be no member yet that is known here.
            gone: members whom the sender holds for dead.

        Returns:
            How many changed something.
        """
        news = 0
        for item in items:
            try:
                news += self._take_untrusted(item, sender, now, is_asked, gone)
            except BadMessage as error:
                self._metrics.drop(error.reason)
        return news

    def take_own(self, signed: SignedFact, now: float) -> None:
        """Take in what this member says of itself."""
        change = self._members.merge(signed, self._role_of(signed.fact) or Role.MEMBER, now)
        if change is not None:
            self._changed(change, now)

    def accuse(self, signed: SignedSuspicion, now: float) -> None:
        """Take in a suspicion, of this member or of a reliable other one."""
        suspicion = signed.suspicion
        change = self._members.accuse(suspicion.suspect, suspicion.incarnation, signed.accuser_id, now)
        if change is not None:
            self._outbox.add((ItemType.SUSPICION, suspicion.suspect, signed.accuser_id), signed.item)
            self._on_change(change)

    def changed(self, change: Change, now: float) -> None:
        """Act on a change that a verdict or an expulsion made."""
        self._changed(change, now)

    def _take_untrusted(
        self, item: bytes, sender: PublicKey, now: float, is_asked: bool, gone: Container[NodeId]
    ) -> int:
        is_trusted = is_asked or self._members.of_key(sender) is not None
        limiter = self._limiter if is_trusted else self._strangers
        read = item_reader.read_untrusted(item, lambda: limiter.take(sender, now))
        if type(read) is SignedFact:
            return self._take_fact_untrusted(read, now, is_asked=is_asked, is_gone=read.node_id in gone)
        if type(read) is SignedSuspicion:
            return self._take_suspicion_untrusted(read, now, is_trusted)
        kind = item[:1]
        if kind not in (b"\3", b"\4"):
            raise BadMessage("item_type")
        if not limiter.take(sender, now):
            raise BadMessage("rate")
        if not self._admission.take_untrusted(item, ItemType(kind[0])):
            return 0
        self._outbox.add((kind, item), item)
        self.expel_unadmitted(now)
        self._on_notice(item)
        return 1

    def expel_unadmitted(self, now: float) -> list[Member]:
        """Forget members that are not admitted any more; return who that was."""
        unix_time = self._unix_time()
        expelled: list[Member] = []
        for member in self._members:
            if member.node_id != self._own_id and self._admission.role_of(member.signed.fact, unix_time) is None:
                change = self._members.expel(member.node_id, now)
                if change is not None:
                    expelled.append(member)
                    self._changed(change, now)
        return expelled

    def _take_fact_untrusted(self, signed: SignedFact, now: float, *, is_asked: bool, is_gone: bool) -> int:
        fact = signed.fact
        if fact.group != self._group:
            raise BadMessage("other_group")
        known = self._members.find(signed.node_id)
        if known is not None and signed.order <= known.signed.order and (is_gone or not known.is_hearsay):
            return 0
        unix_ms = int(self._unix_time() * 1000)
        if fact.incarnation < unix_ms - self._config.fact_lifetime_s * 1000:
            raise BadMessage("stale")
        if fact.incarnation > unix_ms + SKEW_MS:  # nobody else takes it either; of our own we would outbid ourselves
            raise BadMessage("future")
        if signed.node_id == self._own_id:  # from before our memory: it has to be exceeded, or nobody hears us
            self._on_doubted(fact.incarnation, Doubt.FORGOTTEN)
            return 0
        role = self._role_of(fact)
        if role is None:
            raise BadMessage("not_admitted")
        change = self._members.merge(signed, role, now, is_gone=is_gone)
        if change is None:
            if known is not None:  # it was known by hearsay, and in a later version
                return 0
            raise BadMessage("full")
        self._metrics.flaps.inc(change.is_return)
        for accuser in change.refuted:
            self._metrics.refuted.inc()
            self._alarms.refuted(accuser, signed.node_id, now)
        is_talk = known is not None and not change.refuted and not change.is_return
        if is_talk and change.is_news and not change.member.talk.take(now):
            self._metrics.drop("rate")  # it counts here, and comparisons spread it
            change = replace(change, is_news=False)
        if is_asked and fact.incarnation < unix_ms - NEWS_AGE_MS:
            change = replace(change, is_news=False)
        self._changed(change, now)
        return 1

    def _take_suspicion_untrusted(self, signed: SignedSuspicion, now: float, is_trusted: bool) -> int:
        suspicion = signed.suspicion
        if suspicion.group != self._group:
            raise BadMessage("other_group")
        accuser = self._members.find(signed.accuser_id)
        if suspicion.suspect == self._own_id:
            if accuser is None and not is_trusted:
                raise BadMessage("not_member")
            self._take_doubt_untrusted(signed, now)
            return 0
        if accuser is None or not accuser.is_there:
            raise BadMessage("not_member")
        suspect = self._members.find(suspicion.suspect)
        if suspect is None or suspect.incarnation != suspicion.incarnation or not suspect.is_there:
            return 0
        if self._alarms.is_unreliable(signed.accuser_id, suspect.node_id, now):
            if suspect.status is MemberStatus.ALIVE:
                self._order.hasten(suspect.node_id)
            raise BadMessage("unreliable")
        self.accuse(signed, now)
        return 1

    def _take_doubt_untrusted(self, signed: SignedSuspicion, now: float) -> None:
        """Take in that somebody suspects this member.

        What nobody can have heard of us refutes nothing: to exceed whatever a liar makes up would drive us into a
        future that others refuse. Who remembers more of us than we do shows what we signed.
        """
        own, accuser, incarnation = self._members.find(self._own_id), signed.accuser_id, signed.suspicion.incarnation
        if own is None or incarnation < own.incarnation:
            return
        if incarnation > own.incarnation:
            raise BadMessage("future")
        if incarnation != self._doubted_incarnation:
            self._doubted_incarnation, self._doubters = incarnation, {}
        if accuser in self._doubters or len(self._doubters) >= _MOST_DOUBTERS:
            return
        self._doubters[accuser] = None
        is_slander = self._alarms.is_unreliable(accuser, self._own_id, now)
        self._alarms.refuted(accuser, self._own_id, now)
        self._on_doubted(incarnation, Doubt.SLANDERED if is_slander else Doubt.SUSPECTED)

    def _changed(self, change: Change, now: float) -> None:
        member = change.member
        if change.kind is not MemberChange.FAILED and change.is_news:
            for accuser in change.refuted:
                self._outbox.discard((ItemType.SUSPICION, member.node_id, accuser))
            self._outbox.add((ItemType.FACT, member.node_id), member.signed.item)
        if change.kind is MemberChange.JOINED and member.node_id != self._own_id:
            self._order.add(member.node_id)
        self._on_change(change)

    def _role_of(self, fact: MemberFact) -> Role | None:
        return self._admission.role_of(fact, self._unix_time())
