"""``status`` (also ``info``), ``set-hostname``, ``set-tags``: the own node."""

from __future__ import annotations

from typing import cast

import click

from pilotdht.cli.output import Output, duration
from pilotdht.cli.program import output, verb
from pilotdht.cli.session import ask
from pilotdht.daemon.shapes import InfoShape


def _show(out: Output, info: InfoShape) -> None:
    """Print what the node is and how it stands."""
    joined = "joined" if info["is_joined"] else "alone: knows no other node"
    out.facts(
        [
            ("Address", info["address"]),
            ("Identity", info["did"]),
            ("Hostname", info["hostname"]),
            ("Tags", ", ".join(info["tags"])),
            ("Mesh", f"{joined}, {'serves others' if info['is_server'] else 'client only'}"),
            ("Reached by", f"trunk via {info['trunk']}: UDP is blocked here" if info["trunk"] else ""),
            ("Peers", str(info["peers"])),
            ("Tunnels", str(info["connections"])),
            ("Groups", ", ".join(group["name"] for group in info["groups"])),
            ("Records held", str(info["records"])),
            ("Listens on", ", ".join(info["listen"])),
            ("Endpoints", ", ".join(info["endpoints"])),
            ("Uptime", duration(info["uptime_s"])),
            ("Process", f"{info['pid']}, version {info['version']}"),
            ("Data", info["data_dir"]),
        ]
    )


def _tell(context: click.Context, info: object) -> None:
    out = output(context)
    out.result(info, lambda: _show(out, cast("InfoShape", info)))


@verb("status", example="pilotdht status", returns=InfoShape)
@click.pass_context
def status(context: click.Context) -> None:
    """Show this node and how well it is connected."""
    _tell(context, ask(context, "/v1/info"))


@verb("info", example="pilotdht info --json", returns=InfoShape)
@click.pass_context
def info(context: click.Context) -> None:
    """Show this node; the same as 'status'."""
    _tell(context, ask(context, "/v1/info"))


@verb("set-hostname", example="pilotdht set-hostname my-mcp-server", returns=InfoShape)
@click.argument("hostname")
@click.pass_context
def set_hostname(context: click.Context, hostname: str) -> None:
    """Change the name by which others find this node. '' removes it."""
    data = cast("InfoShape", ask(context, "/v1/hostname", {"hostname": hostname}))
    out = output(context)
    out.result(data, lambda: out.line(f"Hostname: {data['hostname'] or 'none'}"))


@verb("set-tags", example="pilotdht set-tags mcp finance", returns=InfoShape)
@click.argument("tags", nargs=-1)
@click.pass_context
def set_tags(context: click.Context, tags: tuple[str, ...]) -> None:
    """Change the tags by which others find this node. None given removes all."""
    chosen = [tag for group in tags for tag in group.split(",") if tag]
    data = cast("InfoShape", ask(context, "/v1/tags", {"tags": chosen}))
    out = output(context)
    out.result(data, lambda: out.line(f"Tags: {', '.join(data['tags']) or 'none'}"))
