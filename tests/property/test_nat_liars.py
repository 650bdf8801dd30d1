"""Liars among the reporters do not change what a NAT is taken for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotdht.net.observed import Sighting
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.traversal_messages import NatMapping
from tests.support.nat_words import CONE, LOCAL, OUTSIDE, judged, reporter, seen_through, word

pytestmark = pytest.mark.property

LIES = [Endpoint("198.51.100.66", 666), LOCAL, CONE, Endpoint(OUTSIDE, 1), Endpoint("198.51.100.67", 1)]
ANEW = Endpoint("203.0.113.77", 5000)
KINDS = (NatMapping.NONE, NatMapping.ENDPOINT_INDEPENDENT, NatMapping.ADDRESS_AND_PORT_DEPENDENT)


@st.composite
def crowds(draw: st.DrawFn) -> tuple[NatMapping, int, list[Sighting]]:
    """Return a NAT, k, and the words of 3k+1 peers, of which k say whatever they like, at any times."""
    kind = draw(st.sampled_from(KINDS))
    liars = draw(st.integers(0, 5))
    count = 3 * liars + 1
    honest = [word(number, seen_through(kind, reporter(number))) for number in range(count)]
    told = [one.seen for one in honest] + LIES + [Endpoint("198.51.100.99", 1000 + number) for number in range(count)]
    one_voice = draw(st.sampled_from(told))
    for number in draw(st.permutations(range(count)))[:liars]:
        lie = draw(st.one_of(st.just(one_voice), st.sampled_from(told)))
        honest[number] = word(number, lie)
    ages = draw(st.lists(st.floats(0, 899), min_size=count, max_size=count))
    return kind, liars, [word(number, one.seen, age_s=ages[number]) for number, one in enumerate(honest)]


@given(crowds())
def test_judge_k_liars_of_3k_plus_1_never_change_the_verdict(crowd: tuple[NatMapping, int, list[Sighting]]) -> None:
    """It is the right one from two liars among seven; with one among four it may be open, and is never wrong."""
    kind, liars, words = crowd
    found = judged(words)
    allowed = {kind} if liars >= 2 else {kind, NatMapping.UNKNOWN}
    assert found.mapping in allowed
    if found.is_predictable:
        assert seen_through(kind, reporter(0)) == found.public


@given(crowds(), st.integers(0, 16))
def test_judge_liars_and_a_change_never_make_a_cone_look_random(
    crowd: tuple[NatMapping, int, list[Sighting]], moved: int
) -> None:
    """However many honest peers have seen the new endpoint already, in whatever order."""
    kind, _, words = crowd
    if kind is NatMapping.ADDRESS_AND_PORT_DEPENDENT:
        return
    truth = seen_through(kind, reporter(0))
    changed = [
        one._replace(seen=ANEW, said_at=one.said_at + 1000) if one.seen == truth and number < moved else one
        for number, one in enumerate(words)
    ]
    found = judged([one._replace(said_at=min(one.said_at, 10_000.0)) for one in changed])
    assert found.mapping in (kind, NatMapping.ENDPOINT_INDEPENDENT, NatMapping.UNKNOWN)
    assert found.public in (None, truth, ANEW)


@given(st.lists(st.sampled_from([CONE, ANEW, LOCAL, *LIES]), max_size=40), st.integers(0, 40))
def test_judge_any_words_give_a_verdict_in_its_bounds(said: list[Endpoint], hosts: int) -> None:
    """Nothing that is said makes it fail, and the confidence is a share."""
    words = [word(number % (hosts + 1), seen) for number, seen in enumerate(said)]
    found = judged(words)
    assert 0.0 <= found.confidence < 1.0
    assert found.prefixes <= min(16, found.samples)
    assert (found.public is not None) == found.is_predictable
