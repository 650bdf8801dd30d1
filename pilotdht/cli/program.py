"""The program's frame: commands loaded when they are used, options that stand before and after the verb, errors.

Each verb is a :class:`Verb`: it has help, an example, and a declared form of its JSON.
"""

from __future__ import annotations

import difflib
import errno
import importlib
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import click

from pilotdht.cli.exits import DONE, FAILED, INTERRUPTED, USAGE, exit_code
from pilotdht.cli.output import Output, show_error
from pilotdht.errors import InvalidArgument, PilotError

SECTIONS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "This node": {
        "daemon": ("daemon", "daemon"),
        "bootstrap": ("bootstrap", "bootstrap"),
        "status": ("status", "status"),
        "info": ("status", "info"),
        "netcheck": ("netcheck", "netcheck"),
        "ui": ("ui", "ui"),
        "metrics": ("metrics", "metrics"),
        "set-hostname": ("status", "set_hostname"),
        "set-tags": ("status", "set_tags"),
        "key": ("key", "key"),
        "config": ("config", "config"),
    },
    "Peers": {
        "find": ("find", "find"),
        "peers": ("peers", "peers"),
        "connections": ("peers", "connections"),
        "disconnect": ("peers", "disconnect"),
        "ping": ("ping", "ping"),
        "traceroute": ("traceroute", "traceroute"),
        "connect": ("connect", "connect"),
        "send": ("messages", "send"),
        "recv": ("messages", "recv"),
        "listen": ("listen", "listen"),
        "alias": ("alias", "alias"),
        "dht": ("dht", "dht"),
    },
    "Trust": {
        "handshake": ("trust", "handshake"),
        "pending": ("trust", "pending"),
        "approve": ("trust", "approve"),
        "reject": ("trust", "reject"),
        "trust": ("trust", "trust"),
        "untrust": ("trust", "untrust"),
    },
    "Groups and questions": {
        "group": ("group", "group"),
        "org": ("org", "org"),
        "join": ("join", "join"),
        "broadcast": ("events", "broadcast"),
        "publish": ("events", "publish"),
        "subscribe": ("events", "subscribe"),
        "query": ("query", "query"),
        "serve": ("serve", "serve"),
    },
    "This program": {
        "context": ("context", "context"),
        "completion": ("completion", "completion"),
        "bugreport": ("bugreport", "bugreport"),
        "version": ("version", "version"),
    },
}
"""Each top-level verb, under the heading where help lists it: its module in this package, and its name there."""

COMMANDS: Mapping[str, tuple[str, str]] = {name: home for verbs in SECTIONS.values() for name, home in verbs.items()}
"""All of them, in the order in which one meets them."""

_SETTINGS = {"help_option_names": ["-h", "--help"]}
_PREFIX = "pilotdht."


def _remember(context: click.Context, parameter: click.Parameter, value: object) -> None:
    """Keep a global option wherever it stood; the one nearest to the verb counts."""
    if value is not None and value is not False:
        context.meta[_PREFIX + str(parameter.name)] = value


def _global_options() -> list[click.Parameter]:
    """Return the options that every verb understands, before it and after it."""
    return [
        click.Option(
            ["--json", "json"],
            is_flag=True,
            expose_value=False,
            callback=_remember,
            help="Print JSON: one document, or one object a line for streams.",
        ),
        click.Option(
            ["--socket"],
            metavar="PATH",
            expose_value=False,
            callback=_remember,
            help="Control socket of the daemon.",
        ),
        click.Option(
            ["--config", "config"],
            metavar="FILE",
            expose_value=False,
            callback=_remember,
            help="Configuration file.",
        ),
        click.Option(
            ["--color"],
            type=click.Choice(["auto", "always", "never"]),
            expose_value=False,
            callback=_remember,
            help="Colours: auto (default), always, never.",
        ),
        click.Option(
            ["-v", "--verbose"],
            is_flag=True,
            expose_value=False,
            callback=_remember,
            help="Tell more; show where an error came from.",
        ),
    ]


def option(context: click.Context, name: str) -> Any:  # noqa: ANN401 - as click stores it
    """Return a global option, or ``None``."""
    return context.meta.get(_PREFIX + name)


def output(context: click.Context) -> Output:
    """Return where this command prints."""
    return Output(is_json=bool(option(context, "json")), color=option(context, "color") or "auto")


