"""A post office without a network: what is sent is kept, and a test says what comes of it."""

from __future__ import annotations

import asyncio
from random import Random
from typing import cast

from prometheus_client import CollectorRegistry

from pilotdht.config.gossip import GossipConfig
from pilotdht.errors import Overloaded
from pilotdht.gossip.awareness import Awareness
from pilotdht.gossip.members import Member, Members
from pilotdht.gossip.metrics import GossipMetrics
from pilotdht.gossip.outbox import Outbox
from pilotdht.gossip.post import Post
from pilotdht.gossip.prober import Prober
from pilotdht.gossip.probing import ProbeOrder
from pilotdht.gossip.telling import Telling
from pilotdht.net.outcomes import Answer, Answered, Outcome, Silent, Slow
from pilotdht.net.pending import Deliver, Pending
from pilotdht.net.rtt import Waits
from pilotdht.wire.certificates import Role
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.message import Reply, Request
from tests.support.gossip_town import TOWN, fact_of, id_of
from tests.support.net_nodes import key_pair

OWN = 1


class Sent:
    """One request that was sent."""

    def __init__(self, contact: Contact, message: Request, deliver: Deliver, waits: Waits | None) -> None:
        self.contact = contact
        self.message = message
        self.waits = waits
        self.is_abandoned = False
        self._deliver = deliver

    def end(self, outcome: Outcome) -> None:
        """Deliver an outcome."""
        assert not self.is_abandoned
        self._deliver(outcome)

    def answer(self, message: Reply) -> None:
        """Answer it."""
        own = Endpoint("10.9.9.9", 9)
        self.end(Answered(self.contact, Answer(message, own, 0.02, self.contact, False)))

    def slow(self) -> None:
        """Let the first wait pass."""
        self.end(Slow(self.contact))

    def silent(self) -> None:
        """Let the second wait pass."""
        self.end(Silent(self.contact))


class KeptPost:
    """Keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.told: list[tuple[Contact, Request]] = []
        self.proven: set[Contact] = set()
        self.is_full = False
        self.is_unusable = False

    def begin(
        self, contact: Contact, message: Request, deliver: Deliver, *, waits: Waits | None = None
    ) -> Pending | None:
        """Keep a request."""
        if self.is_full:
            raise Overloaded("full")
        if self.is_unusable:
            deliver(Silent(contact))
            return None
        self.sent.append(Sent(contact, message, deliver, waits))
        return cast("Pending", self.sent[-1])

    def abandon(self, pending: Pending) -> None:
        """Forget a request."""
        cast("Sent", pending).is_abandoned = True

    def tell(self, contact: Contact, message: Request) -> bool:
        """Keep what was told."""
        self.told.append((contact, message))
        return True

    def rtt_of(self, contact: Contact) -> float | None:
        """Return a time for those that are said to have answered."""
        return 0.02 if contact in self.proven else None

    def of(self, kind: type[Request]) -> list[Sent]:
        """Return the requests of a type."""
        return [one for one in self.sent if isinstance(one.message, kind)]


class Bench:
    """Prober and telling of member 1 among ``count``, inside a running loop."""

    def __init__(
        self,
        count: int,
        *,
        config: GossipConfig | None = None,
        is_proven: bool = True,
        more_hosts: tuple[str, ...] = (),
    ) -> None:
        config = GossipConfig() if config is None else config
        self.post = KeptPost()
        self.members = Members(key_pair(OWN).public_key, config)
        self.outbox = Outbox(limit=lambda: 8, capacity=100)
        self.order = ProbeOrder(Random(1))
        self.awareness = Awareness(config.max_health)
        self.metrics = GossipMetrics(CollectorRegistry())
        self.suspects: list[Member] = []
        self.answers: list[Answered] = []
        self.changes = 0
        post = cast("Post", self.post)
        for seed in range(1, count + 1):
            self.members.merge(fact_of(seed, more_hosts=more_hosts), Role.MEMBER, 0.0)
            if seed != OWN:
                self.order.add(id_of(seed))
        self.telling = Telling(
            group=TOWN,
            keys=key_pair(OWN),
            members=self.members,
            outbox=self.outbox,
            post=post,
            config=config,
            random=Random(2),
            own_fact=lambda: fact_of(OWN),
            introduce=lambda member: self.prober.introduce(member),
        )
        self.prober = Prober(
            group=TOWN,
            members=self.members,
            order=self.order,
            awareness=self.awareness,
            telling=self.telling,
            post=post,
            config=config,
            metrics=self.metrics,
            random=Random(3),
            answered=self.answers.append,
            suspect=self.suspects.append,
            changed=self._changed,
        )
        if is_proven:
            for member in self.members:
                self.post.proven.add(self.telling.contact(member))

    def member(self, seed: int) -> Member:
        """Return a member."""
        member = self.members.find(id_of(seed))
        assert member is not None
        return member

    def kill(self, seed: int) -> None:
        """Have a member held for dead."""
        member = self.member(seed)
        self.members.accuse(member.node_id, member.incarnation, id_of(OWN), 0.0)
        self.members.verdicts(1e9)

    def results(self) -> dict[str, float]:
        """Return how probes ended."""
        return {name: count.value for name, count in self.metrics.probes.items() if count.value}

    def _changed(self) -> None:
        self.changes += 1


def now() -> float:
    """Return the loop's time."""
    return asyncio.get_running_loop().time()
