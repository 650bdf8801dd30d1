"""``peers``, ``connections``, ``disconnect``: whom this node knows, and whom it has a tunnel to."""

from __future__ import annotations

from typing import cast

import click

from pilotdht.cli.arguments import HOST
from pilotdht.cli.output import ABSENT, duration, milliseconds, size
from pilotdht.cli.program import output, verb
from pilotdht.cli.session import ask
from pilotdht.daemon.shapes import ConnectionsShape, ContactsShape, DisconnectedShape

CONNECTION_COLUMNS = (
    *("ADDRESS", "HOSTNAME", "ENDPOINT", "ROAD", "WAY", "TRUSTED"),
    *("RTT", "LOST", "RECEIVED", "SENT", "STREAMS", "AGE"),
)
"""What ``connections`` tells of each tunnel."""

SPARE_COLUMNS = ("STREAMS", "ENDPOINT", "WAY", "AGE", "LOST")
"""Those that a narrow terminal can do without: whom, how good and how much is asked for first."""


@verb("peers", example="pilotdht peers", returns=ContactsShape)
@click.option("--search", metavar="TEXT", help="Only those whose address or endpoint contains this.")
@click.pass_context
def peers(context: click.Context, search: str | None) -> None:
    """List the routing table: nodes that answered lately."""
    contacts = cast("ContactsShape", ask(context, "/v1/peers"))["peers"]
    if search:
        wanted = search.lower()
        contacts = [entry for entry in contacts if wanted in f"{entry['address']} {entry['endpoint']}".lower()]
    rows = [
        (entry["address"], entry["endpoint"], milliseconds(entry["rtt_s"]), f"{duration(entry['last_seen_s'])} ago")
        for entry in contacts
    ]
    out = output(context)
    out.result(
        {"peers": contacts},
        lambda: out.table(("ADDRESS", "ENDPOINT", "RTT", "ANSWERED"), rows, empty="No peers known."),
    )


@verb("connections", example="pilotdht connections", returns=ConnectionsShape)
@click.pass_context
def connections(context: click.Context) -> None:
    """List the live tunnels."""
    entries = cast("ConnectionsShape", ask(context, "/v1/connections"))["connections"]
    rows = [
        (
            entry["address"],
            entry["hostname"] or ABSENT,
            f"via {entry['endpoint']}" if entry["relay"] else entry["endpoint"],
            entry["road"],
            "out" if entry["is_outgoing"] else "in",
            "yes" if entry["is_trusted"] else "no",
            milliseconds(entry["rtt_s"]),
            f"{entry['lost_share']:.1%}",
            size(entry["received_bytes"]),
            size(entry["sent_bytes"]),
            str(entry["streams"]),
            duration(entry["age_s"]),
        )
        for entry in entries
    ]
    out = output(context)

    def show() -> None:
        out.table(CONNECTION_COLUMNS, rows, empty="No tunnels.", spare=SPARE_COLUMNS)

    out.result({"connections": entries}, show)


@verb("disconnect", example="pilotdht disconnect agent-alpha", returns=DisconnectedShape)
@click.argument("host", type=HOST)
@click.pass_context
def disconnect(context: click.Context, host: str) -> None:
    """Close the tunnel to a peer; the next message opens another."""
    done = cast("DisconnectedShape", ask(context, "/v1/disconnect", {"target": host}))
    out = output(context)
    out.result(done, lambda: out.line("Tunnel closed" if done["was_connected"] else "There was no tunnel"))