class Verb(click.Command):
    """One command."""

    def __init__(self, *args: Any, example: str, returns: type, streams: bool = False, **kwargs: Any) -> None:  # noqa: ANN401
        kwargs["params"] = [*(kwargs.get("params") or []), *_global_options()]
        super().__init__(*args, **{"context_settings": _SETTINGS, **kwargs})
        self.example = example
        """A line that can be typed."""
        self.returns = returns
        """The shape of ``data`` in its JSON form."""
        self.streams = streams
        """Whether it prints one JSON object a line."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the example and the keys of the JSON form."""
        with formatter.section("Example"):
            formatter.write(f"  {self.example}\n")
        keys = ", ".join(self.returns.__annotations__)
        with formatter.section("JSON, an object a line" if self.streams else "JSON"):
            formatter.write(f'  {{"status": "ok", "data": {{{keys}}}}}\n')


class Family(click.Group):
    """A group of verbs."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        kwargs["params"] = [*(kwargs.get("params") or []), *_global_options()]
        super().__init__(*args, context_settings=_SETTINGS, **kwargs)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb; a misspelt one is told with the nearest known."""
        name = args[0] if args else ""
        if not ctx.resilient_parsing and self.get_command(ctx, name) is None and not name.startswith("-"):
            near = difflib.get_close_matches(name, self.list_commands(ctx), n=1)
            suffix = f" Did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"No such command {name!r}.{suffix}", ctx)
        return super().resolve_command(ctx, args)


class Program(Family):
    """The top: loads a verb's module when the verb is used, and turns errors into exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order in which one meets them."""
        return list(COMMANDS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs under their headings."""
        width = max(len(name) for name in COMMANDS)
        for heading, verbs in SECTIONS.items():
            rows = []
            for name in verbs:
                command = self.get_command(ctx, name)
                assert command is not None, "a listed command exists"
                rows.append((name.ljust(width), command.get_short_help_str(formatter.width - 6 - width)))
            with formatter.section(heading):
                formatter.write_dl(rows)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a verb."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name]
        return cast("click.Command", getattr(importlib.import_module(f"pilotdht.cli.{module}"), attribute))

    def main(  # type: ignore[override]  # an exit code instead of overloads
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,  # noqa: ANN401
    ) -> int:
        """Run a command; exit with its code, or return it when not standing alone."""
        words = list(sys.argv[1:] if args is None else args)
        code = _run(
            lambda: super(Program, self).main(words, prog_name, complete_var, standalone_mode=False, **extra), words
        )
        if standalone_mode:
            sys.exit(code)
        return code


def _run(run: Callable[[], object], words: Sequence[str]) -> int:
    """Return the exit code of a command, its error printed."""
    own = words[: words.index("--")] if "--" in words else words
    is_json, is_verbose = "--json" in own, "-v" in own or "--verbose" in own
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without ✓ still gets the line
    try:
        result = run()
        sys.stdout.flush()
        return result if isinstance(result, int) else DONE
    except PilotError as error:
        show_error(error, is_json=is_json)
        if is_verbose:
            traceback.print_exc()
        return exit_code(type(error))
    except click.UsageError as error:
        help_path = error.ctx.command_path if error.ctx else "pilotdht"
        shown = InvalidArgument(error.format_message(), hint=f"see '{help_path} --help'")
        show_error(shown, is_json=is_json, usage=error.ctx.get_usage() if error.ctx else "")
        return USAGE
    except click.ClickException as error:
        show_error(InvalidArgument(error.format_message()), is_json=is_json)
        return FAILED
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except OSError as error:
        if error.errno != errno.EPIPE:
            raise
        os._exit(FAILED)  # nobody reads any more: flushing once again could only fail once again


def verb(name: str, *, example: str, returns: type, streams: bool = False) -> Callable[[Callable[..., Any]], Verb]:
    """Make a function a verb.

    Args:
        name: as it is typed.
        example: a line that can be typed.
        returns: the shape of ``data`` in its JSON form.
        streams: whether it prints one JSON object a line.
    """
    return click.command(name, cls=Verb, example=example, returns=returns, streams=streams)


def _version(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    """Print the version and end."""
    if value and not context.resilient_parsing:
        from pilotdht import __version__

        click.echo(f"pilotdht {__version__}")
        context.exit()


program = Program(
    name="pilotdht",
    help="Agents find each other, talk through encrypted tunnels and trust each other, without a broker.",
    params=[
        click.Option(
            ["--version"], is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print the version."
        )
    ],
)
"""The command line."""
