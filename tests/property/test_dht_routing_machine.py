"""The routing table against sorting everything, whatever happens to it in whatever order."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pilotdht.config.dht import DhtConfig
from pilotdht.dht.routing import RoutingTable
from pilotdht.identity.ids import NODE_ID_BITS, NodeId
from tests.support.dht_examples import contact_of, prefix_rule

CONFIG = DhtConfig(bucket_size=4, split_bits=2, replacements_per_bucket=3, repin_after_s=5.0)
NUMBERS = st.integers(min_value=1, max_value=120)
HOSTS = st.sampled_from([None, "198.51.100.1", "198.51.100.2", "203.0.113.5", "127.0.0.1"])


class TableMachine(RuleBasedStateMachine):
    """Answers, silences and swaps in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.own = contact_of(1000).node_id
        self.table = RoutingTable(self.own, CONFIG, prefix_rule(CONFIG))
        self.verified: dict[int, None] = {}
        self.now = 100.0

    @rule(number=NUMBERS, host=HOSTS)
    def answers(self, number: int, host: str | None) -> None:
        """A contact answers."""
        contact = contact_of(number, host=host)
        self.table.verified(contact, self.now)
        self.verified[contact.point] = None

    @rule(number=NUMBERS)
    def fails(self, number: int) -> None:
        """A contact does not answer."""
        self.table.failed(contact_of(number).node_id, self.now)

    @rule(number=NUMBERS)
    def does_not_prove_itself(self, number: int) -> None:
        """A contact is swapped, when somebody waits."""
        self.table.swap_silent(contact_of(number).node_id)

    @rule(seconds=st.floats(min_value=0.0, max_value=30.0))
    def time_passes(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds

    @rule(key=st.binary(min_size=20, max_size=20), limit=st.integers(min_value=1, max_value=30))
    def nearest_is_exact(self, key: bytes, limit: int) -> None:
        """The nearest are those that sorting everything gives."""
        point = int.from_bytes(key, "big")
        expected = sorted((known.contact for known in self.table), key=lambda one: one.point ^ point)[:limit]
        assert expected == self.table.nearest(key, limit)

    @rule(number=NUMBERS)
    def nearest_to_a_contact_is_itself(self, number: int) -> None:
        """A known contact comes first when it is the target."""
        node_id = contact_of(number).node_id
        known = self.table.find(NodeId(node_id))
        if known is not None:
            assert [known.contact] == self.table.nearest(node_id, 1)

    @invariant()
    def only_verified_contacts_are_known(self) -> None:
        """Nobody enters unasked."""
        assert all(known.id in self.verified for known in self.table)

    @invariant()
    def buckets_part_the_key_space(self) -> None:
        """Each id has one bucket, and everybody is in the right one."""
        edges = [(bucket.range[0], bucket.range[1]) for bucket in self.table.buckets]
        assert edges[0][0] == 0
        assert edges[-1][1] == 2**NODE_ID_BITS - 1
        assert all(low[1] + 1 == high[0] for low, high in pairwise(edges))
        for bucket in self.table.buckets:
            for point in [*bucket.nodes, *bucket.replacement_nodes]:
                assert bucket.range[0] <= point <= bucket.range[1]

    @invariant()
    def bounds_hold(self) -> None:
        """Buckets, spares and prefixes are bounded, and the size is right."""
        rule_of_prefixes = prefix_rule(CONFIG)
        totals: dict[object, int] = {}
        for bucket in self.table.buckets:
            assert len(bucket.nodes) <= CONFIG.bucket_size
            assert len(bucket.replacement_nodes) <= CONFIG.replacements_per_bucket
            assert not set(bucket.nodes) & set(bucket.replacement_nodes)
            counts: dict[object, int] = {}
            for known in bucket.nodes.values():
                prefix = rule_of_prefixes.of(known.contact.endpoint)
                if prefix is not None:
                    counts[prefix] = counts.get(prefix, 0) + 1
                    totals[prefix] = totals.get(prefix, 0) + 1
            assert all(count <= CONFIG.same_prefix_per_bucket for count in counts.values())
        assert all(count <= CONFIG.same_prefix_per_table for count in totals.values())
        assert len(self.table) == sum(len(bucket.nodes) for bucket in self.table.buckets)

    @invariant()
    def buckets_are_ordered_by_last_success(self) -> None:
        """The head of a bucket is the one that has been silent for longest."""
        for bucket in self.table.buckets:
            times = [known.last_success_s for known in bucket.nodes.values()]
            assert times == sorted(times)


TestTable = TableMachine.TestCase
TestTable.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestTable = pytest.mark.property(TestTable)
