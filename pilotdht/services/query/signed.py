"""Answers that prove who gave them: what is signed, and how others check it. Pure.

The author signs ``domain || [question key, group id, digest of the answer, author, issued_ms, ttl_s]``. The key of a
question covers group, capability and canonical question, so a signature answers this one question in this one group.
The digest is that of the canonical answer: members that write the same JSON in another order sign the same thing, and
their signatures stand beside one text.

A shared answer always travels in its canonical form: whoever keeps it can withhold it and do nothing else to it.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import NewType

from pilotdht.errors import BadMessage
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import SIGNATURE_BYTES, KeyPair, public_key_untrusted
from pilotdht.services.query.content import Content, content_untrusted, form_untrusted
from pilotdht.values import dataclass
from pilotdht.wire.codec import bytes_untrusted, encode, integer_untrusted, list_untrusted
from pilotdht.wire.verified import VerifiedSignatures

QuestionKey = NewType("QuestionKey", bytes)
"""32 bytes: which question, asked for which capability, in which group."""

KEY_BYTES = 32
MAX_SIGNERS = 32
"""Signatures beside one answer: more than the largest quorum asks members for by default."""
MAX_MS = 2**53
MAX_TTL_S = 30 * 86_400
"""Longest time that anybody may configure."""

_QUESTION_DOMAIN = b"pilotdht/1 question"
_ANSWER_DOMAIN = b"pilotdht/1 answer"


def question_key(question: Content, *, capability: str, group: bytes) -> QuestionKey:
    """Return the key of a question; equal questions in one group have one key.

    Args:
        question: what is asked.
        capability: what the answering side must be able to do, or empty.
        group: id of the group, or empty bytes between two peers.
    """
    return QuestionKey(sha256(_QUESTION_DOMAIN + encode([group, capability, question.digest()])).digest())


@dataclass(frozen=True, slots=True, kw_only=True)
class Endorsement:
    """One author's word that something is the answer to a question."""

    author: PublicKey
    """Who gave it."""
    issued_ms: int
    """Unix time in milliseconds at which it was signed."""
    ttl_s: int
    """Seconds from then on for which it may be shared; 0: not at all."""
    signature: bytes
    """64 bytes."""

    @property
    def expires_s(self) -> float:
        """Unix time from which it counts no more."""
        return self.issued_ms / 1000 + self.ttl_s

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return [self.author, self.issued_ms, self.ttl_s, self.signature]


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedAnswer:
    """An answer that members keep for one another."""

    key: QuestionKey
    """To which question."""
    group: bytes
    """Id of the group."""
    content: Content
    """The answer, canonical."""
    endorsements: tuple[Endorsement, ...]
    """Who gave it; at least one, each author once."""

    @property
    def expires_s(self) -> float:
        """Unix time from which the last signature counts no more."""
        return max(one.expires_s for one in self.endorsements)

    @property
    def size_bytes(self) -> int:
        """About what it takes in memory."""
        return len(self.content.data) + 300 * len(self.endorsements) + 500

    def fields(self) -> list[object]:
        """Return the fields in wire order, without what the reader knows: key and group."""
        return [self.content.form, self.content.data, [one.fields() for one in self.endorsements]]


def endorse(
    keys: KeyPair, answer: Content, *, key: QuestionKey, group: bytes, issued_ms: int, ttl_s: int
) -> Endorsement:
    """Sign an answer."""
    message = _message(key, group, answer.digest(), keys.public_key, issued_ms, ttl_s)
    return Endorsement(author=keys.public_key, issued_ms=issued_ms, ttl_s=ttl_s, signature=keys.sign(message))


def is_endorsed(
    endorsement: Endorsement, digest: bytes, *, key: QuestionKey, group: bytes, memory: VerifiedSignatures
) -> bool:
    """Return whether the signature is its author's, over the answer of this digest to this question in this group."""
    one = endorsement
    message = _message(key, group, digest, one.author, one.issued_ms, one.ttl_s)
    return memory.verify(one.author, message, one.signature)


def checked(
    answer: SharedAnswer,
    *,
    is_author: Callable[[PublicKey], bool],
    now_s: float,
    skew_s: float,
    max_ttl_s: int,
    memory: VerifiedSignatures,
) -> SharedAnswer | None:
    """Return a shared answer with those signatures alone that count, or ``None`` when none does.

    Signatures that expired or are not a member's are left out; one that is forged spoils the whole, as whoever handed
    it on did not check it either, and checking costs more than forging.

    Args:
        answer: from a cache, or from somebody else's.
        is_author: whether a key may answer this question: a live member of the group.
        now_s: Unix time.
        skew_s: how far in the future it may have been signed.
        max_ttl_s: longest time that is believed.
        memory: signatures found good before.
    """
    digest = answer.content.digest()
    good = tuple(
        one
        for one in answer.endorsements
        if is_live(one, now_s=now_s, skew_s=skew_s, max_ttl_s=max_ttl_s) and is_author(one.author)
    )
    if not good or not all(is_endorsed(one, digest, key=answer.key, group=answer.group, memory=memory) for one in good):
        return None
    if len(good) == len(answer.endorsements):
        return answer
    return SharedAnswer(key=answer.key, group=answer.group, content=answer.content, endorsements=good)


def is_live(endorsement: Endorsement, *, now_s: float, skew_s: float, max_ttl_s: int) -> bool:
    """Return whether a signature may be shared and counts now."""
    one = endorsement
    return 0 < one.ttl_s <= max_ttl_s and one.issued_ms / 1000 <= now_s + skew_s and now_s < one.expires_s


def endorsement_untrusted(value: object) -> Endorsement:
    """Read an author's word, its signature unchecked.

    Raises:
        BadMessage: malformed.
    """
    fields = list_untrusted(value, most=8)
    if len(fields) < 4:
        raise BadMessage("query_endorsement")
    author, issued_ms, ttl_s, signature = fields[:4]
    return Endorsement(
        author=public_key_untrusted(author),
        issued_ms=integer_untrusted(issued_ms, high=MAX_MS),
        ttl_s=integer_untrusted(ttl_s, high=MAX_TTL_S),
        signature=bytes_untrusted(signature, size=SIGNATURE_BYTES),
    )


def shared_untrusted(fields: list[object], *, key: QuestionKey, group: bytes, most_bytes: int) -> SharedAnswer:
    """Read a shared answer, its signatures unchecked.

    Raises:
        BadMessage: malformed, too long, not canonical, or an author stands in it twice.
    """
    if len(fields) < 3:
        raise BadMessage("query_fields")
    form, data, endorsements = fields[:3]
    content = content_untrusted(form_untrusted(form), bytes_untrusted(data, most=most_bytes))
    if content.canonical() != content.data:  # one answer has one shared text: nobody can dress it up
        raise BadMessage("query_not_canonical")
    given = tuple(endorsement_untrusted(one) for one in list_untrusted(endorsements, most=MAX_SIGNERS))
    if not given or len({one.author for one in given}) != len(given):
        raise BadMessage("query_endorsement")
    return SharedAnswer(key=key, group=group, content=content, endorsements=given)


def _message(key: QuestionKey, group: bytes, digest: bytes, author: PublicKey, issued_ms: int, ttl_s: int) -> bytes:
    return _ANSWER_DOMAIN + encode([key, group, digest, author, issued_ms, ttl_s])
