"""Makes texts of strangers harmless to look at. Pure.

The page puts every text into text nodes, so markup is no danger. What is left are characters that nobody sees and that
change what is seen: they are shown as escapes, and long texts are cut. All that the page is told goes through
:func:`harmless_value`, so no field can be forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pilotdht.visible import visible

MAX_TEXT_CHARS = 600
"""Longest text that the page is told: a reason of 500 characters fits, and the line that a screen shows."""

_LINE_BREAKS = str.maketrans("\n\r\t", "   ")


def harmless(text: str, most_chars: int = MAX_TEXT_CHARS) -> str:
    """Return ``text`` on one line, cut, with an escape for whatever is not seen as it is."""
    if len(text) <= most_chars and text.isascii() and text.isprintable():
        return text
    shown = visible(text[:most_chars].translate(_LINE_BREAKS))[:most_chars]
    return shown if len(text) <= most_chars else f"{shown}…"


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
