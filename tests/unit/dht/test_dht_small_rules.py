"""The small rules of the DHT: sequence numbers, roles, allowances, prefixes, hand-over, snapshots, random points."""

from __future__ import annotations

import random
from dataclasses import fields, replace

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from pilotdht.config.dht import DhtConfig
from pilotdht.dht.handover import is_to_be_given
from pilotdht.dht.maintenance import Allowance, point_beside, random_point
from pilotdht.dht.metrics import DhtMetrics
from pilotdht.dht.prefixes import PrefixRule
from pilotdht.dht.publish import withdrawal_of
from pilotdht.dht.role import Role
from pilotdht.dht.routing import Bucket, RoutingTable
from pilotdht.dht.sequence import SequenceClock
from pilotdht.dht.snapshot import Snapshot, snapshot_untrusted
from pilotdht.dht.store import Held
from pilotdht.errors import BadMessage, ConfigError
from pilotdht.identity.ids import NODE_ID_BITS, NodeId, distance
from pilotdht.wire.codec import decode_list_untrusted, encode
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.records import NodeRecord
from tests.support.dht_examples import contact_of, node_record, prefix_rule, tag_entry


def test_sequence_follows_the_clock_and_never_goes_back() -> None:
    """Equal and earlier times give higher numbers all the same."""
    clock = SequenceClock()
    assert [1_000_000, 1_000_001, 1_000_002, 2_000_000] == [clock.next_ms(t) for t in (1000.0, 1000.0, 5.0, 2000.0)]


def test_sequence_after_a_restart_goes_on_from_what_was_saved() -> None:
    """A clock set back makes no difference."""
    clock = SequenceClock()
    clock.seen(5_000_000)
    assert clock.next_ms(1000.0) == 5_000_001


@pytest.mark.parametrize(("mode", "expected"), [("server", False), ("client", True)])
def test_role_as_configured_does_not_depend_on_peers(mode: str, expected: bool) -> None:
    """Whoever runs the node decides, when he wants to."""
    role = Role(mode)
    role.seen(is_public=True)
    assert expected is role.is_client(is_reachable=False)
    assert expected is role.is_client(is_reachable=True)


def test_role_is_client_behind_a_public_address_until_reached() -> None:
    """A NAT may stand between, until peers have come through unasked."""
    role = Role("auto")
    assert not role.is_client(is_reachable=False)
    role.seen(is_public=True)
    assert role.is_client(is_reachable=False)
    assert not role.is_client(is_reachable=True)


def test_role_is_decided_by_most_peers() -> None:
    """One liar does not turn a laboratory's server into a client."""
    role = Role("auto")
    for is_public in (False, True, False):
        role.seen(is_public=is_public)
    assert not role.is_client(is_reachable=False)


def test_allowance_gives_a_burst_and_then_a_rate() -> None:
    """Two at once, then one each half second."""
    allowance = Allowance(rate=2.0, burst=2)
    assert [0.0, 0.0, 0.5, 1.0] == [allowance.take(10.0) for _ in range(4)]
    assert allowance.take(12.0) == 0.0


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("198.51.100.7", "198.51.100"),
        ("2001:db8:1:2::3", b"\x20\x01\x0d\xb8\x00\x01"),
        ("127.0.0.1", None),
        ("10.1.2.3", None),
        ("192.168.1.1", None),
        ("::1", None),
        ("fe80::1", None),
        ("fd00::1", None),
    ],
)
def test_prefix_is_that_of_one_owner_or_exempt(host: str, expected: object) -> None:
    """A /24 or a /48; private ranges are not counted."""
    assert expected == PrefixRule(are_private_exempt=True).of(Endpoint(host, 1))
    assert PrefixRule(are_private_exempt=False).of(Endpoint(host, 1)) is not None


def test_random_point_lies_in_the_bucket() -> None:
    """Refreshes look where they should, edges included."""
    rng = random.Random(1)
    bucket = Bucket(1 << 159, 3, 20)
    for _ in range(50):
        point = int.from_bytes(random_point(bucket, rng), "big")
        assert bucket.range[0] <= point <= bucket.range[1]


@pytest.mark.parametrize("shared", [0, 1, 5, 100, 158])
def test_point_beside_shares_so_many_bits(shared: int) -> None:
    """The first different bit is the one after."""
    own = contact_of(5).node_id
    point = point_beside(own, shared, random.Random(2))
    assert NODE_ID_BITS - shared == distance(own, point).bit_length()


