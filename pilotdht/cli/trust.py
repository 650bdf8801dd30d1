"""``handshake``, ``pending``, ``approve``, ``reject``, ``trust``, ``untrust``: who may open what here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import click

from pilotdht.cli.arguments import HOST
from pilotdht.cli.output import moment
from pilotdht.cli.program import output, verb
from pilotdht.cli.session import ask
from pilotdht.daemon.shapes import PendingShape, TrustedShape, TrustShape

WORDS = {
    "none": "No trust",
    "pending_in": "Asked by the peer; approve it with 'pilotdht approve'",
    "pending_out": "Asked; waiting for the peer's approval",
    "trusted": "Trusted",
    "rejected": "Rejected",
}
"""How each state is told to people."""


def _told(step: TrustShape) -> str:
    """Return where trust stands, and what becomes of a word that the peer has not heard yet."""
    parts = [WORDS.get(step["state"], step["state"])]
    if step["owed"] is not None:
        holders = step["letter_holders"]
        nodes = "1 node" if holders == 1 else f"{holders} nodes"
        fate = f"left with {nodes}, delivered when it is back" if holders else "it is told as soon as it can be reached"
        parts.append(f"the peer does not answer: {fate}")
    return " · ".join([*parts, step["address"]])


def _tell(context: click.Context, path: str, fields: dict[str, object]) -> None:
    """Take one step and print where trust stands."""
    step = cast("TrustShape", ask(context, path, fields))
    out = output(context)
    out.result(step, lambda: out.line(_told(step)))


def _list(context: click.Context, path: str, key: str, *, search: str | None, empty: str) -> None:
    """Print entries of the trust book."""
    entries = cast("dict[str, list[TrustShape]]", ask(context, path))[key]
    if search:
        wanted = search.lower()
        entries = [entry for entry in entries if wanted in f"{entry['address']} {entry['hostname']}".lower()]
    columns = ("ADDRESS", "HOSTNAME", "SINCE", "REASON")
    out = output(context)
    out.result({key: entries}, lambda: out.table(columns, _rows(entries), empty=empty))


def _rows(entries: Sequence[TrustShape]) -> list[tuple[str, ...]]:
    return [(entry["address"], entry["hostname"], moment(entry["since"]), entry["reason"]) for entry in entries]


@verb("handshake", example='pilotdht handshake agent-alpha "we work on the same report"', returns=TrustShape)
@click.argument("host", type=HOST)
@click.argument("reason", default="")
@click.pass_context
def handshake(context: click.Context, host: str, reason: str) -> None:
    """Ask a peer for trust. It is given at once when the peer has asked too.

    A peer that is offline is asked by its did:key, or by a name that this node knows already: the request is left with
    other nodes, sealed for the peer, and waits there for up to a week.
    """
    _tell(context, "/v1/trust/handshake", {"target": host, "reason": reason})


@verb("pending", example="pilotdht pending", returns=PendingShape)
@click.pass_context
def pending(context: click.Context) -> None:
    """List requests for trust that wait for an answer."""
    _list(context, "/v1/trust/pending", "pending", search=None, empty="No requests wait.")


@verb("approve", example="pilotdht approve agent-beta", returns=TrustShape)
@click.argument("host", type=HOST)
@click.pass_context
def approve(context: click.Context, host: str) -> None:
    """Give trust to a peer that asked."""
    _tell(context, "/v1/trust/approve", {"target": host})


@verb("reject", example='pilotdht reject agent-beta "not expected"', returns=TrustShape)
@click.argument("host", type=HOST)
@click.argument("reason", default="")
@click.pass_context
def reject(context: click.Context, host: str, reason: str) -> None:
    """Refuse trust to a peer that asked."""
    _tell(context, "/v1/trust/reject", {"target": host, "reason": reason})


@verb("trust", example="pilotdht trust", returns=TrustedShape)
@click.option("--search", metavar="TEXT", help="Only those whose address or hostname contains this.")
@click.pass_context
def trust(context: click.Context, search: str | None) -> None:
    """List the peers that this node trusts."""
    _list(context, "/v1/trust", "trusted", search=search, empty="Nobody is trusted.")


@verb("untrust", example="pilotdht untrust agent-beta", returns=TrustShape)
@click.argument("host", type=HOST)
@click.pass_context
def untrust(context: click.Context, host: str) -> None:
    """Take trust back. The peer's tunnels are cut at once."""
    _tell(context, "/v1/trust/untrust", {"target": host})
