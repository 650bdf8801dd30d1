"""Shows that alerts fire when what they are about is made to happen, and clear when it is over."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from scripts.observability.prometheus_server import PrometheusServer
from scripts.observability.watched_mesh import Agent, WatchedMesh

FIRE_S = 45.0
"""Time for alerts to fire: the longest that is proven waits 10 minutes, which is 10 s at a sixtieth."""

CLEAR_S = 60.0
"""Time for them to clear: the window of a rate, and the restart of a node."""

PAUSED_S = 1.3
RUNNING_S = 0.5
"""How a node is kept late: the timer that notes its lag is due a second after it goes on, when it stands still again;
and it runs often enough to be scraped in between."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Something that goes wrong, and comes right when the block ends."""

    what: str
    """In words."""
    alerts: frozenset[str]
    """What must fire meanwhile, and clear afterwards."""
    made: Callable[[WatchedMesh, PrometheusServer], AbstractAsyncContextManager[None]]
    """Makes it happen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one trouble."""

    trouble: Trouble
    """Which."""
    fired_s: float | None
    """Seconds until all its alerts fired; absent: some did not."""
    cleared_s: float | None
    """Seconds until they had cleared; absent: some did not."""
    missing: frozenset[str]
    """Alerts that did not fire."""
    others: frozenset[str]
    """Alerts that fired as well."""

    @property
    def is_proven(self) -> bool:
        """Whether all fired and cleared."""
        return self.fired_s is not None and self.cleared_s is not None


@contextlib.asynccontextmanager
async def killed(mesh: WatchedMesh, server: PrometheusServer) -> AsyncIterator[None]:
    """Kill the last node; start it again."""
    victim = mesh.agents[-1]
    victim.kill()
    await victim.gone()
    yield
    await victim.start(bootstrap=[mesh.hub.endpoint])


@contextlib.asynccontextmanager
async def cut_off(mesh: WatchedMesh, server: PrometheusServer) -> AsyncIterator[None]:
    """Start a node whose only bootstrap node is silent; then let that one come up, as a part of the mesh."""
    folder = mesh.hub.home.parent
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        endpoint = f"127.0.0.1:{silent.getsockname()[1]}"
        alone = Agent("node-alone", folder / "node-alone")
        mesh.extra.append(alone)
        await alone.start(bootstrap=[endpoint])
        server.watch_also(alone.metrics)
        yield
    bridge = Agent("node-bridge", folder / "node-bridge")
    mesh.extra.append(bridge)
    await bridge.start(bootstrap=[mesh.hub.endpoint], listen=endpoint)


@contextlib.asynccontextmanager
async def kept_late(mesh: WatchedMesh, server: PrometheusServer) -> AsyncIterator[None]:
    """Stop a node most of the time, as an overloaded machine does."""
    victim = mesh.agents[1]

    async def stutter() -> None:
        try:
            while True:
                victim.pause()
                await asyncio.sleep(PAUSED_S)
                victim.resume()
                await asyncio.sleep(RUNNING_S)
        finally:
            victim.resume()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(stutter())
        yield
        task.cancel()


@contextlib.asynccontextmanager
async def halved(mesh: WatchedMesh, server: PrometheusServer) -> AsyncIterator[None]:
    """Cut half of the nodes off for a while: they neither hear nor answer."""
    victims = mesh.agents[len(mesh.agents) // 2 + 1 :]
    for agent in victims:
        agent.pause()
    try:
        yield
    finally:
        for agent in victims:
            agent.resume()


TROUBLES: tuple[Trouble, ...] = (
    Trouble(
        what="a node is killed",
        alerts=frozenset({"PilotdhtNodeDown", "PilotdhtMembersFail"}),
        made=killed,
    ),
    Trouble(
        what="a node's only bootstrap node does not answer",
        alerts=frozenset({"PilotdhtNodeAlone"}),
        made=cut_off,
    ),
    Trouble(
        what="a machine is overloaded",
        alerts=frozenset({"PilotdhtLoopSlow"}),
        made=kept_late,
    ),
    Trouble(
        what="nearly half of the nodes are cut off",
        alerts=frozenset({"PilotdhtNodeDown", "PilotdhtMembersFail"}),
        made=halved,
    ),
)
"""Everything that is made to go wrong."""


async def proven(trouble: Trouble, mesh: WatchedMesh, server: PrometheusServer) -> Outcome:
    """Make trouble, wait for its alerts, end it, and wait until they are gone."""
    loop = asyncio.get_running_loop()
    seen: set[str] = set()
    begun = loop.time()
    async with trouble.made(mesh, server):
        fired_s: float | None = None
        while fired_s is None and loop.time() - begun < FIRE_S:
            await asyncio.sleep(0.5)
            seen |= await server.firing()
            if trouble.alerts <= seen:
                fired_s = loop.time() - begun
    ended = loop.time()
    cleared_s: float | None = None
    while cleared_s is None and loop.time() - ended < CLEAR_S:
        await asyncio.sleep(0.5)
        if not trouble.alerts & await server.firing():
            cleared_s = loop.time() - ended
    return Outcome(
        trouble=trouble,
        fired_s=fired_s,
        cleared_s=cleared_s,
        missing=trouble.alerts - seen,
        others=frozenset(seen - trouble.alerts),
    )
