"""``send`` and ``recv``: messages that the peer keeps until they are read."""

from __future__ import annotations

import base64
from typing import TypedDict, cast

import click

from pilotdht.cli.arguments import HOST, PORT, SECONDS, data_fields, message_data, to_base64
from pilotdht.cli.output import Output
from pilotdht.cli.program import output, verb
from pilotdht.cli.session import ask, with_daemon
from pilotdht.client.channel import ControlChannel
from pilotdht.daemon.shapes import MessageShape, SentShape

STDIO_PORT = 1000


class ReceivedShape(TypedDict, total=False):
    """A message from a peer: ``data`` when it is UTF-8, else ``data_base64``."""

    peer: str
    address: str
    hostname: str
    port: int
    data: str
    data_base64: str


@verb("send", example='pilotdht send agent-alpha --message "the report is ready"', returns=SentShape)
@click.argument("host", type=HOST)
@click.argument("port", type=PORT, default=STDIO_PORT)
@click.option(
    "-m",
    "--message",
    "--data",
    "message",
    default="-",
    metavar="TEXT",
    help="What to send; '-' (default) reads standard input.",
)
@click.option("--timeout", type=SECONDS, default=30.0, help="How long to wait for the peer's word (30s).")
@click.pass_context
def send(context: click.Context, host: str, port: int, message: str, timeout: float) -> None:
    """Send a message. Succeeds only when the peer says that it has it."""
    data = message_data(message)
    fields: dict[str, object] = {
        "target": host,
        "port": port,
        "message_base64": to_base64(data),
        "timeout_s": timeout,
    }
    sent = cast("SentShape", ask(context, "/v1/send", fields))
    out = output(context)
    text = f"Delivered · {sent['address']} port {sent['port']} · {sent['size_bytes']} bytes"
    out.result(sent, lambda: out.line(text))


@verb("recv", example="pilotdht recv --count 1 --timeout 30s", returns=ReceivedShape, streams=True)
@click.argument("port", type=PORT, default=STDIO_PORT)
@click.option("-c", "--count", type=click.IntRange(1, 1_000_000), help="End after so many messages.")
@click.option("--timeout", type=SECONDS, help="Fail when no message comes for so long.")
@click.pass_context
def recv(context: click.Context, port: int, count: int | None, timeout: float | None) -> None:
    """Print messages from the inbox as they come."""
    out = output(context)
    fields: dict[str, object] = {"port": port}
    if count is not None:
        fields["count"] = count
    if timeout is not None:
        fields["timeout_s"] = timeout

    async def work(channel: ControlChannel) -> None:
        async for line in channel.lines("/v1/receive", fields):
            show_message(out, cast("MessageShape", line))

    with_daemon(context, work)


def show_message(out: Output, message: MessageShape) -> None:
    """Print one message: who sent it, and what it says."""
    content = data_fields(message["data_base64"], "data")
    size_bytes = len(base64.b64decode(message["data_base64"]))
    text = content.get("data", f"({size_bytes} bytes that are no text)")
    data = {**{key: value for key, value in message.items() if key != "data_base64"}, **content}
    sender = message["hostname"] or message["address"]
    out.message(data, out.styled(sender, bold=True), ": ", text=str(text))
