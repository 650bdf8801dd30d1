"""Letters kept for others, against a model: bounds hold, what was fetched is gone, and floods push out nobody."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pilotdht.config.letters import LetterConfig
from pilotdht.identity.ids import PublicKey
from pilotdht.letters.shelf import KeptLetter, Shelf
from pilotdht.wire.letter import LETTER_SIZES, letter_id
from pilotdht.wire.letter_messages import LeaveResult

pytestmark = pytest.mark.property

SMALL = LetterConfig(
    max_letters=12, letters_per_target=5, letters_per_writer=4, letters_per_prefix=8, max_lifetime_s=100.0
)
TARGETS = [PublicKey(bytes([1, number]) * 16) for number in range(4)]
WRITERS = [PublicKey(bytes([2, number]) * 16) for number in range(10)]
GROUPS = ["192.0.2", "198.51.100", "203.0.113", b"\x20\x01\x0d\xb8\x00\x07"]


def some_letter(number: int) -> bytes:
    """Return a letter: to the shelf, one is as good as another."""
    return number.to_bytes(8, "big") * (LETTER_SIZES[number % 3] // 8)


class ShelfMachine(RuleBasedStateMachine):
    """Writers anywhere leave letters, targets fetch them, time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.shelf = Shelf(SMALL)
        self.now = 1000.0
        self.number = 0
        self.model: dict[tuple[PublicKey, PublicKey], tuple[bytes, str | bytes, float]] = {}

    @rule(
        reader=st.sampled_from(TARGETS),
        writer=st.sampled_from(WRITERS),
        group=st.sampled_from(GROUPS),
        lifetime_s=st.integers(1, 200),
        is_new=st.booleans(),
    )
    def leave(self, reader: PublicKey, writer: PublicKey, group: str | bytes, lifetime_s: int, is_new: bool) -> None:
        """Leave a letter, perhaps the same one again."""
        before = self.model.get((reader, writer))
        self.number += 1
        letter = some_letter(self.number) if is_new or before is None else before[0]
        shares = Counter(kept_group for _, kept_group, _ in self.model.values())
        own = shares[group] - (before is not None and before[1] == group)
        at_target = Counter(kept[1] for (target, _), kept in self.model.items() if target == reader)
        is_writer_full = sum(1 for _, kept_writer in self.model if kept_writer == writer) >= SMALL.letters_per_writer
        result = self.shelf.leave(
            target=reader, writer=writer, group=group, letter=letter, lifetime_s=lifetime_s, now=self.now
        )
        present = self.present()
        gone = {pair: kept for pair, kept in self.model.items() if pair not in present and pair != (reader, writer)}
        if before is not None and letter == before[0]:
            assert (LeaveResult.KEPT, {}) == (result, gone)
            return
        if (before is None and is_writer_full) or own >= SMALL.letters_per_prefix:
            assert (LeaveResult.QUOTA, {}) == (result, gone)
            return
        for _, loser, _ in gone.values():  # never the prefix itself, never one that has no more
            assert loser != group
            is_crowded = sum(at_target.values()) >= SMALL.letters_per_target
            assert (at_target if is_crowded else shares)[loser] >= (at_target if is_crowded else shares)[group] + 2
        assert len(gone) <= 1
        assert result in (LeaveResult.KEPT, LeaveResult.FULL)
        if result is LeaveResult.FULL:
            assert {} == gone
            return
        for pair in gone:
            del self.model[pair]
        self.model[reader, writer] = (letter, group, self.now + min(lifetime_s, SMALL.max_lifetime_s))

    @rule(reader=st.sampled_from(TARGETS), data=st.data())
    def fetch(self, reader: PublicKey, data: st.DataObject) -> None:
        """Acknowledge some letters, and ids that nobody has; those of others stay."""
        held = [letter_id(kept[0]) for kept in self.model.values()]
        ids = data.draw(st.lists(st.sampled_from([*held, b"no such!"]), max_size=8))
        mine = {pair: kept for pair, kept in self.model.items() if pair[0] == reader and letter_id(kept[0]) in ids}
        assert len(mine) == self.shelf.take(reader, ids)
        for pair in mine:
            del self.model[pair]

    @rule(seconds=st.floats(0.0, 60.0))
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        self.model = {pair: kept for pair, kept in self.model.items() if kept[2] > self.now}

    @invariant()
    def shelf_is_as_the_model(self) -> None:
        """What waits is what was left, and bounds hold."""
        present = self.present()
        assert {pair: kept[0] for pair, kept in self.model.items()} == {
            pair: kept.letter for pair, kept in present.items()
        }
        assert len(present) == len(self.shelf) <= SMALL.max_letters
        assert sum(len(kept.letter) for kept in present.values()) == self.shelf.size_bytes
        for field, most in (("target", 5), ("writer", 4), ("group", 8)):
            assert max(Counter(getattr(kept, field) for kept in present.values()).values(), default=0) <= most

    def present(self) -> dict[tuple[PublicKey, PublicKey], KeptLetter]:
        """Return what the shelf has."""
        waiting = [kept for target in TARGETS for kept in self.shelf.waiting(target, now=self.now)]
        return {(kept.target, kept.writer): kept for kept in waiting}


