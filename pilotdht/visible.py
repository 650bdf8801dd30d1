"""Which characters are seen as they are, and what stands for those that are not. Pure.

Escape sequences drive terminals, line ends forge lines, marks of direction show a text in another order than it has,
stacked marks run over the lines around them, and what is invisible hides. Logs, terminals and the status page show the
texts of strangers; all three ask here, so that none of them forgets a kind.

Source: Unicode Technical Report 36, "Unicode Security Considerations"; ECMA-48, section 5.4, for the controls U+0080 to
U+009F, which some terminals obey in UTF-8 as well; CWE-117, improper neutralization for logs; CVE-2021-42574, about
marks of direction.
"""

from __future__ import annotations

import unicodedata

MAX_MARKS = 4
"""Marks that may be stacked on one character: scripts need up to three."""

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\"}

_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
"""Letters and marks without a picture, which count as printable: a name made of them is no name to look at."""

_FIRST_SELECTOR, _LAST_SELECTOR = 0xE0100, 0xE01EF
"""Marks that choose a variant of a letter; in rows of them whole texts have been hidden. Those of emoji are others."""


def is_seen(character: str) -> bool:
    """Return whether one character is seen as what it is; letters of every script are, and the space."""
    if not character.isprintable() or character in _BLANK:
        return False
    return not _FIRST_SELECTOR <= ord(character) <= _LAST_SELECTOR


def visible(text: str, *, kept: str = "", escaped: str = "") -> str:
    """Return ``text`` with an escape in the place of each character that is not seen as it is.

    Args:
        text: what somebody wrote.
        kept: characters that stay although they are not seen, as line ends.
        escaped: characters that are seen and become escapes all the same; the backslash, where escapes must be ours.
    """
    if text.isascii() and text.isprintable() and not any(character in text for character in escaped):
        return text
    parts: list[str] = []
    marks = 0
    for character in text:
        marks = marks + 1 if unicodedata.combining(character) or unicodedata.category(character) == "Me" else 0
        is_plain = is_seen(character) and marks <= MAX_MARKS and character not in escaped
        parts.append(character if is_plain or character in kept else _escape(character))
    return "".join(parts)


def masked(text: str) -> str:
    """Return ``text`` with a question mark for each character that is not seen as it is: as long as it was."""
    return text if text.isascii() and text.isprintable() else "".join(map(_masked, text))


def _masked(character: str) -> str:
    return character if is_seen(character) else "?"


def _escape(character: str) -> str:
    number = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
