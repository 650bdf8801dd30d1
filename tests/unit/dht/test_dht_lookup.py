"""A lookup's bookkeeping: whom it asks, what it believes, why it ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from pilotdht.config.dht import DhtConfig
from pilotdht.dht.candidate import Candidate, State
from pilotdht.dht.lookup import Ending, Lookup
from pilotdht.errors import InternalError
from pilotdht.identity.ids import NodeId
from pilotdht.wire.contact import Contact
from tests.support.dht_examples import contact_of, prefix_rule

TARGET = bytes(20)
OWN = NodeId(b"\xff" * 20)
CONFIG = DhtConfig(replicas=3, parallel=3, proximity_choice=1, max_candidates=30, max_requests=20)
ORDERED = sorted((contact_of(number) for number in range(1, 200)), key=lambda one: one.point)
"""Contacts, nearest to the target first."""


def lookup_of(seeds: Sequence[Contact], *, config: DhtConfig = CONFIG, paths: int = 1) -> Lookup:
    """Return a lookup of the point zero."""
    return Lookup(
        TARGET,
        seeds,
        own_id=OWN,
        config=config,
        prefixes=prefix_rule(config),
        answers_wanted=config.replicas,
        paths=paths,
    )


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("following", list(State))
def test_candidate_steps_are_those_of_the_table(state: State, following: State) -> None:
    """Heard, asked, then answered, silent or heard again; nothing else."""
    allowed = {
        (State.HEARD, State.ASKED),
        (State.ASKED, State.ANSWERED),
        (State.ASKED, State.SILENT),
        (State.ASKED, State.HEARD),
    }
    candidate = Candidate(ORDERED[0], 1, None, 1)
    candidate.state = state
    if (state, following) in allowed:
        candidate.enter(following)
        assert following is candidate.state
    else:
        with pytest.raises(InternalError):
            candidate.enter(following)


def test_take_without_seeds_ends_exhausted() -> None:
    """Nobody to ask is an ending with a name."""
    lookup = lookup_of([])
    assert [] == lookup.take()
    assert Ending.EXHAUSTED is lookup.ending


def test_take_asks_the_nearest_up_to_the_window() -> None:
    """The window is filled with the nearest."""
    lookup = lookup_of(ORDERED[:10])
    assert ORDERED[:3] == lookup.take()
    assert [] == lookup.take()


def test_take_prefers_the_quickest_of_the_nearest() -> None:
    """Of the few nearest the one with the shortest known round trip is asked; farther ones are not compared."""
    round_trips = {ORDERED[1]: 0.2, ORDERED[2]: 0.05, ORDERED[3]: 0.1, ORDERED[4]: 0.001}
    config = replace(CONFIG, replicas=8, parallel=1, proximity_choice=4)
    lookup = Lookup(
        TARGET,
        ORDERED[:8],
        own_id=OWN,
        config=config,
        prefixes=prefix_rule(config),
        answers_wanted=config.replicas,
        rtt_of=round_trips.get,
    )
    assert [ORDERED[2]] == lookup.take()
    lookup.answered(ORDERED[2], [])
    assert [ORDERED[4]] == lookup.take()


def test_count_closest_counts_as_many_as_make_an_answer_set() -> None:
    """One that is silent makes room for the next, also for one that was asked before."""
    lookup = lookup_of(ORDERED[:6])
    lookup.take()
    assert 3 == lookup.count_closest(ORDERED[:6])
    assert 1 == lookup.count_closest(ORDERED[2:6])
    lookup.silent(ORDERED[0])
    assert 2 == lookup.count_closest(ORDERED[2:6])


def liar_met(*, replicas: int = CONFIG.replicas) -> tuple[Lookup, list[Contact]]:
    """Return a lookup whose first contact, the 20th nearest, named eight nearer ones, and who is asked of them."""
    config = replace(CONFIG, replicas=replicas, parallel=16, max_candidates=100)
    lookup = lookup_of(ORDERED[19:29], config=config)
    first, *_ = lookup.take()
    lookup.answered(first, ORDERED[:8])
    return lookup, [one for one in lookup.take() if one in ORDERED[:8]]


def test_who_names_contacts_is_believed_a_few_at_first() -> None:
    """Two of eight are asked though there is room for more, and two more once one of them answered."""
    lookup, asked = liar_met(replicas=8)
    assert ORDERED[:2] == asked
    lookup.answered(asked[0], [])
    assert ORDERED[2:4] == [one for one in lookup.take() if one in ORDERED[:8]]


def test_who_named_two_in_vain_is_believed_no_more() -> None:
    """The other six are left out, and so is who named them; the lookup ends among the rest."""
    lookup, asked = liar_met()
    for contact in asked:
        lookup.slow(contact)
    assert 0 == lookup.count_closest([ORDERED[19]])
    waiting = [*ORDERED[20:22], *lookup.take()]
    assert waiting == ORDERED[20:23]
    for contact in waiting:
        lookup.answered(contact, [])
    assert [] == lookup.take()
    assert Ending.CLOSEST_ANSWERED is lookup.ending


def test_late_answers_make_their_namer_believed_again() -> None:
    """Slow is not dead: what they named is asked after all."""
    lookup, asked = liar_met()
    for contact in asked:
        lookup.slow(contact)
    assert not [one for one in lookup.take() if one in ORDERED[:8]]
    lookup.answered(asked[0], [])
    assert ORDERED[2:4] == [one for one in lookup.take() if one in ORDERED[:8]]
    assert 1 == lookup.count_closest([asked[0]])


def test_naming_a_contact_twice_is_one_word() -> None:
    """A reply that repeats a contact is worth no more than one that does not."""
    lookup = lookup_of(ORDERED[19:29], config=replace(CONFIG, parallel=16))
    first, *_ = lookup.take()
    lookup.answered(first, [ORDERED[0], *ORDERED[:8], ORDERED[0]])
    for contact in lookup.take():
        lookup.slow(contact)
    lookup.answered(ORDERED[0], [])
    assert ORDERED[2:4] == [one for one in lookup.take() if one in ORDERED[:8]]


def test_lone_seed_that_named_two_in_vain_is_followed_all_the_same() -> None:
    """With fewer answers than wanted everybody's word is taken: many may have died at once."""
    lookup = lookup_of(ORDERED[19:20])
    (seed,) = lookup.take()
    lookup.answered(seed, ORDERED[:6])
    for contact in lookup.take():
        lookup.silent(contact)
    for contact in (more := lookup.take()):
        lookup.answered(contact, [])
    assert ORDERED[2:5] == more
    assert [] == lookup.take()
    assert Ending.CLOSEST_ANSWERED is lookup.ending


