"""What two sides say to each other on port 1003: one question a stream, and what comes back. Pure.

Each word is four bytes of length and a msgpack list that begins with the version and the kind:

* ``[1, 1, group, capability, form, content, within_ms]``: a question; the answer is wanted within so many milliseconds
* ``[1, 2, group, key]``: have you an answer to this question?
* ``[1, 3, group, key, form, content, endorsements]``: keep this answer for others
* ``[1, 16, form, bytes]``: a part of the answer, in order; at least one, all of one form
* ``[1, 17, issued_ms, ttl_s, signature]``: the parts were all, and the answering side signs them
* ``[1, 18, reason, text]``: there is no answer
* ``[1, 19, form, content, endorsements]``: the shared answer
* ``[1, 20]``: no shared answer here
* ``[1, 21, is_kept]``: what was offered was kept, or not

More fields are ignored: later versions add them. Functions that read bytes from the network end in ``_untrusted`` and
raise only :class:`BadMessage`.
"""

from __future__ import annotations

from enum import IntEnum

from pilotdht.errors import BadMessage
from pilotdht.identity.ids import NODE_ID_BYTES
from pilotdht.identity.keys import SIGNATURE_BYTES
from pilotdht.identity.names import is_tag
from pilotdht.services.query.content import Content, Form, content_untrusted, form_untrusted
from pilotdht.services.query.signed import (
    KEY_BYTES,
    MAX_MS,
    MAX_TTL_S,
    QuestionKey,
    SharedAnswer,
    shared_untrusted,
)
from pilotdht.values import dataclass
from pilotdht.visible import masked
from pilotdht.wire.codec import (
    bytes_untrusted,
    decode_list_untrusted,
    encode,
    flag_untrusted,
    integer_untrusted,
    text_untrusted,
)

VERSION = 1
LENGTH_BYTES = 4
MAX_FRAME_BYTES = 65_536
"""Most bytes behind the length of any word but a question."""
QUESTION_EXTRA_BYTES = 1024
"""What a question's frame may take besides its content."""
MAX_REASON_CHARS = 500
MAX_WITHIN_MS = 86_400_000
"""One day."""


class Kind(IntEnum):
    """What a word is; the number on the wire."""

    ASK = 1
    """A question."""
    LOOK = 2
    """Is there a shared answer?"""
    OFFER = 3
    """Keep this answer."""
    PART = 16
    """A part of an answer."""
    END = 17
    """The end of an answer, signed."""
    FAILED = 18
    """Why there is no answer."""
    SHARED = 19
    """A shared answer."""
    NOTHING = 20
    """No shared answer."""
    KEPT = 21
    """What became of an offer."""


