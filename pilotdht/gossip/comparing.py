"""Finding out where two members' knowledge differs: down the tree of hashes, only where hashes differ.

One comparison of equal knowledge costs one request and its reply; each level down costs one more round trip.

Source: Merkle (1987); Demers et al. (1987), section 1.3.
"""

from __future__ import annotations

import asyncio
from typing import Protocol, TypeVar

from pilotdht.errors import NodeClosed, TimedOut
from pilotdht.gossip.summaries import SummaryTree
from pilotdht.net.outcomes import Answered, Outcome, Slow
from pilotdht.net.pending import Deliver, Pending
from pilotdht.net.rtt import Waits
from pilotdht.wire.contact import Contact
from pilotdht.wire.gossip_messages import HASH_BYTES, MAX_PREFIX_DIGITS, MAX_PREFIXES, Summaries, Summarise
from pilotdht.wire.groups import GroupId
from pilotdht.wire.message import Reply, Request

ReplyT = TypeVar("ReplyT", bound=Reply)


class Asker(Protocol):
    """Whoever sends requests: :class:`pilotdht.gossip.post.Post`."""

    def begin(
        self, contact: Contact, message: Request, deliver: Deliver, *, waits: Waits | None = None
    ) -> Pending | None:
        """Send a request; absent when its outcome was delivered at once."""
        ...

    def abandon(self, pending: Pending) -> None:
        """Forget a request; its outcome is not delivered."""
        ...


async def ask(asker: Asker, contact: Contact, message: Request, expected: type[ReplyT]) -> ReplyT:
    """Send a request and return its reply.

    Raises:
        TimedOut: no answer in the time that the contact's round trips suggest.
        Overloaded: as many requests wait as may.
        NodeClosed: the node is not open.
    """
    future: asyncio.Future[Outcome | NodeClosed] = asyncio.get_running_loop().create_future()

    def deliver(outcome: Outcome | NodeClosed) -> None:
        if type(outcome) is not Slow and not future.done():
            future.set_result(outcome)

    pending = asker.begin(contact, message, deliver)
    try:
        outcome = await future
    finally:
        if pending is not None:
            asker.abandon(pending)
    if isinstance(outcome, NodeClosed):
        raise outcome
    if type(outcome) is Answered and isinstance(outcome.answer.message, expected):
        return outcome.answer.message
    raise TimedOut(f"{contact.endpoint} does not answer")


async def differing(
    asker: Asker, contact: Contact, group: GroupId, subject: int, tree: SummaryTree, *, limit: int
) -> list[str]:
    """Return up to ``limit`` parts of the id space in which a member knows something else than we do.

    They are the smallest ones, but for those of which we know nothing: these are to be fetched as a whole. So nobody
    leads us deeper than what we know ourselves, and a newcomer asks for few summaries.

    Raises:
        PilotError: as :func:`ask`.
    """
    found: list[str] = []
    frontier = [""]
    while frontier and len(found) < limit:
        asked, frontier = frontier[:MAX_PREFIXES], frontier[MAX_PREFIXES:]
        reply = await ask(asker, contact, Summarise(group, subject, tuple(asked)), Summaries)
        if not reply.hashes:
            break
        frontier = asked[len(reply.hashes) :] + frontier
        for prefix, hashes in zip(asked, reply.hashes, strict=False):
            if len(hashes) == HASH_BYTES or len(prefix) >= MAX_PREFIX_DIGITS:
                if not tree.equals(prefix, hashes[:HASH_BYTES]):
                    found.append(prefix)
            else:
                for child in tree.differing(prefix, hashes):
                    (found if tree.is_empty(child) else frontier).append(child)
    return found[:limit]
