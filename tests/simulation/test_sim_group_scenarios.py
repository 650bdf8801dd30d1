"""Scenarios about groups, each in its size for continuous integration: all bounds are kept."""

from __future__ import annotations

import pytest

from pilotdht.errors import InvalidArgument
from simulations.runner import run
from simulations.scenarios.scenario import Subject, all_scenarios, scenario_named
from tests.support.source import ROOT

pytestmark = [pytest.mark.simulation, pytest.mark.timeout(300)]  # up to 15 s of processor time each

SCENARIOS = [one.name for one in all_scenarios().values() if one.subject is Subject.GROUPS]


def test_all_scenarios_about_groups_are_there() -> None:
    """None is left out by chance."""
    assert SCENARIOS == [
        "broadcast-mass-kill",
        "byzantine-members",
        "group-churn",
        "group-detection",
        "group-partition",
        "group-stall",
    ]


@pytest.mark.parametrize("name", SCENARIOS)
def test_small_scenario_about_a_group_keeps_every_bound(name: str) -> None:
    """It comes to its end, and keeps its bounds."""
    scenario = scenario_named(name)

    result = run(scenario, scenario.small)

    assert [check for check in result.checks if not check.is_kept] == []
    assert result.is_passed
    assert len(result.checks) >= 3


@pytest.mark.parametrize("name", SCENARIOS)
def test_stock_implementation_is_refused(name: str) -> None:
    """It knows no groups: that is said, not tried."""
    scenario = scenario_named(name)
    options = scenario.options(implementation="kademlia")

    with pytest.raises(InvalidArgument, match="cannot play"):
        run(scenario, options)


def test_documentation_names_every_scenario() -> None:
    """The section about groups tells what each is for."""
    text = (ROOT / "docs" / "simulations.md").read_text(encoding="utf-8")

    assert [name for name in SCENARIOS if f"`{name}`" not in text] == []
