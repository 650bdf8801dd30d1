"""Makes texts of strangers harmless to look at. Pure.

The page puts every text into text nodes, so markup is no danger. What is left are characters that nobody sees and that
change what is seen: controls, direction overrides, joiners, tags. They are shown as their code points, and long texts
are cut. All that the page is told goes through :func:`harmless_value`, so no field can be forgotten.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence

MAX_TEXT_CHARS = 600
"""Longest text that the page is told: a reason of 500 characters fits, and the line that a screen shows."""

MAX_MARKS = 4
"""Marks that may be stacked on one character: scripts need up to three, more run over the neighbouring lines."""

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_LINE_BREAKS = {"\n": " ", "\r": " ", "\t": " "}


def harmless(text: str, most_chars: int = MAX_TEXT_CHARS) -> str:
    """Return ``text`` on one line, cut, with the code points of whatever cannot be seen in it."""
    if len(text) <= most_chars and text.isascii() and text.isprintable():
        return text
    shown: list[str] = []
    marks = 0
    for character in text[:most_chars]:
        category = unicodedata.category(character)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if character in _LINE_BREAKS:
            shown.append(" ")
        elif category in _HIDDEN:
            shown.append(f"\\u{{{ord(character):X}}}")
        elif marks <= MAX_MARKS:
            shown.append(character)
    return "".join(shown)[:most_chars] + ("…" if len(text) > most_chars else "")


def harmless_value(value: object, most_chars: int = MAX_TEXT_CHARS) -> object:
    """Return JSON data with every text in it made harmless, the names of fields included."""
    if isinstance(value, str):
        return harmless(value, most_chars)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, Mapping):
        return {harmless(str(key), most_chars): harmless_value(item, most_chars) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [harmless_value(item, most_chars) for item in value]
    return harmless(str(value), most_chars)
