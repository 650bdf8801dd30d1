"""The page ``docs/cli.md``: every verb with its usage, options, example and JSON form, from the program itself."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import click

from pilotdht.cli.context import catalogue
from pilotdht.cli.program import SECTIONS, Verb, program

_HEAD = """\
# Command line

Every verb of `pilotdht`, which is also installed as `pilotctl`. This page is made from the program by
`scripts/site --write`; a test holds it to that. `pilotdht VERB --help` prints the same, `pilotdht context` all of it
as data.

Results go to standard output, all else to standard error. No verb asks anything back. With `--json` a verb prints one
document, or an object a line where it says so: `{"status": "ok", "data": …}` or
`{"status": "error", "code", "message", "hint"}`. Durations are seconds, sizes bytes, times Unix seconds.
"""

_WORDS: Mapping[object, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    object: "anything",
    types.NoneType: "null",
}
"""How the types of JSON are called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedVerb:
    """A verb, and the words that lead to it."""

    path: str
    """As it is typed after ``pilotdht``, such as ``daemon start``."""
    verb: Verb
    """The verb itself."""
    context: click.Context
    """Its place in the program."""


def page() -> str:
    """Return the page."""
    root = _root()
    shapes: dict[str, type] = {}
    parts = [_HEAD, "\n## Options of every verb\n\n", _options(_global_options(root))]
    for heading, names in SECTIONS.items():
        parts.append(f"\n## {heading}\n")
        for name in names:
            command = program.get_command(root, name)
            assert command is not None, "a listed command exists"
            place = click.Context(command, info_name=name, parent=root)
            parts += [_section(placed, shapes) for placed in verbs_below(command, place)]
    parts += [_shape_sections(shapes), _codes(root)]
    return "".join(parts)


def verbs_below(command: click.Command, place: click.Context) -> Iterator[PlacedVerb]:
    """Yield the verbs of a command, in the order in which its help lists them."""
    if isinstance(command, click.Group):
        for name in command.list_commands(place):
            inner = command.get_command(place, name)
            assert inner is not None, "a listed command exists"
            yield from verbs_below(inner, click.Context(inner, info_name=name, parent=place))
    elif isinstance(command, Verb):
        yield PlacedVerb(path=place.command_path.split(" ", 1)[1], verb=command, context=place)


def cell(text: str) -> str:
    """Return a text as it stands in a cell of a table."""
    return " ".join(text.split()).replace("|", r"\|").replace("<", "&lt;")


def _section(placed: PlacedVerb, shapes: dict[str, type]) -> str:
    usage = " ".join([placed.context.command_path, *placed.verb.collect_usage_pieces(placed.context)])
    own = [one for one in placed.verb.get_params(placed.context) if one.name not in _global_names()]
    table = _options(one for one in own if isinstance(one, click.Option))
    return "".join(
        [
            f"\n### {placed.path}\n\n{_help(placed.verb)}\n\n```text\n{usage}\n```\n\n",
            f"{table}\n" if table else "",
            f"Example: `{placed.verb.example}`\n\n",
            _json(placed.verb, shapes),
        ]
    )


def _help(verb: Verb) -> str:
    paragraphs = inspect.cleandoc(verb.help or "").replace("\b\n", "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()).replace("<", "&lt;") for paragraph in paragraphs)


def _json(verb: Verb, shapes: dict[str, type]) -> str:
    way = "an object a line, each" if verb.streams else "`data` is"
    if not verb.returns.__annotations__:
        return f"JSON: {way} an object whose keys depend on the node.\n"
    return f"JSON: {way} {_typed(verb.returns, shapes)}.\n"


def _typed(kind: object, shapes: dict[str, type]) -> str:
    """Return a type in words, and remember the shapes that it names."""
    if kind in _WORDS:
        return _WORDS[kind]
    if typing.is_typeddict(kind):
        assert isinstance(kind, type)
        known = shapes.setdefault(kind.__name__, kind)
        assert known is kind, f"two shapes are called {kind.__name__}"
        return f"[{kind.__name__}](#{kind.__name__.lower()})"
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is list:
        return f"list of {_typed(arguments[0], shapes)}"
    if origin in (dict, Mapping):
        return f"object of {_typed(arguments[1], shapes)}"
    if origin in (types.UnionType, typing.Union):
        return " or ".join(_typed(one, shapes) for one in arguments)
    if origin is typing.Literal:
        return " or ".join(f"`{one}`" for one in arguments)
    if origin in (typing.NotRequired, typing.Required, typing.Annotated):
        return _typed(arguments[0], shapes)
    raise TypeError(f"no words for {kind!r}")


def _shape_sections(shapes: dict[str, type]) -> str:
    done: dict[str, str] = {}
    while pending := [name for name in shapes if name not in done]:
        for name in pending:
            done[name] = _shape(shapes[name], shapes)
    sections = [f"\n### {name}\n\n{done[name]}" for name in sorted(done)]
    return "\n## Shapes of JSON\n\nA program should pass over keys that it does not know.\n" + "".join(sections)


def _shape(kind: type, shapes: dict[str, type]) -> str:
    optional: frozenset[str] = getattr(kind, "__optional_keys__", frozenset())
    rows = [
        f"| `{key}` | {_typed(value, shapes)}{', may be missing' if key in optional else ''} |"
        for key, value in typing.get_type_hints(kind).items()
    ]
    text = " ".join((inspect.getdoc(kind) or "").split()).replace("``", "`")
    return "\n".join([text, "", "| key | value |", "|---|---|", *rows, ""])


def _codes(root: click.Context) -> str:
    data = catalogue(root)
    exits = [f"| {code} | {cell(meaning)} |" for code, meaning in data["exit_codes"].items()]
    errors = [
        f"| `{one['code']}` | {cell(one['meaning'])} | {cell(one['hint'])} | {one['exit_code']} |"
        for one in data["errors"]
    ]
    return "\n".join(
        [
            "\n## Exit codes\n\n| code | meaning |\n|---|---|",
            *exits,
            "\n## Error codes\n\nHints that fit the case better replace these.\n",
            "| `code` | meaning | hint | exit code |\n|---|---|---|---|",
            *errors,
            "",
        ]
    ).replace("``", "`")


def _options(options: Iterable[click.Option]) -> str:
    rows = [f"| {_spelling(one)} | {cell(one.help or '')} |" for one in options if not one.hidden]
    return "\n".join(["| option | meaning |", "|---|---|", *rows, ""]) if rows else ""


def _spelling(option: click.Option) -> str:
    """Return how an option is typed, with a word for its value."""
    words = ", ".join([*option.opts, *option.secondary_opts])
    if option.is_flag or option.count:
        return f"`{words}`"
    if option.metavar is None and isinstance(option.type, click.Choice):
        value = r"\|".join(str(one) for one in option.type.choices)
    else:
        value = (option.metavar or option.type.name.upper().replace("INTEGER RANGE", "NUMBER")).replace("|", r"\|")
    return f"`{words} {value}`"


def _global_options(root: click.Context) -> list[click.Option]:
    return [one for one in program.get_params(root) if isinstance(one, click.Option) and one.name != "version"]


def _root() -> click.Context:
    """Return the context of the program itself, with its settings: a help option is made for whoever asks first."""
    return click.Context(program, info_name="pilotdht", **program.context_settings)


def _global_names() -> set[str]:
    return {str(one.name) for one in _global_options(_root())}
