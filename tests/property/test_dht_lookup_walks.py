"""Lookups in made-up networks: they always end, within their bounds, and honest networks give the true answer."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotdht.config.dht import DhtConfig
from pilotdht.dht.lookup import Ending, Lookup
from pilotdht.identity.ids import NodeId
from pilotdht.wire.contact import Contact
from tests.support.dht_examples import contact_of, prefix_rule

pytestmark = pytest.mark.property

CONFIG = DhtConfig()
EVERYBODY = [contact_of(number) for number in range(1, 150)]
OWN = contact_of(5000)


def nearest_to(point: int, nodes: list[Contact]) -> list[Contact]:
    """Return the nodes in the order of their distance to a point."""
    return sorted(nodes, key=lambda one: one.point ^ point)


def begun(target: bytes, seeds: list[Contact], paths: int) -> Lookup:
    """Return a lookup by a node outside of the network."""
    return Lookup(
        target,
        seeds,
        own_id=OWN.node_id,
        config=CONFIG,
        prefixes=prefix_rule(CONFIG),
        answers_wanted=CONFIG.replicas,
        paths=paths,
    )


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(min_value=0, max_value=2**32),
    count=st.integers(min_value=1, max_value=149),
    paths=st.integers(min_value=1, max_value=3),
)
def test_lookup_in_an_honest_network_finds_the_closest(seed: int, count: int, paths: int) -> None:
    """Everybody knows the 20 nodes nearest to it and some others: the answer is what sorting gives."""
    rng = random.Random(seed)
    nodes = EVERYBODY[:count]
    known = {node: nearest_to(node.point, nodes)[1:21] + rng.sample(nodes, min(20, count)) for node in nodes}
    target = rng.randbytes(20)
    point = int.from_bytes(target, "big")
    lookup = begun(target, rng.sample(nodes, min(3, count)), paths)
    waiting: list[Contact] = []
    while lookup.ending is None:
        waiting += lookup.take()
        if waiting:
            contact = waiting.pop(rng.randrange(len(waiting)))
            lookup.answered(contact, sorted(known[contact], key=lambda one: one.point ^ point)[:20])
    expected = sorted(nodes, key=lambda one: one.point ^ point)[: CONFIG.replicas]
    assert expected == [one.contact for one in lookup.closest(CONFIG.replicas)]


@settings(max_examples=150, deadline=None)
@given(data=st.data(), paths=st.integers(min_value=1, max_value=3))
def test_lookup_in_a_hostile_network_always_ends_within_its_bounds(data: st.DataObject, paths: int) -> None:
    """Whatever is answered, or not, in whatever order: so many requests, so many candidates, and an end."""
    seed = data.draw(st.integers(min_value=0, max_value=2**32))
    rng = random.Random(seed)
    lookup = begun(rng.randbytes(20), rng.sample(EVERYBODY, rng.randint(0, 20)), paths)
    waiting: list[Contact] = []
    steps = 0
    while True:
        waiting += lookup.take()
        if lookup.ending is not None or not waiting:
            break
        steps += 1
        assert steps < 1000
        contact = rng.choice(waiting)
        match rng.randrange(4):
            case 0:
                lookup.slow(contact)
            case 1:
                waiting.remove(contact)
                lookup.silent(contact)
            case _:
                waiting.remove(contact)
                named = [
                    contact_of(rng.randrange(1, 10_000), port=rng.randint(1, 9)) for _ in range(rng.randint(0, 30))
                ]
                lookup.answered(contact, named)
    assert isinstance(lookup.ending, Ending)
    assert lookup.requests <= CONFIG.max_requests
    assert len(lookup) <= CONFIG.max_candidates + CONFIG.max_requests
    assert NodeId(OWN.node_id) not in [one.contact.node_id for one in lookup.closest(100)]
