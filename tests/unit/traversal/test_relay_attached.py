"""Who is attached to a server: bounds, moves and ends."""

from __future__ import annotations

import dataclasses

from pilotdht.config.relay import RelayConfig
from pilotdht.identity.ids import PublicKey
from pilotdht.traversal.relay.attached import AttachedNodes
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.traversal_messages import CallResult

CONFIG = dataclasses.replace(RelayConfig(), max_attached=4, attached_per_prefix=2, lifetime_s=60)


def key(number: int) -> PublicKey:
    """Return the key number ``number``."""
    return PublicKey(number.to_bytes(32, "big"))


def at(prefix: int, host: int = 1, port: int = 4000) -> Endpoint:
    """Return an endpoint in the prefix number ``prefix``."""
    return Endpoint(f"203.0.{prefix}.{host}", port)


def test_attached_node_is_found_until_its_time_is_over() -> None:
    """Saying it again makes it longer."""
    nodes = AttachedNodes(CONFIG)
    assert CallResult.OK is nodes.attach(key(1), at(1), now=0)
    assert CallResult.OK is nodes.attach(key(1), at(1), now=30)
    found = nodes.find(key(1), now=89.9)
    assert found is not None
    assert (at(1), 90.0) == (found.endpoint, found.expires_at)
    assert nodes.find(key(1), now=90) is None
    assert nodes.find(key(2), now=0) is None
    nodes.expire(90)
    assert 0 == len(nodes)


def test_full_server_refuses_newcomers_and_keeps_whom_it_has() -> None:
    """Nobody is pushed out; whose time is over makes room."""
    nodes = AttachedNodes(CONFIG)
    for number in range(4):
        assert CallResult.OK is nodes.attach(key(number), at(number), now=number)
    assert CallResult.FULL is nodes.attach(key(9), at(9), now=59)
    assert CallResult.OK is nodes.attach(key(3), at(3), now=59)
    assert CallResult.OK is nodes.attach(key(9), at(9), now=60)
    assert nodes.find(key(0), now=60) is None


def test_prefix_has_its_share_and_gets_it_back() -> None:
    """By expiry, and when a node moves elsewhere."""
    nodes = AttachedNodes(CONFIG)
    for number in (1, 2):
        assert CallResult.OK is nodes.attach(key(number), at(1, host=number), now=0)
    assert CallResult.QUOTA is nodes.attach(key(3), at(1, host=3), now=0)
    assert CallResult.OK is nodes.attach(key(1), at(7), now=1)
    assert CallResult.OK is nodes.attach(key(3), at(1, host=3), now=1)
    assert CallResult.QUOTA is nodes.attach(key(4), at(1, host=4), now=1)
    assert CallResult.OK is nodes.attach(key(4), at(1, host=4), now=60)


def test_node_that_moves_into_a_full_prefix_stays_where_it_was() -> None:
    """It is not lost for that."""
    nodes = AttachedNodes(CONFIG)
    for number in (1, 2):
        nodes.attach(key(number), at(1, host=number), now=0)
    nodes.attach(key(3), at(2), now=0)
    assert CallResult.QUOTA is nodes.attach(key(3), at(1, host=3), now=10)
    found = nodes.find(key(3), now=59)
    assert found is not None
    assert at(2) == found.endpoint


def test_node_that_moves_within_its_prefix_counts_once() -> None:
    """Another port or host of the same network is no second node."""
    nodes = AttachedNodes(CONFIG)
    nodes.attach(key(1), at(1), now=0)
    for port in range(5000, 5010):
        assert CallResult.OK is nodes.attach(key(1), at(1, port=port), now=0)
    assert CallResult.OK is nodes.attach(key(2), at(1, host=2), now=0)
    assert 2 == len(nodes)


def test_private_networks_are_counted_by_key() -> None:
    """A laboratory has one prefix."""
    nodes = AttachedNodes(CONFIG)
    for number in range(4):
        assert CallResult.OK is nodes.attach(key(number), Endpoint("10.0.0.1", 4000 + number), now=0)


def test_zero_means_nobody() -> None:
    """A server without room is full from the start."""
    nodes = AttachedNodes(dataclasses.replace(CONFIG, max_attached=0))
    assert CallResult.FULL is nodes.attach(key(1), at(1), now=0)
