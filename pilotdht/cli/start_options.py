"""The options that describe a node, shared by the verbs that start one, and what they mean as settings."""

from __future__ import annotations

import click

from pilotdht.cli.program import Verb
from pilotdht.errors import InvalidArgument

_START_OPTIONS = [
    click.Option(["--hostname"], metavar="NAME", help="Name by which others find this node."),
    click.Option(["--tags"], metavar="A,B", help="Tags by which others find this node."),
    click.Option(["--bootstrap"], multiple=True, metavar="HOST:PORT", help="A node to join through; may be repeated."),
    click.Option(["--listen"], metavar="HOST:PORT", help="Where the UDP socket is bound; ':PORT' for all addresses."),
    click.Option(
        ["--advertise"], metavar="HOST:PORT", help="Where others are told to find it, when peers cannot see that."
    ),
    click.Option(["--preset"], metavar="NAME", help="Settings to start from: local, lan, wan or bootstrap."),
    click.Option(["--data-dir", "data_dir"], metavar="DIR", help="Where identity, trust and state are kept."),
    click.Option(["--network"], metavar="NUMBER", help="Mesh to join; 0 is the public one."),
    click.Option(["--metrics", "daemon__metrics"], metavar="HOST:PORT", help="Serve /metrics on this TCP port too."),
    click.Option(["--ui", "ui__port"], metavar="PORT", help="Serve the status page on this port of 127.0.0.1."),
    click.Option(["--log-level", "daemon__log_level"], metavar="LEVEL", help="debug, info, warning or error."),
    click.Option(["--log-format", "daemon__log_format"], metavar="FORMAT", help="auto, text or json."),
    click.Option(
        ["--no-trunk", "trunk__mode"],
        is_flag=True,
        flag_value="off",
        default=None,
        help="Never go over TCP where UDP is blocked.",
    ),
    click.Option(
        ["--no-lan", "mdns__mode"],
        is_flag=True,
        flag_value="off",
        default=None,
        help="Neither look for neighbours on the local network nor tell them of this node.",
    ),
    click.Option(["--set", "assignments"], multiple=True, metavar="NAME=VALUE", help="Any setting; may be repeated."),
]


def start_options(command: Verb) -> Verb:
    """Give a verb the options that describe a node."""
    command.params[:0] = _START_OPTIONS
    return command


def settings_of(
    *, assignments: tuple[str, ...] = (), bootstrap: tuple[str, ...] = (), **named: str | None
) -> dict[str, str]:
    """Return settings by name, as text: options that were given, then ``--set NAME=VALUE``."""
    settings = {name.replace("__", "."): value for name, value in named.items() if value is not None}
    if bootstrap:
        settings["bootstrap"] = ",".join(bootstrap)
    for assignment in assignments:
        name, separator, value = assignment.partition("=")
        if not separator or name.startswith("-"):
            raise InvalidArgument(f"{assignment!r} is not NAME=VALUE", hint="as in --set tunnel.keepalive_s=10")
        settings[name] = value
    return settings
