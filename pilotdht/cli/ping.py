"""``ping``: round trips over the tunnel to a peer."""

from __future__ import annotations

import asyncio
from typing import TypedDict, cast

import click

from pilotdht.cli.arguments import HOST, SECONDS
from pilotdht.cli.output import Output, milliseconds
from pilotdht.cli.program import output, verb
from pilotdht.cli.session import with_daemon
from pilotdht.client.channel import ControlChannel
from pilotdht.daemon.shapes import PingShape
from pilotdht.errors import PilotError, RemoteError, Unreachable

UNTIL_DIRECT = 10
"""Round trips until a relayed road is taken for the best there is."""


class ReplyShape(TypedDict):
    """One round trip, and the road that it took: ``lan``, ``direct`` or ``relayed``."""

    rtt_ms: float
    road: str


class PingReportShape(TypedDict):
    """Round trips to one peer."""

    address: str
    sent: int
    received: int
    replies: list[ReplyShape]


@verb("ping", example="pilotdht ping agent-alpha --count 3", returns=PingReportShape)
@click.argument("host", type=HOST)
@click.option("-c", "--count", type=click.IntRange(1, 1_000_000), help="Round trips (1).")
@click.option("-i", "--interval", type=SECONDS, default=1.0, help="Pause between round trips (1s).")
@click.option("--timeout", type=SECONDS, default=5.0, help="How long to wait for each (5s).")
@click.option("--until-direct", is_flag=True, help="Go on until no relay is in between, at most --count times (10).")
@click.pass_context
def ping(
    context: click.Context, host: str, count: int | None, interval: float, timeout: float, *, until_direct: bool
) -> None:
    """Measure the round trip to a peer. Fails when no reply came, or with --until-direct none without a relay."""
    out = output(context)
    most = count or (UNTIL_DIRECT if until_direct else 1)

    async def work(channel: ControlChannel) -> PingReportShape:
        report: PingReportShape = {"address": "", "sent": 0, "received": 0, "replies": []}
        failure: PilotError | None = None
        for number in range(most):
            if number:
                await asyncio.sleep(interval)
            report["sent"] += 1
            try:
                reply = cast("PingShape", await channel.post("/v1/ping", {"target": host, "timeout_s": timeout}))
            except RemoteError as error:
                failure = error
                _show_failure(out, host, error, is_alone=most == 1)
            else:
                report["address"] = reply["address"]
                report["received"] += 1
                report["replies"].append({"rtt_ms": reply["rtt_s"] * 1000, "road": reply["road"]})
                _show_reply(out, reply)
                if until_direct and reply["road"] != "relayed":
                    return report
        if until_direct and report["received"]:
            raise Unreachable(
                f"{host} is reached through a relay only",
                hint="'pilotdht traceroute' shows which; two NATs that give each peer another random port never meet",
            )
        if failure is not None and not report["received"]:
            raise failure
        return report

    report = with_daemon(context, work)
    out.result(report, lambda: _show_summary(out, report))


def _show_reply(out: Output, reply: PingShape) -> None:
    if not out.is_json:
        through = f" · relayed by {reply['relay']}" if reply["relay"] else " · lan" if reply["road"] == "lan" else ""
        through = f" · {reply['road']}" if reply["road"].startswith("trunk") else through
        text = f" reply from {reply['address']} · {milliseconds(reply['rtt_s'])}{through}"
        out.line(out.styled("✓", fg="green"), text)


def _show_failure(out: Output, host: str, error: PilotError, *, is_alone: bool) -> None:
    if not out.is_json and not is_alone:  # a single failure is told once, as the error it is
        out.line(out.styled("✗", fg="red"), f" no reply from {host} · {error.code}")


def _show_summary(out: Output, report: PingReportShape) -> None:
    if report["sent"] > 1:
        rtts = [reply["rtt_ms"] / 1000 for reply in report["replies"]]
        spread = " / ".join(milliseconds(value) for value in (min(rtts), sum(rtts) / len(rtts), max(rtts)))
        out.line(f"{report['received']} of {report['sent']} replies · min / mean / max {spread}")
