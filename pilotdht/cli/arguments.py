"""Kinds of arguments: hosts that complete from the daemon, virtual ports, durations, message data."""

from __future__ import annotations

import base64
import re
import sys
from typing import Any

import click
from click.shell_completion import CompletionItem

MAX_MESSAGE_BYTES = 3 << 20
"""Longest message that is sent in one request."""

MAX_SECRET_BYTES = 4096
"""Longest token or invitation that is read from standard input."""

_DURATION = re.compile(r"([0-9]*\.?[0-9]+)(ms|s|m|h|d|)")
_UNITS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


class Seconds(click.ParamType[float]):
    """A duration: ``30``, ``30s``, ``500ms``, ``5m``, ``7d``."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401
        """Return seconds."""
        if isinstance(value, (int, float)):
            return float(value)
        match = _DURATION.fullmatch(str(value))
        if match is None or not float(match[1]):
            self.fail(f"{value!r} is not a duration such as 30s, 500ms or 5m.", param, ctx)
        return float(match[1]) * _UNITS[match[2]]


class Host(click.ParamType[str]):
    """A hostname, address, did:key or alias."""

    name = "host"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ANN401
        """Return the text; the daemon judges it."""
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the known names that begin so."""
        from pilotdht.cli.hostnames import known_hostnames

        return [CompletionItem(name) for name in known_hostnames(ctx) if name.startswith(incomplete)]


class GroupName(click.ParamType[str]):
    """The name of a group that this node is in."""

    name = "group"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ANN401
        """Return the text; the daemon judges it."""
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the names of groups that begin so."""
        from pilotdht.cli.hostnames import known_groups

        return [CompletionItem(name) for name in known_groups(ctx) if name.startswith(incomplete)]


SECONDS = Seconds()
HOST = Host()
GROUP = GroupName()
PORT = click.IntRange(1, 65535)


def message_data(text: str) -> bytes:
    """Return a message given on the command line; ``-`` reads standard input."""
    data = sys.stdin.buffer.read(MAX_MESSAGE_BYTES + 1) if text == "-" else text.encode()
    if len(data) > MAX_MESSAGE_BYTES:
        raise click.UsageError(f"A message has at most {MAX_MESSAGE_BYTES} bytes; use 'connect' as a pipe for more.")
    return data


def secret_text(text: str | None) -> str | None:
    """Return a token or an invitation given on the command line; ``-`` reads standard input."""
    if text != "-":
        return text
    data = sys.stdin.buffer.read(MAX_SECRET_BYTES + 1)
    line = data.decode("utf-8", "replace").strip()
    if not line or len(data) > MAX_SECRET_BYTES:
        raise click.UsageError(f"Standard input holds no secret of at most {MAX_SECRET_BYTES} bytes.")
    return line


def to_base64(data: bytes) -> str:
    """Return standard base64 text."""
    return base64.b64encode(data).decode("ascii")


def data_fields(encoded: str, name: str) -> dict[str, str]:
    """Return base64 data as JSON shows it: under ``name`` when it is UTF-8, else under ``name_base64``."""
    try:
        return {name: base64.b64decode(encoded).decode("utf-8")}
    except UnicodeDecodeError:
        return {f"{name}_base64": encoded}
