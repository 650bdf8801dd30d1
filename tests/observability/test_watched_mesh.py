"""A real Prometheus over real daemons: every panel has data, and alerts fire and clear."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from scripts.observability.observe import SCALE, all_scraped, empty_panels, kept_busy
from scripts.observability.prometheus_server import find_prometheus, prometheus
from scripts.observability.proof import TROUBLES, proven
from scripts.observability.watched_mesh import WatchedMesh

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.integration,
    pytest.mark.skipif(find_prometheus() is None, reason="prometheus is not installed (Debian: prometheus)"),
]

NODES = 4
WATCHED_S = 12.0
"""Long enough for two windows of a rate."""


@pytest.mark.timeout(180)
async def test_each_panel_has_data_and_a_killed_node_is_noticed(tmp_path: Path) -> None:
    """Whom the mesh lists is scraped; no panel is empty, no rule fails; killing a node raises an alarm that ends."""
    mesh = WatchedMesh(tmp_path, NODES)
    async with (
        mesh.running(),
        prometheus(tmp_path / "prometheus", discover=mesh.discover, scale=SCALE) as server,
        kept_busy(mesh),
    ):
        assert await all_scraped(server, NODES, timeout_s=60.0)
        assert {agent.name for agent in mesh.agents} == set(await server.up())
        await asyncio.sleep(WATCHED_S)  # Prometheus has a clock of its own
        assert [] == await empty_panels(server, seconds=WATCHED_S)
        assert [] == await server.rule_errors()
        assert mesh.done > 0
        outcome = await proven(TROUBLES[0], mesh, server)
        assert outcome.is_proven, outcome


@pytest.mark.timeout(400)
@pytest.mark.skipif(not os.environ.get("PILOTDHT_LONG_TESTS"), reason="takes minutes: set PILOTDHT_LONG_TESTS=1")
async def test_each_trouble_raises_its_alarms_and_ends_them(tmp_path: Path) -> None:
    """Everything that can be made to go wrong is noticed, and seen to be over."""
    mesh = WatchedMesh(tmp_path, 6)
    async with (
        mesh.running(),
        prometheus(tmp_path / "prometheus", discover=mesh.discover, scale=SCALE) as server,
        kept_busy(mesh),
    ):
        assert await all_scraped(server, 6, timeout_s=60.0)
        outcomes = [await proven(trouble, mesh, server) for trouble in TROUBLES]
        assert [] == [outcome for outcome in outcomes if not outcome.is_proven]
