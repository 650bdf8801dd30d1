"""Scenarios about churn and the network, each in its size for continuous integration: all bounds are kept."""

from __future__ import annotations

import pytest

from simulations.runner import run
from simulations.scenarios.scenario import scenario_named

pytestmark = [pytest.mark.simulation, pytest.mark.timeout(300)]  # up to 20 s of processor time each

SCENARIOS = (
    "bootstrap-loss",
    "churn",
    "diurnal",
    "flash-crowd",
    "lossy",
    "mass-kill",
    "partition",
    "rolling-upgrade",
    "slow-nodes",
    "wan",
)


@pytest.mark.parametrize("name", SCENARIOS)
def test_small_scenario_keeps_every_bound(name: str) -> None:
    """It comes to its end, keeps its bounds, measured something, and has pictures of before, during and after."""
    scenario = scenario_named(name)
    result = run(scenario, scenario.small)
    missed = [check for check in result.checks if not check.is_kept]
    assert missed == []
    assert result.is_passed
    assert len(result.checks) >= 2
    assert len(result.samples["lookup"].are_ok) >= 100
    assert [snapshot.label for snapshot in result.snapshots] == ["before", "during", "after"]