class Failure(IntEnum):
    """Why there is no answer; the number on the wire."""

    HANDLER = 1
    """The program that should have answered failed."""
    UNSERVED = 2
    """Nobody here answers questions of this capability and group."""
    NOT_ALLOWED = 3
    """The asker is neither trusted nor a live member of the group that it names."""
    OVERLOADED = 4
    """Too many questions are being answered; asking again later may help."""
    TOO_LATE = 5
    """The asker's time ran out."""
    MALFORMED = 6
    """The question does not obey the protocol."""
    TOO_LARGE = 7
    """Question or answer is longer than the bound."""

    @classmethod
    def _missing_(cls, value: object) -> Failure | None:
        return cls.HANDLER if isinstance(value, int) and 0 <= value <= 255 else None  # of a later version


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A question."""

    group: bytes
    """Id of the group whose member asks, 20 bytes; empty: one trusted peer asks another."""
    capability: str
    """What the answer needs, or empty."""
    content: Content
    """What is asked."""
    within_ms: int
    """Milliseconds that the asker waits."""

    def framed(self) -> bytes:
        """Return the bytes with their length in front."""
        return _framed([Kind.ASK, self.group, self.capability, self.content.form, self.content.data, self.within_ms])


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Asks for a shared answer."""

    group: bytes
    """Id of the group, 20 bytes."""
    key: QuestionKey
    """Of which question."""

    def framed(self) -> bytes:
        """Return the bytes with their length in front."""
        return _framed([Kind.LOOK, self.group, self.key])


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """Offers an answer to be kept for others."""

    answer: SharedAnswer
    """What is offered."""

    def framed(self) -> bytes:
        """Return the bytes with their length in front."""
        return _framed([Kind.OFFER, self.answer.group, self.answer.key, *self.answer.fields()])


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of an answer."""

    form: Form
    """Text or JSON; the same in all parts."""
    data: bytes
    """UTF-8; may end inside a character."""

    def framed(self) -> bytes:
        """Return the bytes with their length in front."""
        return _framed([Kind.PART, self.form, self.data])


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The end of an answer; the author is whoever is on the other side of the stream."""

    issued_ms: int
    """Unix time in milliseconds of signing."""
    ttl_s: int
    """Seconds for which it may be shared."""
    signature: bytes
    """64 bytes; see :mod:`pilotdht.services.query.signed`."""

    def framed(self) -> bytes:
        """Return the bytes with their length in front."""
        return _framed([Kind.END, self.issued_ms, self.ttl_s, self.signature])


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """Says that there is no answer."""

    failure: Failure
    """Why."""
    text: str = ""
    """For a person; up to 500 printable characters."""

    def framed(self) -> bytes:
        """Return the bytes with their length in front."""
        return _framed([Kind.FAILED, self.failure, self.text[:MAX_REASON_CHARS]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """A shared answer, or that there is none."""

    fields: list[object] | None
    """As in an offer, to be read with what was looked for; absent: there is none."""

    def framed(self) -> bytes:
        """Return the bytes with their length in front."""
        return _framed([Kind.NOTHING]) if self.fields is None else _framed([Kind.SHARED, *self.fields])


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What became of an offer."""

    is_kept: bool
    """Whether it was kept."""

    def framed(self) -> bytes:
        """Return the bytes with their length in front."""
        return _framed([Kind.KEPT, int(self.is_kept)])


OpeningWord = Ask | Look | Offer
"""What the side that opened the stream says."""
AnswerWord = Part | End | Failed
"""What comes back to a question."""


def length_untrusted(data: bytes, *, most_bytes: int) -> int:
    """Return how many bytes follow the four bytes of length.

    Raises:
        BadMessage: none, or too many.
    """
    length = int.from_bytes(data, "big")
    if not 1 <= length <= most_bytes:
        raise BadMessage("query_length")
    return length


def opening_untrusted(body: bytes, *, max_question_bytes: int, max_shared_bytes: int) -> OpeningWord:
    """Read what the opener of a stream says.

    Raises:
        BadMessage: malformed, of another version, too long, or no word for the beginning.
    """
    kind, fields = _kind_untrusted(body)
    if kind is Kind.ASK:
        group, capability, form, data, within_ms = _take(fields, 5)
        name = text_untrusted(capability, most_chars=64)
        if name and not is_tag(name):
            raise BadMessage("query_capability")
        return Ask(
            group=b"" if group == b"" else bytes_untrusted(group, size=NODE_ID_BYTES),
            capability=name,
            content=content_untrusted(form_untrusted(form), bytes_untrusted(data, most=max_question_bytes)),
            within_ms=integer_untrusted(within_ms, high=MAX_WITHIN_MS),
        )
    if kind not in (Kind.LOOK, Kind.OFFER):
        raise BadMessage("query_kind")
    group_field, key_field = _take(fields, 2)
    group_id = bytes_untrusted(group_field, size=NODE_ID_BYTES)
    key = QuestionKey(bytes_untrusted(key_field, size=KEY_BYTES))
    if kind is Kind.LOOK:
        return Look(group=group_id, key=key)
    return Offer(answer=shared_untrusted(fields[2:], key=key, group=group_id, most_bytes=max_shared_bytes))


def answer_untrusted(body: bytes) -> AnswerWord:
    """Read what comes back to a question.

    Raises:
        BadMessage: malformed, of another version, or no word of an answer.
    """
    kind, fields = _kind_untrusted(body)
    if kind is Kind.PART:
        form, data = _take(fields, 2)
        return Part(form=form_untrusted(form), data=bytes_untrusted(data, most=MAX_FRAME_BYTES))
    if kind is Kind.END:
        issued_ms, ttl_s, signature = _take(fields, 3)
        return End(
            issued_ms=integer_untrusted(issued_ms, high=MAX_MS),
            ttl_s=integer_untrusted(ttl_s, high=MAX_TTL_S),
            signature=bytes_untrusted(signature, size=SIGNATURE_BYTES),
        )
    if kind is not Kind.FAILED:
        raise BadMessage("query_kind")
    reason, text = _take(fields, 2)
    shown = text_untrusted(text, most_chars=MAX_REASON_CHARS)
    if not shown.isprintable():  # it is shown on terminals
        raise BadMessage("query_reason")
    return Failed(failure=Failure(integer_untrusted(reason, high=255)), text=shown)


def looked_untrusted(body: bytes) -> Shared:
    """Read what comes back when a shared answer was looked for.

    Raises:
        BadMessage: malformed, or the other side refused.
    """
    kind, fields = _kind_untrusted(body)
    if kind is Kind.NOTHING:
        return Shared(fields=None)
    if kind is not Kind.SHARED:
        raise BadMessage("query_kind")
    return Shared(fields=fields)


def kept_untrusted(body: bytes) -> Kept:
    """Read what became of an offer.

    Raises:
        BadMessage: malformed, or the other side refused.
    """
    kind, fields = _kind_untrusted(body)
    if kind is not Kind.KEPT:
        raise BadMessage("query_kind")
    return Kept(is_kept=flag_untrusted(_take(fields, 1)[0]))


def printable(text: str) -> str:
    """Return ``text`` on one line, fit for a terminal and for :class:`Failed`."""
    line = " ".join(text[: 2 * MAX_REASON_CHARS].split())
    return masked(line)[:MAX_REASON_CHARS]


def _framed(values: list[object]) -> bytes:
    body = encode([VERSION, *values])
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def _kind_untrusted(body: bytes) -> tuple[Kind, list[object]]:
    values = decode_list_untrusted(body)
    if len(values) < 2 or type(values[0]) is not int or values[0] != VERSION:
        raise BadMessage("query_version")
    try:
        return Kind(integer_untrusted(values[1], high=255)), values[2:]
    except ValueError:
        raise BadMessage("query_kind") from None


def _take(fields: list[object], count: int) -> list[object]:
    if len(fields) < count:
        raise BadMessage("query_fields")
    return fields[:count]
