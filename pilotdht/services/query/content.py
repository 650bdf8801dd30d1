"""What a question or an answer says: a text, or a JSON value. Pure.

JSON is taken strictly: UTF-8, RFC 8259, one value, no name twice in an object, no number beyond a double, no half of a
surrogate pair, nested at most 64 deep. Python's own parser forgives all of these, and two programs would read two
different things.

Two contents are equal when their canonical forms are. That of a text has its line ends made line feeds, and white space
around it removed; that of JSON has sorted names, no white space, and one spelling for each number (``1.0`` is ``1``).
It is for comparing, hashing and sharing: content is otherwise kept as it was written.
"""

from __future__ import annotations

import json
import math
from enum import IntEnum
from hashlib import sha256
from typing import NoReturn, cast

from pilotdht.errors import BadMessage, InvalidArgument
from pilotdht.values import dataclass
from pilotdht.visible import masked

MAX_DEPTH = 64
"""Deepest nesting of JSON: deeper than any schema, and far from the parser's own end."""

_EXACT = 2**53  # up to here every integer has its own double

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
"""What JSON can say."""


class Form(IntEnum):
    """How content is written; the number on the wire."""

    TEXT = 0
    """UTF-8 text."""
    JSON = 1
    """One JSON value in UTF-8."""


@dataclass(frozen=True, slots=True)
class Content:
    """A text or a JSON value, checked."""

    form: Form
    """Text or JSON."""
    data: bytes
    """UTF-8, as it was written."""

    @property
    def text(self) -> str:
        """The text; of JSON its source."""
        return self.data.decode("utf-8")

    @property
    def json(self) -> Json:
        """The JSON value.

        Raises:
            InvalidArgument: it is a text.
        """
        if self.form is not Form.JSON:
            raise InvalidArgument("the content is a text, not JSON", hint="read .text instead")
        return cast("Json", json.loads(self.data))

    def canonical(self) -> bytes:
        """Return the form in which equal contents are the same bytes."""
        if self.form is Form.TEXT:
            return self.text.replace("\r\n", "\n").replace("\r", "\n").strip().encode("utf-8")
        return _dump(_one_spelling(self.json), is_sorted=True)

    def digest(self) -> bytes:
        """Return 32 bytes that are the same for equal contents, and only for those."""
        return sha256(bytes([self.form]) + self.canonical()).digest()

    def canonicalised(self) -> Content:
        """Return the content in its canonical form."""
        return Content(self.form, self.canonical())

    def preview(self, most_chars: int = 40) -> str:
        """Return the beginning, on one line, fit for a terminal."""
        line = " ".join(self.text[: 4 * most_chars].split())
        shown = masked(line)
        return shown if len(shown) <= most_chars else shown[: most_chars - 1] + "…"


def content_of(value: object) -> Content:
    """Return the content that a program means: a ``str`` is a text, anything else JSON.

    Raises:
        InvalidArgument: it is neither.
    """
    try:
        if isinstance(value, str):
            return Content(Form.TEXT, value.encode("utf-8"))
        if isinstance(value, bytes | bytearray | memoryview):
            raise InvalidArgument("bytes are neither text nor JSON", hint="decode them, or use base64")
        data = _dump(value, is_sorted=False)
        _check_json_untrusted(data)
    except (TypeError, ValueError, RecursionError, BadMessage) as error:
        raise InvalidArgument(
            f"a {type(value).__name__} that is neither text nor JSON: {error}"[:200],
            hint="use str, or dict, list, numbers, True, False and None without NaN",
        ) from error
    return Content(Form.JSON, data)


def content_untrusted(form: Form, data: bytes) -> Content:
    """Return content from outside.

    Raises:
        BadMessage: not UTF-8, or not strict JSON.
    """
    if form is Form.JSON:
        _check_json_untrusted(data)
    else:
        try:
            data.decode("utf-8")
        except UnicodeDecodeError:
            raise BadMessage("query_utf8") from None
    return Content(form, data)


def form_untrusted(value: object) -> Form:
    """Return the form with this number.

    Raises:
        BadMessage: there is none.
    """
    if type(value) is not int or value not in (0, 1):
        raise BadMessage("query_form")
    return Form(value)


def _dump(value: object, *, is_sorted: bool) -> bytes:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=is_sorted, separators=(",", ":"))
    return text.encode("utf-8")


def _check_json_untrusted(data: bytes) -> None:
    try:
        if data.startswith(b"\xef\xbb\xbf"):  # RFC 8259, section 8.1: no byte order mark
            raise BadMessage("query_json")
        value = json.loads(
            data.decode("utf-8"),  # the bytes themselves could be UTF-16, which the parser would guess
            object_pairs_hook=_pairs,
            parse_constant=_refuse,
            parse_float=_finite,
        )
    except (ValueError, RecursionError):  # also UnicodeDecodeError, JSONDecodeError
        raise BadMessage("query_json") from None
    if not _is_plain(value):
        raise BadMessage("query_json")


def _pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name twice")
    return made


def _refuse(text: str) -> NoReturn:
    raise ValueError(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _is_plain(value: object) -> bool:
    """Return whether nothing is nested too deep and every text is one (no lone surrogates)."""
    pending: list[tuple[object, int]] = [(value, 1)]
    while pending:
        one, depth = pending.pop()
        if isinstance(one, str):
            if not _is_text(one):
                return False
        elif isinstance(one, int):
            if abs(one) >= 10**308:
                return False  # beyond a double, and slow to print
        elif isinstance(one, list | dict):
            if depth > MAX_DEPTH:
                return False
            inner = one if isinstance(one, list) else one.values()
            if isinstance(one, dict) and not all(map(_is_text, one)):
                return False
            pending += [(item, depth + 1) for item in inner]
    return True


def _is_text(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _one_spelling(value: Json) -> Json:
    """Return ``value`` with whole numbers as integers, as both sides may write them either way."""
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT:
        return int(value)
    if isinstance(value, list):
        return [_one_spelling(item) for item in value]
    if isinstance(value, dict):
        return {name: _one_spelling(item) for name, item in value.items()}
    return value
