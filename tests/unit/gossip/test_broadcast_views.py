"""Neighbours and others: mutual, bounded, replaced, exchanged."""

from __future__ import annotations

from random import Random

from pilotdht.config.broadcast import BroadcastConfig
from pilotdht.gossip.broadcast.views import Views
from pilotdht.identity.ids import PublicKey
from pilotdht.wire.broadcast_messages import WalkKind, Wish
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint

CONTACTS = [Contact(PublicKey(bytes([n]) * 32), Endpoint(f"10.0.0.{n}", 4433)) for n in range(1, 60)]
SELF = PublicKey(bytes(32))


def _views(**settings: int) -> tuple[Views, Random]:
    return Views(SELF, BroadcastConfig(**{"active_size": 3, "passive_size": 5, **settings})), Random(1)


def test_views_full_drop_a_late_neighbour_and_remember_it() -> None:
    """The one that makes room is never among the two that stand longest."""
    for seed in range(20):
        views, _ = _views()
        random = Random(seed)
        for contact in CONTACTS[:3]:
            assert views.linked(contact, random) is None
        assert views.linked(CONTACTS[3], random) is CONTACTS[2]
        assert list(views.active.values()) == [CONTACTS[0], CONTACTS[1], CONTACTS[3]]
        assert list(views.passive.values()) == [CONTACTS[2]]


def test_views_accept_the_lonely_and_refuse_others_when_full() -> None:
    """Whoever has no neighbour is taken in; whoever has some only where there is room."""
    views, random = _views()
    assert views.is_accepted(Wish.LOW)
    for contact in CONTACTS[:3]:
        views.linked(contact, random)
    assert [views.is_accepted(wish) for wish in (Wish.LOW, Wish.REFRESH, Wish.HIGH, Wish.JOIN)] == [
        False,
        False,
        True,
        True,
    ]


def test_views_wish_is_high_only_without_neighbours() -> None:
    """One who has a neighbour asks politely, and one fewer than there is room for."""
    views, random = _views()
    assert views.wish() is Wish.HIGH
    assert views.wanted() == 2
    views.linked(CONTACTS[0], random)
    assert views.wish() is Wish.LOW
    assert views.wanted() == 1
    assert views.to_ask(0) == 1
    assert views.to_ask(6) == 7
    assert views.to_ask(1000) == 20


def test_views_never_hold_ourselves_nor_more_than_they_may() -> None:
    """Others are replaced: first those that were given away in the exchange."""
    views, random = _views()
    views.met(Contact(SELF, Endpoint("10.0.0.99", 1)), random)
    assert views.passive == {}
    for contact in CONTACTS[:5]:
        views.met(contact, random)
    views.met(CONTACTS[5], random, expendable=[CONTACTS[9].public_key, CONTACTS[2].public_key])
    assert CONTACTS[2].public_key not in views.passive
    for contact in CONTACTS:
        views.met(contact, random)
    assert len(views.passive) == 5


def test_views_neighbour_that_died_is_forgotten_and_one_that_parted_is_not() -> None:
    """A dead neighbour is no candidate."""
    views, random = _views()
    views.linked(CONTACTS[0], random)
    views.linked(CONTACTS[1], random)
    assert views.unlinked(CONTACTS[0].public_key, is_alive=False, random=random) is CONTACTS[0]
    assert views.unlinked(CONTACTS[1].public_key, is_alive=True, random=random) is CONTACTS[1]
    assert views.unlinked(CONTACTS[1].public_key, is_alive=True, random=random) is None
    assert views.candidate((), random) is CONTACTS[1]


def test_views_candidates_are_asked_once_a_round() -> None:
    """Whoever refused or is being asked is no candidate until the next round."""
    views, random = _views()
    for contact in CONTACTS[:3]:
        views.met(contact, random)
    views.refused(CONTACTS[0].public_key)
    assert views.candidate([CONTACTS[1].public_key], random) is CONTACTS[2]
    assert views.candidate([CONTACTS[1].public_key, CONTACTS[2].public_key], random) is None
    views.begin_round()
    assert views.candidate([CONTACTS[1].public_key, CONTACTS[2].public_key], random) is CONTACTS[0]


def test_views_walks_go_on_to_others_and_end() -> None:
    """A walk never returns to who sent it, and ends without steps left or with one neighbour."""
    views, random = _views()
    views.linked(CONTACTS[0], random)
    assert views.ends_here(WalkKind.JOIN, 5)
    views.linked(CONTACTS[1], random)
    assert not views.ends_here(WalkKind.JOIN, 5)
    assert views.ends_here(WalkKind.JOIN, 0)
    assert views.ends_here(WalkKind.SHUFFLED, 5)
    assert views.next_step([CONTACTS[0].public_key], random) is CONTACTS[1]
    assert views.next_step([CONTACTS[0].public_key, CONTACTS[1].public_key], random) is None


def test_views_offers_fit_in_a_message() -> None:
    """Three neighbours and four others, and as many in answer as were offered."""
    views, random = _views(active_size=5, passive_size=30)
    for contact in CONTACTS[:5]:
        views.linked(contact, random)
    for contact in CONTACTS[5:40]:
        views.met(contact, random)
    offer = views.offer(random)
    assert len(offer) == 7
    assert sum(one.public_key in views.active for one in offer) == 3
    assert len(set(views.counter_offer(7, random))) == 7
