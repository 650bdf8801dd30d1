"""``find``: who is behind a name, an address or a tag."""

from __future__ import annotations

from typing import cast

import click

from pilotdht.cli.arguments import HOST
from pilotdht.cli.program import output, verb
from pilotdht.cli.session import ask
from pilotdht.daemon.shapes import PeerShape, PeersShape
from pilotdht.errors import NotFound

MOST_PEERS = 10_000
"""Most peers asked for; --limit counts those that carry all tags."""


class FoundShape(PeerShape, total=False):
    """One peer for a host; for tags only ``peers``."""

    peers: list[PeerShape]


@verb("find", example="pilotdht find --tag finance", returns=FoundShape)
@click.argument("host", type=HOST, required=False)
@click.option(
    "--tag", "tags", multiple=True, metavar="TAG", help="Find all that carry this tag; repeated: all of them."
)
@click.option("--limit", type=click.IntRange(1), help="Most peers to print.")
@click.pass_context
def find(context: click.Context, host: str | None, tags: tuple[str, ...], limit: int | None) -> None:
    """Find a peer by name, address or did:key, or peers by tag."""
    if (host is None) == (not tags):
        raise click.UsageError("Give either a HOST or --tag.")
    out = output(context)
    if host is not None:
        peer = cast("PeerShape", ask(context, "/v1/find", {"target": host}))
        out.result(peer, lambda: out.facts(_facts(peer)))
        return
    found = cast("PeersShape", ask(context, "/v1/lookup", {"tag": tags[0], "limit": MOST_PEERS}))["peers"]
    peers = [peer for peer in found if set(tags) <= set(peer["tags"])][:limit]
    if not peers:
        raise NotFound(f"no peer carries the tag {', '.join(tags)}")
    rows = [(peer["address"], peer["hostname"], ", ".join(peer["tags"])) for peer in peers]
    out.result({"peers": peers}, lambda: out.table(("ADDRESS", "HOSTNAME", "TAGS"), rows, empty=""))


def _facts(peer: PeerShape) -> list[tuple[str, str]]:
    return [
        ("Address", peer["address"]),
        ("Identity", peer["did"]),
        ("Hostname", peer["hostname"]),
        ("Tags", ", ".join(peer["tags"])),
        ("Endpoints", ", ".join(peer["endpoints"])),
    ]
