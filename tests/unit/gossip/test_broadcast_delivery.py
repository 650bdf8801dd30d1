"""Once, in each sender's order: gaps, epochs, newcomers, liars, bounds."""

from __future__ import annotations

from pilotdht.config.broadcast import BroadcastConfig
from pilotdht.gossip.broadcast.delivery import Delivery, Gap
from pilotdht.identity.ids import NodeId
from pilotdht.wire.broadcast_messages import Position
from pilotdht.wire.events import EventId

JOINED_MS = 1_000
CONFIG = BroadcastConfig(
    first_wait_s=2.0,
    gap_wait_s=10.0,
    gap_chase_s=0.5,
    retention_s=100.0,
    max_streams=16,
    max_held=16,
    max_held_per_sender=4,
)
ANNA, BEN = NodeId(b"a" * 20), NodeId(b"b" * 20)


class _Case:
    """A delivery whose payloads are sequences."""

    def __init__(self) -> None:
        self.delivery: Delivery[str] = Delivery(CONFIG, joined_ms=JOINED_MS)

    def take(
        self, sequence: int, *, now: float = 0.0, epoch_ms: int = 2_000, sender: NodeId = ANNA
    ) -> list[str] | None:
        """Take in an event that lives for 100 seconds."""
        event_id = EventId(sender, epoch_ms, sequence)
        return self.delivery.accept(event_id, f"{epoch_ms}/{sequence}", now=now, expires_at=now + 100.0)


def test_delivery_in_order_is_immediate() -> None:
    """Nothing waits that need not."""
    case = _Case()
    assert [case.take(number) for number in (1, 2, 3)] == [["2000/1"], ["2000/2"], ["2000/3"]]
    assert case.delivery.is_known(EventId(ANNA, 2_000, 3))
    assert not case.delivery.is_known(EventId(ANNA, 2_000, 4))
    assert case.delivery.position(ANNA) == (2_000, 3)
    assert case.delivery.next_due() == 100.0


def test_delivery_holds_back_what_comes_too_early() -> None:
    """The missing one lets all that waited go, in order."""
    case = _Case()
    case.take(1)
    assert case.take(4) == []
    assert case.take(3) == []
    assert case.delivery.is_known(EventId(ANNA, 2_000, 4))
    assert case.delivery.held == 2
    assert case.take(2) == ["2000/2", "2000/3", "2000/4"]
    assert (case.delivery.held, case.delivery.skipped) == (0, 0)


def test_delivery_asks_for_a_gap_again_and_again_and_gives_it_up() -> None:
    """Tries double; after the wait the gap is skipped and counted, and what was skipped stays known."""
    case = _Case()
    case.take(1)
    case.take(4, now=10.0)
    asked: list[tuple[float, int]] = []
    while (moment := case.delivery.next_due()) is not None and moment < 20.0:
        due = case.delivery.due(moment)
        assert due.ready == []
        asked += [(moment, gap.tries) for gap in due.gaps]
        assert due.gaps == [Gap(ANNA, 2_000, 2, len(asked) - 1)]
    assert asked == [(10.5, 0), (11.5, 1), (13.5, 2), (17.5, 3)]
    assert case.delivery.due(20.0) == (["2000/4"], [])
    assert case.delivery.skipped == 2
    assert case.delivery.is_known(EventId(ANNA, 2_000, 2))
    assert case.take(5, now=20.0) == ["2000/5"]


def test_delivery_traffic_does_not_put_a_gap_off() -> None:
    """Later events of the same sender change neither when a gap is asked for nor when it is given up."""
    case = _Case()
    case.take(1)
    for number in range(4):
        case.take(3 + number, now=10.0 + number / 10)
    assert case.delivery.next_due() == 10.5


def test_delivery_of_a_sender_that_began_before_us_waits_shortly() -> None:
    """A newcomer hears an old sender from where the group's memory begins."""
    case = _Case()
    assert case.take(57, epoch_ms=500) == []
    assert case.take(56, epoch_ms=500, now=1.0) == []
    assert case.delivery.position(ANNA) == (500, 0)
    assert case.delivery.due(1.9).ready == []
    assert case.delivery.due(3.1).ready == ["500/56", "500/57"]
    assert case.delivery.skipped == 0
    assert case.delivery.position(ANNA) == (500, 57)


def test_delivery_of_a_sender_that_began_after_us_waits_longer() -> None:
    """We were there when it began: its first events are only late."""
    case = _Case()
    case.take(2)
    assert case.delivery.due(9.9).ready == []
    assert case.delivery.due(10.0).ready == ["2000/2"]


def test_delivery_of_a_new_epoch_ends_the_old_one() -> None:
    """What was held back of the old one goes out first; what comes of it later is known."""
    case = _Case()
    case.take(1)
    case.take(3)
    assert case.take(1, epoch_ms=3_000) == ["2000/3", "3000/1"]
    assert case.delivery.is_known(EventId(ANNA, 2_000, 9))
    assert case.delivery.position(ANNA) == (3_000, 1)
    assert case.delivery.held == 0


def test_delivery_of_a_liar_hurts_its_own_stream_alone() -> None:
    """Absurd jumps fill its own room, give its own gaps up, and leave others alone."""
    case = _Case()
    for number in range(1, 40):
        case.take(number * 10**7, sender=BEN, now=number / 100)
    assert case.delivery.held <= CONFIG.max_held_per_sender
    assert case.take(1) == ["2000/1"]
    assert case.take(3) == []
    assert case.take(2) == ["2000/2", "2000/3"]


def test_delivery_room_for_all_senders_together_is_bounded() -> None:
    """Senders beyond the bound are refused, and so are early events; those in order are not."""
    case = _Case()
    senders = [NodeId(bytes([number]) * 20) for number in range(20)]
    taken = [case.take(1, sender=sender) for sender in senders]
    assert taken == [["2000/1"]] * 16 + [None] * 4
    held = [case.take(3 + number, sender=sender) for sender in senders[:16] for number in range(2)]
    assert held == [[]] * 16 + [None] * 16
    assert case.take(2, sender=senders[15]) == ["2000/2"]
    assert case.delivery.refused == 4 + 16


def test_delivery_forgets_senders_that_are_silent_for_the_retention() -> None:
    """Their events are refused for their age from then on."""
    case = _Case()
    case.take(1)
    case.take(2, now=50.0)
    assert case.delivery.due(149.0) == ([], [])
    assert case.delivery.knows(ANNA)
    assert case.delivery.due(150.0) == ([], [])
    assert not case.delivery.knows(ANNA)
    assert case.delivery.position(ANNA) is None
    assert len(case.delivery.summary) == 0
    assert case.delivery.next_due() is None


def test_delivery_positions_are_paged() -> None:
    """Who compares gets positions in the order of ids, as many as fit."""
    case = _Case()
    case.take(1, sender=BEN)
    case.take(1)
    case.take(2)
    first, second = Position(ANNA, 2_000, 1, 2), Position(BEN, 2_000, 1, 1)
    assert case.delivery.positions("", b"", 9) == ([first, second], True)
    assert case.delivery.positions("", b"", 1) == ([first], False)
    assert case.delivery.positions("", ANNA, 9) == ([second], True)
    assert case.delivery.positions("62", b"", 9) == ([second], True)
    case.delivery.forget(BEN)
    assert case.delivery.positions("62", b"", 9) == ([], True)
