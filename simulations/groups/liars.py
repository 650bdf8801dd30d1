"""Members that lie: admitted, reachable, signing with keys of their own, and out for harm.

Each keeps its honest part, so that others see somebody who answers probes; what it does beside is its behaviour. What
they cannot do is what signatures prevent: say anything in another member's name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from pilotdht.errors import InvalidArgument
from pilotdht.gossip.members import Member
from pilotdht.gossip.telling import ITEMS_BYTES
from pilotdht.identity.ids import NODE_ID_BYTES, NodeId
from pilotdht.net.outcomes import Sender
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.gossip_messages import (
    HASH_BYTES,
    Facts,
    FetchFacts,
    Gossip,
    ProbeFor,
    ProbeOutcome,
    Summaries,
    Summarise,
)
from pilotdht.wire.membership import MemberFact, Suspicion, sign_fact, sign_suspicion
from simulations.groups.member import GROUP, GroupMember

HONEST = "honest"
"""The behaviour of whoever follows the protocol."""

ACTIONS_PER_S = 20.0
"""How often a liar strikes: with one in five, every honest member is struck five times a second."""

_OLD_FACTS_KEPT = 256
_FLOOD_ITEMS = 8
_MONTH_MS = 30 * 86_400_000


class Liar(GroupMember):
    """A member that strikes again and again once it has joined."""

    behaviour = ""
    """The name it goes by."""

    async def start(self, contacts: Sequence[Endpoint]) -> None:
        """Join, then begin."""
        await super().start(contacts)
        if not self.is_over:
            self.take_over()
            self.scope.start(self._strike_on(), name="lie")

    def take_over(self) -> None:
        """Replace answers; this base answers honestly."""

    def strike(self, victim: Member) -> None:
        """Do harm once."""

    def send(self, to: Member, items: Sequence[bytes]) -> None:
        """Tell a member something."""
        if items and to.signed.fact.endpoints:
            fact = to.signed.fact
            self.post.tell(Contact(fact.public_key, fact.endpoints[0]), Gossip(GROUP, tuple(items)))

    def somebody(self) -> Member | None:
        """Return a member that is there, drawn at random."""
        drawn = self.swim.members.sample(1, self.random)
        return drawn[0] if drawn else None

    async def _strike_on(self) -> None:
        while True:
            await asyncio.sleep(self.random.uniform(0.5, 1.5) / ACTIONS_PER_S)
            victim = self.somebody()
            if victim is not None:
                self.strike(victim)


class Accuser(Liar):
    """Accuses everybody of being dead, and tells somebody else."""

    behaviour = "accuser"

    def strike(self, victim: Member) -> None:
        """Accuse one member before another."""
        suspicion = Suspicion(
            group=GROUP, suspect=victim.node_id, incarnation=victim.incarnation, accuser=self.keys.public_key
        )
        listener = self.somebody()
        if listener is not None:
            self.send(listener, [sign_suspicion(self.keys, suspicion).item])


class Replayer(Liar):
    """Keeps what members said once, and says it again when they have said something newer."""

    behaviour = "replayer"

    def take_over(self) -> None:
        """Begin to collect."""
        self._old: list[bytes] = []

    def strike(self, victim: Member) -> None:
        """Collect one fact, and tell an old one to somebody."""
        if len(self._old) < _OLD_FACTS_KEPT:
            self._old.append(victim.signed.item)
        self.send(victim, [self._old[self.random.randrange(len(self._old))] for _ in range(3)])


class Boaster(Liar):
    """Claims to be everything, everywhere, newer than now; each claim is well signed and as long as may be."""

    behaviour = "boaster"

    def strike(self, victim: Member) -> None:
        """Tell a new claim: of now, of the near future, or of next month."""
        ahead_ms = self.random.choice((0, 500_000, _MONTH_MS))
        fact = MemberFact(
            group=GROUP,
            public_key=self.keys.public_key,
            incarnation=int(self.unix_time() * 1000) + ahead_ms,
            endpoints=tuple(Endpoint(f"20.0.{self.random.randrange(256)}.1", 1 + number) for number in range(3)),
            hostname="z" * 63,
            tags=tuple(f"tag-{self.random.randrange(10**9)}" for _ in range(8)),
            capabilities=tuple(f"skill-{self.random.randrange(10**9)}" for _ in range(16)),
            load=self.random.randrange(101),
            version="9" * 16,
        )
        self.send(victim, [sign_fact(self.keys, fact).item])


class Flooder(Liar):
    """Fills datagrams with what looks like news and is none: each costs its reader a signature check."""

    behaviour = "flooder"

    def strike(self, victim: Member) -> None:
        """Send one datagram of facts whose signatures are wrong."""
        item = bytearray(victim.signed.item)
        items = []
        for _ in range(min(_FLOOD_ITEMS, ITEMS_BYTES // (len(item) + 3))):
            item[-1 - self.random.randrange(60)] = self.random.randrange(256)
            items.append(bytes(item))
        self.send(victim, items)


class Confuser(Liar):
    """Says of whoever it is asked about that it is silent, and answers comparisons with chance."""

    behaviour = "confuser"

    def take_over(self) -> None:
        """Answer falsely from now on."""
        self.post.serve(GROUP, ProbeFor, self._deny)
        self.post.serve(GROUP, Summarise, self._garble)
        self.post.serve(GROUP, FetchFacts, self._bury)

    def _deny(self, message: ProbeFor, sender: Sender) -> ProbeOutcome:
        return ProbeOutcome(is_alive=False)

    def _garble(self, message: Summarise, sender: Sender) -> Summaries:
        return Summaries(tuple(self.random.randbytes(16 * HASH_BYTES) for _ in message.prefixes))

    def _bury(self, message: FetchFacts, sender: Sender) -> Facts:
        """Say that many are dead, and that there is always more to fetch."""
        gone = [member.node_id for member in self.swim.members.sample(20, self.random)]
        gone.append(NodeId(self.random.randbytes(NODE_ID_BYTES)))
        return Facts((self.random.randbytes(200),), tuple(gone), is_last=False)


LIARS: dict[str, type[Liar]] = {one.behaviour: one for one in (Accuser, Replayer, Boaster, Flooder, Confuser)}
"""Liars by the name of what they do."""


def liar_named(behaviour: str) -> type[Liar]:
    """Return a kind of liar.

    Raises:
        InvalidArgument: there is none of that name.
    """
    kind = LIARS.get(behaviour)
    if kind is None:
        raise InvalidArgument(f"{behaviour[:80]!r} is no behaviour", hint=f"there are {', '.join(LIARS)}")
    return kind
