"""``context``: the whole command line as data, for programs that drive it."""

from __future__ import annotations

from typing import TypedDict

import click

from pilotdht import __version__
from pilotdht.cli.exits import EXIT_CODES, exit_code
from pilotdht.cli.program import Verb, output, verb
from pilotdht.cli.terminal_text import json_text
from pilotdht.daemon.envelope import error_classes


class ArgumentShape(TypedDict):
    """One argument or option."""

    name: str
    kind: str
    options: list[str]
    type: str
    is_required: bool
    is_repeatable: bool
    is_flag: bool
    help: str


class CommandShape(TypedDict):
    """One verb."""

    command: str
    help: str
    example: str
    parameters: list[ArgumentShape]
    returns: dict[str, str]
    streams: bool


class ErrorShape(TypedDict):
    """One error code."""

    code: str
    meaning: str
    hint: str
    exit_code: int


class CatalogueShape(TypedDict):
    """The whole command line."""

    program: str
    version: str
    commands: list[CommandShape]
    global_options: list[ArgumentShape]
    exit_codes: dict[str, str]
    errors: list[ErrorShape]
    envelope: dict[str, str]


@verb("context", example="pilotdht context", returns=CatalogueShape)
@click.pass_context
def context(context: click.Context) -> None:
    """Print the whole command line as data. Verbs, arguments, options, JSON keys, exit and error codes, as JSON."""
    data = catalogue(context.find_root())
    out = output(context)
    out.result(data, lambda: click.echo(json_text(data, indent=2)))


def catalogue(root: click.Context) -> CatalogueShape:
    """Return the catalogue of the program that ``root`` runs."""
    top = _parameters(root.command, root)
    common = {parameter["name"] for parameter in top if parameter["name"] not in ("help", "version")}
    commands: list[CommandShape] = []
    _collect(root.command, root, common, commands)
    return {
        "program": "pilotdht",
        "version": __version__,
        "commands": commands,
        "global_options": top,
        "exit_codes": {str(code): meaning for code, meaning in EXIT_CODES.items()},
        "errors": [
            {
                "code": kind.code,
                "meaning": (kind.__doc__ or "").split("\n", 1)[0],
                "hint": kind.default_hint,
                "exit_code": exit_code(kind),
            }
            for kind in error_classes()
        ],
        "envelope": {
            "ok": '{"status": "ok", "data": …}',
            "error": '{"status": "error", "code", "message", "hint"}',
        },
    }


def _collect(command: click.Command, place: click.Context, common: set[str], into: list[CommandShape]) -> None:
    """Add a command and those below it."""
    if isinstance(command, click.Group):
        for name in command.list_commands(place):
            inner = command.get_command(place, name)
            assert inner is not None, "a listed command exists"
            _collect(inner, click.Context(inner, info_name=name, parent=place), common, into)
    elif isinstance(command, Verb):
        own = [entry for entry in _parameters(command, place) if entry["name"] not in common | {"help"}]
        into.append(
            {
                "command": place.command_path.split(" ", 1)[1],
                "help": command.get_short_help_str(300),
                "example": command.example,
                "parameters": own,
                "returns": {name: _type_text(kind) for name, kind in command.returns.__annotations__.items()},
                "streams": command.streams,
            }
        )


def _parameters(command: click.Command, place: click.Context) -> list[ArgumentShape]:
    """Return a command's arguments and options, from click's own description of them."""
    return [
        {
            "name": parameter["name"],
            "kind": parameter["param_type_name"],
            "options": parameter["opts"] if parameter["param_type_name"] == "option" else [],
            "type": parameter["type"]["name"],
            "is_required": parameter["required"],
            "is_repeatable": parameter["multiple"] or parameter["nargs"] == -1,
            "is_flag": parameter.get("is_flag", False),
            "help": parameter.get("help") or "",
        }
        for parameter in command.to_info_dict(place)["params"]
    ]


def _type_text(kind: object) -> str:
    """Return a type annotation as it is written."""
    return str(getattr(kind, "__forward_arg__", kind))
