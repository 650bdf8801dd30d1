"""An agent that sleeps and wakes up: short runs of ``scripts/natlab suspend``."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scripts.lab.suspend import AWAKE_WITHIN_S, Plan, suspend

SHORT = Plan(asleep_s=(5.0,), servers=3, settle_s=15.0)

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]  # daemons start on a machine that may be busy


def quiet(_event: str) -> None:
    """Tell nobody."""


@pytest.mark.parametrize("is_moving", [False, True])
def test_stream_goes_on_after_a_short_sleep(can_build_lab: None, is_moving: bool) -> None:
    """The link was not given up meanwhile; waking up at another provider's changes nothing."""
    (slept,) = suspend(replace(SHORT, is_moving=is_moving), quiet)
    assert "went on" == slept.stream
    assert slept.answer_after_s <= AWAKE_WITHIN_S


def test_stream_fails_clearly_after_a_long_sleep_and_the_peer_is_dialled_at_once(can_build_lab: None) -> None:
    """Both sides have given the link up after thirty seconds; the sleeper knows it as soon as it wakes up."""
    (slept,) = suspend(replace(SHORT, asleep_s=(40.0,)), quiet)
    assert "failed" == slept.stream
    assert slept.answer_after_s <= AWAKE_WITHIN_S
