"""Probing: is a member there, and if it is silent, do others hear it?

A probe is one request; when it is slow, it is sent again and some members are asked to probe in our stead; when nobody
heard the target by the end of the interval, it is suspected. Those asked for help answer in any case, so that a prober
who hears neither target nor helpers learns that it is itself the sick one.

Source: SWIM (2002), section 3.1; Lifeguard (2018), section IV-A.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random

from pilotdht.config.gossip import GossipConfig
from pilotdht.errors import NodeClosed, Overloaded
from pilotdht.gossip.awareness import Awareness
from pilotdht.gossip.members import Member, Members
from pilotdht.gossip.metrics import GossipMetrics
from pilotdht.gossip.post import Post
from pilotdht.gossip.probing import ProbeOrder
from pilotdht.gossip.telling import Telling
from pilotdht.identity.ids import NodeId
from pilotdht.net.outcomes import Answered, Deferred, Outcome, Silent, Slow
from pilotdht.net.pending import Pending
from pilotdht.net.rtt import Waits
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.gossip_messages import Probe, ProbeFor, ProbeOutcome
from pilotdht.wire.groups import GroupId

RETRY_SOON_S = 0.25
"""After a member that was held for dead came back: probably more did, as when a partition heals."""

_MOST_INTRODUCTIONS = 64
"""Probes of members that never answered, besides those of the round, under way."""

_HELPER_WAIT_S = 60.0  # a helper's answer is given up together with the probe that it helps


class _Run:
    """One probe under way: of whom, and what came of it so far."""

    __slots__ = ("helpers", "incarnation", "is_alive", "member", "nacks")

    def __init__(self, member: Member) -> None:
        self.member = member
        self.incarnation = member.incarnation
        self.helpers: list[Pending] = []
        self.nacks = 0
        self.is_alive = False


class Prober:
    """Probes the members of one group."""

    def __init__(
        self,
        *,
        group: GroupId,
        members: Members,
        order: ProbeOrder,
        awareness: Awareness,
        telling: Telling,
        post: Post,
        config: GossipConfig,
        metrics: GossipMetrics,
        random: Random,
        answered: Callable[[Answered], None],
        suspect: Callable[[Member], None],
        changed: Callable[[], None],
    ) -> None:
        """Make it.

        Args:
            group: which.
            members: who there is.
            order: whom to probe next.
            awareness: how much this member doubts itself.
            telling: composes probes.
            post: the way to others.
            config: times.
            metrics: counters.
            random: whom to ask for help.
            answered: takes what an answer brought.
            suspect: takes a member that was silent.
            changed: called when deadlines may have changed.
        """
        self._group = group
        self._members = members
        self._order = order
        self._awareness = awareness
        self._telling = telling
        self._post = post
        self._config = config
        self._metrics = metrics
        self._random = random
        self._answered = answered
        self._suspect = suspect
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._helped: dict[NodeId, list[Deferred]] = {}
        self._introduced: dict[Endpoint, None] = {}
        now = self._loop.time()
        self.next_probe = now + config.probe_interval_s * random.random()
        """Loop time of the next probe."""
        self.next_retry = now + config.retry_interval_s * random.random()
        """Loop time of the next try to reach somebody who is held for dead."""

    def probe(self, now: float) -> None:
        """Probe the next member of the round."""
        self.next_probe = now + self._awareness.scaled_s(self._config.probe_interval_s)
        target = self._order.next(self._is_to_be_probed)
        member = None if target is None else self._members.find(target)
        if member is None:
            return
        run = _Run(member)
        waits = Waits(
            self._awareness.scaled_s(self._config.probe_timeout_s),
            self._awareness.scaled_s(self._config.probe_interval_s),
        )
        self.send(
            self._telling.contact(member),
            self._telling.probe_of(member),
            lambda outcome: self._probed(run, outcome),
            waits,
        )

    def retry(self, now: float) -> None:
        """Try to reach somebody who is held for dead: what ends a partition."""
        self.next_retry = now + self._config.retry_interval_s * self._random.uniform(0.5, 1.5)
        member = self._members.random_dead(self._random)
        if member is None or not member.signed.fact.is_somewhere:
            return

        def tried(outcome: Outcome | NodeClosed) -> None:
            if type(outcome) is Answered:
                self._answered(outcome)
                self.next_retry = min(self.next_retry, self._loop.time() + RETRY_SOON_S)
                self._changed()
            elif type(outcome) is Silent:
                self._telling.lost(member)

        self.send(self._telling.contact(member), self._telling.probe_of(member), tried)

    def introduce(self, member: Member) -> None:
        """Send a probe whose silence means nothing, to a member that never answered where it says it is.

        It may have named somebody else's endpoint: one probe at a time goes there.
        """
        contact = self._telling.contact(member)
        endpoint = contact.endpoint
        if endpoint in self._introduced or len(self._introduced) >= _MOST_INTRODUCTIONS:
            return

        def deliver(outcome: Outcome | NodeClosed) -> None:
            if type(outcome) is Slow:
                return
            self._introduced.pop(endpoint, None)
            if type(outcome) is Answered:
                self._answered(outcome)
                self._changed()

        self._introduced[endpoint] = None
        if not self.send(contact, self._telling.probe_of(member), deliver)[1]:
            self._introduced.pop(endpoint, None)

    def probe_for(self, message: ProbeFor) -> Deferred | ProbeOutcome:
        """Probe a member because somebody else does not hear it; tell in time whether we do."""
        target = self._members.find(message.target)
        if target is None or not target.signed.fact.is_somewhere or self.helped >= self._config.max_helped:
            return ProbeOutcome(is_alive=False)
        deferred = Deferred()
        askers = self._helped.get(target.node_id)
        if askers is not None:  # one probe answers all who ask meanwhile
            askers.append(deferred)
            return deferred
        config = self._config
        least_s = min(config.probe_timeout_s, config.probe_interval_s - config.probe_timeout_s) / 2
        wait_s = max(least_s, min(message.wait_ms / 1000, config.probe_interval_s))

        def deliver(outcome: Outcome | NodeClosed) -> None:
            if type(outcome) is Slow:
                return
            askers = self._helped.pop(target.node_id, [])
            if type(outcome) is Answered:
                self._answered(outcome)
                self._changed()
            for asker in askers:
                asker.reply(ProbeOutcome(is_alive=type(outcome) is Answered))

        self._helped[target.node_id] = [deferred]
        contact, probe = self._telling.contact(target), self._telling.probe_of(target)
        pending, _ = self.send(contact, probe, deliver, Waits(wait_s / 2, wait_s))
        if pending is None:
            self._helped.pop(target.node_id, None)
            return ProbeOutcome(is_alive=False)
        return deferred

    @property
    def helped(self) -> int:
        """How many wait for what comes of a probe in their stead."""
        return sum(map(len, self._helped.values()))

    def send(
        self,
        contact: Contact,
        message: Probe | ProbeFor,
        deliver: Callable[[Outcome | NodeClosed], None],
        waits: Waits | None = None,
    ) -> tuple[Pending | None, bool]:
        """Send a request, unless too many wait already; return what waits, and whether ``deliver`` is or was called."""
        try:
            return self._post.begin(contact, message, deliver, waits=waits), True
        except (Overloaded, NodeClosed):
            self._metrics.probes["not_sent"].inc()
            return None, False

    def _is_to_be_probed(self, node_id: NodeId) -> bool:
        member = self._members.find(node_id)
        return member is not None and member.is_there and member.signed.fact.is_somewhere

    def _probed(self, run: _Run, outcome: Outcome | NodeClosed) -> None:
        if type(outcome) is Slow:
            self._ask_helpers(run)
            return
        for pending in run.helpers:
            self._post.abandon(pending)
        if type(outcome) is Answered:
            self._metrics.probes["answered"].inc()
            self._awareness.better()
            self._answered(outcome)
        elif type(outcome) is Silent:
            self._silent(run)
        self._changed()

    def _ask_helpers(self, run: _Run) -> None:
        left_s = self._awareness.scaled_s(self._config.probe_interval_s - self._config.probe_timeout_s)
        # helpers answer in time for their answer to arrive before the probe ends
        message = ProbeFor(self._group, run.member.node_id, min(60_000, int(500 * left_s)))

        def helped(outcome: Outcome | NodeClosed) -> None:
            if type(outcome) is Answered and isinstance(outcome.answer.message, ProbeOutcome):
                run.is_alive |= outcome.answer.message.is_alive
                run.nacks += 1

        without = (run.member.node_id,)
        for helper in self._members.sample(self._config.indirect_probes, self._random, without=without):
            if helper.signed.fact.is_somewhere:
                pending, _ = self.send(
                    self._telling.contact(helper), message, helped, Waits(_HELPER_WAIT_S, _HELPER_WAIT_S)
                )
                if pending is not None:
                    run.helpers.append(pending)

    def _silent(self, run: _Run) -> None:
        has_others = self._telling.lost(run.member)
        if run.is_alive:
            self._metrics.probes["answered_for_us"].inc()
            return
        self._metrics.probes["failed"].inc()
        if has_others:
            self._order.hasten(run.member.node_id)
            return
        self._awareness.worse(len(run.helpers) - run.nacks if run.helpers else 1)
        if run.member.incarnation == run.incarnation and run.member.is_there:
            self._suspect(run.member)
