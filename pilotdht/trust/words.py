"""What two sides say to each other on port 444: one word and one answer a stream.

Both are a two-byte length and a msgpack list:

* word: ``[1, kind, sequence, seen, reason, hostname]``
* answer: ``[1, stance, sequence, seen]``

``sequence`` rises with everything one side says to one peer, answers included, so that what was overtaken on the way is
recognised; ``seen`` is the highest sequence heard from the other side. The speaker's key is known from the link.

Pure; functions that read bytes from the network end in ``_untrusted`` and raise only :class:`BadMessage`.
"""

from __future__ import annotations

from enum import IntEnum

from pilotdht.errors import BadMessage
from pilotdht.identity.names import is_hostname
from pilotdht.values import dataclass
from pilotdht.wire.codec import decode_list_untrusted, encode, integer_untrusted, text_untrusted

VERSION = 1
LENGTH_BYTES = 2
MAX_REASON_CHARS = 200
"""As long as a person reads before deciding."""
MAX_WORD_BYTES = 1024
"""Most bytes behind the length: a reason of 200 characters of four bytes, a hostname, and the rest."""
MAX_SEQUENCE = 2**62


class WordKind(IntEnum):
    """What a word says; the number on the wire."""

    REQUEST = 1
    """Trust me, as I shall trust you."""
    APPROVE = 2
    """I trust you, as you asked."""
    REJECT = 3
    """I do not trust you, though you asked."""
    UNTRUST = 4
    """I do not trust you any more, or take my request back."""


class Stance(IntEnum):
    """Where the answering side stands after hearing a word; the number on the wire."""

    NONE = 0
    """Neither trust nor a request of yours is held here."""
    PENDING = 1
    """Your request waits for an answer."""
    TRUSTED = 2
    """You are trusted."""
    REJECTED = 3
    """One of us refused."""
    BUSY = 4
    """The word was not taken: too many of yours, or of everybody's. Say it again later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What one side tells the other unasked."""

    kind: WordKind
    """What it says."""
    sequence: int
    """Rises with everything the speaker says to this peer."""
    seen: int
    """Highest sequence the speaker heard from this peer."""
    reason: str = ""
    """Why, for a person to read; up to 200 characters."""
    hostname: str = ""
    """What the speaker calls itself, or empty; a claim, not a proof."""

    def encoded(self) -> bytes:
        """Return the bytes with their length in front."""
        return _framed([VERSION, int(self.kind), self.sequence, self.seen, self.reason, self.hostname])


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the other side says to a word."""

    stance: Stance
    """Where it stands now."""
    sequence: int
    """Rises with everything the speaker says to this peer."""
    seen: int
    """Highest sequence the speaker heard from this peer."""

    def encoded(self) -> bytes:
        """Return the bytes with their length in front."""
        return _framed([VERSION, int(self.stance), self.sequence, self.seen])


def length_untrusted(data: bytes) -> int:
    """Return how many bytes follow the two bytes of length.

    Raises:
        BadMessage: none, or too many.
    """
    length = int.from_bytes(data, "big")
    if not 1 <= length <= MAX_WORD_BYTES:
        raise BadMessage("trust_length")
    return length


def word_untrusted(body: bytes) -> Word:
    """Read what stands behind the length of a word.

    Raises:
        BadMessage: malformed, of another version, or a field is out of range.
    """
    kind, sequence, seen, reason, hostname = _fields_untrusted(body, 5)
    text = text_untrusted(reason, most_chars=MAX_REASON_CHARS)
    if not text.isprintable():  # it is shown on terminals: no control characters, no line breaks
        raise BadMessage("trust_reason")
    if hostname != "" and not is_hostname(hostname):
        raise BadMessage("trust_hostname")
    try:
        return Word(
            kind=WordKind(integer_untrusted(kind, high=255)),
            sequence=integer_untrusted(sequence, low=1, high=MAX_SEQUENCE),
            seen=integer_untrusted(seen, high=MAX_SEQUENCE),
            reason=text,
            hostname=str(hostname),
        )
    except ValueError:
        raise BadMessage("trust_kind") from None


def answer_untrusted(body: bytes) -> Answer:
    """Read what stands behind the length of an answer.

    Raises:
        BadMessage: malformed, of another version, or a field is out of range.
    """
    stance, sequence, seen = _fields_untrusted(body, 3)
    try:
        return Answer(
            stance=Stance(integer_untrusted(stance, high=255)),
            sequence=integer_untrusted(sequence, high=MAX_SEQUENCE),
            seen=integer_untrusted(seen, high=MAX_SEQUENCE),
        )
    except ValueError:
        raise BadMessage("trust_stance") from None


def _framed(values: list[object]) -> bytes:
    body = encode(values)
    assert len(body) <= MAX_WORD_BYTES, "every field is bounded"
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def _fields_untrusted(body: bytes, count: int) -> list[object]:
    """Return the fields behind the version; more are ignored, as later versions add them."""
    values = decode_list_untrusted(body)
    if len(values) < count + 1 or type(values[0]) is not int or values[0] != VERSION:
        raise BadMessage("trust_version")
    return values[1 : count + 1]
