"""``join``: become a member of an org, or of a group by invitation."""

from __future__ import annotations

import click

from pilotdht.cli.arguments import secret_text
from pilotdht.cli.group import enter, label_options
from pilotdht.cli.program import verb
from pilotdht.daemon.group_shapes import GroupShape


@verb("join", example="pilotdht join --org acme --token -", returns=GroupShape)
@click.option("--org", "name", metavar="NAME", required=True, help="What it is called; checked against the invitation.")
@click.option(
    "--token",
    "invitation",
    envvar="PILOTDHT_INVITATION",
    metavar="INVITATION",
    required=True,
    help="The line that 'org invite' printed; '-' reads it from standard input, and the variable PILOTDHT_INVITATION "
    "may hold it: neither shows in the list of processes.",
)
@label_options
@click.pass_context
def join(
    context: click.Context, name: str, invitation: str, tags: tuple[str, ...], capabilities: tuple[str, ...]
) -> None:
    """Join an org, or another group by invitation."""
    fields: dict[str, object] = {
        "name": name,
        "invitation": secret_text(invitation),
        "tags": list(tags),
        "capabilities": list(capabilities),
    }
    enter(context, "/v1/groups/join", fields, is_new=False)
