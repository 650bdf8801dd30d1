"""Texts that somebody else chose, made harmless to print on a terminal. Pure.

Escape sequences drive a terminal, line ends forge lines, marks of direction show a line in another order than it has,
stacked marks run over other lines, and what is invisible hides. All of them become escapes that can be read; letters of
every script stay. JSON says the same with its own escapes, so that nothing is lost there.

Source: Unicode Technical Report 36, "Unicode Security Considerations"; ECMA-48, section 5.4, for the controls U+0080 to
U+009F, which some terminals obey in UTF-8 as well; CVE-2021-42574, about marks of direction.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping

MOST_CHARS = 2000
"""Longest text of a cell or an error: reasons have up to 500 characters; own lists of endpoints are the longest."""

MAX_MARKS = 4
"""Marks that may be stacked on one character: scripts need up to three."""

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}

_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
"""Letters and marks without a picture, which count as printable: a name made of them is no name to look at."""

_FIRST_SELECTOR, _LAST_SELECTOR = 0xE0100, 0xE01EF
"""Marks that choose a variant of a letter; in rows of them whole texts have been hidden. Those of emoji are others."""


def one_line(text: str) -> str:
    """Return ``text`` on one line, without anything that is not seen as it is."""
    return _shown(text, kept="")


def short_line(text: str, *, most_chars: int = MOST_CHARS) -> str:
    """Return ``text`` on one line, harmless, and cut after ``most_chars``; how much is missing is told."""
    if len(text) <= most_chars:
        return one_line(text)
    return f"{one_line(text[:most_chars])}…(+{len(text) - most_chars} characters)"


def many_lines(text: str) -> str:
    """Return ``text`` with its lines and tabulators, but without anything else that is not seen as it is."""
    return _shown(text, kept="\n\t")


def indented_lines(text: str, *, by: str = "    ") -> str:
    """Return ``text`` with its further lines indented, so that none passes for the first line of another message."""
    return many_lines(text).replace("\n", "\n" + by)


def json_text(content: Mapping[str, object], *, indent: int | None = None) -> str:
    """Return JSON in which whatever a terminal might obey, or not show, is escaped as JSON escapes."""
    text = json.dumps(content, ensure_ascii=False, indent=indent)
    if text.isprintable():
        return text
    # Outside of strings there is only ASCII and line ends, so each such character stands in a string.
    return "".join(one if one.isprintable() or one == "\n" else _json_escape(one) for one in text)


def _json_escape(character: str) -> str:
    """Return the escape of a character, of one beyond U+FFFF as two surrogates (RFC 8259, section 7)."""
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def _shown(text: str, *, kept: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    parts: list[str] = []
    marks = 0
    for character in text:
        marks = marks + 1 if unicodedata.combining(character) or unicodedata.category(character) == "Me" else 0
        if character in kept or (_is_seen(character) and marks <= MAX_MARKS):
            parts.append(character)
        else:
            parts.append(_escape(character))
    return "".join(parts)


def _is_seen(character: str) -> bool:
    if not character.isprintable() or character in _BLANK:
        return False
    return not _FIRST_SELECTOR <= ord(character) <= _LAST_SELECTOR


def _escape(character: str) -> str:
    number = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
