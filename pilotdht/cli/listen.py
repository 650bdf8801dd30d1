"""``listen``: answer the messages of peers with a text or a program."""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import cast

import click

from pilotdht.cli.arguments import PORT, SECONDS, to_base64
from pilotdht.cli.messages import STDIO_PORT, ReceivedShape, show_message
from pilotdht.cli.output import Output
from pilotdht.cli.program import output, verb
from pilotdht.cli.session import with_daemon
from pilotdht.client.channel import ControlChannel, ControlPipe
from pilotdht.daemon.shapes import IncomingShape, MessageShape
from pilotdht.errors import InvalidArgument, LinkClosed, PilotError

MAX_MESSAGE_BYTES = 16 << 20
"""Longest message that is read before it is answered."""

MAX_AT_ONCE = 16
"""Messages answered at the same time; others wait in the daemon."""


class ListenShape(ReceivedShape, total=False):
    """First the port that is open, as ``listening``; then messages."""

    listening: int


Answer = Callable[[IncomingShape, bytes], Awaitable[bytes]]


@verb("listen", example="pilotdht listen --exec 'wc -w'", returns=ListenShape, streams=True)
@click.argument("port", type=PORT, default=STDIO_PORT)
@click.option("--reply", metavar="TEXT", help="Answer each message with this text.")
@click.option(
    "--exec", "command", metavar="COMMAND", help="Answer with what this program prints; it reads the message."
)
@click.option("-c", "--count", type=click.IntRange(1, 1_000_000), help="End after so many messages.")
@click.option("--timeout", type=SECONDS, default=60.0, help="How long a program may take (60s).")
@click.pass_context
def listen(
    context: click.Context, port: int, reply: str | None, command: str | None, count: int | None, timeout: float
) -> None:
    """Accept streams to a port, print each message, and answer it.

    Without --reply and --exec the answer is empty. A program runs without a shell and finds who is asking in the
    variables PILOTDHT_PEER_ID, PILOTDHT_PEER_ADDRESS and PILOTDHT_PEER_HOSTNAME.
    """
    if reply is not None and command is not None:
        raise click.UsageError("Give --reply or --exec, not both.")
    answer = _answer_with_program(command, timeout) if command is not None else _answer_with_text(reply or "")
    out = output(context)

    async def work(channel: ControlChannel) -> None:
        free = asyncio.Semaphore(MAX_AT_ONCE)
        seen = 0
        async with aclosing(channel.listen(port)) as lines, asyncio.TaskGroup() as group:
            await anext(lines)
            out.item({"listening": port}, f"Listening on port {port}")
            async for line in lines:
                await free.acquire()
                task = group.create_task(_serve(channel, cast("IncomingShape", line), answer, out))
                task.add_done_callback(lambda _: free.release())
                seen += 1
                if seen == count:
                    break

    with_daemon(context, work)


async def _serve(channel: ControlChannel, incoming: IncomingShape, answer: Answer, out: Output) -> None:
    """Read one message, answer it; what goes wrong with one peer is told and does not end the others."""
    try:
        pipe = await channel.pipe(f"/v1/streams/{incoming['stream']}")
        is_clean = False
        try:
            data = await _read_all(pipe)
            message = {key: value for key, value in incoming.items() if key != "stream"}
            show_message(out, cast("MessageShape", {**message, "data_base64": to_base64(data)}))
            await pipe.write(await answer(incoming, data))
            is_clean = True
        finally:
            if is_clean:
                await pipe.close()
            else:
                pipe.abort()
    except PilotError as error:
        out.note(f"{incoming['address']}: {error.message}")


async def _read_all(pipe: ControlPipe) -> bytes:
    """Return what the peer sends until it ends."""
    data = bytearray()
    while chunk := await pipe.read():
        data += chunk
        if len(data) > MAX_MESSAGE_BYTES:
            raise LinkClosed(f"a message is longer than {MAX_MESSAGE_BYTES} bytes and was refused")
    return bytes(data)


def _answer_with_text(text: str) -> Answer:
    async def answer(incoming: IncomingShape, data: bytes) -> bytes:
        return text.encode()

    return answer


def _answer_with_program(command: str, timeout_s: float) -> Answer:
    """Return an answerer that runs a program for each message."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise InvalidArgument(f"--exec {command!r} cannot be read: {error}") from error
    if not words:
        raise InvalidArgument("--exec is empty", hint="give a program and its arguments")

    async def answer(incoming: IncomingShape, data: bytes) -> bytes:
        environment = {
            **os.environ,
            "PILOTDHT_PEER_ID": incoming["peer"],
            "PILOTDHT_PEER_ADDRESS": incoming["address"],
            "PILOTDHT_PEER_HOSTNAME": incoming["hostname"],
        }
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe, env=environment)
        except OSError as error:
            raise InvalidArgument(f"{words[0]} cannot be run: {error.strerror}") from error
        try:
            async with asyncio.timeout(timeout_s):
                printed, _ = await process.communicate(data)
        except TimeoutError as error:
            raise LinkClosed(f"{words[0]} did not end within {timeout_s:g} s") from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            raise LinkClosed(f"{words[0]} ended with code {process.returncode}")
        return printed

    return answer
