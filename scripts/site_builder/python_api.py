"""The page ``docs/sdk.md``: every public name of the package, from signatures and docstrings."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
import typing
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum

import pilotdht
from pilotdht.errors import PilotError
from scripts.site_builder.command_line import cell
from scripts.site_builder.docstrings import first_line, markdown, paragraphs
from scripts.site_builder.members import Member, MemberKind, constant_doc, constructor, members_of, signature

_HEAD = """\
# Python API

Every public name of the package `pilotdht`, made from signatures and docstrings by `scripts/site --write`; a test holds
it to that. All else in the package may change. How it is used: [README](../README.md#inside-a-python-program),
[groups](groups.md#from-python), [questions](queries.md). `Node` is an agent inside a program. `Client` has the same
verbs and speaks to a daemon; there, what asks the daemon is awaited.

Parameters after the first are given by keyword. Durations are seconds, sizes bytes. Everything runs on one asyncio
loop, and whatever is opened by `async with` is closed when the block ends.
"""

CHAPTERS: Mapping[str, tuple[str, ...]] = {
    "The node and its client": ("Node", "Client", "Config"),
    "Peers and streams": ("Peer", "Stream", "Listener", "Message", "Endpoint", "parse_endpoint"),
    "Identity": ("KeyPair", "PublicKey", "Address"),
    "Groups": (
        "Group",
        "GroupKind",
        "GroupInfo",
        "MemberInfo",
        "MemberStatus",
        "MemberEvent",
        "MemberChange",
        "Event",
        "Role",
    ),
    "Questions": ("Question", "Reply", "Answer", "Explanation"),
}
"""Which public names stand where; errors have a chapter of their own."""

_PLAIN = ("__version__",)

_INSIDE = ("BodyKeeper", "Contact", "Rooms")
"""Classes of the inside that public ones name for tests and for each other."""


def page() -> str:
    """Return the page.

    Raises:
        LookupError: a public name has no chapter.
    """
    chosen = [name for names in CHAPTERS.values() for name in names]
    errors = [name for name in pilotdht.__all__ if _is_error(getattr(pilotdht, name))]
    missing = set(pilotdht.__all__) - {*chosen, *errors, *_PLAIN}
    if missing:
        raise LookupError(f"no chapter of scripts/site_builder/python_api.py has {sorted(missing)}")
    parts = [_HEAD]
    for heading, names in CHAPTERS.items():
        parts.append(f"\n## {heading}\n")
        parts += [_name(name) for name in names]
    parts += ["\n## Values\n\nWhat else methods take and return.\n"]
    parts += [_class(kind.__name__, kind) for kind in _values([getattr(pilotdht, name) for name in chosen])]
    parts += [_errors(errors), f"\n## Version\n\n`pilotdht.__version__`, a text: `{pilotdht.__version__}`.\n"]
    return "".join(parts)


def _is_error(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, PilotError)


def _name(name: str) -> str:
    value = getattr(pilotdht, name)
    if inspect.isclass(value):
        return _class(name, value)
    if isinstance(value, typing.NewType):
        base, doc = value.__supertype__.__name__, constant_doc(value.__module__, name)
        return f'\n### {name}\n\n```python\n{name} = NewType("{name}", {base})\n```\n\n{markdown(doc)}\n'
    tree = ast.parse(textwrap.dedent(inspect.getsource(value))).body[0]
    assert isinstance(tree, ast.FunctionDef | ast.AsyncFunctionDef)
    code = signature(tree, name=name, is_bound=False)
    return f"\n### {name}\n\n```python\n{code}\n```\n\n{markdown(inspect.getdoc(value) or '')}\n"


def _class(name: str, kind: type) -> str:
    members = members_of(kind)
    fields = [one for one in members if one.kind is MemberKind.FIELD]
    parts = [f"\n### {name}\n\n{markdown(kind.__doc__ or '')}\n"]
    written = None if issubclass(kind, Enum) else constructor(kind)
    is_made_by_callers = name in pilotdht.__all__ and not dataclasses.is_dataclass(kind)
    if written is not None and is_made_by_callers and ast.get_docstring(written) is not None:
        parts.append(f"\n```python\n{signature(written, name=name, is_bound=True)}\n```\n")
        parts.append(f"\n{markdown(ast.get_docstring(written) or '')}\n")
    if fields:
        parts.append("\n" + _fields(fields, is_enum=issubclass(kind, Enum)))
    parts += [
        f"\n#### {name}.{one.name}\n\n```python\n{one.signature}\n```\n\n{markdown(one.doc)}\n"
        for one in members
        if one.kind is MemberKind.METHOD
    ]
    return "".join(parts)


def _fields(fields: list[Member], *, is_enum: bool) -> str:
    if is_enum:
        rows = [f"| `{one.name}` | {cell(first_line(one.doc))} |" for one in fields]
        return "\n".join(["| member | meaning |", "|---|---|", *rows, ""])
    rows = [f"| `{one.name}` | {_code(one.signature)} | {_code(one.default)} | {cell(_whole(one))} |" for one in fields]
    return "\n".join(["| field | type | default | meaning |", "|---|---|---|---|", *rows, ""])


def _whole(one: Member) -> str:
    """Return what a field means, without the sections that a property's docstring may have."""
    return " ".join(" ".join(paragraphs(one.doc)).split())


def _code(text: str) -> str:
    return f"`{text}`".replace("|", r"\|") if text else ""


def _errors(names: list[str]) -> str:
    rows = []
    for name in names:
        kind: type[PilotError] = getattr(pilotdht, name)
        base = kind.__mro__[1].__name__
        meaning = cell(first_line(kind.__doc__ or ""))
        rows.append(f"| `{name}` | `{base}` | `{kind.code}` | {meaning} | {cell(kind.default_hint)} |")
    text = (
        "\n## Errors\n\nEach error has a stable `code`, a `message`, and a `hint` that says what to try next. "
        "`UsageError`: this caller; `RemoteError`: the peer or the network; `InternalError`: a bug.\n\n"
    )
    table = ["| error | is a | `code` | meaning | hint, unless a better one is known |", "|---|---|---|---|---|"]
    return text + "\n".join([*table, *rows, ""])


def _values(public: list[object]) -> list[type]:
    """Return the classes of values that are named in public classes, or in such values, sorted by name."""
    found: dict[str, type] = {}
    pending = [one for one in public if isinstance(one, type)]
    while pending:
        for kind in _mentioned(pending.pop()):
            if kind.__name__ in found or kind.__name__ in pilotdht.__all__ or not _is_ours(kind):
                continue
            found[kind.__name__] = kind
            if _is_value(kind):
                pending.append(kind)
    return [found[name] for name in sorted(found)]


def _is_ours(kind: type) -> bool:
    package, _, rest = kind.__module__.partition(".")
    return package == "pilotdht" and not rest.startswith("config") and kind.__name__ not in _INSIDE


def _is_value(kind: type) -> bool:
    return dataclasses.is_dataclass(kind) or issubclass(kind, Enum) or hasattr(kind, "_fields")


def _mentioned(kind: type) -> Iterator[type]:
    """Yield the classes in the annotations of a class's public fields, properties and methods."""
    for base in kind.__mro__:
        if base.__module__.startswith("pilotdht."):
            for name, value in vars(base).items():
                if name.startswith("_"):
                    continue
                function = inspect.unwrap(value.fget if isinstance(value, property) else value)
                if isinstance(function, classmethod | staticmethod):
                    function = function.__func__
                if inspect.isfunction(function):
                    yield from _classes_in(typing.get_type_hints(function).values())
    if dataclasses.is_dataclass(kind) or hasattr(kind, "_fields"):
        for name, annotation in typing.get_type_hints(kind).items():
            if not name.startswith("_"):
                yield from _classes_in([annotation])


def _classes_in(annotations: Iterable[object]) -> Iterator[type]:
    for one in annotations:
        origin = typing.get_origin(one)
        kind = one if origin is None else origin
        if isinstance(kind, type):
            yield kind
        yield from _classes_in(typing.get_args(one))
