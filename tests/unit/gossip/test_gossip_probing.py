"""The order of probes: nobody is missed for long, newcomers come in, the gone drop out, and hurry starves nobody."""

from __future__ import annotations

from random import Random

import pytest

from pilotdht.gossip.probing import ProbeOrder
from pilotdht.identity.ids import NodeId


def member(number: int) -> NodeId:
    """Return an id."""
    return NodeId(number.to_bytes(20, "big"))


def everybody(_member: NodeId) -> bool:
    """Want everybody."""
    return True


def order_of(count: int, seed: int = 1) -> ProbeOrder:
    """Return an order of so many members."""
    order = ProbeOrder(Random(seed))
    for number in range(count):
        order.add(member(number))
    return order


@pytest.mark.parametrize("count", [1, 2, 3, 10, 50])
def test_each_member_is_probed_again_within_2n_minus_1_probes(count: int) -> None:
    """The gap between two probes of one member is at most 2n - 1."""
    for seed in range(20):
        order = order_of(count, seed)
        last: dict[NodeId, int] = {}
        for step in range(20 * count):
            probed = order.next(everybody)
            assert probed is not None
            assert step - last.get(probed, step) <= 2 * count - 1
            last[probed] = step
        assert count == len(last)


def test_one_round_probes_everybody_once() -> None:
    """Between two shuffles nobody comes twice."""
    order = order_of(30)
    for _ in range(5):
        assert 30 == len({order.next(everybody) for _ in range(30)})


def test_newcomers_are_probed_within_two_rounds_and_displace_nobody() -> None:
    """Wherever a newcomer is inserted, those that had their turn do not get another in this round."""
    for seed in range(50):
        order = order_of(10, seed)
        probed = [order.next(everybody) for _ in range(5)]
        order.add(member(99))
        rest = [order.next(everybody) for _ in range(21)]
        assert member(99) in rest
        until_wrap = rest[: 5 + (member(99) in rest[:6])]
        assert not set(probed) & set(until_wrap)


def test_nobody_is_in_the_round_twice_however_often_it_comes_and_goes() -> None:
    """A member that flaps does not make the round longer."""
    order = order_of(5)
    for _ in range(1000):
        order.add(member(3))
    assert 5 == len(order)
    gone = {member(3)}
    for _ in range(10):
        order.next(lambda one: one not in gone)
    assert 4 == len(order)
    order.add(member(3))
    assert 5 == len(order)
    assert 5 == len({order.next(everybody) for _ in range(9)})


def test_members_that_are_not_wanted_drop_out() -> None:
    """Nobody left is nobody to probe."""
    order = order_of(10)
    assert order.next(lambda _: False) is None
    assert 0 == len(order)
    assert ProbeOrder(Random(1)).next(everybody) is None


def test_hastened_members_come_first_but_get_every_second_probe_at_most() -> None:
    """Whoever gives reasons for hurry keeps nobody from being probed."""
    order = order_of(10)
    for number in (7, 8, 9):
        order.hasten(member(number))
    probed = [order.next(everybody) for _ in range(6)]
    assert [member(7), member(8), member(9)] == probed[::2]
    seen = {}
    for step in range(40):
        order.hasten(member(step % 2))
        seen[order.next(everybody)] = step
    assert 10 == len(seen)


def test_hastened_members_that_are_gone_are_skipped_and_their_number_is_bounded() -> None:
    """64 wait at most."""
    order = order_of(1)
    for number in range(1000):
        order.hasten(member(number + 1))
    hurried = [order.next(everybody) for _ in range(200)]
    assert 64 + 1 == len(set(hurried))
    order.hasten(member(5))
    assert member(0) == order.next(lambda one: one == member(0))
