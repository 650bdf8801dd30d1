"""``alias``: names of one's own for peers, which nobody else can claim."""

from __future__ import annotations

from typing import cast

import click

from pilotdht.cli.arguments import HOST
from pilotdht.cli.program import Family, output, verb
from pilotdht.cli.session import ask
from pilotdht.daemon.shapes import AliasesShape, AliasRemovedShape, AliasShape

alias = Family(name="alias", help="Give peers names of your own that nobody else can claim.")


@verb("set", example="pilotdht alias set accountant agent-beta", returns=AliasShape)
@click.argument("name")
@click.argument("host", type=HOST)
@click.pass_context
def set_(context: click.Context, name: str, host: str) -> None:
    """Let a name stand for a peer's key."""
    done = cast("AliasShape", ask(context, "/v1/alias/set", {"alias": name, "target": host}))
    out = output(context)
    out.result(done, lambda: out.line(f"{done['alias']} is {done['address']}"))


@verb("remove", example="pilotdht alias remove accountant", returns=AliasRemovedShape)
@click.argument("name", type=HOST)
@click.pass_context
def remove(context: click.Context, name: str) -> None:
    """Forget a name."""
    done = cast("AliasRemovedShape", ask(context, "/v1/alias/remove", {"alias": name}))
    out = output(context)
    out.result(done, lambda: out.line("Forgotten" if done["was_set"] else "There was no such name"))


@verb("list", example="pilotdht alias list", returns=AliasesShape)
@click.pass_context
def list_(context: click.Context) -> None:
    """List the names and whom they stand for."""
    found = cast("AliasesShape", ask(context, "/v1/aliases"))
    rows = [(entry["alias"], entry["address"]) for entry in found["aliases"]]
    out = output(context)
    out.result(found, lambda: out.table(("NAME", "ADDRESS"), rows, empty="No names."))


for command in (set_, remove, list_):
    alias.add_command(command)
