"""Asks the daemon for names of peers and groups, fast or not at all: pressing the tabulator must never hang."""

from __future__ import annotations

import json
import os
import socket
import time

import click
import h11

from pilotdht.cli.program import option
from pilotdht.daemon.paths import check_socket_directory, find_paths
from pilotdht.errors import PilotError
from pilotdht.identity.names import is_hostname

LIMIT_S = 0.2


def known_hostnames(context: click.Context) -> list[str]:
    """Return the names the daemon knows without asking the network; none when it does not answer in time.

    Whatever could not be typed is left out: shells act on what completes a word.
    """
    names = _told(context, "/v1/hostnames").get("hostnames")
    return [name for name in names if isinstance(name, str) and is_typed(name)] if isinstance(names, list) else []


def known_groups(context: click.Context) -> list[str]:
    """Return the names of the groups that the node is in; none when the daemon does not answer in time."""
    groups = _told(context, "/v1/groups").get("groups")
    return [name for group in groups if is_typed(name := str(group["name"]))] if isinstance(groups, list) else []


def is_typed(name: str) -> bool:
    """Return whether a name is one that a shell takes as it is: those that nodes accept are, with their dots."""
    return all(is_hostname(part) for part in name.split("."))


def _told(context: click.Context, path: str) -> dict[str, object]:
    """Return what the daemon tells in time, or nothing."""
    deadline = time.monotonic() + LIMIT_S
    try:
        home = find_paths(os.environ, socket=option(context, "socket")).socket
        check_socket_directory(home)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            body = _fetch(connection, str(home), path, deadline)
        data = json.loads(body)["data"]
    except (OSError, ValueError, KeyError, TypeError, PilotError, h11.ProtocolError):
        return {}
    return data if isinstance(data, dict) else {}


def _fetch(connection: socket.socket, home: str, path: str, deadline: float) -> bytes:
    """Return the daemon's answer."""
    http = h11.Connection(h11.CLIENT)
    connection.settimeout(max(0.001, deadline - time.monotonic()))
    connection.connect(home)
    request = h11.Request(method="GET", target=path, headers=[("Host", "pilotdht"), ("Connection", "close")])
    connection.sendall((http.send(request) or b"") + (http.send(h11.EndOfMessage()) or b""))
    body = bytearray()
    while not isinstance(event := http.next_event(), h11.EndOfMessage):
        if event is h11.NEED_DATA:
            connection.settimeout(max(0.001, deadline - time.monotonic()))
            http.receive_data(connection.recv(65536))
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.ConnectionClosed):
            break
    return bytes(body)
