"""Membership of one group: who is there is found out by probing and told by gossip, with no leader.

The parts: :mod:`~pilotdht.gossip.prober` asks members whether they are there, :mod:`~pilotdht.gossip.telling` spreads
news, :mod:`~pilotdht.gossip.hearing` checks what others say, :mod:`~pilotdht.gossip.repair` finds what gossip missed.
This is what joins them, answers others, and drives all by one timer, which fires when something is due and not at fixed
ticks.

Source: SWIM (2002); Lifeguard (2018); memberlist.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container
from contextlib import suppress
from random import Random

from pilotdht.config.gossip import GossipConfig
from pilotdht.errors import PilotError
from pilotdht.gossip.awareness import Awareness
from pilotdht.gossip.comparing import ask
from pilotdht.gossip.hearing import Admission, Doubt, Hearing
from pilotdht.gossip.items import item_reader
from pilotdht.gossip.members import Change, Member, Members
from pilotdht.gossip.metrics import GossipMetrics
from pilotdht.gossip.outbox import Outbox, transmissions
from pilotdht.gossip.post import Post
from pilotdht.gossip.prober import Prober
from pilotdht.gossip.probing import ProbeOrder
from pilotdht.gossip.repair import Repair
from pilotdht.gossip.telling import NEVER, Telling
from pilotdht.gossip.values import MemberChange
from pilotdht.gossip.voice import Description, Voice
from pilotdht.identity.ids import NodeId, PublicKey, node_id_of
from pilotdht.identity.keys import KeyPair
from pilotdht.net.limits import TokenBucket
from pilotdht.net.outcomes import Answered, Deferred, Sender
from pilotdht.tasks import TaskScope
from pilotdht.wire.contact import Contact
from pilotdht.wire.gossip_messages import (
    Facts,
    FetchFacts,
    Gossip,
    Probe,
    ProbeAck,
    ProbeFor,
    ProbeOutcome,
    Summaries,
    Summarise,
)
from pilotdht.wire.groups import GroupId
from pilotdht.wire.membership import FactKind, SignedFact, SignedSuspicion

LEAVE_ROUNDS = 3
"""A farewell is told to as many members as gossip reaches in so many rounds."""

DEPART_S = 1.0
"""How long leaving waits for those who are told."""

SWEEP_INTERVAL_S = 60.0
"""How often void facts and certificates are looked for."""

OBJECTION_INTERVAL_S = 0.2
"""Objections are signed no oftener: accusers without end must not keep this member signing."""

MANY_CHANGES = 8
"""So many members that are there again within a second were cut off together: what else was missed is fetched soon."""


class Swim:
    """This node's part in the membership of one group."""

    def __init__(
        self,
        *,
        group: GroupId,
        keys: KeyPair,
        post: Post,
        config: GossipConfig,
        metrics: GossipMetrics,
        random: Random,
        unix_time: Callable[[], float],
        admission: Admission,
        describe: Callable[[], Description],
        on_change: Callable[[Change], None],
        on_notice: Callable[[], None] | None = None,
    ) -> None:
        """Make it; :meth:`start` begins.

        Args:
            group: which.
            keys: who this member is.
            post: the way to others.
            config: bounds and times.
            metrics: counters.
            random: every choice that need not be secret.
            unix_time: the clock that facts are dated by.
            admission: who may be a member.
            describe: what this member says of itself now.
            on_change: told of each change of membership; must not raise.
            on_notice: told that a revocation was heard; must not raise; absent: nobody is.
        """
        self.members = Members(keys.public_key, config)
        """Who is there."""
        self.awareness = Awareness(config.max_health)
        """How much this member doubts itself."""
        self._group = group
        self._own_id = node_id_of(keys.public_key)
        self._post = post
        self._config = config
        self._metrics = metrics
        self._random = random
        self._unix_time = unix_time
        self._describe = describe
        self._told = on_change
        self._on_notice = on_notice
        self._loop = asyncio.get_running_loop()
        self._voice = Voice(keys, group)
        self._own_fact: SignedFact | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = NEVER
        self._next_objection = self._next_renewal = self._next_sweep = NEVER
        self._last_announced = -NEVER
        self._above = 0
        self._returned = 0
        self._returned_since = -NEVER
        self._is_open = False
        self._has_left = False
        self._updates = TokenBucket(rate_per_s=config.updates_per_s, burst=config.updates_burst, now=self._loop.time())
        outbox = Outbox(
            limit=lambda: transmissions(self.members.alive, config.retransmit_factor), capacity=2 * config.max_members
        )
        order = ProbeOrder(random)
        self._telling = Telling(
            group=group,
            keys=keys,
            members=self.members,
            outbox=outbox,
            post=post,
            config=config,
            random=random,
            own_fact=lambda: self.own_fact,
            introduce=lambda member: self._prober.introduce(member),
        )
        self._hearing = Hearing(
            group=group,
            own_key=keys.public_key,
            members=self.members,
            outbox=outbox,
            order=order,
            config=config,
            metrics=metrics,
            admission=admission,
            unix_time=unix_time,
            on_change=self._changed,
            on_doubted=self._doubted,
            on_notice=lambda item: self._noticed(item),
        )
        self._prober = Prober(
            group=group,
            members=self.members,
            order=order,
            awareness=self.awareness,
            telling=self._telling,
            post=post,
            config=config,
            metrics=metrics,
            random=random,
            answered=self._take_answer,
            suspect=self._suspect,
            changed=self._schedule,
        )
        self._outbox = outbox
        self.repair = Repair(
            group=group,
            members=self.members,
            hearing=self._hearing,
            order=order,
            asker=post,
            config=config,
            metrics=metrics,
            random=random,
            contact_of=self._contact_of_id,
        )
        """Compares with others."""

    # Life.

    def start(self, scope: TaskScope) -> None:
        """Say that this member is there, answer others, and begin to probe."""
        self._is_open = True
        self._post.know(self._group, self)
        self._post.serve(self._group, Probe, self._on_probe)
        self._post.serve(self._group, ProbeFor, self._on_probe_for)
        self._post.serve(self._group, Gossip, self._on_gossip)
        self._post.serve(self._group, FetchFacts, self._on_fetch)
        self._next_sweep = self._loop.time() + SWEEP_INTERVAL_S
        self._announce(self._loop.time())
        self._schedule()
        scope.start(self.repair.run(), name="compare members")

    def close(self) -> None:
        """Answer nothing any more, tell nobody; safe to call twice."""
        self._is_open = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def leave(self) -> None:
        """Tell several members that this one leaves; who does not hear it finds out by probing.

        From then on it says nothing else: who asks is told that it left. See :meth:`depart`.
        """
        if not self._is_open or self._has_left:
            return
        self._has_left = True
        self._next_objection = self._next_renewal = NEVER
        self._own_fact = self._voice.say(self._voice.description, unix_ms=self._unix_ms(), kind=FactKind.LEFT)
        for contact in self._to_be_told():
            self._post.tell(contact, Gossip(self._group, (self._own_fact.item,)))

    async def depart(self, *, timeout_s: float = DEPART_S) -> None:
        """Leave, and wait until those who are told have said that they heard it; at most so long."""
        self.leave()
        if not self._has_left:
            return

        async def tell(contact: Contact) -> None:
            with suppress(PilotError):  # others heard it, or it is found out by probing
                await ask(self._post, contact, Probe(self._group, (self.own_fact.item,)), ProbeAck)

        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s), asyncio.TaskGroup() as group:
                for contact in self._to_be_told():
                    group.create_task(tell(contact))

    async def join(self, contact: Contact) -> None:
        """Introduce this member to one that may be in the group, and learn from it who else is.

        Raises:
            PilotError: it does not answer, or not as a member.
        """
        reply = await ask(self._post, contact, Probe(self._group, (self.own_fact.item,)), ProbeAck)
        self._take(reply.items, contact.public_key, is_asked=True)
        await self.repair.with_member(contact)
        self.repair.hasten()

    def refresh(self) -> None:
        """Say anew what this member is, when that has changed.

        Where it is, is told at once; all else not oftener than the configuration allows.
        """
        if not self._is_open or self._has_left:
            return
        told, true = self._voice.description, self._describe()
        if true != told:
            now = self._loop.time()
            is_elsewhere = (true.endpoints, true.introducers) != (told.endpoints, told.introducers)
            if is_elsewhere or self._updates.take(now):
                self._announce(now)
            else:
                self._next_renewal = min(self._next_renewal, now + 1.0 / self._config.updates_per_s)
            self._schedule()

    def expel_unadmitted(self) -> None:
        """Forget members whose certificates are not good any more."""
        self._hearing.expel_unadmitted(self._loop.time())

    def pass_on(self, item: bytes) -> None:
        """Tell the group of a revocation that this node made."""
        self._outbox.add((item[:1], item), item)
        for member in self._hearing.expel_unadmitted(self._loop.time()):
            if member.signed.fact.is_somewhere:  # whoever is expelled hears it from us, and from nobody else
                self._post.tell(self._telling.contact(member), Gossip(self._group, (item,)))
        self._noticed(item)
        self._telling.soon()
        self._schedule()

    # What others in this node ask.

    @property
    def own_fact(self) -> SignedFact:
        """What this member said of itself last."""
        assert self._own_fact is not None, "it was said at the start"
        return self._own_fact

    @property
    def news(self) -> int:
        """Items that wait to be passed on."""
        return len(self._outbox)

    def is_member(self, public_key: PublicKey) -> bool:
        """Return whether somebody is a member that is there."""
        member = self.members.of_key(public_key)
        return member is not None and member.is_there

    def alive_count(self) -> int:
        """Return how many members are there, this one included."""
        return self.members.alive

    def contact_of(self, public_key: PublicKey) -> Contact | None:
        """Return where a member is reached; absent when it is not known, or does not say where it is."""
        member = self.members.of_key(public_key)
        return None if member is None else self._contact_of_id(member.node_id)

    def introducers_of(self, public_key: PublicKey) -> tuple[Contact, ...]:
        """Return through whom a member says that it is called; nobody when it is not known, or has endpoints."""
        member = self.members.of_key(public_key)
        return () if member is None else member.signed.fact.introducers

    def sample(self, count: int, random: Random, *, without: Container[PublicKey] = ()) -> list[Contact]:
        """Return contacts of up to ``count`` members that are there, drawn at random; never this one."""

        def is_wanted(member: Member) -> bool:
            fact = member.signed.fact
            return fact.is_somewhere and fact.public_key not in without

        return [self._telling.contact(member) for member in self.members.sample(count, random, is_wanted=is_wanted)]

    def rtt_of(self, member: Member) -> float | None:
        """Return a member's smoothed round-trip time in seconds; absent when it never answered."""
        return self._post.rtt_of(self._telling.contact(member)) if member.signed.fact.is_somewhere else None

    # Time.

    def _schedule(self) -> None:
        if not self._is_open:
            return
        due = min(
            self._prober.next_probe,
            self._prober.next_retry if self.members.dead else NEVER,
            self._telling.next_round,
            self._next_objection,
            self._next_renewal,
            self._next_sweep,
            self.members.next_verdict() or NEVER,
        )
        if self._timer is None or due < self._timer_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at = due
            self._timer = self._loop.call_at(due, self._run)

    def _run(self) -> None:
        self._timer = None
        try:
            self._act(self._loop.time())
        finally:  # whatever fails, the next thing that is due must be done
            self._schedule()

    def _act(self, now: float) -> None:
        for change in self.members.verdicts(now, patience=self.awareness.score + 1):
            self._telling.died(change.member, now)
            self._hearing.changed(change, now)
        if now >= min(self._next_objection, self._next_renewal):
            self._announce(now)
        if now >= self._prober.next_probe:
            self._prober.probe(now)
        if self.members.dead and now >= self._prober.next_retry:
            self._prober.retry(now)
        if now >= self._next_sweep:
            self._sweep(now)
        if now >= self._telling.next_round:
            self._telling.round(now)

    def _sweep(self, now: float) -> None:
        self._next_sweep = now + SWEEP_INTERVAL_S
        self._hearing.expel_unadmitted(now)
        oldest = self._unix_ms() - int(self._config.fact_lifetime_s * 1000)
        for change in self.members.sweep(now=now, oldest_incarnation=oldest):
            self._hearing.changed(change, now)
        self.refresh()

    # This member itself.

    def _announce(self, now: float) -> None:
        """Sign anew what this member says of itself, and spread it."""
        self._next_objection = NEVER
        self._next_renewal = now + self._config.fact_lifetime_s * self._random.uniform(0.4, 0.5)
        self._last_announced = now
        self._own_fact = self._voice.say(self._describe(), unix_ms=self._unix_ms(), above=self._above)
        self._hearing.take_own(self._own_fact, now)
        self._telling.soon()

    def _doubted(self, incarnation: int, doubt: Doubt) -> None:
        """Object when somebody doubts what this member says now, or remembers more than it does."""
        if self._has_left or incarnation < self.own_fact.fact.incarnation:
            return
        if doubt is not Doubt.FORGOTTEN and incarnation > self._above:
            self._metrics.objections.inc()
            if doubt is Doubt.SUSPECTED:
                self.awareness.worse()
        self._above = max(self._above, incarnation)
        # the shortest suspicion lasts several intervals between probes: one may pass
        pause_s = self._config.probe_interval_s if doubt is Doubt.SLANDERED else OBJECTION_INTERVAL_S
        self._next_objection = min(self._next_objection, self._last_announced + pause_s)
        if self._next_objection <= self._loop.time():
            self._announce(self._loop.time())
        self._schedule()

    # What comes in.

    def _on_probe(self, message: Probe, sender: Sender) -> ProbeAck | None:
        self._take(message.items, sender.contact.public_key)
        member = self._heard(sender)
        if member is None:
            return None
        if self._has_left:
            return ProbeAck((self.own_fact.item,))
        # whoever doubts what we said long ago missed our objection, which is passed on so many times and no more
        is_stranger = not member.is_there or self._is_outdated(message.items)
        return ProbeAck(self._telling.words(member, is_stranger=is_stranger))

    def _is_outdated(self, items: tuple[bytes, ...]) -> bool:
        """Return whether somebody still doubts an incarnation that this member has left behind."""
        for item in items:
            read = item_reader.known(item)
            if isinstance(read, SignedSuspicion) and read.suspicion.suspect == self._own_id:
                return read.suspicion.incarnation < self.own_fact.fact.incarnation
        return False

    def _on_probe_for(self, message: ProbeFor, sender: Sender) -> Deferred | ProbeOutcome | None:
        return None if self._heard(sender) is None else self._prober.probe_for(message)

    def _on_gossip(self, message: Gossip, sender: Sender) -> None:
        self._take(message.items, sender.contact.public_key)
        self._heard(sender)

    def _on_fetch(self, message: FetchFacts, sender: Sender) -> Facts | None:
        return None if self._heard(sender) is None else self.repair.facts(message)

    def summarise(self, message: Summarise, sender: Sender) -> Summaries | None:
        """Answer who compares what it knows of members with us."""
        return None if self._heard(sender) is None else self.repair.summarise(message)

    def _heard(self, sender: Sender) -> Member | None:
        """Return the member that sent something, gone ones included; absent when it is none, or this one is closed."""
        if not self._is_open:
            return None
        member = self.members.of_key(sender.contact.public_key)
        if member is None:
            self._metrics.drop("not_member")
            return None
        endpoint = sender.contact.endpoint
        if sender.is_validated:
            member.heard_at = endpoint
        return member

    def _take(self, items: tuple[bytes, ...], sender: PublicKey, *, is_asked: bool = False) -> None:
        if items and self._is_open and self._hearing.take(items, sender, self._loop.time(), is_asked=is_asked):
            self._telling.soon()
            self._schedule()

    def _take_answer(self, answered: Answered) -> None:
        message = answered.answer.message
        before = self.own_fact
        if isinstance(message, ProbeAck):
            self._take(message.items, answered.contact.public_key, is_asked=True)
        if self.own_fact is not before:  # whoever doubted us should be the first to hear that we object
            self._post.tell(answered.contact, Gossip(self._group, (self.own_fact.item,)))

    def _suspect(self, member: Member) -> None:
        self._metrics.suspicions.inc()
        self._hearing.accuse(self._telling.suspicion_of(member), self._loop.time())
        self._telling.soon()

    def _changed(self, change: Change) -> None:
        if change.kind is not None:
            self._metrics.changes[change.kind].inc()
            if change.kind is MemberChange.JOINED and change.member.node_id != self._own_id:
                self._count_return(self._loop.time())
        self._told(change)

    def _noticed(self, item: bytes) -> None:
        self.repair.add_notice(item)
        if self._on_notice is not None:
            self._on_notice()

    def _count_return(self, now: float) -> None:
        """Many that come at once were cut off together, or we were: compare soon."""
        if now - self._returned_since > 1.0:
            self._returned, self._returned_since = 0, now
        self._returned += 1
        if self._returned == MANY_CHANGES:
            self.repair.hasten()

    def _to_be_told(self) -> list[Contact]:
        """Return whom to tell of our leaving."""
        count = LEAVE_ROUNDS * self._config.gossip_fan_out
        drawn = self.members.sample(count, self._random, is_wanted=lambda member: member.signed.fact.is_somewhere)
        return [self._telling.contact(member) for member in drawn]

    def _contact_of_id(self, node_id: NodeId) -> Contact | None:
        member = self.members.find(node_id)
        return None if member is None or not member.signed.fact.is_somewhere else self._telling.contact(member)

    def _unix_ms(self) -> int:
        return int(self._unix_time() * 1000)