def test_contact_that_another_one_names_too_is_asked() -> None:
    """The word of one that is believed is enough."""
    lookup, asked = liar_met()
    lookup.answered(ORDERED[20], ORDERED[5:7])
    for contact in asked:
        lookup.silent(contact)
    assert ORDERED[5] in lookup.take()


def test_answered_frees_one_slot() -> None:
    """Each reply lets the next request go, without waiting for a round."""
    lookup = lookup_of(ORDERED[:10], config=replace(CONFIG, replicas=8))
    asked = lookup.take()
    lookup.answered(asked[0], [])
    assert [ORDERED[3]] == lookup.take()


def test_slow_frees_one_slot_and_may_still_answer() -> None:
    """A slow contact costs no slot, and its late answer counts."""
    lookup = lookup_of(ORDERED[:10])
    asked = lookup.take()
    lookup.slow(asked[0])
    assert [ORDERED[3]] == lookup.take()
    lookup.answered(asked[0], [])
    assert [asked[0]] == [one.contact for one in lookup.closest(3)]


def test_lookup_ends_when_the_closest_have_answered() -> None:
    """Three of three closest answered: that is the normal end."""
    lookup = lookup_of(ORDERED[:10])
    for contact in lookup.take():
        lookup.answered(contact, [])
    lookup.take()
    assert Ending.CLOSEST_ANSWERED is lookup.ending
    assert ORDERED[:3] == [one.contact for one in lookup.closest(3)]