TestShelf = ShelfMachine.TestCase
TestShelf.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)


@settings(deadline=None)
@given(
    honest=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=20, unique=True),
    flood=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 400)), min_size=50, max_size=300),
)
def test_flood_from_one_prefix_pushes_out_nobody_who_has_less(
    honest: list[tuple[int, int]], flood: list[tuple[int, int]]
) -> None:
    """Six prefixes with few letters each survive any flood by a seventh, which never has more than its share."""
    config = LetterConfig(max_letters=40, letters_per_target=30, letters_per_prefix=20, letters_per_writer=64)
    shelf = Shelf(config)
    for number, (target, group) in enumerate(honest):
        writer = PublicKey(bytes([3, number]) * 16)
        shelf.leave(
            target=TARGETS[target], writer=writer, group=f"10.{group}", letter=some_letter(number), lifetime_s=9, now=0
        )
    before = {kept.letter_id for target in TARGETS for kept in shelf.waiting(target, now=0.0)}
    shares = Counter(group for _, group in honest)
    for number, (target, key) in enumerate(flood):
        writer = PublicKey(key.to_bytes(2, "big") * 16)
        letter = some_letter(1000 + number)
        shelf.leave(target=TARGETS[target], writer=writer, group="flood", letter=letter, lifetime_s=9, now=0.0)
    kept = [one for target in TARGETS for one in shelf.waiting(target, now=0.0)]
    flooded = sum(one.group == "flood" for one in kept)
    assert flooded <= config.letters_per_prefix
    lost = before - {one.letter_id for one in kept}
    assert not lost or max(shares.values()) >= 2  # only a prefix with several letters loses any,
    for group in range(6):  # and never its last one
        left = sum(one.group == f"10.{group}" for one in kept)
        assert left == shares[group] or left >= 1
    assert len(shelf) <= config.max_letters


def test_target_that_is_flooded_still_gets_a_letter_from_elsewhere() -> None:
    """One prefix has filled up all places for a target: a newcomer from another one takes the oldest of them."""
    config = LetterConfig(letters_per_target=8, letters_per_prefix=8)
    shelf = Shelf(config)
    for number in range(8):
        writer = PublicKey(bytes([4, number]) * 16)
        result = shelf.leave(
            target=TARGETS[0], writer=writer, group="flood", letter=some_letter(number), lifetime_s=9, now=0.0
        )
        assert LeaveResult.KEPT is result
    result = shelf.leave(
        target=TARGETS[0], writer=WRITERS[0], group="honest", letter=some_letter(99), lifetime_s=9, now=0.0
    )
    assert LeaveResult.KEPT is result
    assert letter_id(some_letter(99)) in {kept.letter_id for kept in shelf.waiting(TARGETS[0], now=0.0)}
    assert 1 == shelf.evicted
