"""The control API around a fake node, on a socket in a directory of the test's own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pilotdht.config.daemon import DaemonConfig
from pilotdht.daemon.control import Control
from pilotdht.daemon.handlers import Surroundings
from pilotdht.daemon.metrics import DaemonMetrics
from pilotdht.daemon.paths import Paths
from pilotdht.daemon.shapes import ReloadShape
from tests.support.fake_node import FakeNode


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeDaemon:
    """What a test holds on to."""

    node: FakeNode
    """The node behind the API."""
    socket: Path
    """Where the API listens."""
    stopping: asyncio.Event
    """Set when a client asked for a stop."""


@asynccontextmanager
async def fake_daemon(
    directory: Path, *, config: DaemonConfig | None = None, node: FakeNode | None = None
) -> AsyncIterator[FakeDaemon]:
    """Serve a fake node while the block runs."""
    node = FakeNode() if node is None else node
    paths = Paths(data_dir=directory, config_file=directory / "config.toml", socket=directory / "run" / "control.sock")
    stopping = asyncio.Event()

    async def reload() -> ReloadShape:
        return {"changed": ["hostname"], "needs_restart": ["listen"]}

    control = Control(
        node,
        config=DaemonConfig() if config is None else config,
        around=Surroundings(
            paths=paths, pid=4711, stop=stopping.set, settings={"hostname": "agent-own"}, reload=reload
        ),
        metrics=DaemonMetrics(node.registry, version="0.1.0"),
    )
    async with control.serve(paths.socket):
        yield FakeDaemon(node=node, socket=paths.socket, stopping=stopping)


@contextmanager
def fake_daemon_in_thread(directory: Path, *, node: FakeNode | None = None) -> Iterator[FakeDaemon]:
    """Serve a fake node beside the test, which may then run commands that have a loop of their own."""
    started = threading.Event()
    ended: list[asyncio.Event] = []
    daemons: list[FakeDaemon] = []
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        async with fake_daemon(directory, node=node) as daemon:
            end = asyncio.Event()
            loops.append(asyncio.get_running_loop())
            ended.append(end)
            daemons.append(daemon)
            started.set()
            await end.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield daemons[0]
    finally:
        loops[0].call_soon_threadsafe(ended[0].set)
        thread.join(10)