def test_lookup_with_closer_contacts_heard_goes_on() -> None:
    """A count of answers never ends it: closer contacts are asked first."""
    lookup = lookup_of(ORDERED[10:13])
    for contact in lookup.take():
        lookup.answered(contact, ORDERED[:5])
    assert ORDERED[:3] == lookup.take()
    assert lookup.ending is None


def test_lookup_in_a_small_mesh_ends_exhausted() -> None:
    """Fewer contacts than an answer set exist."""
    lookup = lookup_of(ORDERED[:2])
    for contact in lookup.take():
        lookup.answered(contact, ORDERED[:2])
    lookup.take()
    assert Ending.EXHAUSTED is lookup.ending


def test_lookup_waits_for_slow_contacts_when_nobody_else_is_left() -> None:
    """The only contact of a mesh may take its time."""
    lookup = lookup_of(ORDERED[:1])
    lookup.take()
    lookup.slow(ORDERED[0])
    lookup.take()
    assert lookup.ending is None
    lookup.silent(ORDERED[0])
    lookup.take()
    assert Ending.EXHAUSTED is lookup.ending


def test_lookup_led_on_for_ever_ends_at_the_request_bound() -> None:
    """A node that names ever closer contacts costs so many requests, and no more."""
    lookup = lookup_of([ORDERED[199 - 10]])
    fresh = list(reversed(ORDERED[:185]))
    asked = 0
    while lookup.ending is None:
        batch = lookup.take()
        asked += len(batch)
        for contact in batch:
            lookup.answered(contact, [fresh.pop(0), fresh.pop(0)])
    assert CONFIG.max_requests == asked == lookup.requests
    assert Ending.REQUEST_BOUND is lookup.ending


def test_candidates_are_bounded() -> None:
    """However many contacts are named, so many are kept, and the nearest of them."""
    lookup = lookup_of(ORDERED[-1:])
    (first,) = lookup.take()
    lookup.answered(first, ORDERED[20:40])
    for start in (60, 80, 0):
        for contact in lookup.take()[:1]:
            lookup.answered(contact, ORDERED[start : start + 20])
    assert len(lookup) <= CONFIG.max_candidates + 1
    assert ORDERED[0] in lookup.take() or lookup.requests > 3


@pytest.mark.parametrize("given", [19, 20, 21, 60])
def test_answered_uses_so_many_contacts_of_one_reply(given: int) -> None:
    """What one reply can plant is bounded."""
    lookup = lookup_of(ORDERED[-1:], config=replace(CONFIG, max_candidates=1000))
    (first,) = lookup.take()
    lookup.answered(first, ORDERED[:given])
    assert 1 + min(given, 20) == len(lookup)


def test_answered_naming_our_own_key_is_ignored() -> None:
    """Nobody sends us to ourselves."""
    own = ORDERED[5]
    lookup = Lookup(
        TARGET, ORDERED[6:8], own_id=own.node_id, config=CONFIG, prefixes=prefix_rule(CONFIG), answers_wanted=3
    )
    for contact in lookup.take():
        lookup.answered(contact, [Contact(own.public_key, ORDERED[1].endpoint)])
    assert [] == lookup.take()
    assert 2 == len(lookup)


def test_take_prefers_the_verified_endpoint_over_hearsay() -> None:
    """A reply cannot move a contact that answered us elsewhere."""
    hearsay = contact_of(3, host="203.0.113.66")
    verified = contact_of(3)
    lookup = Lookup(
        TARGET,
        [hearsay],
        own_id=OWN,
        config=CONFIG,
        prefixes=prefix_rule(CONFIG),
        answers_wanted=3,
        verified=lambda node_id: verified if node_id == verified.node_id else None,
    )
    assert [verified] == lookup.take()
    lookup.silent(verified)
    assert [hearsay] == lookup.take()


def test_silent_at_a_false_endpoint_is_tried_at_the_other() -> None:
    """One liar does not make an honest contact unreachable."""
    false, true = contact_of(3, host="203.0.113.66"), contact_of(3)
    lookup = lookup_of([false, true])
    assert [false] == lookup.take()
    lookup.silent(false)
    assert [true] == lookup.take()
    lookup.answered(true, [])
    assert [true] == [one.contact for one in lookup.closest(3)]


