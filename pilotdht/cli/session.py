"""Runs a verb's asynchronous part against the daemon."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import click

from pilotdht import __version__
from pilotdht.cli.program import option, output
from pilotdht.client.channel import ControlChannel
from pilotdht.errors import NoDaemon

TELL_TIMEOUT_S = 5.0
"""What a daemon knows it tells at once; one that does not hangs."""

Result = TypeVar("Result")


def with_daemon(context: click.Context, work: Callable[[ControlChannel], Awaitable[Result]]) -> Result:
    """Return what ``work`` returns, given a channel to the daemon.

    Raises:
        NoDaemon: none answers.
        PilotError: what the daemon says.
    """

    async def run() -> Result:
        async with ControlChannel(option(context, "socket")) as channel:
            try:
                return await work(channel)
            finally:
                if channel.daemon_version not in ("", __version__):
                    output(context).note(
                        f"note: the daemon has version {channel.daemon_version}, this program {__version__}; "
                        "run 'pilotdht daemon restart'"
                    )

    return asyncio.run(run())


def ask(context: click.Context, path: str, fields: dict[str, object] | None = None) -> object:
    """Return the answer to one request: ``GET`` without fields, ``POST`` with them."""

    async def work(channel: ControlChannel) -> object:
        if fields is not None:
            return await channel.post(path, fields)
        try:
            async with asyncio.timeout(TELL_TIMEOUT_S):
                return await channel.get(path)
        except TimeoutError as error:
            raise NoDaemon(
                f"the daemon on {channel.path} does not answer", hint="see 'pilotdht daemon logs', or stop it"
            ) from error

    return with_daemon(context, work)
