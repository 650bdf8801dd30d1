"""Servers that die and come back, while agents behind NATs talk: a short run of ``scripts/natlab churn``."""

from __future__ import annotations

import pytest

from scripts.lab.churn import LONGEST_APART_S, Plan, churn

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]  # daemons start on a machine that may be busy


def test_pairs_stay_together_while_servers_die_and_come_back(can_build_lab: None) -> None:
    """Two pairs, one of which needs a relay all the time: the servers that they know die one after another."""
    told: list[str] = []
    plan = Plan(
        pairs=(("symmetric", "symmetric"), ("cgnat", "portrestricted")),
        duration_s=40.0,
        servers=4,
        pause_s=(2.0, 4.0),
        down_s=(1.0, 8.0),
        settle_s=15.0,
    )
    outcome = churn(plan, told.append)
    relayed, direct = outcome.pairs
    assert outcome.kills >= 3  # on a busy machine it takes long until enough are up again
    assert outcome.least_up >= plan.least_up
    assert outcome.is_good, told
    assert "direct" not in relayed.roads
    assert direct.roads.get("direct", 0) >= 30
    assert relayed.answers >= plan.duration_s - 3 * LONGEST_APART_S
