"""A mesh in which nothing happens for hours: everybody stays what it is."""

from __future__ import annotations

import asyncio

import pytest

from simulations.runner import run
from simulations.scenarios.scenario import Options, Scenario
from simulations.stage import Stage


@pytest.mark.simulation
def test_quiet_mesh_on_public_addresses_stays_whole_for_hours() -> None:
    """Nodes that nobody new contacts go on serving: contacts do not leave tables, and lookups go on working."""
    contacts: list[float | None] = []

    async def quiet(stage: Stage, options: Options) -> None:
        """Nothing happens."""
        await stage.populate()
        for _ in range(4):
            contacts.append(stage.dead_contacts()[0])
            await asyncio.sleep(3600)
        await stage.watch(minutes=options.minutes)

    scenario = Scenario(name="quiet", summary="", expects="", options=Options, small=Options(), play=quiet)
    result = run(scenario, Options(nodes=25, minutes=5, lookups_per_s=0.5))
    assert result.is_complete
    assert contacts[0] is not None
    assert all(one is not None and one >= 0.95 * contacts[0] for one in contacts), contacts
    assert 1.0 == result.figures["lookup_success"]