def test_silent_contacts_leave_the_answer_set() -> None:
    """The next closest takes a dead one's place."""
    lookup = lookup_of(ORDERED[:6])
    first, *others = lookup.take()
    lookup.silent(first)
    for contact in others + lookup.take():
        lookup.answered(contact, [])
    lookup.take()
    assert Ending.CLOSEST_ANSWERED is lookup.ending
    assert ORDERED[1:4] == [one.contact for one in lookup.closest(3)]


def test_answers_of_one_prefix_count_twice_at_most() -> None:
    """One owner's network neither ends a lookup nor fills its answer."""
    owned = [
        Contact(one.public_key, contact_of(1, host=f"203.0.113.{index + 1}").endpoint)
        for index, one in enumerate(ORDERED[:6])
    ]
    lookup = lookup_of([*owned, *ORDERED[6:10]])
    asked: list[Contact] = []
    while batch := lookup.take():
        asked += batch
        for contact in batch:
            lookup.answered(contact, [])
    assert [*owned[:2], ORDERED[6]] == asked
    assert asked == [one.contact for one in lookup.closest(8)]


def test_paths_believe_only_their_own_replies() -> None:
    """A contact named to one path is not asked by the other."""
    lookup = lookup_of(ORDERED[100:102], paths=2)
    one, other = lookup.take()
    lookup.answered(one, ORDERED[:3])
    assert set(ORDERED[:2]) == set(lookup.take()[:2])
    lookup.answered(other, [])
    assert lookup.ending is None


def test_paths_ask_each_contact_once() -> None:
    """What both paths hear of is asked by one of them, and counts for both."""
    lookup = lookup_of(ORDERED[100:104], paths=2)
    asked: list[Contact] = []
    while batch := lookup.take():
        asked += batch
        for contact in batch:
            lookup.answered(contact, ORDERED[:8])
    assert len(set(asked)) == len(asked)
    assert Ending.CLOSEST_ANSWERED is lookup.ending
    assert ORDERED[:3] == [one.contact for one in lookup.closest(3)]


def test_end_keeps_the_first_reason() -> None:
    """Why it ended does not change afterwards."""
    lookup = lookup_of(ORDERED[:1])
    lookup.end(Ending.SATISFIED)
    lookup.end(Ending.DEADLINE)
    assert Ending.SATISFIED is lookup.ending
    assert [] == lookup.take()


def test_answered_by_a_client_counts_for_nothing_but_its_contacts() -> None:
    """What is written to a node that others cannot reach would be lost."""
    lookup = lookup_of(ORDERED[:1])
    lookup.answered(lookup.take()[0], ORDERED[5:6], token=b"12345678", is_client=True)
    lookup.answered(lookup.take()[0], [])
    lookup.take()
    assert Ending.EXHAUSTED is lookup.ending
    assert [ORDERED[5]] == [one.contact for one in lookup.closest(8)]


def test_widen_goes_on_to_farther_contacts() -> None:
    """When the closest have no room, the next closest are asked as well."""
    lookup = lookup_of(ORDERED[:10])
    for contact in lookup.take():
        lookup.answered(contact, [])
    lookup.take()
    assert lookup.widen(5)
    assert ORDERED[3:5] == lookup.take()
    for contact in ORDERED[3:5]:
        lookup.answered(contact, [])
    lookup.take()
    assert Ending.CLOSEST_ANSWERED is lookup.ending
    assert not lookup.widen(5)


def test_widen_after_another_ending_does_nothing() -> None:
    """A deadline stays a deadline."""
    lookup = lookup_of(ORDERED[:10])
    lookup.end(Ending.DEADLINE)
    assert not lookup.widen(9)


def test_hops_are_the_longest_chain_that_answered() -> None:
    """A chain of three contacts is three hops."""
    lookup = lookup_of(ORDERED[50:51])
    lookup.answered(lookup.take()[0], ORDERED[30:31])
    lookup.answered(lookup.take()[0], ORDERED[10:11])
    lookup.answered(lookup.take()[0], [])
    assert 3 == lookup.hops
