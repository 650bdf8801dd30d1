"""The tree of summaries equals a naive model under any operations, and a comparison finds exactly what differs."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotdht.gossip.comparing import differing
from pilotdht.gossip.summaries import LEAF_IDS, SummaryTree
from pilotdht.net.outcomes import Answer, Answered
from pilotdht.net.pending import Deliver, Pending
from pilotdht.net.rtt import Waits
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.gossip_messages import HASH_BYTES, MAX_PREFIX_DIGITS, Summaries, Summarise
from pilotdht.wire.message import Request
from simulations.engine.virtual_loop import run_virtually
from tests.support.gossip_town import TOWN
from tests.support.net_nodes import key_pair

pytestmark = pytest.mark.property

PEER = Contact(key_pair(2).public_key, Endpoint("10.0.0.2", 4000))

# Ids that share long prefixes, and ids that do not.
keys = st.one_of(
    st.binary(min_size=20, max_size=20),
    st.binary(min_size=2, max_size=2).map(lambda end: bytes(18) + end),
    st.binary(min_size=1, max_size=1).map(lambda first: first + b"\xff" * 19),
)
versions = st.sampled_from([b"1", b"2", b"3"])
operations = st.lists(st.tuples(keys, st.none() | versions), max_size=60)
prefixes = st.text("0123456789abcdef", max_size=MAX_PREFIX_DIGITS)


class NaiveTree:
    """The same, computed anew each time."""

    def __init__(self, known: dict[bytes, bytes]) -> None:
        self.known = known

    def part(self, prefix: str) -> list[bytes]:
        """Return the ids of a part."""
        return sorted(key for key in self.known if key.hex().startswith(prefix))

    def one_hash(self, prefix: str) -> bytes:
        """Return the hash of a part."""
        total = 0
        for key in self.part(prefix):
            digest = blake2b(key + self.known[key], digest_size=HASH_BYTES).digest()
            total ^= int.from_bytes(digest, "big")
        return total.to_bytes(HASH_BYTES, "big")

    def hashes(self, prefix: str) -> bytes:
        """Return what is answered about a part."""
        if len(self.part(prefix)) <= LEAF_IDS or len(prefix) >= MAX_PREFIX_DIGITS:
            return self.one_hash(prefix)
        return b"".join(self.one_hash(prefix + digit) for digit in "0123456789abcdef")


def built(script: list[tuple[bytes, bytes | None]]) -> tuple[SummaryTree, NaiveTree]:
    """Return a tree and its model after some operations."""
    tree, known = SummaryTree(), dict[bytes, bytes]()
    for key, version in script:
        if version is None:
            tree.discard(key)
            known.pop(key, None)
        else:
            tree.set(key, version)
            known[key] = version
    return tree, NaiveTree(known)


@given(operations, st.lists(prefixes, max_size=10))
def test_tree_equals_the_naive_model(script: list[tuple[bytes, bytes | None]], asked: list[str]) -> None:
    """Hashes, ids and emptiness of every part that is asked about."""
    tree, model = built(script)
    parts = asked + [key.hex()[:depth] for key, _ in script for depth in (0, 1, 2, 3, 10)]
    assert len(model.known) == len(tree)
    for prefix in parts:
        assert model.hashes(prefix) == tree.hashes(prefix)
        assert model.part(prefix) == tree.ids(prefix)
        assert (not model.part(prefix)) == tree.is_empty(prefix)
        assert tree.equals(prefix, model.one_hash(prefix))
        for after in model.part(prefix):
            assert [key for key in model.part(prefix) if key > after] == tree.ids(prefix, after=after)


class Peer:
    """Answers summaries from a tree, and counts."""

    def __init__(self, answer: Callable[[str], bytes]) -> None:
        self.answer = answer
        self.asked = 0

    def begin(
        self, contact: Contact, message: Request, deliver: Deliver, *, waits: Waits | None = None
    ) -> Pending | None:
        """Answer at once."""
        assert isinstance(message, Summarise)
        self.asked += 1
        reply = Summaries(tuple(self.answer(prefix) for prefix in message.prefixes))
        deliver(Answered(contact, Answer(reply, contact.endpoint, 0.0, contact, False)))
        return None

    def abandon(self, pending: Pending) -> None:
        """Nothing waits."""


def compared(own: SummaryTree, answer: Callable[[str], bytes], limit: int = 10_000) -> tuple[list[str], int]:
    """Return the parts that a comparison finds, and the questions it took."""
    peer = Peer(answer)
    parts = run_virtually(differing(peer, PEER, TOWN, 0, own, limit=limit))
    return parts, peer.asked


@given(operations, operations)
def test_comparison_finds_each_difference_and_nothing_that_is_equal(
    script: list[tuple[bytes, bytes | None]], more: list[tuple[bytes, bytes | None]]
) -> None:
    """Every id that differs lies in exactly one part found; each part found has one that differs."""
    (own, model), (theirs, their_model) = built(script), built(script + more)
    different = {
        key
        for key in model.known.keys() | their_model.known.keys()
        if model.known.get(key) != their_model.known.get(key)
    }
    parts, _ = compared(own, theirs.hashes)
    for key in different:
        assert 1 == sum(key.hex().startswith(prefix) for prefix in parts)
    for prefix in parts:
        assert any(key.hex().startswith(prefix) for key in different)
    assert compared(own, own.hashes) == ([], 1)


@given(operations, st.integers(0, 1000))
def test_comparison_with_a_liar_ends_soon(script: list[tuple[bytes, bytes | None]], seed: int) -> None:
    """Random hashes lead no deeper than what we know ourselves."""
    own, model = built(script)
    noise = Random(seed)
    parts, asked = compared(own, lambda _prefix: noise.randbytes(96))
    assert asked <= 2 + MAX_PREFIX_DIGITS * (1 + len(model.known))
    assert len(parts) <= 16 * (1 + MAX_PREFIX_DIGITS * len(model.known))
    assert len(compared(own, lambda _prefix: noise.randbytes(96), limit=5)[0]) <= 5
