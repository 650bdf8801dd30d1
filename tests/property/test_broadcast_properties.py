"""Whatever comes in whatever order: once, in order, within bounds; any bytes are a message or a ``BadMessage``."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotdht.config.broadcast import BroadcastConfig
from pilotdht.errors import BadMessage, InvalidArgument
from pilotdht.gossip.broadcast.deadlines import Deadlines
from pilotdht.gossip.broadcast.delivery import Delivery
from pilotdht.gossip.broadcast.topics import Pattern
from pilotdht.gossip.broadcast.views import Views
from pilotdht.identity.ids import NodeId, PublicKey
from pilotdht.identity.keys import KeyPair
from pilotdht.wire.broadcast_messages import (
    Announce,
    Events,
    FetchEvents,
    FetchStreams,
    Graft,
    Grafted,
    Neighbour,
    Neighbourhood,
    Push,
    Pushed,
    Relink,
    Streams,
    Walk,
    Wish,
)
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.events import EventBody, EventId, claimed_event_untrusted, is_topic, sign_event
from pilotdht.wire.groups import open_group_id

pytestmark = pytest.mark.property

MESSAGES = (
    Push, Pushed, Announce, Graft, Grafted, FetchEvents, Events, FetchStreams, Streams, Neighbour, Neighbourhood, Walk,
    Relink,
)  # fmt: skip
KEYS = KeyPair.from_seed(bytes(32))

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.binary(max_size=40)
    | st.binary(min_size=20, max_size=20)
    | st.binary(min_size=30, max_size=30)
    | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=5),
    max_leaves=12,
)


@given(kind=st.sampled_from(MESSAGES), fields=st.lists(values, max_size=6))
def test_any_fields_are_a_message_or_bad(kind: type[Push], fields: list[object]) -> None:
    """Nothing but ``BadMessage`` leaves a decoder, and what is read is written the same way."""
    try:
        message = kind.from_fields_untrusted(fields)
    except BadMessage:
        return
    assert kind.from_fields_untrusted(message.fields()) == message


@given(st.binary(max_size=200), st.integers(0, 300), st.integers(0, 255))
def test_any_bytes_are_an_event_or_bad(data: bytes, position: int, value: int) -> None:
    """Also when they are nearly one."""
    body = EventBody(
        group=open_group_id("birds"), topic="a", sender=KEYS.public_key, epoch_ms=1, sequence=1, sent_ms=2, data=data
    )
    item = bytearray(sign_event(KEYS, body).item)
    if position < len(item):
        item[position] = value
    for one in (data, bytes(item)):
        try:
            event = claimed_event_untrusted(one)
        except BadMessage:
            continue
        assert event.item == one


arrivals = st.lists(
    st.tuples(
        st.sampled_from([NodeId(b"a" * 20), NodeId(b"b" * 20), NodeId(b"c" * 20)]),
        st.integers(1, 2),
        st.integers(1, 12) | st.integers(1, 2**32 - 1),
        st.floats(0.0, 0.45),
    ),
    max_size=60,
)


@settings(max_examples=200)
@given(arrivals)
def test_delivery_is_once_and_in_order_whatever_comes(steps: list[tuple[NodeId, int, int, float]]) -> None:
    """Per sender epochs and numbers only rise; bounds hold; in the end nothing is held back.

    All within the retention: what is older is refused for its age before it comes here.
    """
    config = BroadcastConfig(max_held=16, max_held_per_sender=4, gap_wait_s=4.0, first_wait_s=1.0, retention_s=30.0)
    delivery: Delivery[EventId] = Delivery(config, joined_ms=2)
    delivered: list[EventId] = []
    now = 0.0

    def pass_time(until: float) -> None:
        while (moment := delivery.next_due()) is not None and moment <= until:
            due = delivery.due(moment)
            delivered.extend(due.ready)
            assert all(not delivery.is_known(EventId(gap.sender, gap.epoch_ms, gap.sequence)) for gap in due.gaps)

    for sender, epoch_ms, sequence, pause_s in steps:
        now += pause_s
        pass_time(now)
        event_id = EventId(sender, epoch_ms, sequence)
        if not delivery.is_known(event_id):
            taken = delivery.accept(event_id, event_id, now=now, expires_at=now + 30.0)
            delivered.extend(taken or [])
            assert (taken is not None) is delivery.is_known(event_id)
        assert delivery.held <= 16
    pass_time(now + 1000.0)
    assert (delivery.held, len(delivery), delivery.next_due()) == (0, 0, None)
    for sender in dict.fromkeys(one.sender for one in delivered):
        own = [one[1:] for one in delivered if one.sender == sender]
        assert own == sorted(set(own))


@given(st.permutations(range(1, 15)), st.lists(st.integers(1, 14), max_size=10))
def test_delivery_of_a_shuffled_stream_is_complete(order: list[int], again: list[int]) -> None:
    """As long as no gap is given up, everything is delivered, repetitions or not."""
    delivery: Delivery[int] = Delivery(BroadcastConfig(), joined_ms=0)
    delivered: list[int] = []
    for sequence in (*order, *again):
        event_id = EventId(NodeId(bytes(20)), 5, sequence)
        if not delivery.is_known(event_id):
            delivered.extend(delivery.accept(event_id, sequence, now=0.0, expires_at=100.0) or [])
    assert delivered == list(range(1, 15))
    assert delivery.skipped == 0


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 100), st.booleans()), max_size=60))
def test_deadlines_agree_with_a_plain_dictionary(steps: list[tuple[int, float, bool]]) -> None:
    """A heap with dead entries tells the same as looking through everything."""
    deadlines: Deadlines[int] = Deadlines()
    plain: dict[int, float] = {}
    for key, when, is_set in steps:
        if is_set:
            deadlines.set(key, when)
            plain[key] = when
        else:
            deadlines.discard(key)
            plain.pop(key, None)
        assert deadlines.first() == min(plain.values(), default=None)
        assert len(deadlines) == len(plain)
    assert sorted(deadlines.due(50.0)) == sorted(key for key, when in plain.items() if when <= 50.0)


@given(st.integers(), st.lists(st.tuples(st.integers(0, 4), st.integers(0, 20)), max_size=80))
def test_views_stay_within_their_bounds_and_apart(seed: int, steps: list[tuple[int, int]]) -> None:
    """Nobody is both neighbour and other, ourselves least of all."""
    contacts = [Contact(PublicKey(bytes([n]) * 32), Endpoint("10.0.0.1", 1 + n)) for n in range(21)]
    random = Random(seed)
    views = Views(contacts[0].public_key, BroadcastConfig(active_size=3, passive_size=6))
    for what, number in steps:
        contact = contacts[number]
        if what == 0:
            views.linked(contact, random)
        elif what == 1:
            views.unlinked(contact.public_key, is_alive=number % 2 == 0, random=random)
        elif what == 2:
            views.met(contact, random, expendable=[contacts[0].public_key, contacts[5].public_key])
        elif what == 3:
            views.refused(contact.public_key)
        else:
            views.forget(contact.public_key)
        assert len(views.active) <= 3
        assert len(views.passive) <= 6
        assert not views.active.keys() & views.passive.keys()
        assert contacts[0].public_key not in {**views.active, **views.passive}
        assert views.is_accepted(Wish.HIGH)


@given(st.lists(st.text("ab*.", max_size=3), max_size=4), st.lists(st.text("ab", min_size=1, max_size=2), max_size=4))
def test_pattern_agrees_with_its_definition(pattern_words: list[str], topic_words: list[str]) -> None:
    """Word by word, with a tail that takes everything."""
    text, topic = ".".join(pattern_words), ".".join(topic_words)
    try:
        pattern = Pattern(text)
    except InvalidArgument:
        return
    if not is_topic(topic):
        return
    words = text.split(".")
    has_tail = words[-1] == "**"
    head = words[:-1] if has_tail else words
    fits = len(topic_words) >= len(head) if has_tail else len(topic_words) == len(head)
    expected = fits and all(one in ("*", other) for one, other in zip(head, topic_words, strict=False))
    assert pattern.matches(topic) is expected
