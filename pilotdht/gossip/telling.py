"""What this member tells others of its group: which items ride on which datagram, and to whom gossip goes."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from random import Random

from pilotdht.config.gossip import GossipConfig
from pilotdht.gossip.members import Member, Members
from pilotdht.gossip.outbox import Outbox
from pilotdht.gossip.post import Post
from pilotdht.gossip.values import MemberStatus
from pilotdht.identity.ids import NodeId
from pilotdht.identity.keys import KeyPair
from pilotdht.net.switchboard import HIDDEN
from pilotdht.wire.contact import Contact, interned
from pilotdht.wire.gossip_messages import Gossip, Probe
from pilotdht.wire.groups import GroupId
from pilotdht.wire.membership import SignedFact, SignedSuspicion, Suspicion, sign_suspicion

ITEMS_BYTES = 1_040
"""Items in one datagram: 1,200 bytes less seal, envelope and group id."""

NEVER = math.inf
_RECENTLY_DEAD_KEPT = 1024


class Telling:
    """Composes what goes out for one group."""

    def __init__(
        self,
        *,
        group: GroupId,
        keys: KeyPair,
        members: Members,
        outbox: Outbox,
        post: Post,
        config: GossipConfig,
        random: Random,
        own_fact: Callable[[], SignedFact],
        introduce: Callable[[Member], None],
    ) -> None:
        """Make it.

        Args:
            group: which.
            keys: this member's, for suspicions.
            members: who there is.
            outbox: what is news.
            post: the way to others.
            config: intervals.
            random: whom to tell.
            own_fact: what this member said of itself last.
            introduce: sends a probe to a member that never answered, and takes what comes back.
        """
        self._group = group
        self._keys = keys
        self._members = members
        self._outbox = outbox
        self._post = post
        self._config = config
        self._random = random
        self._own_fact = own_fact
        self._introduce = introduce
        self._loop = asyncio.get_running_loop()
        self._last_round = -NEVER
        self._recently_dead: deque[tuple[float, NodeId]] = deque(maxlen=_RECENTLY_DEAD_KEPT)
        self.next_round = NEVER
        """Loop time of the next round of gossip."""

    def contact(self, member: Member) -> Contact:
        """Return where to reach a member that says where it is: where it answered, else the next of its endpoints.

        One that names introducers has no endpoint that answers: the post office finds a road.
        """
        fact = member.signed.fact
        if fact.introducers:
            return interned(fact.public_key, HIDDEN)
        if member.heard_at is not None:
            return interned(fact.public_key, member.heard_at)
        return interned(fact.public_key, fact.endpoints[member.turn % len(fact.endpoints)])

    def suspicion_of(self, member: Member) -> SignedSuspicion:
        """Sign that this member suspects another one as it is known."""
        suspicion = Suspicion(
            group=self._group, suspect=member.node_id, incarnation=member.incarnation, accuser=self._keys.public_key
        )
        return sign_suspicion(self._keys, suspicion)

    def probe_of(self, member: Member) -> Probe:
        """Return a probe with what its target should hear first: who we are, and that it is doubted."""
        is_stranger = self._post.rtt_of(self.contact(member)) is None
        return Probe(self._group, self.words(member, is_stranger=is_stranger))

    def words(self, member: Member, *, is_stranger: bool) -> tuple[bytes, ...]:
        """Return items for one datagram to a member: what it must hear first, then news.

        Args:
            member: to whom.
            is_stranger: it may not know us.
        """
        first, left_bytes = [], ITEMS_BYTES
        for item in (*([self._own_fact().item] if is_stranger else ()), *self._doubts(member)):
            if len(item) + 3 <= left_bytes:
                left_bytes -= len(item) + 3
                first.append(item)
        return (*first, *self._outbox.take(left_bytes))

    def _doubts(self, member: Member) -> tuple[bytes, ...]:
        """Return what makes a member object: that it is suspected or held for dead, and what it said, as a proof."""
        if member.status is MemberStatus.ALIVE or (member.status is MemberStatus.SUSPECT and not self._config.is_buddy):
            return ()
        if member.status is MemberStatus.LEFT:
            return (member.signed.item,)
        return (self.suspicion_of(member).item, member.signed.item)

    def lost(self, member: Member) -> bool:
        """Turn to the next endpoint of a member that was silent at the present one.

        Returns:
            Whether its silence says little: it never answered there, and has endpoints that were not tried yet.
        """
        fact = member.signed.fact
        is_proven = self._post.rtt_of(self.contact(member)) is not None
        if member.heard_at is not None:
            member.heard_at = None
        else:
            member.turn += 1
        return not is_proven and member.turn % len(fact.introducers or fact.endpoints) != 0

    def died(self, member: Member, now: float) -> None:
        """Go on telling a member that was declared dead, for a while: it may only have been slow."""
        self._recently_dead.append((now, member.node_id))

    def soon(self) -> None:
        """Begin a round of gossip when there is news and none is planned."""
        if self.next_round == NEVER and len(self._outbox):
            self.next_round = max(self._loop.time(), self._last_round + self._config.gossip_interval_s)

    def round(self, now: float) -> None:
        """Tell a few random members what is new."""
        self._last_round = now
        targets = self._members.sample(self._config.gossip_fan_out, self._random)
        dead = self._recent_dead(now)
        if dead is not None and targets:
            targets[-1] = dead
        for member in targets:
            if not member.signed.fact.is_somewhere:
                continue
            contact = self.contact(member)
            if self._post.rtt_of(contact) is None:  # nobody proved to be there: one probe, not a stream of news
                self._introduce(member)
            elif items := self._outbox.take(ITEMS_BYTES):
                self._post.tell(contact, Gossip(self._group, tuple(items)))
        self.next_round = now + self._config.gossip_interval_s if len(self._outbox) and targets else NEVER

    def _recent_dead(self, now: float) -> Member | None:
        while self._recently_dead and self._recently_dead[0][0] < now - self._config.gossip_to_dead_s:
            self._recently_dead.popleft()
        if not self._recently_dead:
            return None
        dead = self._members.find(self._recently_dead[self._random.randrange(len(self._recently_dead))][1])
        return dead if dead is not None and dead.status is MemberStatus.DEAD else None
