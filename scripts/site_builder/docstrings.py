"""Docstrings as Markdown: sections with arguments become lists, roles become code. Pure."""

from __future__ import annotations

import builtins
import inspect
import re

SECTIONS = ("Args", "Returns", "Raises", "Yields", "Source")
"""Headings that the project's docstrings use."""

_HEADING = re.compile(rf"^({'|'.join(SECTIONS)}):(?:[ ]+(.*))?$")
_ITEM = re.compile(r"^(\*{0,2}\w+): (.*)$")
_ROLE = re.compile(r":\w+:`~?(?:[\w.]*\.)?(\w+)`")


def markdown(docstring: str) -> str:
    """Return a docstring as Markdown, or an empty text."""
    lines: list[str] = []
    section = ""
    for line in _rendered(inspect.cleandoc(docstring)).splitlines():
        heading = _HEADING.match(line)
        if heading is not None:
            section = heading[1]
            lines += ["", f"{section}:" + (f" {heading[2]}" if heading[2] else ""), ""]
        elif section in ("Args", "Raises") and line.startswith("    "):
            lines.append(_item(line[4:], section))
        elif section and line.startswith("    "):
            lines.append(line[4:])
        else:
            section = section if not line.strip() else ""
            lines.append(line)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(_fenced(lines))).strip()


def first_line(docstring: str) -> str:
    """Return the first paragraph, on one line."""
    return " ".join(_rendered(inspect.cleandoc(docstring)).split("\n\n", 1)[0].split())


def paragraphs(docstring: str) -> list[str]:
    """Return the paragraphs before the first section."""
    found: list[str] = []
    for one in markdown(docstring).split("\n\n"):
        if _HEADING.match(one.split("\n", 1)[0]):
            break
        found.append(one)
    return found


def _rendered(text: str) -> str:
    return _ROLE.sub(r"`\1`", text).replace("``", "`")


def _item(line: str, section: str) -> str:
    found = _ITEM.match(line)
    if found is None:
        return f"  {line.strip()}"
    is_our_error = section == "Raises" and found[1] not in vars(builtins)
    name = f"[`{found[1]}`](#errors)" if is_our_error else f"`{found[1]}`"
    return f"- {name}: {found[2]}"


def _fenced(lines: list[str]) -> list[str]:
    """Put sessions of the interactive interpreter between fences."""
    found: list[str] = []
    is_open = False
    for line in lines:
        is_code = line.startswith((">>> ", "... "))
        if is_code != is_open:
            found.append("```python" if is_code else "```")
            is_open = is_code
        found.append(line[4:] if is_code else line)
    return [*found, "```"] if is_open else found
