"""Messages that come by two ways, as they do while a group's key is replaced, are read once."""

from __future__ import annotations

import asyncio

import pytest

from pilotdht.config.broadcast import BroadcastConfig
from pilotdht.errors import NodeClosed, Overloaded
from pilotdht.gossip.broadcast.numbering import Numbering
from pilotdht.gossip.broadcast.readers import Readers
from pilotdht.gossip.values import Event
from pilotdht.identity.address import Address
from pilotdht.wire.events import EventId
from simulations.engine.virtual_loop import run_virtually
from tests.support.net_nodes import key_pair

SENDER = key_pair(1)


def event_of(sequence: int, topic: str = "words") -> tuple[EventId, Event]:
    """Return a message of one sender."""
    event_id = EventId(SENDER.node_id, 1, sequence)
    event = Event(
        group="acme",
        topic=topic,
        data=b"%d" % sequence,
        sender=SENDER.public_key,
        address=Address.of_public_key(SENDER.public_key),
        hostname="",
        sequence=sequence,
        epoch_ms=1,
        sent_ms=1,
    )
    return event_id, event


def put(readers: Readers, *sequences: int) -> None:
    """Have messages come."""
    for sequence in sequences:
        event_id, event = event_of(sequence)
        readers.put(event_id, event.topic, lambda event=event: event)  # type: ignore[misc]  # bound at once


def test_readers_read_twice_what_comes_twice_unless_they_watch() -> None:
    """One way brings nothing twice, and remembering costs."""
    readers = Readers(BroadcastConfig(), on_missed=lambda: None)
    subscription = readers.subscribe("**")
    put(readers, 1, 2)
    readers.watch([event_of(1)[0], event_of(2)[0]])
    put(readers, 1, 2, 3, 3, 2)
    assert [b"1", b"2", b"3"] == [subscription.take().data for _ in range(len(subscription))]
    assert 4 == readers.repeated
    readers.unwatch()
    put(readers, 3)
    assert 1 == len(subscription)


def test_readers_remember_so_many_and_no_more() -> None:
    """Two ways of as many as are kept; what is older is refused for its age."""
    config = BroadcastConfig(max_events=16)
    readers = Readers(config, on_missed=lambda: None)
    subscription = readers.subscribe("words")
    readers.watch(())
    put(readers, *range(1, 2 * config.max_events + 2), 2, 1)
    assert 1 == readers.repeated
    assert 2 * config.max_events + 2 == len(subscription)


def test_readers_are_bounded_and_end_together() -> None:
    """A closed one takes none; those that are open read what waits, and end."""

    async def main() -> None:
        readers = Readers(BroadcastConfig(max_subscriptions=2), on_missed=lambda: None)
        one, other = readers.subscribe("words"), readers.subscribe("other.*")
        with pytest.raises(Overloaded):
            readers.subscribe("**")
        assert ["other.*", "words"] == list(readers.patterns)
        put(readers, 1)
        readers.close()
        readers.close()
        assert [b"1"] == [event.data async for event in one]
        assert [] == [event.data async for event in other]
        assert not readers.patterns
        with pytest.raises(NodeClosed):
            readers.subscribe("words")

    run_virtually(asyncio.wait_for(main(), 10))


def test_numbering_begins_with_the_first_message() -> None:
    """Who was there before it knows that nothing was missed; a clock that was set back changes nothing."""
    numbering = Numbering(1_000)
    numbering.begin(900)
    assert 1_000 == numbering.epoch_ms
    numbering.begin(4_000)
    numbering.sequence = 1
    numbering.begin(9_000)
    assert 4_000 == numbering.epoch_ms


def test_numbering_outlives_a_former_life() -> None:
    """An epoch that is not older than ours ends ours; numbers begin anew."""
    numbering = Numbering(1_000)
    numbering.sequence = 7
    numbering.outlive(999, 5_000)
    assert (1_000, 7) == (numbering.epoch_ms, numbering.sequence)
    numbering.outlive(1_000, 5_000)
    assert (5_000, 0) == (numbering.epoch_ms, numbering.sequence)
    numbering.outlive(9_000, 6_000)
    assert (9_001, 0) == (numbering.epoch_ms, numbering.sequence)
