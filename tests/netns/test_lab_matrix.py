"""The matrix measures real daemons behind NATs."""

from __future__ import annotations

import sys

import pytest

from scripts.lab.matrix import Outcome, Plan, measure

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]  # three daemons start on a machine that may be busy


def test_matrix_of_one_reachable_pair_measures_its_dial(can_build_lab: None) -> None:
    """A host behind a NAT dials one with a public address by its name: connected, after three round trips at least."""
    told: list[Outcome] = []
    plan = Plan(
        pairs=[("portrestricted", "open")],
        python=sys.executable,
        servers=1,
        settle_s=0.0,
        direct_wait_s=0.0,
        delay_ms=5.0,
        settings={},
        server_settings={},
    )
    (outcome,) = measure(plan, told.append)
    assert [outcome] == told
    assert ("portrestricted", "open", "") == (outcome.left, outcome.right, outcome.error)
    assert outcome.is_connected
    assert outcome.first_byte_ms is not None
    assert outcome.rtt_ms is not None
    assert outcome.rtt_ms >= 20
    assert 3 * 20 <= outcome.first_byte_ms < 10_000
