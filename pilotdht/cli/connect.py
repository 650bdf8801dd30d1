"""``connect``: establish a tunnel; with a message, get its answer; with a port or piped data, be a pipe."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import fcntl
import os
import stat
import struct
import sys
import termios
import threading
from collections.abc import AsyncIterator
from typing import TypedDict, cast
from urllib.parse import urlencode

import click

from pilotdht.cli.arguments import HOST, PORT, SECONDS, data_fields, message_data, to_base64
from pilotdht.cli.output import Output, milliseconds
from pilotdht.cli.program import output, verb
from pilotdht.cli.session import ask, with_daemon
from pilotdht.client.channel import ControlChannel, ControlPipe
from pilotdht.daemon.shapes import AnswerShape, TunnelShape

STDIO_PORT = 1000

_CHUNK_BYTES = 65536


class ConnectShape(TypedDict, total=False):
    """A tunnel (``endpoint``, ``setup_s``, ``rtt_s``), or a message's ``answer``: as base64 when it is no text."""

    address: str
    endpoint: str
    road: str
    relay: str | None
    setup_s: float
    rtt_s: float
    answer: str
    answer_base64: str


@verb("connect", example='pilotdht connect agent-alpha --message "hello"', returns=ConnectShape)
@click.argument("host", type=HOST)
@click.argument("port", type=PORT, required=False)
@click.option("-m", "--message", metavar="TEXT", help="Send this and print the answer; '-' reads standard input.")
@click.option("--timeout", type=SECONDS, default=30.0, help="How long to wait for the tunnel and the answer (30s).")
@click.pass_context
def connect(context: click.Context, host: str, port: int | None, message: str | None, timeout: float) -> None:
    """Establish a tunnel to a peer.

    With --message, sends it and prints the answer. With a PORT, or with data piped in, carries standard input to the
    peer and the peer's bytes to standard output until both have ended.
    """
    out = output(context)
    if message is not None:
        fields: dict[str, object] = {
            "target": host,
            "port": port or STDIO_PORT,
            "message_base64": to_base64(message_data(message)),
            "timeout_s": timeout,
        }
        answer = cast("AnswerShape", ask(context, "/v1/request", fields))
        shown = {"address": answer["address"], **data_fields(answer["answer_base64"], "answer")}
        out.result(shown, lambda: _write_answer(out, base64.b64decode(answer["answer_base64"])))
    elif port is not None or _has_piped_data():
        query = urlencode({"target": host, "port": port or STDIO_PORT, "timeout_s": timeout})
        with_daemon(context, lambda channel: _pipe(channel, f"/v1/dial?{query}"))
    else:
        tunnel = cast("TunnelShape", ask(context, "/v1/connect", {"target": host, "timeout_s": timeout}))
        through = f" · relayed by {tunnel['relay']}" if tunnel["relay"] else ""
        text = f"Tunnel established · {tunnel['address']}{through} · {milliseconds(tunnel['rtt_s'])}"
        out.result(tunnel, lambda: out.line(text))


def _write_answer(out: Output, data: bytes) -> None:
    """Print an answer: a text as a line, anything else as it is; a terminal gets neither controls nor bytes."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = ""
    if not is_terminal():
        click.echo(data, nl=bool(text) and not text.endswith("\n"))
    elif text:
        out.text(text.removesuffix("\n"))
    elif data:
        out.note(f"{len(data)} bytes that are no text; redirect standard output to keep them")


def is_terminal() -> bool:
    """Return whether standard output is a terminal, which obeys what it is sent."""
    return sys.stdout.isatty()


def _has_piped_data() -> bool:
    """Return whether standard input already holds data.

    Without a port a pipe that stays empty is taken for what it mostly is: the unused standard input of a script.
    """
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
        if stat.S_ISREG(mode):
            return os.fstat(sys.stdin.fileno()).st_size > 0
        if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
            count = fcntl.ioctl(sys.stdin.fileno(), termios.FIONREAD, b"\0\0\0\0")
            return bool(struct.unpack("i", count)[0] > 0)
    except (OSError, ValueError):
        return False  # closed, or not a file at all
    return False


async def _pipe(channel: ControlChannel, path: str) -> None:
    """Carry bytes both ways; ends when the peer has ended, whatever standard input does."""
    pipe = await channel.pipe(path)
    is_clean = False
    try:
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(_send_input(pipe))
            while data := await pipe.read():
                await asyncio.to_thread(_write_output, data)
            sending.cancel()
        is_clean = True
    finally:
        if is_clean:
            await pipe.close()
        else:
            pipe.abort()


async def _send_input(pipe: ControlPipe) -> None:
    """Send standard input, then the end."""
    async for data in _input_chunks():
        await pipe.write(data)
    await pipe.write_eof()


async def _input_chunks() -> AsyncIterator[bytes]:
    """Yield standard input as it comes; read in a daemon thread, which a terminal cannot keep us waiting for."""
    loop = asyncio.get_running_loop()
    while True:
        arrived: asyncio.Future[bytes] = loop.create_future()
        threading.Thread(target=_read_input, args=(loop, arrived), daemon=True).start()
        data = await arrived
        if not data:
            return
        yield data


def _read_input(loop: asyncio.AbstractEventLoop, arrived: asyncio.Future[bytes]) -> None:
    """Read once, and tell the loop, unless it has ended meanwhile."""
    data = os.read(sys.stdin.fileno(), _CHUNK_BYTES)
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(lambda: None if arrived.done() else arrived.set_result(data))


def _write_output(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
