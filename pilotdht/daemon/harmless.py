"""Texts that somebody else chose, made harmless for a log, a terminal and whoever reads them. Pure.

Escape sequences drive terminals, line ends forge lines, marks of direction show a line in another order than it has,
and what is invisible hides. All of them are written as escapes that can be read. What is too long is cut, and told.

Source: Unicode Technical Report 36, "Unicode Security Considerations"; CWE-117, improper neutralization for logs;
CVE-2021-42574, about marks of direction.
"""

from __future__ import annotations

MAX_VALUE_CHARS = 500
"""Longest value of a field: the longest honest ones are paths and a library's words about an error."""

MAX_MESSAGE_CHARS = 1000
"""Longest message; ours are short sentences, other libraries' may hold what a peer sent."""

MAX_TRACE_CHARS = 16_000
"""Longest traceback: deep ones have a hundred lines; an error's own text may be as long as what a peer sent."""

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\"}
_NEEDS_QUOTES = frozenset(' ="\\')


def harmless(text: str, *, most_chars: int = MAX_VALUE_CHARS) -> str:
    """Return ``text`` on one line, without anything that is not seen as it is, and cut after ``most_chars``.

    Letters of every script stay as they are. Control characters, marks of direction, invisible and unassigned
    characters, lone surrogates and line separators become escapes; a backslash is doubled, so that escapes are ours.
    """
    cut = text[:most_chars]
    shown = cut if cut.isprintable() and "\\" not in cut else "".join(map(_shown, cut))
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
    return "\n".join("  | " + _line(line) for line in text.split("\n"))


def _line(line: str) -> str:
    return line if line.isprintable() else "".join(_shown(one) if one != "\\" else one for one in line)


def _shown(character: str) -> str:
    """Return one character, or its escape."""
    short = _SHORT.get(character)
    if short is not None:
        return short
    if character.isprintable():
        return character
    number = ord(character)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
