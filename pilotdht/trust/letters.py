"""What a letter about trust says: one word, or the answer to one; both as on port 444, without the length in front.

* word: ``1 | msgpack [1, kind, sequence, seen, reason, hostname]``
* answer: ``2 | msgpack [1, stance, sequence, seen, answered sequence]``

An answer names the word that it answers, as days may lie between the two.

Pure; functions that read bytes from the network end in ``_untrusted`` and raise only :class:`BadMessage`.
"""

from __future__ import annotations

from dataclasses import replace

from pilotdht.errors import BadMessage
from pilotdht.trust.words import (
    LENGTH_BYTES,
    MAX_SEQUENCE,
    VERSION,
    Answer,
    Word,
    answer_untrusted,
    word_untrusted,
)
from pilotdht.values import dataclass
from pilotdht.wire.codec import decode_list_untrusted, encode, integer_untrusted
from pilotdht.wire.letter import MAX_CONTENT_BYTES

_WORD = b"\x01"
_ANSWER = b"\x02"


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenAnswer:
    """What the other side says to a word, in a letter."""

    answer: Answer
    """Where it stands."""
    answered: int
    """Sequence number of the word that it answers."""


def write_word(word: Word) -> bytes:
    """Return a word as a letter says it; a reason that is too long for a letter loses its end."""
    written = _WORD + word.encoded()[LENGTH_BYTES:]
    while len(written) > MAX_CONTENT_BYTES:  # only reasons of almost 200 characters of four bytes each
        word = replace(word, reason=word.reason[:-1])
        written = _WORD + word.encoded()[LENGTH_BYTES:]
    return written


def write_answer(word: Word, answer: Answer) -> bytes:
    """Return an answer to ``word`` as a letter says it."""
    return _ANSWER + encode([VERSION, int(answer.stance), answer.sequence, answer.seen, word.sequence])


def written_untrusted(content: bytes) -> Word | WrittenAnswer:
    """Read what a letter says.

    Raises:
        BadMessage: neither a word nor an answer, malformed, or a field is out of range.
    """
    kind, body = content[:1], content[1:]
    if kind == _WORD:
        return word_untrusted(body)
    if kind != _ANSWER:
        raise BadMessage("trust_letter")
    answer = answer_untrusted(body)
    values = decode_list_untrusted(body)
    if len(values) < 5:
        raise BadMessage("trust_letter")
    return WrittenAnswer(answer=answer, answered=integer_untrusted(values[4], low=1, high=MAX_SEQUENCE))
