"""Eager and lazy links, awaited events, and what a liar among the neighbours can do."""

from __future__ import annotations

from pilotdht.config.broadcast import BroadcastConfig
from pilotdht.gossip.broadcast.tree import Tree
from pilotdht.identity.ids import NodeId, PublicKey
from pilotdht.wire.events import EventId

CONFIG = BroadcastConfig(graft_after_s=1.0, graft_again_s=0.5, max_missing=16, optimise_hops=3)
ANNA, BEN, CARL = (PublicKey(bytes([number]) * 32) for number in (1, 2, 3))
SENDER = NodeId(bytes(20))


def _id(sequence: int) -> EventId:
    return EventId(SENDER, 1, sequence)


def _tree() -> Tree:
    tree = Tree(CONFIG)
    for key in (ANNA, BEN, CARL):
        tree.linked(key)
    return tree


def test_tree_links_begin_eager_and_change() -> None:
    """A duplicate makes a link lazy, a graft makes it eager, and strangers change nothing."""
    tree = _tree()
    assert tree.pruned(BEN)
    assert not tree.pruned(BEN)
    assert (list(tree.eager), list(tree.lazy)) == ([ANNA, CARL], [BEN])
    tree.linked(BEN)
    assert BEN not in tree.eager
    assert tree.grafted(BEN)
    assert not tree.grafted(PublicKey(bytes([9]) * 32))
    tree.unlinked(BEN)
    assert (list(tree.eager), list(tree.lazy)) == ([ANNA, CARL], [])


def test_tree_asks_for_what_was_announced_and_does_not_come() -> None:
    """First the one who announced it first; then, when that is in vain, the next; then nobody."""
    tree = _tree()
    assert tree.announced(_id(1), ANNA, 2, 10.0, is_late=False)
    assert tree.announced(_id(1), BEN, 2, 10.2, is_late=False)
    assert tree.next_due() == 11.0
    assert tree.due(10.9) == []
    assert tree.due(11.0) == [(_id(1), ANNA)]
    assert tree.due(11.4) == []
    tree.failed(_id(1), 11.4)
    assert tree.due(11.4) == [(_id(1), BEN)]
    assert tree.due(12.0) == []
    assert (tree.missing, tree.given_up) == (0, 1)


def test_tree_does_not_ask_for_what_arrived() -> None:
    """An event that came down the tree is awaited no more."""
    tree = _tree()
    tree.announced(_id(1), ANNA, 2, 10.0, is_late=False)
    tree.arrived(_id(1))
    assert tree.due(20.0) == []
    assert tree.missing == 0
    tree.failed(_id(1), 20.0)
    assert tree.due(20.0) == []


def test_tree_asks_at_once_for_what_is_not_on_its_way() -> None:
    """A new neighbour's older events are asked for without waiting."""
    tree = _tree()
    tree.announced(_id(1), ANNA, 0, 10.0, is_late=True)
    assert tree.due(10.0) == [(_id(1), ANNA)]


def test_tree_one_announcer_fills_a_quarter_at_most() -> None:
    """A liar leaves room for others, and gets it back when its events are given up."""
    tree = _tree()
    assert [tree.announced(_id(n), ANNA, 0, 10.0, is_late=False) for n in range(1, 7)] == [True] * 4 + [False] * 2
    assert tree.announced(_id(9), BEN, 0, 10.0, is_late=False)
    assert tree.dropped == 2
    assert len(tree.due(11.0)) == 5
    assert tree.due(12.0) == []
    assert tree.given_up == 5
    assert tree.announced(_id(7), ANNA, 0, 13.0, is_late=False)


def test_tree_is_bounded_whoever_announces() -> None:
    """Many announcers together fill no more than there is room for, and few are remembered for each event."""
    tree = _tree()
    for number in range(1, 40):
        tree.announced(_id(number), PublicKey(bytes([number]) * 32), 0, 10.0, is_late=False)
    assert tree.missing == 16
    for number in range(40, 60):
        tree.announced(_id(1), PublicKey(bytes([number]) * 32), 0, 10.0, is_late=False)
    asked = 0
    for moment in range(11, 100):
        asked += sum(event_id == _id(1) for event_id, _ in tree.due(float(moment)))
    assert asked == CONFIG.max_announcers


def test_tree_prefers_a_much_shorter_way_once() -> None:
    """A lazy neighbour that announces early is tried; if it delivers nothing then, it is not tried again."""
    tree = _tree()
    tree.pruned(BEN)
    tree.announced(_id(1), BEN, 2, 10.0, is_late=False)
    assert tree.shorter_way(_id(1), 4) is None
    assert tree.shorter_way(_id(1), 5) is BEN
    tree.arrived(_id(1))
    tree.announced(_id(2), BEN, 0, 10.0, is_late=False)
    assert tree.shorter_way(_id(2), 9) is None
    tree.brought(BEN)
    tree.pruned(BEN)
    assert tree.shorter_way(_id(2), 9) is BEN
    assert tree.shorter_way(_id(3), 9) is None
