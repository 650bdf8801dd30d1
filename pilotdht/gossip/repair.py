"""Repairing what gossip missed: now and then a member compares all it knows with another one, and fetches the rest.

Members that differ compare again soon; those that agree wait longer the larger the group is, so that the work of the
whole group stays the same. Joining is the same: a newcomer differs in everything.

Source: Demers et al. (1987), anti-entropy; memberlist, push-pull.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable
from contextlib import suppress
from hashlib import sha256
from random import Random

from pilotdht.config.gossip import GossipConfig
from pilotdht.errors import PilotError, TimedOut
from pilotdht.gossip.comparing import Asker, ask, differing
from pilotdht.gossip.hearing import Hearing
from pilotdht.gossip.items import item_reader
from pilotdht.gossip.members import Members
from pilotdht.gossip.metrics import GossipMetrics
from pilotdht.gossip.probing import ProbeOrder
from pilotdht.gossip.values import MemberStatus
from pilotdht.identity.ids import NODE_ID_BYTES, NodeId
from pilotdht.wire.contact import Contact
from pilotdht.wire.gossip_messages import Facts, FetchFacts, Summaries, Summarise
from pilotdht.wire.groups import GroupId
from pilotdht.wire.membership import SignedFact

MEMBERS = 0
"""The subject of these comparisons on the wire."""

REPLY_BYTES = 1_000
"""Facts in one reply: what a datagram carries besides its envelope and the ids of the dead."""

LONGEST_S = 60.0
"""A comparison ends after so long: whoever always has something more must not keep us from asking others."""

_PARALLEL = 8
"""Parts fetched at the same time."""

_MOST_IN_VAIN = 24
"""Parts fetched one after another that brought nothing, after which a comparison is given up."""

_MOST_PARTS = 8192
"""Differing parts fetched in one comparison: those of 20,000 members, all of whom differ."""

_SCALED_ABOVE = 32
"""Members up to which the interval is not stretched (memberlist, `pushPullScaleThreshold`)."""


def compare_interval_s(members: int, config: GossipConfig) -> float:
    """Return the time between two comparisons of one member in a group of so many."""
    if members <= _SCALED_ABOVE:
        return config.compare_interval_s
    return config.compare_interval_s * (math.ceil(math.log2(members) - math.log2(_SCALED_ABOVE)) + 1)


class Repair:
    """Compares one group's members with what others know."""

    def __init__(
        self,
        *,
        group: GroupId,
        members: Members,
        hearing: Hearing,
        order: ProbeOrder,
        asker: Asker,
        config: GossipConfig,
        metrics: GossipMetrics,
        random: Random,
        contact_of: Callable[[NodeId], Contact | None],
    ) -> None:
        """Make it.

        Args:
            group: which.
            members: what we know.
            hearing: where fetched facts go.
            order: probes are hastened when others hold somebody for dead.
            asker: sends requests.
            config: times.
            metrics: counters.
            random: whom to compare with.
            contact_of: where a member is reached.
        """
        self._group = group
        self._members = members
        self._hearing = hearing
        self._order = order
        self._asker = asker
        self._config = config
        self._metrics = metrics
        self._random = random
        self._contact_of = contact_of
        self._soon = asyncio.Event()
        self._notices: dict[bytes, bytes] = {}
        self.is_settled = False
        """The last comparison found no difference."""

    async def run(self) -> None:
        """Compare for ever."""
        while True:
            interval_s = compare_interval_s(self._members.alive, self._config)
            if not self.is_settled:
                interval_s = min(interval_s, self._config.compare_soon_s)
            try:
                async with asyncio.timeout(interval_s * self._random.uniform(0.5, 1.5)):
                    await self._soon.wait()
            except TimeoutError:
                pass
            self._soon.clear()
            drawn = self._members.sample(1, self._random)
            contact = self._contact_of(drawn[0].node_id) if drawn else None
            if contact is None:
                self.is_settled = False
                continue
            with suppress(PilotError):  # probes find out about the member; others are asked at the next turn
                self.is_settled = await self.with_member(contact) == 0

    def hasten(self) -> None:
        """Compare soon: much has changed at once."""
        self.is_settled = False
        self._soon.set()

    async def with_member(self, contact: Contact) -> int:
        """Compare with one member, fetch what it knows better, and return how many parts differed.

        Raises:
            PilotError: it does not answer, or has not finished after a minute.
        """
        try:
            async with asyncio.timeout(LONGEST_S):
                return await self._compare(contact)
        except TimeoutError:
            raise TimedOut(f"comparing with {contact.endpoint} takes too long") from None

    async def _compare(self, contact: Contact) -> int:
        self._metrics.compared.inc()
        tree = self._members.tree
        parts = await differing(self._asker, contact, self._group, MEMBERS, tree, limit=_MOST_PARTS)
        waiting = iter(parts)
        in_vain = 0

        async def fetch() -> None:
            nonlocal in_vain
            for part in waiting:
                in_vain = 0 if await self._fetch(contact, part) else in_vain + 1
                if in_vain >= _MOST_IN_VAIN:  # it knows less than we do, or makes us ask for nothing
                    return

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(_PARALLEL, len(parts))):
                    group.create_task(fetch())
        except ExceptionGroup as errors:  # not "except*": early releases of Python 3.11 wrap what is raised in it
            if errors.split(PilotError)[1] is not None:
                raise
            raise errors.exceptions[0] from None
        return len(parts)

    def summarise(self, message: Summarise) -> Summaries:
        """Return the hashes that somebody asks for."""
        return Summaries(tuple(self._members.tree.hashes(prefix) for prefix in message.prefixes))

    def facts(self, message: FetchFacts) -> Facts:
        """Return the facts that somebody asks for, as many as fit."""
        items: list[bytes] = []
        gone: list[NodeId] = []
        left_bytes = REPLY_BYTES
        for key in self._members.tree.ids(message.prefix, after=message.after):
            member = self._members.find(NodeId(key))
            item = self._notices.get(key) if member is None else member.signed.item
            if item is None:
                continue
            is_dead = member is not None and member.status is MemberStatus.DEAD
            left_bytes -= len(item) + 3 + 22 * is_dead
            if left_bytes < 0 and items:
                return Facts(tuple(items), tuple(gone), is_last=False)
            items.append(item)
            if is_dead:
                gone.append(NodeId(key))
        return Facts(tuple(items), tuple(gone))

    def add_notice(self, item: bytes) -> None:
        """Compare a revocation with others as well: who joins later must know of it."""
        key = _id_of(item)
        self._notices[key] = item
        self._members.tree.set(key, b"")

    def keep_notices(self, items: Iterable[bytes]) -> None:
        """Forget all revocations but these: others have expired."""
        kept = {_id_of(item): item for item in items}
        for key in [key for key in self._notices if key not in kept]:
            del self._notices[key]
            self._members.tree.discard(key)

    async def _fetch(self, contact: Contact, prefix: str) -> int:
        """Fetch what a member knows of one part; return how much of it was new."""
        news = 0
        loop = asyncio.get_running_loop()
        after = b""
        while True:
            reply = await ask(self._asker, contact, FetchFacts(self._group, prefix, after), Facts)
            taken = self._hearing.take(
                reply.items, contact.public_key, loop.time(), is_asked=True, gone=frozenset(reply.gone)
            )
            self._metrics.repaired.inc(taken)
            news += taken
            for node_id in reply.gone:
                member = self._members.find(node_id)
                if member is not None and member.status is MemberStatus.ALIVE:
                    self._order.hasten(node_id)
            last = max(map(_id_of, reply.items), default=b"")
            if reply.is_last or last <= after:
                return news
            after = last


def _id_of(item: bytes) -> bytes:
    """Return where an item stands among the ids that are compared: that of the member it is about, or of its bytes."""
    known = item_reader.known(item)
    return known.node_id if isinstance(known, SignedFact) else sha256(item).digest()[:NODE_ID_BYTES]
