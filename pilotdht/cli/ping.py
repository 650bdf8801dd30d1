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
from pilotdht.errors import PilotError, RemoteError


class ReplyShape(TypedDict):
    """One round trip."""

    rtt_ms: float


class PingReportShape(TypedDict):
    """Round trips to one peer."""

    address: str
    sent: int
    received: int
    replies: list[ReplyShape]


@verb("ping", example="pilotdht ping agent-alpha --count 3", returns=PingReportShape)
@click.argument("host", type=HOST)
@click.option("-c", "--count", type=click.IntRange(1, 1_000_000), default=1, show_default=True, help="Round trips.")
@click.option("-i", "--interval", type=SECONDS, default=1.0, help="Pause between round trips (1s).")
@click.option("--timeout", type=SECONDS, default=5.0, help="How long to wait for each (5s).")
@click.pass_context
def ping(context: click.Context, host: str, count: int, interval: float, timeout: float) -> None:
    """Measure the round trip to a peer. Fails when no reply came at all."""
    out = output(context)

    async def work(channel: ControlChannel) -> PingReportShape:
        report: PingReportShape = {"address": "", "sent": 0, "received": 0, "replies": []}
        failure: PilotError | None = None
        for number in range(count):
            if number:
                await asyncio.sleep(interval)
            report["sent"] += 1
            try:
                reply = cast("PingShape", await channel.post("/v1/ping", {"target": host, "timeout_s": timeout}))
            except RemoteError as error:
                failure = error
                _show_failure(out, host, error, is_alone=count == 1)
            else:
                report["address"] = reply["address"]
                report["received"] += 1
                report["replies"].append({"rtt_ms": reply["rtt_s"] * 1000})
                _show_reply(out, reply)
        if failure is not None and not report["received"]:
            raise failure
        return report

    report = with_daemon(context, work)
    out.result(report, lambda: _show_summary(out, report))


def _show_reply(out: Output, reply: PingShape) -> None:
    if not out.is_json:
        out.line(out.styled("✓", fg="green"), f" reply from {reply['address']} · {milliseconds(reply['rtt_s'])}")


def _show_failure(out: Output, host: str, error: PilotError, *, is_alone: bool) -> None:
    if not out.is_json and not is_alone:  # a single failure is told once, as the error it is
        out.line(out.styled("✗", fg="red"), f" no reply from {host} · {error.code}")


def _show_summary(out: Output, report: PingReportShape) -> None:
    if report["sent"] > 1:
        rtts = [reply["rtt_ms"] / 1000 for reply in report["replies"]]
        spread = " / ".join(milliseconds(value) for value in (min(rtts), sum(rtts) / len(rtts), max(rtts)))
        out.line(f"{report['received']} of {report['sent']} replies · min / mean / max {spread}")
