"""``netcheck``: how well this node can be reached, and what to do about it."""

from __future__ import annotations

from typing import cast

import click

from pilotdht.cli.output import Output
from pilotdht.cli.program import output, verb
from pilotdht.cli.session import ask
from pilotdht.daemon.shapes import NatShape, NetCheckShape

_MARKS = {"good": ("✓", "green"), "notice": ("·", "blue"), "warning": ("!", "yellow"), "error": ("✗", "red")}


@verb("netcheck", example="pilotdht netcheck", returns=NetCheckShape)
@click.pass_context
def netcheck(context: click.Context) -> None:
    """Show how well this node can be reached. Tells its NAT, the nodes that it is called through, and what to do."""
    check = cast("NetCheckShape", ask(context, "/v1/netcheck"))
    out = output(context)
    out.result(check, lambda: _show(out, check))


def _show(out: Output, check: NetCheckShape) -> None:
    servers = ", ".join(f"{one['address']} ({one['endpoint']})" for one in check["servers"])
    out.facts(
        [
            ("Own addresses", ", ".join(check["own_addresses"])),
            ("NAT over IPv4", _described(check["ipv4"])),
            ("NAT over IPv6", _described(check["ipv6"])),
            ("Role", "reached by others, serves them" if check["is_server"] else "not reached by others so far"),
            ("Port mapping", check["port_mapping"] + (f": {check['mapped']}" if check["mapped"] else "")),
            ("Called through", servers),
            ("Local network", _lan(check)),
        ]
    )
    for neighbour in check["neighbours"]:
        out.line(f"  {neighbour['address']} at {neighbour['endpoint']} · {neighbour['standing']}")
    for finding in check["findings"]:
        mark, colour = _MARKS[finding["severity"]]
        out.line(out.styled(mark, fg=colour), f" {finding['sentence']}")
        if finding["advice"]:
            out.line(f"    {finding['advice']}")


def _lan(check: NetCheckShape) -> str:
    """Return what is done on the local network in a line, with what it takes when something is missing."""
    if check["lan"] == "not installed":
        return "not installed: pip install 'pilotdht[lan]' finds neighbours without any server"
    if check["lan"] in ("off", "opening", "failed"):
        return check["lan"] + (f": {check['lan_reason']}" if check["lan_reason"] else "")
    return f"{check['lan']} · neighbours: {len(check['neighbours']) or 'none'}"


def _described(nat: NatShape) -> str:
    """Return a NAT in a line; empty when nobody has seen this node over that family."""
    if not nat["samples"]:
        return ""
    seen = nat["public"] or nat["public_host"] or "several places"
    networks = "1 network" if nat["prefixes"] == 1 else f"{nat['prefixes']} networks"
    return f"mapping {nat['mapping']}, filtering {nat['filtering']}, seen at {seen} by {networks}"
