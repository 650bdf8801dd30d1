"""What an open page is told under a virtual clock: no faster than configured, what changed alone, never for ever."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest

from pilotdht.daemon.handlers import Surroundings
from pilotdht.daemon.http import ClientGone, Exchange
from pilotdht.daemon.paths import Paths
from pilotdht.daemon.shapes import ReloadShape
from pilotdht.node.facts import ConnectionInfo, NodeInfo, PeerInfo
from pilotdht.ui.live import BEATS_S, LivePage
from pilotdht.ui.views import MAX_ROWS, Views
from simulations.engine.virtual_loop import run_virtually
from tests.support.fake_node import FakeNode

PATH = Path("x")
UNIX_S = 1_700_000_000.0


class Taker:
    """An exchange whose client takes lines, or does not."""

    def __init__(self, *, is_reading: bool = True) -> None:
        self.lines: list[tuple[float, dict[str, Any]]] = []
        self.is_reading = is_reading

    async def start(self, content_type: str, headers: Sequence[tuple[str, str]]) -> None:
        """Begin."""

    async def finish(self) -> None:
        """End."""

    async def while_wanted(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do the work."""
        await work()

    async def write(self, data: bytes) -> None:
        """Take a line with the time at which it came."""
        if not self.is_reading:
            await asyncio.Event().wait()
        self.lines.append((asyncio.get_running_loop().time(), json.loads(data)))


class Ageing(FakeNode):
    """A node that grows older."""

    def info(self) -> NodeInfo:
        """Return how long it is up."""
        return replace(super().info(), uptime_s=asyncio.get_running_loop().time())

    def connections(self) -> Sequence[ConnectionInfo]:
        """Return a link that is as old as the node."""
        (one,) = super().connections()
        return [replace(one, age_s=asyncio.get_running_loop().time())]

    def peers(self) -> Sequence[PeerInfo]:
        """Return more contacts than are shown."""
        (one,) = super().peers()
        return [replace(one, last_seen_s=asyncio.get_running_loop().time())] * (MAX_ROWS + 3)


async def reload() -> ReloadShape:
    """Change nothing."""
    return {"changed": [], "needs_restart": []}


def tell(page: str, *, for_s: float, taker: Taker, node: FakeNode | None = None) -> None:
    """Let a page hear for so long."""
    node = Ageing() if node is None else node

    async def run() -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + for_s

        def unix_time() -> float:
            return UNIX_S + loop.time()

        paths = Paths(data_dir=PATH, config_file=PATH, socket=PATH)
        around = Surroundings(paths=paths, pid=1, stop=lambda: None, settings={}, reload=reload)
        live = LivePage(
            node,
            Views(node, around=around, unix_time=unix_time),
            page=page,
            group="",
            tick_s=1.0,
            answer_timeout_s=5.0,
            is_welcome=lambda: loop.time() < until,
            unix_time=unix_time,
        )
        await live.run(cast("Exchange", taker), [])

    run_virtually(run())


def test_ages_change_nothing() -> None:
    """The page is told moments and counts by itself: without events it hears a beat now and then, and no facts."""
    taker = Taker()
    tell("peers", for_s=4 * BEATS_S, taker=taker)
    (_, first), *others = taker.lines
    assert {"now", "me", "tunnels", "contacts", "names"} == set(first)
    assert [{"now"}] * 3 == [set(line) for _, line in others]


def test_lines_come_no_faster_than_configured() -> None:
    """Even when something changes all the time."""
    taker = Taker()

    class Busy(FakeNode):
        """A node whose every look differs."""

        def dht_stats(self) -> dict[str, object]:
            """Return another size each time."""
            return {"mesh_size": int(asyncio.get_running_loop().time() * 1000)}

    tell("trust", for_s=10.0, taker=taker, node=Busy())
    times = [at for at, _ in taker.lines]
    assert 10 == len(times)
    assert all(later - earlier >= 1.0 for earlier, later in pairwise(times))


def test_lists_are_bounded() -> None:
    """What is beyond is told as a number."""
    taker = Taker()
    tell("peers", for_s=0.5, taker=taker)
    contacts = taker.lines[0][1]["contacts"]
    assert (MAX_ROWS, MAX_ROWS + 3) == (len(contacts["rows"]), contacts["total"])


def test_page_that_does_not_read_is_given_up() -> None:
    """A line that is not taken in time ends the stream."""
    with pytest.raises(ClientGone):
        tell("trust", for_s=60.0, taker=Taker(is_reading=False))
