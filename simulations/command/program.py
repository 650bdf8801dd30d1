"""The program's frame: commands loaded when they are used, errors told in one line, exit codes.

``--debug`` shows where an error came from; without it no traceback reaches anybody.
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

from pilotdht.errors import InternalError, InvalidArgument, PilotError, UsageError
from simulations.command.output import Output, show_error

DONE = 0
"""Everything ran, and every bound was kept."""
FAILED = 1
"""A bound was missed, or a run failed."""
USAGE = 2
"""Wrong usage: nothing was run."""
INTERRUPTED = 130
"""Ended by Ctrl-C; what was done until then is kept."""

EXIT_CODES: Mapping[int, str] = {
    DONE: "done, every bound kept",
    FAILED: "a bound was missed, or a run failed",
    USAGE: "wrong usage",
    INTERRUPTED: "interrupted",
}
"""What each exit code means."""

COMMANDS: Mapping[str, tuple[str, str, str]] = {
    "list": ("listing", "listing", "The scenarios; with a name, its options."),
    "run": ("run", "run", "Run one scenario."),
    "compare": ("compare", "compare", "Run scenarios with pilotdht and with the stock kademlia."),
    "sweep": ("sweep", "sweep", "Run a scenario many times: seeds, sizes, parameters."),
    "report": ("report", "report", "Make plots and pages from results."),
    "replay": ("replay", "replay", "Show what happened around a moment of a run."),
}
"""Each verb: its module in this package, its name there, and its line in the list of verbs."""

ALIASES = {"show": "list"}
"""Other names of verbs."""

_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110, "show_default": True}
_PREFIX = "simulations."


def _remember(context: click.Context, parameter: click.Parameter, value: object) -> None:
    if value:
        context.meta[_PREFIX + str(parameter.name)] = value


def _global_options() -> list[click.Parameter]:
    """Return the options that every verb understands, before it and after it."""
    texts = {
        "json": "Print JSON: one document, or one object a line.",
        "quiet": "Show no progress and no remarks.",
        "debug": "Show where an error came from.",
    }
    return [
        click.Option([f"--{name}", name], is_flag=True, expose_value=False, callback=_remember, help=text)
        for name, text in texts.items()
    ]


def output(context: click.Context) -> Output:
    """Return where this command prints."""
    meta = context.meta
    return Output(is_json=bool(meta.get(_PREFIX + "json")), is_quiet=bool(meta.get(_PREFIX + "quiet")))


class Verb(click.Command):
    """One command."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:  # noqa: ANN401
        """Make it.

        Args:
            args: as click takes them.
            examples: lines that can be typed, after ``python -m simulations``.
            kwargs: as click takes them.
        """
        kwargs["params"] = [*(kwargs.get("params") or []), *_global_options()]
        super().__init__(*args, **{"context_settings": _SETTINGS, **kwargs})
        self.examples = tuple(examples)
        """Lines that can be typed."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        write_examples(formatter, self.examples)


class Family(click.Group):
    """A group of commands that are found when they are asked for."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:  # noqa: ANN401
        """Make it; the arguments are those of :class:`Verb`."""
        kwargs["params"] = [*(kwargs.get("params") or []), *_global_options()]
        super().__init__(*args, **{"context_settings": _SETTINGS, **kwargs})
        self.examples = tuple(examples)
        """Lines that can be typed."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        write_examples(formatter, self.examples)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; a misspelt one is told with the nearest known."""
        name = args[0] if args else ""
        if not ctx.resilient_parsing and not name.startswith("-") and self.get_command(ctx, name) is None:
            raise self.unknown(name, self.list_commands(ctx))
        return super().resolve_command(ctx, args)

    def unknown(self, name: str, known: Sequence[str]) -> PilotError:
        """Return the error for a name that is none of ``known``."""
        return InvalidArgument(f"{name[:80]!r} is no command", hint=nearest(name, known))


class Program(Family):
    """The top: loads a verb's module when the verb is used, and turns errors into exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order in which one meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a verb."""
        name = ALIASES.get(cmd_name, cmd_name)
        if name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[name]
        return cast("click.Command", getattr(importlib.import_module(f"simulations.command.{module}"), attribute))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of verbs without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in COMMANDS.items()])
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), text) for code, text in EXIT_CODES.items()])

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


def write_examples(formatter: click.HelpFormatter, examples: Sequence[str]) -> None:
    """Write lines that can be typed."""
    if examples:
        with formatter.section("Examples"):
            for example in examples:
                formatter.write(f"  python -m simulations {example}\n")


def nearest(name: str, known: Sequence[str]) -> str:
    """Return a hint: what may have been meant, and what there is."""
    near = difflib.get_close_matches(name, known, n=1)
    meant = f"did you mean {near[0]!r}? " if near else ""
    return f"{meant}there are: {', '.join(known)}"


def told(error: BaseException, place: str) -> tuple[PilotError, int]:
    """Return what people are told about an error, and the exit code.

    Args:
        error: what was raised; of a group of errors its first.
        place: the command that was typed, for the hint.
    """
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, PilotError):
        return error, USAGE if isinstance(error, UsageError) else FAILED
    if isinstance(error, click.UsageError):
        where = error.ctx.command_path if error.ctx else place
        text = error.format_message().rstrip(".").replace("\n", " ")
        return InvalidArgument(text, hint=f"see '{where} --help'"), USAGE
    if isinstance(error, MemoryError):
        return InternalError("out of memory", hint="use fewer --nodes, or a machine with more"), FAILED
    if isinstance(error, OSError):
        where = f": {error.filename}" if error.filename else ""
        return InternalError(f"{error.strerror or error}{where}", hint="--debug shows where"), FAILED
    return InternalError(f"{type(error).__name__}: {error}", hint="--debug shows where; please report it"), FAILED


def _run(run: Callable[[], object], words: Sequence[str]) -> int:
    """Return the exit code of a command, its error printed."""
    own = words[: words.index("--")] if "--" in words else words
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without the letter still gets the line
    try:
        result = run()
        sys.stdout.flush()
        return result if isinstance(result, int) else DONE
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return USAGE
    except Exception as error:  # noqa: BLE001 - the top: no traceback reaches people
        if isinstance(error, OSError) and error.errno == errno.EPIPE:
            os._exit(FAILED)  # nobody reads any more: flushing once again could only fail once again
        shown, code = told(error, "python -m simulations")
        show_error(shown, is_json="--json" in own)
        if "--debug" in own:
            traceback.print_exc()
        return code


program = Program(
    name="simulations",
    help="Runs whole networks of real nodes under a virtual clock: churn, partitions, adversaries, thousands of nodes, "
    "one seed one run.",
    examples=["list", "list churn", "run churn --small", "sweep churn --seeds 1..5 --nodes 100,300 --out results"],
)
"""The command line."""
