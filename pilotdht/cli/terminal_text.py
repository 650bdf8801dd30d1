"""Texts that somebody else chose, made harmless to print on a terminal. Pure.

Whatever is not seen as it is becomes an escape that can be read. JSON says the same with its own escapes, so that
nothing is lost there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from pilotdht.visible import visible

MOST_CHARS = 2000
"""Longest text of a cell or an error: reasons have up to 500 characters; own lists of endpoints are the longest."""


def one_line(text: str) -> str:
    """Return ``text`` on one line, without anything that is not seen as it is."""
    return visible(text)


def short_line(text: str, *, most_chars: int = MOST_CHARS) -> str:
    """Return ``text`` on one line, harmless, and cut after ``most_chars``; how much is missing is told."""
    if len(text) <= most_chars:
        return one_line(text)
    return f"{one_line(text[:most_chars])}…(+{len(text) - most_chars} characters)"


def many_lines(text: str) -> str:
    """Return ``text`` with its lines and tabulators, but without anything else that is not seen as it is."""
    return visible(text, kept="\n\t")


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
