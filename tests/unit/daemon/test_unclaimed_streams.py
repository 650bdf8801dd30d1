"""Incoming streams that their listener does not take are bounded in number and in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from pilotdht.client.channel import ControlChannel
from pilotdht.config.daemon import DaemonConfig
from pilotdht.errors import NotFound
from tests.support.fake_daemon import fake_daemon
from tests.support.fake_node import FakeNode, stream_pair


@asynccontextmanager
async def listening(
    directory: Path, config: DaemonConfig | None = None
) -> AsyncIterator[tuple[FakeNode, ControlChannel, AsyncGenerator[dict[str, object], None]]]:
    """Yield a node, a channel to its daemon, and what the daemon tells a listener on port 80."""
    async with (
        fake_daemon(directory, config=config) as daemon,
        ControlChannel(daemon.socket) as channel,
        aclosing(channel.listen(80)) as lines,
    ):
        assert {"port": 80} == await anext(lines)
        yield daemon.node, channel, lines


@pytest.mark.asyncio
async def test_stream_that_is_not_claimed_is_aborted(tmp_path: Path) -> None:
    """A listener that sleeps loses the stream, and is told so when it comes."""
    here, _ = stream_pair(80)
    async with listening(tmp_path, DaemonConfig(claim_timeout_s=0.1)) as (node, channel, lines):
        node.incoming.put_nowait(here)
        offered = await anext(lines)
        async with asyncio.timeout(5):
            await here.closed.wait()
        with pytest.raises(NotFound):
            await channel.pipe(f"/v1/streams/{offered['stream']}")

    assert here.is_aborted


@pytest.mark.asyncio
async def test_streams_above_the_bound_are_aborted(tmp_path: Path) -> None:
    """Only so many streams wait."""
    pairs = [stream_pair(80) for _ in range(3)]
    async with listening(tmp_path, DaemonConfig(max_unclaimed_streams=2)) as (node, _, lines):
        for here, _there in pairs:
            node.incoming.put_nowait(here)
        await anext(lines)
        await anext(lines)
        async with asyncio.timeout(5):
            await pairs[2][0].closed.wait()
        aborted = [here.is_aborted for here, _there in pairs]

    assert [False, False, True] == aborted


@pytest.mark.asyncio
async def test_stopping_aborts_what_waits(tmp_path: Path) -> None:
    """A daemon that stops leaves no peer waiting for an answer."""
    here, _ = stream_pair(80)
    async with listening(tmp_path) as (node, _, lines):
        node.incoming.put_nowait(here)
        await anext(lines)

    assert here.is_aborted


@pytest.mark.asyncio
async def test_closed_port_leaves_no_stream_waiting(tmp_path: Path) -> None:
    """When the listener has closed its port, what it did not claim is aborted already."""
    here, _ = stream_pair(80)
    async with fake_daemon(tmp_path) as daemon, ControlChannel(daemon.socket) as channel:
        async with aclosing(channel.listen(80)) as lines:
            await anext(lines)
            daemon.node.incoming.put_nowait(here)
            await anext(lines)

        assert here.is_aborted
        assert 0 == daemon.node.listening
