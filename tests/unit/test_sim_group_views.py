"""What members see, held against the truth, and the formulas that measured times are held against."""

from __future__ import annotations

import pytest

from pilotdht.config.gossip import GossipConfig
from simulations.groups import formulas
from simulations.groups.variants import VARIANTS, config_of
from simulations.groups.views import Agreement, agreement, mask_of

EVERYBODY = mask_of(range(4))


def test_masks_have_a_bit_a_member() -> None:
    """Member n is bit n."""
    assert mask_of([0, 3]) == 0b1001
    assert mask_of([]) == 0


def test_all_right_is_one() -> None:
    """Everybody sees everybody."""
    views = dict.fromkeys(range(4), EVERYBODY)

    assert agreement(views, views) == Agreement(1.0, 1.0)


def test_missing_and_ghosts_are_wrong() -> None:
    """One does not see a member that is there; another one sees somebody who is not."""
    truth = dict.fromkeys(range(3), mask_of(range(3)))
    views = {0: mask_of([0, 1]), 1: mask_of(range(3)), 2: mask_of(range(4))}

    found = agreement(views, truth)

    assert found.pairs == pytest.approx(1 - 2 / (3 + 3 + 4))
    assert found.observers == pytest.approx(1 / 3)


def test_undecided_members_are_neither_right_nor_wrong() -> None:
    """Who is just coming may be seen or not."""
    truth = {0: mask_of([0, 1]), 1: mask_of([0, 1])}
    views = {0: mask_of([0, 1, 5]), 1: mask_of([0])}

    assert agreement(views, truth, mask_of([1, 5])) == Agreement(1.0, 1.0)


def test_nobody_to_ask_is_no_figure() -> None:
    """Nothing is measured where nobody observes."""
    assert agreement({}, {}) == Agreement(None, None)


@pytest.mark.parametrize(
    ("members", "spread_s", "verdict_s"),
    [(10, 0.49, 6.5), (100, 0.97, 10.6), (500, 1.31, 13.4), (1000, 1.46, 14.6), (10_000, 1.94, 18.6)],
)
def test_formulas_give_the_published_times(members: int, spread_s: float, verdict_s: float) -> None:
    """Known values for the defaults of memberlist in one data centre, which are ours."""
    config = GossipConfig()

    assert formulas.spread_s(members, config) == pytest.approx(spread_s, abs=0.006)
    assert formulas.first_verdict_s(members, config) == pytest.approx(verdict_s, abs=0.06)
    assert formulas.last_verdict_s(members, config) == pytest.approx(verdict_s + spread_s, abs=0.07)


def test_variants_differ_in_what_they_are_for() -> None:
    """Plain SWIM has neither Lifeguard nor our count of false alarms; all else is equal."""
    plain, lifeguard, default = map(config_of, VARIANTS)

    assert default == GossipConfig()
    assert lifeguard.false_alarms > default.false_alarms
    assert (plain.max_health, plain.suspicion_spread, plain.is_buddy) == (0, 1, False)
    assert plain.false_alarms == lifeguard.false_alarms
    assert plain.probe_interval_s == default.probe_interval_s
