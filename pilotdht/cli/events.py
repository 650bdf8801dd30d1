"""``broadcast``, ``publish``, ``subscribe``: messages to all members of a group."""

from __future__ import annotations

import base64
from contextlib import aclosing
from pathlib import Path
from typing import TypedDict, cast

import click

from pilotdht.cli.arguments import GROUP, data_fields, message_data, to_base64
from pilotdht.cli.output import Output
from pilotdht.cli.program import output, verb
from pilotdht.cli.session import ask, with_daemon
from pilotdht.client.channel import ControlChannel
from pilotdht.daemon.group_shapes import EventShape, PublishedShape

BROADCAST_TOPIC = "broadcast"

MAX_CONTENT_BYTES = 1 << 20
"""Longest content of a message to a group."""


class ReadEventShape(TypedDict, total=False):
    """A message to a group: ``data`` when it is UTF-8, else ``data_base64``."""

    group: str
    topic: str
    data: str
    data_base64: str
    sender: str
    address: str
    hostname: str
    sequence: int
    epoch_ms: int
    sent_ms: int
    missed: int


@verb("broadcast", example='pilotdht broadcast research "the report is ready"', returns=PublishedShape)
@click.argument("group", type=GROUP)
@click.argument("message", default="-")
@click.pass_context
def broadcast(context: click.Context, group: str, message: str) -> None:
    """Send a message to all members of a group. '-' (default) reads it from standard input."""
    _publish(context, group, BROADCAST_TOPIC, message_data(message))


@verb("publish", example='pilotdht publish research prices.eur "1.0842"', returns=PublishedShape)
@click.argument("group", type=GROUP)
@click.argument("topic")
@click.argument("message", default="-")
@click.option("--file", type=click.Path(path_type=Path, dir_okay=False), help="Send what this file holds.")
@click.pass_context
def publish(context: click.Context, group: str, topic: str, message: str, file: Path | None) -> None:
    """Send a message on a topic to a group. '-' (default) reads it from standard input, up to 1 MiB."""
    if file is not None and message != "-":
        raise click.UsageError("Give a MESSAGE or --file, not both.")
    _publish(context, group, topic, message_data(message) if file is None else _content(file))


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(MAX_CONTENT_BYTES + 1)
    except OSError as error:
        raise click.UsageError(f"{file} cannot be read: {error.strerror}.") from error


def _publish(context: click.Context, group: str, topic: str, data: bytes) -> None:
    if len(data) > MAX_CONTENT_BYTES:
        raise click.UsageError(f"A message to a group has at most {MAX_CONTENT_BYTES} bytes.")
    fields: dict[str, object] = {"group": group, "topic": topic, "data_base64": to_base64(data)}
    sent = cast("PublishedShape", ask(context, "/v1/groups/publish", fields))
    out = output(context)
    text = f"Sent to {sent['group']} · {sent['topic']} · {sent['size_bytes']} bytes"
    out.result(sent, lambda: out.line(text))


@verb("subscribe", example='pilotdht subscribe research "prices.*" --replay', returns=ReadEventShape, streams=True)
@click.argument("group", type=GROUP)
@click.argument("pattern", default="**")
@click.option("--replay", is_flag=True, help="Begin with the messages that this node keeps.")
@click.option("-c", "--count", type=click.IntRange(1, 1_000_000), help="End after so many messages.")
@click.pass_context
def subscribe(context: click.Context, group: str, pattern: str, replay: bool, count: int | None) -> None:
    """Print the messages of a group as they come, a line each.

    In PATTERN, * stands for one word of a topic, and ** at the end for any number of them; the default is all.
    """
    out = output(context)
    fields: dict[str, object] = {"group": group, "pattern": pattern, "replay": replay}

    async def work(channel: ControlChannel) -> None:
        seen = missed = 0
        async with aclosing(channel.lines("/v1/groups/subscribe", fields)) as lines:
            await anext(lines)
            out.note(f"Subscribed to {pattern} in {group}")
            try:
                async for line in lines:
                    event = cast("EventShape", line)
                    if event["missed"] > missed:
                        out.note(f"missed {event['missed'] - missed} messages: they came faster than they were read")
                    missed = event["missed"]
                    _show(out, event)
                    seen += 1
                    if seen == count:
                        break
            finally:
                out.note(f"{seen} {'message' if seen == 1 else 'messages'}, {missed} missed")

    with_daemon(context, work)


def _show(out: Output, event: EventShape) -> None:
    content = data_fields(event["data_base64"], "data")
    text = content.get("data", f"({len(base64.b64decode(event['data_base64']))} bytes that are no text)")
    data = {**{key: value for key, value in event.items() if key != "data_base64"}, **content}
    sender = event["hostname"] or event["address"]
    out.message(data, out.styled(event["topic"], fg="cyan"), " ", out.styled(sender, bold=True), ": ", text=str(text))
