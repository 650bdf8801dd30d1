"""What one member knows of all members of a group, and how it changes by what it hears. Pure.

Facts about a member form a join-semilattice: of two the one with the higher order counts (incarnation, then leaving
over being there, then the bytes), so merging is commutative, associative and idempotent, whatever is lost, doubled or
reordered. Verdicts (suspect, dead) are this member's own and concern one incarnation: only a higher one ends them.

That a member is dead is never taken from others about anybody who is known here. A suspicion makes a clock run here
too; when it has run out without the suspect objecting, the suspect is held for dead here. Only who was never known here
is entered as dead when whoever tells of it says so: a newcomer would else suspect a day's dead one after the other.
That is hearsay, and ends with the first who tells of that member as alive.

Source: SWIM (2002), section 4; Lifeguard (2018), section IV-B.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Container, Iterator
from random import Random

from pilotdht.config.gossip import GossipConfig
from pilotdht.gossip.summaries import SummaryTree
from pilotdht.gossip.suspicion import SuspicionTimes, suspicion_times, timeout_s
from pilotdht.gossip.values import MemberChange, MemberStatus
from pilotdht.identity.ids import NodeId, PublicKey, node_id_of
from pilotdht.net.limits import TokenBucket
from pilotdht.values import dataclass
from pilotdht.wire.certificates import Role
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.membership import FactKind, MemberFact, SignedFact

_THERE = (MemberStatus.ALIVE, MemberStatus.SUSPECT)
_SAMPLE_TRIES = 4
_EXACT_UP_TO = 64
"""Members up to which all are looked at for a sample: drawing at random would miss some of a few."""

_TALK_PER_S = 0.2
_TALK_BURST = 20
"""Facts of one author that are passed on although they refute nothing: honest ones say something new each ten seconds
at most. Else one member could keep a whole group talking about it."""


class Member:
    """One member as this node knows it."""

    __slots__ = (
        "accusers",
        "heard_at",
        "is_hearsay",
        "node_id",
        "place",
        "role",
        "signed",
        "since",
        "status",
        "suspected_at",
        "talk",
        "turn",
    )

    def __init__(self, signed: SignedFact, role: Role, now: float) -> None:
        self.signed = signed
        """What it says about itself."""
        self.node_id = signed.node_id
        """20 bytes."""
        self.role = role
        """What its certificates say."""
        self.status = MemberStatus.ALIVE
        """What is held of it here."""
        self.since = now
        """Loop time since when."""
        self.suspected_at = 0.0
        """Loop time at which the present suspicion began."""
        self.accusers: list[NodeId] = []
        """Who suspects the present incarnation, the first one first."""
        self.turn = 0
        """Which of its endpoints is tried, counted on after each failure."""
        self.heard_at: Endpoint | None = None
        """Where it was heard last, validated; absent when it was not, or did not answer there since."""
        self.is_hearsay = False
        """It is held for dead because others said so, and was never known as alive here."""
        self.talk = TokenBucket(rate_per_s=_TALK_PER_S, burst=_TALK_BURST, now=now)
        """How many of its facts are passed on that refute nothing."""
        self.place = -1
        """Index in the list of those that are there; -1: it is not."""

    @property
    def is_there(self) -> bool:
        """It is alive, or only suspected."""
        return self.status in _THERE

    @property
    def incarnation(self) -> int:
        """That of its fact."""
        return self.signed.fact.incarnation


@dataclass(frozen=True, slots=True)
class Change:
    """What a fact or a verdict changed."""

    member: Member
    """Whom it is about, as it is now."""
    kind: MemberChange | None
    """What to tell programs; absent when it concerns gossip alone (a suspicion, a refutation)."""
    is_news: bool = True
    """Whether it is to be passed on."""
    refuted: tuple[NodeId, ...] = ()
    """Accusers whom it proves wrong."""
    is_return: bool = False
    """The member was held for dead here by a verdict, and objected."""


class Members:
    """All members of one group, this node included."""

    def __init__(self, own_key: PublicKey, config: GossipConfig) -> None:
        """Make an empty table.

        Args:
            own_key: this node's; no verdict is ever passed on it here.
            config: bounds and times.
        """
        self._own_id = node_id_of(own_key)
        self._config = config
        self._members: dict[NodeId, Member] = {}
        self._by_key: dict[PublicKey, Member] = {}
        self._there: list[Member] = []
        self._suspects: list[tuple[float, int, Member, int]] = []
        self._serial = 0
        self._times: tuple[int, SuspicionTimes] = (0, suspicion_times(1, config))
        self._dead: dict[NodeId, None] = {}
        self.suspected = 0
        """Members under suspicion now."""
        self.tree = SummaryTree()
        """Everybody with incarnation and whether they are gone, summarised."""

    def __len__(self) -> int:
        """Return how many members are known, the gone included."""
        return len(self._members)

    def __iter__(self) -> Iterator[Member]:
        """Iterate over all, in the order in which they became known."""
        return iter(list(self._members.values()))

    def find(self, node_id: NodeId) -> Member | None:
        """Return a member; absent when it is not known."""
        return self._members.get(node_id)

    def of_key(self, public_key: PublicKey) -> Member | None:
        """Return the member with a public key; absent when it is not known."""
        return self._by_key.get(public_key)

    @property
    def alive(self) -> int:
        """How many are there, this node included."""
        return len(self._there)

    @property
    def dead(self) -> int:
        """How many are held for dead."""
        return len(self._dead)

    @property
    def times(self) -> SuspicionTimes:
        """What suspicions wait in a group of the present size."""
        if self._times[0] != self.alive:
            self._times = (self.alive, suspicion_times(self.alive, self._config))
        return self._times[1]

    def there(self) -> list[Member]:
        """Return those that are alive or only suspected. The list is this table's own: do not change it."""
        return self._there

    def sample(
        self,
        count: int,
        random: Random,
        *,
        without: Container[NodeId] = (),
        is_wanted: Callable[[Member], bool] | None = None,
    ) -> list[Member]:
        """Return up to ``count`` different members that are there, drawn at random; this node is never among them.

        In a large group fewer may be returned than there are when most of them are not wanted.
        """

        def fits(member: Member) -> bool:
            node_id = member.node_id
            return node_id != self._own_id and node_id not in without and (is_wanted is None or is_wanted(member))

        if len(self._there) <= _EXACT_UP_TO:
            fitting = [member for member in self._there if fits(member)]
            return random.sample(fitting, min(count, len(fitting)))
        drawn: dict[NodeId, Member] = {}
        for _ in range(_SAMPLE_TRIES * count):
            member = self._there[random.randrange(len(self._there))]
            if fits(member):
                drawn[member.node_id] = member
                if len(drawn) == count:
                    break
        return list(drawn.values())

    def random_dead(self, random: Random) -> Member | None:
        """Return some member that is held for dead; absent when there is none."""
        if not self._dead:
            return None
        keys = list(self._dead)
        return self._members[keys[random.randrange(len(keys))]]

    # What is heard.

    def merge(self, signed: SignedFact, role: Role, now: float, *, is_gone: bool = False) -> Change | None:
        """Take in a fact that is valid, live and admitted.

        Args:
            signed: the fact.
            role: what its author's certificates say.
            now: loop time.
            is_gone: whoever tells of it holds its author for dead; this counts for nobody who is known here.

        Returns:
            What it changed; absent when it is not newer than what is known, or there is no room.
        """
        known = self._members.get(signed.node_id)
        if known is None:
            return self._enter(signed, role, now, is_gone=is_gone)
        if known.is_hearsay and not is_gone and signed.order == known.signed.order:
            known.is_hearsay = False
            self._set(known, MemberStatus.ALIVE, now)
            return Change(known, MemberChange.JOINED, is_news=False)
        if signed.order <= known.signed.order:
            return None
        fact, before, before_fact = signed.fact, known.status, known.signed.fact
        is_newer = fact.incarnation > before_fact.incarnation
        refuted = tuple(known.accusers) if before is MemberStatus.SUSPECT and is_newer else ()
        is_return = before is MemberStatus.DEAD and is_newer and not known.is_hearsay
        known.signed, known.role = signed, role
        if (fact.endpoints, fact.introducers) != (before_fact.endpoints, before_fact.introducers):
            known.turn, known.heard_at = 0, None
        if fact.kind is FactKind.LEFT:
            known.is_hearsay = False
            self._set(known, MemberStatus.LEFT, now)
            return Change(known, MemberChange.LEFT if before in _THERE else None)
        if before is not MemberStatus.ALIVE and is_newer:
            known.is_hearsay = False
            self._set(known, MemberStatus.ALIVE, now)
        else:
            self._summarise(known)
        if before not in _THERE:
            return Change(known, MemberChange.JOINED if known.is_there else None, is_return=is_return)
        is_update = _says(before_fact) != _says(fact)
        return Change(known, MemberChange.UPDATED if is_update else None, refuted=refuted)

    def accuse(self, suspect: NodeId, incarnation: int, accuser: NodeId, now: float) -> Change | None:
        """Take in that a member suspects another one.

        Returns:
            What it changed; absent when the suspect is not known or gone, has objected already, or enough others agree.
        """
        member = self._members.get(suspect)
        if member is None or not member.is_there or incarnation != member.incarnation or suspect == self._own_id:
            return None
        if member.status is MemberStatus.ALIVE:
            self._set(member, MemberStatus.SUSPECT, now)
            member.suspected_at, member.accusers = now, [accuser]
            self._schedule(member)
            return Change(member, None)
        if accuser in member.accusers or len(member.accusers) > self.times.confirmations:
            return None
        member.accusers.append(accuser)
        self._schedule(member)
        return Change(member, None)

    def next_verdict(self) -> float | None:
        """Return the loop time at which the next suspicion becomes a verdict; absent when there is none."""
        while self._suspects:
            due, _, member, incarnation = self._suspects[0]
            if member.status is MemberStatus.SUSPECT and member.incarnation == incarnation:
                return due
            heapq.heappop(self._suspects)
        return None

    def verdicts(self, now: float, *, patience: int = 1) -> list[Change]:
        """Hold for dead whoever did not object in time.

        Args:
            now: loop time.
            patience: suspicions wait so many times as long: who doubts itself may not hear who objects.
        """
        changes: list[Change] = []
        while (due := self.next_verdict()) is not None and due <= now:
            member = heapq.heappop(self._suspects)[2]
            waited_until = member.suspected_at + patience * self._timeout_s(member)
            if now < waited_until:
                self._push(member, min(waited_until, now + self.times.shortest_s))  # it may be well again by then
                continue
            self._set(member, MemberStatus.DEAD, now)
            changes.append(Change(member, MemberChange.FAILED))
        return changes

    # What is forgotten.

    def expel(self, node_id: NodeId, now: float) -> Change | None:
        """Forget a member whose certificates are not valid any more."""
        member = self._members.get(node_id)
        if member is None:
            return None
        was_there = member.is_there
        self._set(member, MemberStatus.LEFT, now)
        self._forget(member)
        return Change(member, MemberChange.EXPELLED if was_there else None, is_news=False)

    def sweep(self, *, now: float, oldest_incarnation: int) -> list[Change]:
        """Forget facts signed before ``oldest_incarnation``: nothing that anybody could replay is valid any more.

        Returns:
            Members that are not there any more for it; those that were gone already are forgotten in silence.
        """
        changes: list[Change] = []
        for member in self:
            if member.node_id != self._own_id and member.incarnation < oldest_incarnation:
                was_there = member.is_there
                self._set(member, MemberStatus.DEAD, now)
                self._forget(member)
                if was_there:
                    changes.append(Change(member, MemberChange.FAILED))
        return changes

    def _enter(self, signed: SignedFact, role: Role, now: float, *, is_gone: bool) -> Change | None:
        is_left = signed.fact.kind is FactKind.LEFT
        if len(self._members) >= self._config.max_members:
            if is_gone or is_left or not self._dead:
                return None
            self._forget(self._members[next(iter(self._dead))])  # the living before the dead, who died first goes first
        member = Member(signed, role, now)
        self._members[member.node_id] = self._by_key[signed.fact.public_key] = member
        if is_left:
            self._set(member, MemberStatus.LEFT, now)
            return Change(member, None)
        member.is_hearsay = is_gone
        self._set(member, MemberStatus.DEAD if is_gone else MemberStatus.ALIVE, now)
        return Change(member, None if is_gone else MemberChange.JOINED, is_news=not is_gone)

    def _forget(self, member: Member) -> None:
        self._members.pop(member.node_id, None)
        self._by_key.pop(member.signed.fact.public_key, None)
        self._dead.pop(member.node_id, None)
        self.tree.discard(member.node_id)

    def _set(self, member: Member, status: MemberStatus, now: float) -> None:
        self.suspected += (status is MemberStatus.SUSPECT) - (member.status is MemberStatus.SUSPECT)
        if status is not MemberStatus.SUSPECT:
            member.accusers = []
        if status is MemberStatus.DEAD:
            self._dead[member.node_id] = None
        else:
            self._dead.pop(member.node_id, None)
        member.status, member.since = status, now
        if member.is_there and member.place < 0:
            member.place = len(self._there)
            self._there.append(member)
        elif not member.is_there and member.place >= 0:
            last = self._there.pop()
            if last is not member:
                self._there[member.place] = last
                last.place = member.place
            member.place = -1
        self._summarise(member)

    def _summarise(self, member: Member) -> None:
        mark = b"\1" if member.is_there else b"\0"
        self.tree.set(member.node_id, member.signed.order[0].to_bytes(8, "big") + mark + member.signed.item[-8:])

    def _schedule(self, member: Member) -> None:
        self._push(member, member.suspected_at + self._timeout_s(member))

    def _push(self, member: Member, due: float) -> None:
        self._serial += 1
        heapq.heappush(self._suspects, (due, self._serial, member, member.incarnation))

    def _timeout_s(self, member: Member) -> float:
        return timeout_s(self.times, len(member.accusers) - 1)


def _says(fact: MemberFact) -> tuple[object, ...]:
    """Return what programs see of a fact: a new incarnation, or another endpoint, is no update for them."""
    return fact.hostname, fact.tags, fact.capabilities, fact.load, fact.version, fact.chain
