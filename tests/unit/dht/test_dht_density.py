"""The estimate of a mesh's size from the nearest contacts."""

from __future__ import annotations

import random
import statistics

from pilotdht.dht.density import CONTACTS_COUNTED, estimated_nodes
from pilotdht.identity.ids import PublicKey
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint

ENDPOINT = Endpoint("192.0.2.1", 4433)


def estimate_of(nodes: int, seed: int) -> int:
    """Return the estimate of a node that knows all of a mesh with random keys."""
    draw = random.Random(seed)
    contacts = [Contact(PublicKey(draw.randbytes(32)), ENDPOINT) for _ in range(nodes - 1)]
    own = draw.getrandbits(160)
    return estimated_nodes(own, sorted(contacts, key=lambda one: one.point ^ own))


def test_mesh_smaller_than_what_is_counted_is_counted_exactly() -> None:
    """Who knows fewer than the estimate needs knows them all."""
    assert [1, 2, CONTACTS_COUNTED] == [estimate_of(nodes, 1) for nodes in (1, 2, CONTACTS_COUNTED)]


def test_estimates_of_large_meshes_lie_around_the_truth() -> None:
    """The median of many nodes' estimates is near the truth, and few are off by half."""
    for nodes in (100, 1000):
        estimates = [estimate_of(nodes, seed) for seed in range(101)]
        assert 0.85 * nodes < statistics.median(estimates) < 1.2 * nodes
        assert sum(one < nodes / 2 or one > 2 * nodes for one in estimates) <= 3


def test_contacts_at_the_same_point_do_not_break_it() -> None:
    """Contacts nearer than a real mesh could have them give a large number, not an error."""
    contact = Contact(PublicKey(bytes(32)), ENDPOINT)
    assert estimated_nodes(contact.point, [contact] * CONTACTS_COUNTED) > 10**40
