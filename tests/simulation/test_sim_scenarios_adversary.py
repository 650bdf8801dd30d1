"""The four attacks at their small size: every bound is kept."""

from __future__ import annotations

import pytest

from simulations.runner import run
from simulations.scenarios.scenario import scenario_named

pytestmark = [pytest.mark.simulation, pytest.mark.timeout(300)]  # up to 15 s of processor time each


@pytest.mark.parametrize("name", ["droppers", "eclipse", "pollution", "sybil"])
def test_attack_at_small_size_is_withstood(name: str) -> None:
    """The run comes to its end, measures something, and keeps its bounds."""
    attack = scenario_named(name)
    result = run(attack, attack.small)
    assert result.checks
    assert [check for check in result.checks if not check.is_kept] == []
    assert result.is_passed
    assert [snapshot.label for snapshot in result.snapshots] == ["before", "during", "after"]
