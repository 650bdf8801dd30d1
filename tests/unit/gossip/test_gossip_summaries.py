"""The tree of hashes: where two trees differ is found, and nowhere else."""

from __future__ import annotations

from hashlib import sha256

import pytest

from pilotdht.gossip.summaries import LEAF_IDS, SummaryTree
from pilotdht.wire.gossip_messages import FAN_OUT, HASH_BYTES


def key(number: int) -> bytes:
    """Return an id, spread evenly."""
    return sha256(number.to_bytes(4, "big")).digest()[:20]


def tree_of(count: int) -> SummaryTree:
    """Return a tree of so many ids."""
    tree = SummaryTree()
    for number in range(count):
        tree.set(key(number), b"1")
    return tree


def test_empty_tree_is_one_hash_of_zero() -> None:
    """Nothing is known, and nothing costs six bytes."""
    tree = SummaryTree()
    assert (bytes(HASH_BYTES), 0, True) == (tree.hashes(""), len(tree), tree.is_empty(""))
    assert [] == tree.ids("a")


@pytest.mark.parametrize("count", [LEAF_IDS, LEAF_IDS + 1, 300, 5000])
def test_hashes_are_one_for_a_leaf_and_sixteen_above(count: int) -> None:
    """A part of up to 8 ids is not divided."""
    tree = tree_of(count)
    expected = HASH_BYTES if count <= LEAF_IDS else FAN_OUT * HASH_BYTES
    assert expected == len(tree.hashes(""))


def test_hashes_depend_on_contents_and_not_on_history() -> None:
    """Whatever came first, was changed back or forgotten."""
    one, other = tree_of(100), SummaryTree()
    for number in reversed(range(120)):
        other.set(key(number), b"0")
        other.set(key(number), b"1")
    for number in range(100, 120):
        other.discard(key(number))
        other.discard(key(number))
    for prefix in ("", "0", "7", "ab", "abc", "0123"):
        assert one.hashes(prefix) == other.hashes(prefix)


@pytest.mark.parametrize("prefix", ["", "0", "f", "ff", "fff", "a0", "9c1", "0000000000", "ffffffffff"])
def test_ids_of_a_part_are_those_that_begin_with_its_digits(prefix: str) -> None:
    """At the edges of the id space too."""
    tree = tree_of(5000)
    edge = [b"\xff" * 20, b"\0" * 20]
    for one in edge:
        tree.set(one, b"1")
    expected = sorted(one for one in [*map(key, range(5000)), *edge] if one.hex().startswith(prefix))
    assert expected == tree.ids(prefix)
    assert (not expected) == tree.is_empty(prefix)
    if expected:
        middle = expected[len(expected) // 2]
        assert [one for one in expected if one > middle] == tree.ids(prefix, after=middle)


def test_one_changed_version_differs_in_exactly_one_child_a_level() -> None:
    """Down to the leaf that has it."""
    one, other = tree_of(3000), tree_of(3000)
    other.set(key(77), b"2")
    prefix = ""
    while len(hashes := other.hashes(prefix)) > HASH_BYTES:
        children = one.differing(prefix, hashes)
        assert [prefix + key(77).hex()[len(prefix)]] == children
        prefix = children[0]
    assert not one.equals(prefix, hashes)
    assert key(77) in one.ids(prefix)
