"""Starts a mesh of daemons on loopback, has a Prometheus watch it, keeps it busy, and ends by itself."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import re
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

from scripts.observability.dashboards import PAGES
from scripts.observability.prometheus_server import PrometheusServer, find_prometheus, prometheus
from scripts.observability.promql import filled
from scripts.observability.proof import TROUBLES, proven
from scripts.observability.watched_mesh import WatchedMesh

SCALE = 1 / 60
"""An hour of the rules is a minute here."""

WINDOW_S = 5
"""Stands for the window of rates in dashboards, with a scrape each second."""

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_WATCHED_S = 30.0


async def empty_panels(server: PrometheusServer, *, seconds: float) -> list[str]:
    """Return the expressions of dashboards that return nothing over the last seconds, with their panels."""
    now = time.time()
    empty = []
    for page in PAGES:
        for row in page.rows:
            for panel in row.panels:
                for query in panel.queries:
                    expr = filled(query.expr, window=f"{WINDOW_S}s")
                    found = await server.query_range(expr, start=now - seconds, end=now, step_s=1.0)
                    if not any(value == value for values in found for value in values):  # no number but NaN
                        empty.append(f"{page.title}, {panel.title}: {query.expr}")
    return empty


async def all_scraped(server: PrometheusServer, count: int, *, timeout_s: float) -> bool:
    """Wait until so many nodes are scraped; return whether they are."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while sum((await server.up()).values()) < count:
        if loop.time() > deadline:
            return False
        await asyncio.sleep(0.2)
    return True


@contextlib.asynccontextmanager
async def kept_busy(mesh: WatchedMesh) -> AsyncIterator[None]:
    """Keep the mesh busy while the block runs."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(mesh.keep_busy())
        try:
            yield
        finally:
            task.cancel()


async def _observe(arguments: argparse.Namespace, folder: Path) -> int:
    task = asyncio.current_task()
    assert task is not None, "a coroutine runs in a task"
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)  # what was started is stopped
    mesh = WatchedMesh(folder, arguments.nodes)
    print(f"starting {arguments.nodes} daemons on 127.0.0.1", flush=True)
    async with (
        mesh.running(),
        prometheus(folder / "prometheus", discover=mesh.discover, scale=arguments.scale, port=arguments.port) as server,
        kept_busy(mesh),
    ):
        print(f"prometheus  {server.url}/alerts\ntargets     {mesh.discover}", flush=True)
        if not await all_scraped(server, arguments.nodes, timeout_s=_WATCHED_S):
            print(f"not all nodes are scraped: {await server.up()}", file=sys.stderr)
            return 1
        if arguments.prove_alerts:
            return await _prove(mesh, server)
        await asyncio.sleep(arguments.seconds)
        return await _report(mesh, server, seconds=arguments.seconds)


async def _report(mesh: WatchedMesh, server: PrometheusServer, *, seconds: float) -> int:
    """Print what was seen; return the exit code."""
    empty = await empty_panels(server, seconds=min(seconds, 60.0))
    errors = await server.rule_errors()
    panels = sum(len(row.panels) for page in PAGES for row in page.rows)
    up = await server.up()
    print(f"nodes       {sum(up.values())} of {len(up)} answer")
    print(f"done        {mesh.done} lookups, pings, messages and questions; failed {mesh.failed or 'none'}")
    print(f"dashboards  {len(PAGES)} with {panels} panels; expressions without data: {len(empty)}")
    print(f"alerts      {', '.join(sorted(await server.firing())) or 'none fires'}")
    for line in (*empty, *errors):
        print(f"  {line}", file=sys.stderr)
    return 1 if empty or errors else 0


async def _prove(mesh: WatchedMesh, server: PrometheusServer) -> int:
    """Make every trouble happen; return the exit code."""
    failed = 0
    for trouble in TROUBLES:
        print(f"trouble     {trouble.what}", flush=True)
        outcome = await proven(trouble, mesh, server)
        failed += not outcome.is_proven
        if outcome.fired_s is None:
            print(f"  MISSING   {', '.join(sorted(outcome.missing))}")
        else:
            print(f"  fired     {', '.join(sorted(trouble.alerts))} after {outcome.fired_s:.1f} s")
        if outcome.others:
            print(f"  as well   {', '.join(sorted(outcome.others))}")
        print(
            "  NOT CLEAR" if outcome.cleared_s is None else f"  clear     after {outcome.cleared_s:.1f} s", flush=True
        )
    print(f"{len(TROUBLES) - failed} of {len(TROUBLES)} proven")
    return 1 if failed else 0


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration, as 90s, 5m or 1h")
    return float(found[1]) * _UNITS[found[2] or "s"]


def main() -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/observe", description=__doc__)
    parser.add_argument("--nodes", type=int, default=10, help="daemons to start, 4 to 50 (10)")
    parser.add_argument("--for", dest="seconds", type=_seconds, default=60.0, help="how long to watch (60s)")
    parser.add_argument("--port", type=int, default=0, help="port of Prometheus on 127.0.0.1 (any that is free)")
    parser.add_argument(
        "--scale", type=float, default=SCALE, help="length of the rules' windows and delays; 1: as in production (1/60)"
    )
    parser.add_argument(
        "--prove-alerts", action="store_true", help="make things go wrong, and show that alerts fire and clear"
    )
    arguments = parser.parse_args()
    if not 4 <= arguments.nodes <= 50:
        parser.error("--nodes is 4 to 50")
    if find_prometheus() is None:
        print("error: prometheus is not installed; on Debian: apt-get install prometheus", file=sys.stderr)
        return 3
    with tempfile.TemporaryDirectory(prefix="pilotdht-observe-") as folder:
        try:
            return asyncio.run(_observe(arguments, Path(folder)))
        except (KeyboardInterrupt, asyncio.CancelledError):
            return 130


if __name__ == "__main__":
    sys.exit(main())
