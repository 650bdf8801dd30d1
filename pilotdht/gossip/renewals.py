"""Giving members of a replaced key certificates of the new one: what the owner and its admins answer.

Whoever shows certificates of the old key that are good gets the same for the new key: role, hostname and end. Its key
is proven by the datagram it comes in. Nothing is remembered of it but how often it asked.
"""

from __future__ import annotations

import asyncio

from pilotdht.errors import BadMessage, InvalidArgument
from pilotdht.gossip.era import Era
from pilotdht.gossip.surroundings import Surroundings
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import KeyPair
from pilotdht.net.limits import PrefixLimiter, TokenBucket
from pilotdht.net.outcomes import Sender
from pilotdht.wire.certificates import Chain, Role, issue, membership_untrusted
from pilotdht.wire.renewal_messages import Renew, Renewed

ASKED_PER_S = 0.2
ASKED_BURST = 4
"""Requests of one member: two, each sent twice. Then it waits longer than this before it asks again."""

ISSUED_PER_S = 200.0
ISSUED_BURST = 400
"""Requests of all members: at four signatures each, 5 % of a processor core; 10,000 members are through in a minute."""

STRANGERS_PER_S = 20.0
STRANGERS_BURST = 40
"""Requests of whoever is not known here: members that were away are few, and keys without certificates cost nothing."""

_LIMITED = 4096


class Renewals:
    """Answers members of one key that was replaced."""

    def __init__(self, around: Surroundings, former: Era, current: Era) -> None:
        """Make it.

        Args:
            around: the node.
            former: the group by the old key; it need not run.
            current: the group by the new one.
        """
        self._around = around
        self._former = former
        self._current = current
        self._loop = asyncio.get_running_loop()
        self._limiter = PrefixLimiter(rate_per_s=ASKED_PER_S, burst=ASKED_BURST, capacity=_LIMITED)
        now = self._loop.time()
        self._members = TokenBucket(rate_per_s=ISSUED_PER_S, burst=ISSUED_BURST, now=now)
        self._strangers = TokenBucket(rate_per_s=STRANGERS_PER_S, burst=STRANGERS_BURST, now=now)

    def answer(self, message: Renew, sender: Sender) -> Renewed | None:
        """Return certificates of the new key, or empty ones when this node cannot issue them.

        Whoever is no member of the old key in good standing gets no answer.
        """
        now, member = self._loop.time(), sender.contact.public_key
        is_known = self._former.swim.members.of_key(member) is not None
        if not self._limiter.take(member, now) or not (self._members if is_known else self._strangers).take(now):
            self._around.metrics.drop("rate")
            return None
        try:
            return Renewed(self._chain_untrusted(message.chain, member))
        except BadMessage as error:
            self._around.metrics.drop(error.reason)
            return None

    def _chain_untrusted(self, wire: bytes, member: PublicKey) -> bytes:
        former, current = self._former, self._current
        unix_time = self._around.doors.unix_time()
        old_key = former.charter.group_key
        if former.admission is None or old_key is None:
            raise BadMessage("other_group")
        old = membership_untrusted(wire, old_key, member)
        if not former.admission.admits(old, unix_time):
            raise BadMessage("not_admitted")
        issuer = issuer_of(current, self._around.keys)
        if issuer is None or not current.is_good:
            return b""
        keys, chain = issuer
        if old.role >= (Role.OWNER if chain is None else chain.role):
            return b""
        try:
            return issue(
                keys,
                chain,
                holder=member,
                role=old.role,
                issued_s=int(unix_time),
                expires_s=old.expires_s,
                hostname=old.hostname,
            )
        except InvalidArgument:  # no room for its name behind ours, or it ends this second: the owner may do it
            return b""


def issuer_of(era: Era, keys: KeyPair) -> tuple[KeyPair, Chain | None] | None:
    """Return what this node certifies members with; absent when it may not."""
    if era.charter.group_keys is not None:
        return era.charter.group_keys, None
    chain = era.charter.chain
    return (keys, chain) if chain is not None and chain.role is Role.ADMIN else None


def is_same_standing(old: Chain, new: Chain) -> bool:
    """Return whether certificates give what those before gave: nobody who renews them may take anything away.

    They may end sooner only where those of an issuer do.
    """
    issuers_end_s = min((link.expires_s for link in new.links[:-1]), default=old.expires_s)
    return (new.role, new.hostname) == (old.role, old.hostname) and new.expires_s >= min(old.expires_s, issuers_end_s)
