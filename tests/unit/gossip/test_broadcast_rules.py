"""Small rules of messages to groups: deadlines, topics and patterns, ages and rates, the configuration."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from pilotdht.config.broadcast import BroadcastConfig
from pilotdht.errors import ConfigError, InvalidArgument
from pilotdht.gossip.broadcast.admission import Admission
from pilotdht.gossip.broadcast.deadlines import Deadlines
from pilotdht.gossip.broadcast.metrics import BroadcastMetrics
from pilotdht.gossip.broadcast.topics import Pattern, check_topic
from pilotdht.identity.ids import PublicKey
from pilotdht.wire.events import EventBody
from pilotdht.wire.groups import open_group_id

ALICE, BOB = (PublicKey(bytes([number]) * 32) for number in (1, 2))


def test_deadlines_are_due_in_order_and_once() -> None:
    """The latest moment set for a key counts, and a key that is forgotten is never due."""
    deadlines: Deadlines[str] = Deadlines()
    deadlines.set("late", 5.0)
    deadlines.set("early", 1.0)
    deadlines.set("late", 3.0)
    deadlines.set("gone", 2.0)
    deadlines.discard("gone")
    assert deadlines.first() == 1.0
    assert deadlines.due(0.5) == []
    assert deadlines.due(4.0) == ["early", "late"]
    assert deadlines.first() is None
    assert len(deadlines) == 0


def test_deadlines_put_off_a_thousand_times_take_no_room() -> None:
    """Entries that do not count any more are thrown out."""
    deadlines: Deadlines[int] = Deadlines()
    for moment in range(1000):
        deadlines.set(1, float(moment))
    assert len(deadlines._heap) <= 2 + 64 + 1
    assert deadlines.due(2000.0) == [1]


@pytest.mark.parametrize("topic", ["prices", "prices.eur", "a-b.c_d.0"])
def test_topic_of_words_is_accepted(topic: str) -> None:
    """Words of lower-case letters, digits, _ and -, joined by dots."""
    assert check_topic(topic) == topic


@pytest.mark.parametrize("topic", ["", ".", "a.", ".a", "a..b", "A", "a b", "a.*", "ä", "a\n", "x" * 129])
def test_topic_of_anything_else_is_refused(topic: str) -> None:
    """Nothing that would look like a pattern, or like another topic, is one."""
    with pytest.raises(InvalidArgument):
        check_topic(topic)


@pytest.mark.parametrize(
    ("pattern", "topic", "expected"),
    [
        ("prices", "prices", True),
        ("prices", "prices.eur", False),
        ("prices.*", "prices.eur", True),
        ("prices.*", "prices", False),
        ("prices.*", "prices.eur.spot", False),
        ("*.eur", "prices.eur", True),
        ("*.eur", "prices.usd", False),
        ("prices.**", "prices", True),
        ("prices.**", "prices.eur.spot", True),
        ("prices.**", "price.eur", False),
        ("*.eur.**", "prices.eur.spot", True),
        ("**", "anything.at.all", True),
    ],
)
def test_pattern_matches(pattern: str, topic: str, expected: bool) -> None:
    """One star is one word, two at the end are any number of words."""
    assert Pattern(pattern).matches(topic) is expected


@pytest.mark.parametrize("pattern", ["", "**.a", "a**", "a.*b", "a..b", "A.*", "x" * 129])
def test_pattern_malformed_is_refused(pattern: str) -> None:
    """Stars stand alone, and two of them at the end."""
    with pytest.raises(InvalidArgument):
        Pattern(pattern)


def _body(sent_s: float) -> EventBody:
    return EventBody(
        group=open_group_id("birds"),
        topic="news",
        sender=ALICE,
        epoch_ms=1,
        sequence=1,
        sent_ms=int(sent_s * 1000),
        data=b"",
    )


@pytest.mark.parametrize(
    ("sent_s", "expected"),
    [(1000.0, ""), (1059.0, ""), (1061.0, "future"), (101.0, ""), (99.0, "old")],
)
def test_admission_of_ages(sent_s: float, expected: str) -> None:
    """Events are taken up to the retention, and hardly from the future."""
    assert Admission(BroadcastConfig(retention_s=900.0)).age_fault(_body(sent_s), 1000.0) == expected


def test_admission_limits_each_member_for_itself() -> None:
    """One who floods uses up its own allowance."""
    admission = Admission(BroadcastConfig(pushes_per_s=1.0, pushes_burst=3))
    assert [admission.may_push(ALICE, 0.0) for _ in range(5)] == [True, True, True, False, False]
    assert admission.may_push(BOB, 0.0)
    assert admission.may_push(ALICE, 1.5)


def test_admission_shuns_for_a_while_and_a_bounded_number() -> None:
    """Whoever was shunned comes back, and the list does not grow."""
    admission = Admission(BroadcastConfig(shun_s=10.0, max_shunned=2))
    admission.shun(ALICE, 0.0)
    assert admission.is_shunned(ALICE, 9.0)
    assert not admission.is_shunned(ALICE, 10.0)
    for number in range(3):
        admission.shun(PublicKey(bytes([number]) * 32), 20.0)
    assert not admission.is_shunned(PublicKey(bytes(32)), 20.0)
    assert admission.is_shunned(BOB, 20.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"active_size": 1},
        {"link_slow_s": 2.0},
        {"gap_wait_s": 3600.0},
        {"passive_walk": 7},
        {"seek_pause_s": 31.0},
        {"retention_s": 0.0},
    ],
)
def test_config_out_of_range_is_refused(wrong: dict[str, float]) -> None:
    """Every bound has a range, and times fit each other."""
    with pytest.raises(ConfigError):
        BroadcastConfig(**wrong)  # type: ignore[arg-type]  # that is the point


def test_metrics_are_exported() -> None:
    """Names are those of the room, and reasons are labels."""
    registry = CollectorRegistry()
    metrics = BroadcastMetrics(registry)
    metrics.published.inc()
    metrics.dropped["forged"].inc(2)
    metrics.neighbours.inc(5)
    text = generate_latest(registry).decode()
    assert "pilotdht_broadcast_published_total 1.0" in text
    assert 'pilotdht_broadcast_dropped_total{reason="forged"} 2.0' in text
    assert "pilotdht_broadcast_neighbours 5.0" in text
