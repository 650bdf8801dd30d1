"""``metrics``: what the node counts, and which nodes Prometheus may scrape."""

from __future__ import annotations

import json
from typing import TypedDict, cast

import click

from pilotdht.cli.output import Output
from pilotdht.cli.program import Family, output, verb
from pilotdht.cli.session import with_daemon
from pilotdht.client.channel import ControlChannel
from pilotdht.daemon.shapes import ScrapeTargetsShape


class MetricsShape(TypedDict):
    """All metrics of a node."""

    text: str


metrics = Family(name="metrics", help="Show what nodes count, and whom Prometheus may scrape.")


@verb("show", example="pilotdht metrics show", returns=MetricsShape)
@click.pass_context
def show(context: click.Context) -> None:
    """Print all metrics in the text format of Prometheus."""

    async def work(channel: ControlChannel) -> str:
        return await channel.text("/metrics")

    text = with_daemon(context, work)
    out = output(context)
    out.result({"text": text}, lambda: _print(out, text))


@verb("targets", example="pilotdht metrics targets", returns=ScrapeTargetsShape)
@click.pass_context
def targets(context: click.Context) -> None:
    """Print whom Prometheus may scrape. Asks trusted peers and members of orgs; those that announce it are listed.

    Prints the JSON of service discovery: write it to a file that file_sd_configs names, or let Prometheus fetch it from
    /targets of the metrics port.
    """

    async def work(channel: ControlChannel) -> object:
        return await channel.get("/v1/metrics/targets")

    found = cast("ScrapeTargetsShape", with_daemon(context, work))
    out = output(context)
    out.result(found, lambda: _print(out, json.dumps(found["targets"], indent=1)))


def _print(out: Output, text: str) -> None:
    for line in text.splitlines():
        out.line(line)


for command in (show, targets):
    metrics.add_command(command)
