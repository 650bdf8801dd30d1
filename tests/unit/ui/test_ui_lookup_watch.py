"""Lookups are shown while somebody watches, within bounds, and cost nothing while nobody does."""

from __future__ import annotations

import random

from pilotdht.config.dht import DhtConfig
from pilotdht.dht.lookup import Ending, Lookup
from pilotdht.dht.prefixes import PrefixRule
from pilotdht.dht.watch import MAX_LOOKUPS, MAX_REQUESTS, LookupWatch, RequestState
from pilotdht.identity.keys import KeyPair
from pilotdht.net.outcomes import Answer, Answered, Silent, Slow
from pilotdht.wire.contact import Contact
from pilotdht.wire.dht_messages import Nodes
from pilotdht.wire.endpoint import Endpoint

RANDOM = random.Random("watch")
TARGET = bytes(20)


def contact(number: int) -> Contact:
    """Return a contact."""
    return Contact(KeyPair.from_seed(number.to_bytes(32, "big")).public_key, Endpoint("127.0.0.1", 4000 + number))


def lookup() -> Lookup:
    """Return a lookup that knows nobody."""
    own = KeyPair.from_seed(b"\xff" * 32).node_id
    return Lookup(
        TARGET, (), own_id=own, config=DhtConfig(), prefixes=PrefixRule(are_private_exempt=True), answers_wanted=8
    )


def answered(one: Contact) -> Answered:
    """Return an answer without contacts."""
    message = Nodes(store_token=b"", contacts=())
    return Answered(one, Answer(message, Endpoint("127.0.0.1", 1), 0.001, one, False))


def test_begin_without_watcher_returns_nothing() -> None:
    """Nobody watches: nothing is kept."""
    watch = LookupWatch()
    assert watch.begin(TARGET, "FindNode", 1.0) is None
    assert () == watch.lookups


def test_watched_lookup_tells_each_request() -> None:
    """Whom it asked, when, and what came of it."""
    with LookupWatch() as watch:
        watched = watch.begin(TARGET, "FindNode", 10.0)
        assert watched is not None
        quick, slow, silent, late = (contact(number) for number in range(4))
        for one in (quick, slow, silent, late):
            watched.asked(one, 10.5)
        watched.heard(answered(quick), 11.0)
        watched.heard(Slow(slow), 11.5)
        watched.heard(answered(slow), 12.0)
        watched.heard(Silent(silent), 13.0)
        watched.ended(lookup(), 14.0)
        told = [(one.contact, one.state, one.asked_s, one.ended_s, one.is_slow) for one in watch.lookups[0].requests]
    assert [
        (quick, RequestState.ANSWERED, 0.5, 1.0, False),
        (slow, RequestState.ANSWERED, 0.5, 2.0, True),
        (silent, RequestState.SILENT, 0.5, 3.0, False),
        (late, RequestState.ABANDONED, 0.5, 4.0, False),
    ] == told
    assert ("cancelled", 4.0) == (watched.ending, watched.duration_s)


def test_watched_lookup_tells_how_it_ended() -> None:
    """The ending is the lookup's own."""
    with LookupWatch() as watch:
        watched = watch.begin(TARGET, "FindNode", 0.0)
        assert watched is not None
        ended = lookup()
        ended.end(Ending.DEADLINE)
        watched.ended(ended, 1.0)
    assert "deadline" == watched.ending


def test_outcome_of_unknown_request_is_ignored() -> None:
    """What was left out, or never asked, changes no request."""
    with LookupWatch() as watch:
        watched = watch.begin(TARGET, "FindNode", 0.0)
        assert watched is not None
        watched.heard(Silent(contact(1)), 1.0)
        watched.heard(Slow(contact(1)), 1.0)
        assert [] == watched.requests


def test_requests_above_the_bound_are_counted() -> None:
    """A lookup that asks without end does not fill the memory."""
    with LookupWatch() as watch:
        watched = watch.begin(TARGET, "FindNode", 0.0)
        assert watched is not None
        one = contact(1)
        for _ in range(MAX_REQUESTS + 5):
            watched.asked(one, 0.0)
        assert (MAX_REQUESTS, 5) == (len(watched.requests), watched.left_out)


def test_lookups_above_the_bound_push_out_the_oldest() -> None:
    """The newest are kept."""
    with LookupWatch() as watch:
        for _ in range(MAX_LOOKUPS + 3):
            watch.begin(TARGET, "FindNode", 0.0)
        assert list(range(4, MAX_LOOKUPS + 4)) == [one.number for one in watch.lookups]


def test_last_watcher_takes_everything_along() -> None:
    """With two watchers it goes on until both are gone."""
    watch = LookupWatch()
    with watch:
        with watch:
            watch.begin(TARGET, "FindNode", 0.0)
        assert [1] == [one.number for one in watch.lookups]
    assert [] == [one.number for one in watch.lookups]
    assert watch.begin(TARGET, "FindNode", 0.0) is None
