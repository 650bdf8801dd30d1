"""``bootstrap``: a node that others join through. Any node can be it; this one has a known port and no name."""

from __future__ import annotations

import click

from pilotdht.cli.daemon import run_in_foreground, settings_of, start_options
from pilotdht.cli.program import Family, verb
from pilotdht.daemon.shapes import StartedShape

BOOTSTRAP_LISTEN = ":4433"

bootstrap = Family(name="bootstrap", help="Run a node that others join through.")


@start_options
@verb("run", example="pilotdht bootstrap run --listen :4433", returns=StartedShape, streams=True)
@click.pass_context
def run(
    context: click.Context, /, assignments: tuple[str, ...], bootstrap: tuple[str, ...], **named: str | None
) -> None:
    """Run a node on a known port in the foreground, to be named in others' --bootstrap."""
    settings = settings_of(assignments=assignments, bootstrap=bootstrap, **named)
    run_in_foreground(context, settings, defaults={"listen": BOOTSTRAP_LISTEN})


bootstrap.add_command(run)
