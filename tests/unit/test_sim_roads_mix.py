"""The mix of NATs: what can be typed, how many nodes each kind gets, and who can meet whom."""

from __future__ import annotations

import re
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotdht.errors import InvalidArgument
from simulations.roads.mix import (
    LANDMARKS,
    SURROUNDINGS,
    USUAL_MIX,
    can_meet,
    counted,
    drawn_surroundings,
    may_meet_by_chance,
    needs_punching,
    parsed_mix,
)
from simulations.scenarios.nat_mix import NatMixOptions
from simulations.world.nat import NAT_KINDS
from tests.support.source import ROOT


def test_usual_mix_is_read_and_leaves_nobody_out() -> None:
    """Every kind has a share of it, and they are 1 together."""
    mix = parsed_mix(USUAL_MIX)

    assert list(SURROUNDINGS) == list(mix)
    assert sum(mix.values()) == pytest.approx(1.0)


def test_every_kind_is_one_of_the_world() -> None:
    """What stands in front of a node can be built."""
    kinds = [one.nat for one in SURROUNDINGS.values() if one.nat is not None]

    assert [kind for kind in kinds if kind not in NAT_KINDS] == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "'' is nothing"),
        ("public", "'' is no share of public"),
        ("public=x", "'x' is no share of public"),
        ("public=nan", "'nan' is no share of public"),
        ("public=0,open=1", "'0' is no share of public"),
        ("public=-1,open=2", "'-1' is no share of public"),
        ("public=0.5,public=0.5", "'public' is named twice"),
        ("public=0.5,moon=0.5", "'moon' is nothing"),
        ("public=0.5,open=0.4", "0.9 together"),
    ],
)
def test_mix_that_is_none_is_refused(text: str, said: str) -> None:
    """The error names what is wrong, and the hint what there is."""
    with pytest.raises(InvalidArgument, match=re.escape(said)) as refused:
        parsed_mix(text)
    assert refused.value.hint


@given(
    weights=st.lists(st.integers(1, 1000), min_size=1, max_size=len(SURROUNDINGS)),
    count=st.integers(0, 5000),
)
def test_counts_are_the_shares_in_whole_numbers(weights: list[int], count: int) -> None:
    """Nobody is lost, and no kind is off by one node."""
    mix = {name: weight / sum(weights) for name, weight in zip(SURROUNDINGS, weights, strict=False)}

    counts = counted(mix, count)

    assert count == sum(counts.values())
    assert all(abs(counts[name] - part * count) < 1.0 + 1e-6 for name, part in mix.items())


def test_landmarks_are_in_public_and_the_rest_is_shuffled() -> None:
    """One seed, one order; the shares are kept."""
    kinds = drawn_surroundings(parsed_mix(USUAL_MIX), 200, Random(1))

    assert ["public"] * LANDMARKS == kinds[:LANDMARKS]
    assert counted(parsed_mix(USUAL_MIX), 200) == {name: kinds.count(name) for name in SURROUNDINGS}
    assert kinds == drawn_surroundings(parsed_mix(USUAL_MIX), 200, Random(1))
    assert kinds != drawn_surroundings(parsed_mix(USUAL_MIX), 200, Random(2))
    assert kinds[LANDMARKS:] != sorted(kinds[LANDMARKS:])


def test_options_refuse_a_mix_without_enough_in_public() -> None:
    """Said when they are made, not an hour later."""
    with pytest.raises(InvalidArgument, match="4 of 40 nodes would be in public"):
        NatMixOptions(nodes=40)
    with pytest.raises(InvalidArgument, match="0 of 1000"):
        NatMixOptions(mix="symmetric=1")


def test_who_can_meet_is_what_the_documentation_promises() -> None:
    """The table of docs/nat.md, cell by cell."""
    names = {"full cone": "full_cone", "port-restricted": "port_restricted", "carrier NAT": "cgnat"}
    text = (ROOT / "docs" / "nat.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \*\*(.+?)\*\* \| (.+?) \| (.+?) \| (.+?) \|$", text, re.MULTILINE)
    assert ("no UDP", *["over a trunk"] * 3) == rows.pop()  # TCP is not simulated
    groups = [[names.get(name, name) for name in row[0].split(", ")] for row in rows]
    assert [3, 2, 1] == [len(group) for group in groups]

    for row, (_, *cells) in zip(groups, rows, strict=True):
        for column, cell in zip(groups, cells, strict=True):
            said = rows[1][3] if cell == "as above" else cell
            for one in row:
                for other in column:
                    assert (said == "direct") is can_meet(one, other), (one, other)
                    assert ("trust" in said) is may_meet_by_chance(one, other), (one, other)


def test_meeting_is_mutual_and_open_ones_need_no_punching() -> None:
    """Who dials does not matter; one open side is enough."""
    for one in SURROUNDINGS:
        for other in SURROUNDINGS:
            assert can_meet(one, other) is can_meet(other, one)
            assert may_meet_by_chance(one, other) is may_meet_by_chance(other, one)
            assert needs_punching(one, other) is not (SURROUNDINGS[one].is_open or SURROUNDINGS[other].is_open)
