"""What is passed on: so often and no oftener, the newest and least told first, within bounds."""

from __future__ import annotations

import pytest

from pilotdht.gossip.outbox import Outbox


def outbox(limit: int = 4, capacity: int = 100) -> Outbox:
    """Return an empty one."""
    return Outbox(limit=lambda: limit, capacity=capacity)


@pytest.mark.parametrize("limit", [1, 2, 8])
def test_item_is_told_so_often_and_then_forgotten(limit: int) -> None:
    """Each item is sent exactly its quota."""
    box = outbox(limit)
    box.add("one", b"1" * 70)
    told = 0
    while items := box.take(1000):
        assert [b"1" * 70] == items
        told += 1
    assert (limit, 0, False) == (told, len(box), "one" in box)


def test_least_told_goes_first_and_the_newest_among_equals() -> None:
    """Old news make room for new ones."""
    box = outbox()
    for name in "abc":
        box.add(name, name.encode() * 70)
    assert [b"c" * 70, b"b" * 70] == box.take(160)
    assert [b"a" * 70, b"c" * 70] == box.take(160)  # c and b were told once, a never
    box.add("d", b"d" * 70)
    assert [b"d" * 70] == box.take(80)
    assert [b"d" * 70, b"a" * 70] == box.take(160)  # all but c were told once


def test_newer_item_takes_the_place_of_an_older_one_and_is_told_anew() -> None:
    """One subject has one item."""
    box = outbox(limit=2)
    box.add("one", b"old" * 30)
    assert [b"old" * 30] == box.take(500)
    box.add("one", b"new" * 30)
    assert 1 == len(box)
    assert [[b"new" * 30], [b"new" * 30], []] == [box.take(500) for _ in range(3)]


def test_full_box_forgets_what_was_told_most() -> None:
    """And counts it."""
    box = outbox(capacity=3)
    box.add("told", b"t" * 70)
    box.take(500)
    for name in "xyz":
        box.add(name, name.encode() * 70)
    assert (3, 1, False) == (len(box), box.dropped, "told" in box)
    assert {b"x" * 70, b"y" * 70, b"z" * 70} == set(box.take(1000))


def test_discarded_item_is_not_told() -> None:
    """A refuted suspicion is not passed on; a second time is fine."""
    box = outbox()
    box.add("one", b"1" * 70)
    box.discard("one")
    box.discard("one")
    assert ([], 0) == (box.take(500), len(box))


def test_item_that_does_not_fit_keeps_no_smaller_one_back() -> None:
    """A long fact waits for the next datagram, and is not counted as told."""
    box = outbox(limit=1)
    box.add("short", b"s" * 80)
    box.add("long", b"l" * 900)
    assert [b"s" * 80] == box.take(500)
    assert [b"l" * 900] == box.take(1000)
    assert 0 == len(box)


@pytest.mark.parametrize("budget", [-100, 0, 50, 66])
def test_no_room_tells_nothing(budget: int) -> None:
    """What must be said first may leave no room."""
    box = outbox()
    box.add("one", b"1" * 64)
    assert ([], 1) == (box.take(budget), len(box))


def test_budget_and_number_are_kept() -> None:
    """Items and their headers fit together into the budget."""
    box = outbox(capacity=1000)
    for number in range(500):
        box.add(number, bytes(64 + number % 200))
    for _ in range(100):
        items = box.take(1040)
        assert sum(len(item) + 3 for item in items) <= 1040
    assert 5 == len(box.take(100_000, most=5))


def test_looking_for_what_fits_ends_early() -> None:
    """A box of thousands that do not fit is not searched for each datagram."""
    box = outbox(capacity=100_000)
    box.add("fits", b"f" * 80)
    for number in range(20_000):
        box.add(number, b"l" * 900)
    looked = 0

    class Counting(bytes):
        def __len__(self) -> int:
            nonlocal looked
            looked += 1
            return 900

    for number in range(20_000, 21_000):
        box.add(number, Counting(900))
    assert [] == box.take(500)
    assert looked <= 64


def test_limit_follows_the_size_of_the_group() -> None:
    """A group that shrank needs less."""
    limit = 10
    box = Outbox(limit=lambda: limit, capacity=10)
    box.add("one", b"1" * 70)
    assert box.take(100)
    limit = 2
    assert box.take(100)
    assert not box.take(100)
