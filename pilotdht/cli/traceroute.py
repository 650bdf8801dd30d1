"""``traceroute``: step by step, how a peer is reached."""

from __future__ import annotations

from typing import cast

import click

from pilotdht.cli.arguments import HOST, SECONDS
from pilotdht.cli.output import Output, milliseconds
from pilotdht.cli.program import output, verb
from pilotdht.cli.session import ask
from pilotdht.daemon.shapes import TraceShape

_NATS = {
    "unknown": "not known",
    "none": "none",
    "endpoint-independent": "one port for all (cone)",
    "address-dependent": "a port for each address (symmetric)",
    "address-and-port-dependent": "a port for each endpoint (symmetric)",
}
"""Mappings of RFC 4787, section 4.1, in the words that most know."""


@verb("traceroute", example="pilotdht traceroute agent-alpha", returns=TraceShape)
@click.argument("host", type=HOST)
@click.option("--timeout", type=SECONDS, default=10.0, help="How long each step may take (10s).")
@click.pass_context
def traceroute(context: click.Context, host: str, timeout: float) -> None:
    """Show how a peer is reached, step by step. Tells who knew it, which endpoint answered, and what each step took."""
    trace = cast("TraceShape", ask(context, "/v1/traceroute", {"target": host, "timeout_s": timeout}))
    out = output(context)
    out.result(trace, lambda: _show(out, host, trace))


def _show(out: Output, host: str, trace: TraceShape) -> None:
    name = f" ({trace['hostname']})" if trace["hostname"] else ""
    out.line(f"traceroute to {host} · {trace['address']}{name}")
    out.line(f" 1  resolved by {trace['source']} · {milliseconds(trace['resolve_s'])}")
    out.line(f" 2  published at {', '.join(trace['endpoints']) or 'no endpoint'}")
    dialled = f"dialled · {milliseconds(trace['dial_s'])}" if trace["dial_s"] else "tunnel stood already"
    through = f" · relayed by {trace['relay']}" if trace["relay"] else ""
    out.line(f" 3  {trace['endpoint']}{through} · {dialled}")
    out.line(f" 4  round trip · {milliseconds(trace['rtt_s'])}")
    out.line(f" 5  NAT here: {_NATS[trace['own_nat']]} · there: {_NATS[trace['peer_nat']]}")
