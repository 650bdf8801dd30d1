"""``version``: which version runs here, and which one the daemon has."""

from __future__ import annotations

import platform
from typing import TypedDict, cast

import click

from pilotdht import __version__
from pilotdht.cli.program import output, verb
from pilotdht.cli.session import ask
from pilotdht.daemon.shapes import InfoShape
from pilotdht.errors import NoDaemon


class VersionShape(TypedDict):
    """Versions of what is installed and of what runs."""

    version: str
    python: str
    daemon: str | None


@verb("version", example="pilotdht version --json", returns=VersionShape)
@click.pass_context
def version(context: click.Context) -> None:
    """Print the versions of program, Python and daemon."""
    try:
        daemon: str | None = cast("InfoShape", ask(context, "/v1/info"))["version"]
    except NoDaemon:
        daemon = None
    data: VersionShape = {"version": __version__, "python": platform.python_version(), "daemon": daemon}
    out = output(context)
    out.result(
        data,
        lambda: out.facts(
            [("pilotdht", data["version"]), ("Python", data["python"]), ("Daemon", data["daemon"] or "not running")]
        ),
    )
