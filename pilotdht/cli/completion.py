"""``completion``: the script that teaches a shell this command line."""

from __future__ import annotations

from typing import TypedDict

import click
from click.shell_completion import get_completion_class

from pilotdht.cli.program import output, verb

SHELLS = ("bash", "zsh", "fish")
PROGRAMS = ("pilotdht", "pilotctl")


class CompletionShape(TypedDict):
    """A completion script."""

    shell: str
    script: str


@verb("completion", example='eval "$(pilotdht completion bash)"', returns=CompletionShape)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script for a shell. Hostnames are completed from the running daemon."""
    kind = get_completion_class(shell)
    assert kind is not None, "click has a class for each of these shells"
    root = context.find_root().command
    scripts = [kind(root, {}, name, f"_{name.upper()}_COMPLETE") for name in PROGRAMS]
    variables = [script.source_vars() for script in scripts]  # as source() does, without its look at the bash version
    script = "\n".join(kind.source_template % values for values in variables)
    out = output(context)
    out.result({"shell": shell, "script": script}, lambda: click.echo(script))
