"""An answer put together from its parts, and verified at its end. Pure."""

from __future__ import annotations

import codecs

from pilotdht.errors import BadMessage
from pilotdht.identity.ids import PublicKey
from pilotdht.services.query.content import Content, Form, content_untrusted
from pilotdht.services.query.signed import Endorsement, QuestionKey, is_endorsed
from pilotdht.services.query.words import End, Part
from pilotdht.values import dataclass
from pilotdht.wire.verified import VerifiedSignatures


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A whole answer of one member, its signature verified."""

    content: Content
    """What it says."""
    endorsement: Endorsement
    """Who says so."""


class Assembly:
    """The parts of one answer."""

    def __init__(
        self, *, author: PublicKey, key: QuestionKey, group: bytes, most_bytes: int, memory: VerifiedSignatures
    ) -> None:
        """Begin with nothing.

        Args:
            author: who is on the other side of the stream.
            key: of the question that was asked.
            group: in which it was asked, or empty.
            most_bytes: of the whole answer.
            memory: signatures found good before.
        """
        self._author = author
        self._key = key
        self._group = group
        self._most_bytes = most_bytes
        self._memory = memory
        self._form: Form | None = None
        self._data = bytearray()
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def take_untrusted(self, part: Part) -> str:
        """Add a part, and return the text that it completes: maybe empty, as a part may end inside a character.

        Raises:
            BadMessage: not UTF-8, of another form than the parts before, or the answer grows too long.
        """
        if self._form is None:
            self._form = part.form
        if part.form is not self._form:
            raise BadMessage("query_form")
        if len(self._data) + len(part.data) > self._most_bytes:
            raise BadMessage("query_answer_length")
        self._data += part.data
        try:
            return self._decoder.decode(part.data)
        except UnicodeDecodeError:
            raise BadMessage("query_utf8") from None

    def end_untrusted(self, end: End) -> Given:
        """Return the whole answer.

        Raises:
            BadMessage: there was no part, it is malformed, or the signature is not the author's.
        """
        if self._form is None:
            raise BadMessage("query_fields")
        content = content_untrusted(self._form, bytes(self._data))
        endorsement = Endorsement(
            author=self._author, issued_ms=end.issued_ms, ttl_s=end.ttl_s, signature=end.signature
        )
        if not is_endorsed(endorsement, content.digest(), key=self._key, group=self._group, memory=self._memory):
            raise BadMessage("query_signature")
        return Given(content=content, endorsement=endorsement)
