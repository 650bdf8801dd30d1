"""The tree of errors: drawn as it is, with stable codes and useful hints."""

from __future__ import annotations

import inspect
import re

from pilotdht import errors
from pilotdht.errors import PilotError

CLASSES = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, PilotError)]


def drawn_parents() -> dict[str, str]:
    """Return the parent of each class as the module's docstring draws it; empty for the root."""
    parents: dict[str, str] = {}
    line_of: list[str] = []  # the last class seen at each depth
    for line in (errors.__doc__ or "").splitlines():
        match = re.fullmatch(r"    ((?:[│ ] {3})*)(?:[├└]── )?([A-Z]\w+)(?:  +\S.*)?", line)
        if match is None:
            continue
        depth = len(match.group(1)) // 4 + ("── " in line)
        parents[match.group(2)] = line_of[depth - 1] if depth else ""
        line_of[depth:] = [match.group(2)]
    return parents


def test_errors_docstring_draws_the_tree_as_it_is() -> None:
    """Each class stands in the drawing below its base, and the drawing has no other."""
    actual = {error.__name__: "" if error is PilotError else error.__bases__[0].__name__ for error in CLASSES}
    assert drawn_parents() == actual


def test_errors_have_codes_of_their_own() -> None:
    """Each class has its own code, in lower-case words."""
    codes = {error.__name__: vars(error).get("code", "") for error in CLASSES}
    assert len(set(codes.values())) == len(codes)
    assert [] == [name for name, code in codes.items() if not re.fullmatch(r"[a-z]+(_[a-z]+)*", code)]


def test_errors_have_hints() -> None:
    """Each class has its own hint."""
    assert [] == [error.__name__ for error in CLASSES if not vars(error).get("default_hint", "").strip()]


def test_error_given_a_hint_prefers_it() -> None:
    """A hint given where the error is raised replaces the one of the class."""
    assert "turn it on" == PilotError("it is off", hint="turn it on").hint
    assert PilotError.default_hint == PilotError("it is off").hint
