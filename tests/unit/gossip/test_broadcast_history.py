"""What is kept: by age, number, bytes, and one sender's share."""

from __future__ import annotations

from pilotdht.config.broadcast import BroadcastConfig
from pilotdht.gossip.broadcast.history import History, Kept
from pilotdht.identity.keys import KeyPair
from pilotdht.wire.events import EventBody, SignedEvent, sign_event
from pilotdht.wire.groups import open_group_id

KEYS = [KeyPair.from_seed(bytes([number]) * 32) for number in range(1, 6)]
CONFIG = BroadcastConfig(max_events=16, sender_share=2)


def _event(sequence: int, keys: KeyPair = KEYS[0], *, epoch_ms: int = 1, size_bytes: int = 0) -> SignedEvent:
    body = EventBody(
        group=open_group_id("birds"),
        topic="news",
        sender=keys.public_key,
        epoch_ms=epoch_ms,
        sequence=sequence,
        sent_ms=5,
        size_bytes=size_bytes,
        digest=bytes(32) if size_bytes else b"",
    )
    return sign_event(keys, body)


def _add(history: History, event: SignedEvent, *, now: float = 0.0, lives_s: float = 10.0) -> None:
    kept = Kept(event, b"", source=event.body.sender, hops=0, arrived_at=now)
    history.add(kept, expires_at=now + lives_s)


def test_history_hands_out_one_senders_events_in_order() -> None:
    """Whatever order they came in, and from any number on."""
    history = History(CONFIG)
    for sequence in (2, 5, 1, 4):
        _add(history, _event(sequence))
    sender = KEYS[0].node_id
    assert [kept.event.body.sequence for kept in history.of_sender(sender, 1, 2)] == [2, 4, 5]
    assert list(history.of_sender(sender, 1, 6)) == []
    assert list(history.of_sender(sender, 2, 1)) == []
    assert history.first_sequence(sender, 1) == 1
    assert history.first_sequence(sender, 2) is None


def test_history_forgets_by_age() -> None:
    """Each event has its own end, whenever it came."""
    history = History(CONFIG)
    _add(history, _event(1), lives_s=20.0)
    _add(history, _event(2), lives_s=10.0)
    assert history.next_due() == 10.0
    history.expire(10.0)
    assert [kept.event.body.sequence for kept in history] == [1]
    history.expire(20.0)
    assert (len(history), history.size_bytes, history.next_due()) == (0, 0, None)
    assert history.first_sequence(KEYS[0].node_id, 1) is None


def test_history_keeps_a_share_of_each_sender() -> None:
    """One who floods washes out its own events; those of others stay."""
    history = History(CONFIG)
    _add(history, _event(1, KEYS[1]))
    for sequence in range(1, 101):
        _add(history, _event(sequence))
    assert [kept.event.body.sequence for kept in history] == [1, *range(93, 101)]
    assert history.dropped == 92


def test_history_is_bounded_by_number_and_bytes() -> None:
    """Many senders together wash out what came first; contents count."""
    history = History(CONFIG)
    for keys in KEYS:
        for sequence in range(1, 7):
            _add(history, _event(sequence, keys))
    assert len(history) == 16
    large = History(BroadcastConfig(max_history_bytes=2**20, sender_share=1))
    for sequence in range(1, 10):
        _add(large, _event(sequence, size_bytes=300_000))
    assert [kept.event.body.sequence for kept in large] == [7, 8, 9]
    assert large.size_bytes <= 2**20


def test_history_recent_are_the_last_that_came() -> None:
    """Newest first, up to a number and an age."""
    history = History(CONFIG)
    for sequence in range(1, 6):
        _add(history, _event(sequence), now=float(sequence))
    assert [one.sequence for one in history.recent(3.0, 10)] == [5, 4, 3]
    assert [one.sequence for one in history.recent(0.0, 2)] == [5, 4]
    assert history.recent(9.0, 10) == ()
