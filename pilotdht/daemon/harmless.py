"""Texts that somebody else chose, made harmless for a log and whoever reads it. Pure.

Whatever is not seen as it is becomes an escape that can be read. What is too long is cut, and told.
"""

from __future__ import annotations

from pilotdht.visible import visible

MAX_VALUE_CHARS = 500
"""Longest value of a field: the longest honest ones are paths and a library's words about an error."""

MAX_MESSAGE_CHARS = 1000
"""Longest message; ours are short sentences, other libraries' may hold what a peer sent."""

MAX_TRACE_CHARS = 16_000
"""Longest traceback: deep ones have a hundred lines; an error's own text may be as long as what a peer sent."""

_NEEDS_QUOTES = frozenset(' ="\\')


def harmless(text: str, *, most_chars: int = MAX_VALUE_CHARS) -> str:
    """Return ``text`` on one line, without anything that is not seen as it is, and cut after ``most_chars``.

    A backslash is doubled, so that all escapes are ours.
    """
    shown = visible(text[:most_chars], escaped="\\")
    return shown if len(text) <= most_chars else f"{shown}…(+{len(text) - most_chars} characters)"


def field_text(value: object, *, most_chars: int = MAX_VALUE_CHARS) -> str:
    """Return a field's value as a text log shows it: in quotes when it could be taken for more than one field."""
    return quoted(harmless(str(value), most_chars=most_chars))


def quoted(text: str) -> str:
    """Return a harmless text, in quotes when it is empty or could be taken for more than one field."""
    if text and _NEEDS_QUOTES.isdisjoint(text):
        return text
    return '"' + text.replace('"', '\\"') + '"'


def harmless_trace(text: str, *, most_chars: int = MAX_TRACE_CHARS) -> str:
    """Return a traceback with its lines, each indented and harmless, so that none passes for a line of the log.

    Of one that is too long the middle is left out: the error stands at the end, where it came in at the beginning.
    """
    if len(text) > most_chars:
        half = most_chars // 2
        text = f"{text[:half]}\n…({len(text) - 2 * half} characters left out)\n{text[-half:]}"
    return "\n".join("  | " + visible(line) for line in text.split("\n"))
