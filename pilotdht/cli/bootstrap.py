"""``bootstrap``: a node that others join through. Any node can be it; this one is set up as a public server."""

from __future__ import annotations

import click

from pilotdht.cli.daemon import run_in_foreground
from pilotdht.cli.program import Family, verb
from pilotdht.cli.start_options import settings_of, start_options
from pilotdht.daemon.shapes import StartedShape

DEFAULTS = {"preset": "bootstrap", "listen": ":4433"}
"""What holds when nothing else is said. The port also when another preset is chosen: others must know it."""

bootstrap = Family(name="bootstrap", help="Run a node that others join through.")


@start_options
@verb("run", example="pilotdht bootstrap run --listen :4433", returns=StartedShape, streams=True)
@click.pass_context
def run(
    context: click.Context, /, assignments: tuple[str, ...], bootstrap: tuple[str, ...], **named: str | None
) -> None:
    """Run a public server in the foreground, to be named in others' --bootstrap.

    Its settings are those of the preset 'bootstrap': port 4433, room for thousands of strangers, metrics on
    127.0.0.1:9464 (--metrics '' for none). 'pilotdht config show' with PILOTDHT_PRESET=bootstrap lists them.
    """
    settings = settings_of(assignments=assignments, bootstrap=bootstrap, **named)
    run_in_foreground(context, settings, defaults=DEFAULTS)


bootstrap.add_command(run)
