"""``dht``: look into the distributed hash table."""

from __future__ import annotations

import json
from typing import TypedDict, cast

import click

from pilotdht.cli.arguments import HOST
from pilotdht.cli.output import Output, milliseconds
from pilotdht.cli.program import Family, output, verb
from pilotdht.cli.session import ask
from pilotdht.daemon.shapes import LookupShape, RecordsShape


class StatsShape(TypedDict, total=False):
    """Figures of the DHT; the keys are those of the node."""


dht = Family(name="dht", help="Look into the distributed hash table.")


@verb("lookup", example="pilotdht dht lookup agent-alpha", returns=LookupShape)
@click.argument("target", type=HOST)
@click.pass_context
def lookup(context: click.Context, target: str) -> None:
    """Walk towards a name, address or key, and print the closest live nodes."""
    found = cast("LookupShape", ask(context, "/v1/dht/lookup", {"target": target}))
    out = output(context)
    out.result(found, lambda: _show_lookup(out, found))


def _show_lookup(out: Output, found: LookupShape) -> None:
    out.line(
        f"{found['target']} · {len(found['contacts'])} closest nodes · {found['requests']} requests · "
        f"{found['hops']} hops · {milliseconds(found['duration_s'])}"
    )
    rows = [(contact["address"], contact["endpoint"], contact["did"]) for contact in found["contacts"]]
    out.table(("ADDRESS", "ENDPOINT", "IDENTITY"), rows, empty="No node answered.", spare=("IDENTITY",))


@verb("get", example="pilotdht dht get agent-alpha", returns=RecordsShape)
@click.argument("target", type=HOST)
@click.pass_context
def get(context: click.Context, target: str) -> None:
    """Print the verified records under a name, address or key, tag:NAME or group:NAME."""
    found = cast("RecordsShape", ask(context, "/v1/dht/get", {"target": target}))
    out = output(context)
    out.result(found, lambda: _show_records(out, found))


def _show_records(out: Output, found: RecordsShape) -> None:
    for number, record in enumerate(found["records"]):
        if number:
            out.line("")
        out.facts([(name, _text(value)) for name, value in record.items()])


def _text(value: object) -> str:
    """Return a value as one line."""
    if isinstance(value, list):
        return ", ".join(_text(item) for item in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)


def _told(name: str) -> str:
    """Return the name of a figure as other verbs tell theirs."""
    return name.removeprefix("is_").replace("_", " ").capitalize()


@verb("stats", example="pilotdht dht stats", returns=StatsShape)
@click.pass_context
def stats(context: click.Context) -> None:
    """Print figures of the routing table, the stores and the lookups."""
    figures = cast("dict[str, object]", ask(context, "/v1/dht/stats"))
    out = output(context)
    out.result(figures, lambda: out.facts([(_told(name), _text(value)) for name, value in figures.items()]))


for _verb in (lookup, get, stats):
    dht.add_command(_verb)
