"""Which members keep the answer to a question, without anybody having to be told. Pure.

Everybody who knows the members computes the same few: the ones whose ids, hashed with the question's key, are highest
(rendezvous hashing; Thaler and Ravishankar, "Using name-based mappings to increase hit rates", 1998). When a member
comes or goes, only its own share of the questions moves. Members cannot choose which question they become the home of
but by trying keys, and a home can do no more than withhold.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from heapq import nlargest

from pilotdht.identity.ids import PublicKey
from pilotdht.services.query.signed import QuestionKey

_DOMAIN = b"pilotdht/1 answer home"


def homes(key: QuestionKey, members: Iterable[PublicKey], *, count: int) -> list[PublicKey]:
    """Return the members that keep the answer to a question, nearest first.

    Args:
        key: of the question.
        members: live members, in any order.
        count: how many.
    """
    prefix = sha256(_DOMAIN + key)

    def weight(member: PublicKey) -> bytes:
        digest = prefix.copy()
        digest.update(member)
        return digest.digest()

    return nlargest(count, members, key=weight)
