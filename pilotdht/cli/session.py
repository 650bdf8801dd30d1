"""Runs a verb's asynchronous part against the daemon."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import click

from pilotdht.cli.program import option
from pilotdht.client.channel import ControlChannel

Result = TypeVar("Result")


def with_daemon(context: click.Context, work: Callable[[ControlChannel], Awaitable[Result]]) -> Result:
    """Return what ``work`` returns, given a channel to the daemon.

    Raises:
        NoDaemon: none answers.
        PilotError: what the daemon says.
    """

    async def run() -> Result:
        async with ControlChannel(option(context, "socket")) as channel:
            return await work(channel)

    return asyncio.run(run())


def ask(context: click.Context, path: str, fields: dict[str, object] | None = None) -> object:
    """Return the answer to one request: ``GET`` without fields, ``POST`` with them."""

    async def work(channel: ControlChannel) -> object:
        return await (channel.get(path) if fields is None else channel.post(path, fields))

    return with_daemon(context, work)