def test_withdrawal_of_a_node_says_nothing_else() -> None:
    """No endpoints, no name, one second."""
    record = node_record(1, hostname="agent").record
    gone = withdrawal_of(record, record.issued_ms + 1)
    assert isinstance(gone, NodeRecord)
    assert ("", (), 1) == (gone.hostname, gone.endpoints, gone.ttl_s)
    assert record.key == gone.key


def test_withdrawal_of_an_entry_lies_under_the_same_key() -> None:
    """It must meet what it ends."""
    record = tag_entry(1, shard=3).record
    gone = withdrawal_of(record, record.issued_ms + 1)
    assert record.key == gone.key
    assert gone.sequence > record.sequence


def test_hand_over_goes_to_a_closer_newcomer_from_the_closest_holder_only() -> None:
    """One of the holders gives the record, and only when it belongs there."""
    config = DhtConfig()
    held = Held(node_record(1), None)
    point = int.from_bytes(held.key, "big")
    nodes = sorted((contact_of(number) for number in range(1, 60)), key=lambda one: one.point ^ point)
    newcomer, closest, second = nodes[0], nodes[1], nodes[2]

    def gives(holder_index: int, to_index: int) -> bool:
        holder = nodes[holder_index]
        table = RoutingTable(holder.node_id, config, prefix_rule(config))
        for one in nodes:
            if one is not holder:
                table.verified(one, 1.0)
        return is_to_be_given(
            held,
            nodes[to_index],
            own_point=int.from_bytes(holder.node_id, "big"),
            table=table,
        )

    assert newcomer.point != closest.point != second.point
    assert gives(1, 0)
    assert not gives(2, 0)
    assert not gives(1, 2)
    assert not gives(30, 0)


def test_snapshot_survives_the_wire() -> None:
    """What is saved is what is read."""
    snapshot = Snapshot(
        sequence_ms=7,
        contacts=(contact_of(1), contact_of(2)),
        records=((b"a", None), (b"b", "198.51.100"), (b"c", b"\x20\x01")),
    )
    assert snapshot == snapshot_untrusted(decode_list_untrusted(encode(snapshot.packed())))


@pytest.mark.parametrize("values", [[], [2, 0, [], []], [1, -1, [], []], [1, 0, 5, []], [1, 0, [], b""], [1]])
def test_snapshot_damaged_is_a_bad_message(values: list[object]) -> None:
    """A damaged file is refused as a whole."""
    with pytest.raises(BadMessage):
        snapshot_untrusted(values)


def test_snapshot_leaves_out_single_bad_items() -> None:
    """One bad contact costs no other."""
    good = contact_of(1)
    values = [1, 0, [good.packed(), [b"x", b"y"], 5], [[b"a", None], [b"a"], [b"a", 5], 7, [b"x" * 800, None]]]
    snapshot = snapshot_untrusted(values)
    assert (good,) == snapshot.contacts
    assert ((b"a", None),) == snapshot.records


def test_config_defaults_are_valid_and_bounds_are_checked() -> None:
    """Every tunable has a reason and a range that its default is in."""
    config = DhtConfig()
    assert all(field.metadata["reason"] for field in fields(config))
    for changes in ({"mode": "maybe"}, {"parallel": 0}, {"store_bytes": 1 << 20, "cache_bytes": 1 << 21}):
        with pytest.raises(ConfigError):
            replace(config, **changes)


def test_metrics_are_collected_by_name() -> None:
    """What is counted is served."""
    registry = CollectorRegistry()
    metrics = DhtMetrics(registry)
    metrics.reject("store_bad_token")
    metrics.served["find_node"] += 2
    metrics.gauges = lambda: {"contacts": 5.0}
    text = generate_latest(registry).decode()
    assert 'pilotdht_dht_rejected_total{reason="store_bad_token"} 1.0' in text
    assert 'pilotdht_dht_served_total{request="find_node"} 2.0' in text
    assert "pilotdht_dht_contacts 5.0" in text


def test_own_id_is_no_argument_of_chance() -> None:
    """The same seed gives the same points."""
    own = NodeId(bytes(20))
    assert point_beside(own, 4, random.Random(3)) == point_beside(own, 4, random.Random(3))
