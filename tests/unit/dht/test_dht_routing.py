"""The routing table: who enters, who stays, who is named."""

from __future__ import annotations

import inspect
from dataclasses import replace
from random import Random

import pytest
from kademlia.routing import KBucket
from kademlia.routing import RoutingTable as KademliaTable

from pilotdht.config.dht import DhtConfig
from pilotdht.dht import routing
from pilotdht.dht.routing import Bucket, Insertion, RoutingTable
from pilotdht.identity.ids import NODE_ID_BITS, NodeId
from pilotdht.wire.contact import Contact
from tests.support.dht_examples import contact_of, prefix_rule

OWN = NodeId(bytes(20))
SMALL = DhtConfig(bucket_size=4, split_bits=1, replacements_per_bucket=2)


def table_of(config: DhtConfig = SMALL) -> RoutingTable:
    """Return an empty table of the node with id zero."""
    return RoutingTable(OWN, config, prefix_rule(config))


def far_contacts(count: int) -> list[int]:
    """Return numbers of contacts in the half of the key space that the own id is not in."""
    return [number for number in range(1, 400) if contact_of(number).point >> (NODE_ID_BITS - 1)][:count]


def test_table_is_built_on_the_package() -> None:
    """Bucket and table are the package's, with other rules."""
    assert issubclass(Bucket, KBucket)
    assert issubclass(RoutingTable, KademliaTable)


def test_module_reads_no_clock() -> None:
    """Time comes in as an argument."""
    assert "time.monotonic" not in inspect.getsource(routing)


def test_verified_new_contact_is_added_and_found() -> None:
    """A verified contact is found by its id."""
    table = table_of()
    contact = contact_of(1)
    assert Insertion.ADDED == table.verified(contact, 1.0)
    known = table.find(contact.node_id)
    assert known is not None
    assert contact == known.contact


def test_verified_own_id_is_not_added() -> None:
    """A node is never in its own table."""
    contact = contact_of(1)
    table = RoutingTable(contact.node_id, SMALL, prefix_rule(SMALL))
    assert Insertion.OWN == table.verified(contact, 1.0)
    assert len(table) == 0


def test_nearest_includes_the_target_itself() -> None:
    """A node can be looked up by its id."""
    table = table_of()
    contact = contact_of(7)
    table.verified(contact, 1.0)
    assert [contact] == table.nearest(contact.node_id, 1)


def test_nearest_without_failing_leaves_out_contacts_that_failed() -> None:
    """Others are not told of a contact that did not answer last time."""
    table = table_of()
    contact = contact_of(7)
    table.verified(contact, 1.0)
    table.failed(contact.node_id, 2.0)
    assert [] == table.nearest(contact.node_id, 4, with_failing=False)
    assert [contact] == table.nearest(contact.node_id, 4)


def test_failed_evicts_at_the_limit_and_not_before() -> None:
    """Two failures are forgiven, three are not."""
    table = table_of()
    contact = contact_of(7)
    table.verified(contact, 1.0)
    assert not table.failed(contact.node_id, 2.0)
    table.verified(contact_of(8), 3.0)
    assert [False, True] == [table.failed(contact.node_id, 4.0) for _ in range(2)]
    assert table.find(contact.node_id) is None


def test_verified_after_failures_starts_the_count_anew() -> None:
    """An answer forgives what was before."""
    table = table_of()
    contact = contact_of(7)
    table.verified(contact, 1.0)
    table.failed(contact.node_id, 2.0)
    table.failed(contact.node_id, 2.0)
    table.verified(contact, 3.0)
    assert not table.failed(contact.node_id, 4.0)


def test_failed_while_nobody_answers_evicts_nobody() -> None:
    """When our own network is gone, the table is kept for when it comes back."""
    table = table_of()
    contact = contact_of(7)
    table.verified(contact, 1.0)
    assert not any(table.failed(contact.node_id, 2.0) for _ in range(10))
    assert len(table) == 1
    assert table.live_count() == 0


def test_verified_in_a_full_bucket_is_kept_as_a_spare() -> None:
    """The bucket's contacts stay: old live contacts are worth more than new ones."""
    table = table_of()
    first = [contact_of(number) for number in far_contacts(5)]
    for contact in first[:4]:
        table.verified(contact, 1.0)
    assert Insertion.SPARE == table.verified(first[4], 2.0)
    assert len(table) == 4


def test_verified_spares_beyond_the_limit_push_out_the_oldest() -> None:
    """Spares are bounded."""
    table = table_of()
    contacts = [contact_of(number) for number in far_contacts(9)]
    for second, contact in enumerate(contacts):
        table.verified(contact, float(second))
    bucket = table.bucket_of(contacts[0].point)
    assert [one.point for one in contacts[-2:]] == list(bucket.replacement_nodes)


def test_evicted_contact_is_replaced_by_the_spare_verified_last() -> None:
    """The replacement is the most recently verified one."""
    table = table_of()
    contacts = [contact_of(number) for number in far_contacts(6)]
    for second, contact in enumerate(contacts):
        table.verified(contact, float(second))
    for moment in (4.0, 6.0, 7.0):
        table.failed(contacts[0].node_id, moment)
    assert table.find(contacts[5].node_id) is not None
    assert table.find(contacts[4].node_id) is None


def test_oldest_of_full_is_the_least_recently_successful() -> None:
    """A contact that answered moves to the young end, so another one is the oldest."""
    table = table_of()
    contacts = [contact_of(number) for number in far_contacts(5)]
    for contact in contacts:
        table.verified(contact, 1.0)
    table.verified(contacts[0], 2.0)
    oldest = table.oldest_of_full(contacts[4].node_id, 500.0)
    assert oldest is not None
    assert contacts[1] == oldest.contact


def test_oldest_of_full_that_answered_lately_need_not_prove_itself() -> None:
    """A flood of newcomers does not make us ping the same contact over and over."""
    table = table_of()
    contacts = [contact_of(number) for number in far_contacts(5)]
    for contact in contacts:
        table.verified(contact, 1.0)
    assert table.oldest_of_full(contacts[4].node_id, 2.0) is None


def test_swap_silent_puts_the_spare_in_place() -> None:
    """A silent oldest contact gives way to the newcomer."""
    table = table_of()
    contacts = [contact_of(number) for number in far_contacts(5)]
    for contact in contacts:
        table.verified(contact, 1.0)
    assert table.swap_silent(contacts[0].node_id)
    assert table.find(contacts[4].node_id) is not None
    assert len(table) == 4


def test_verified_from_another_endpoint_moves_the_contact() -> None:
    """The place that answered last is the one that is used."""
    table = table_of()
    table.verified(contact_of(7), 1.0)
    moved = contact_of(7, host="198.51.100.9", port=9)
    assert Insertion.REFRESHED == table.verified(moved, 2.0)
    assert [moved] == table.nearest(moved.node_id, 1)


@pytest.mark.parametrize("allowed", [1, 2, 3])
def test_verified_same_prefix_is_capped_a_bucket(allowed: int) -> None:
    """One /24 has so many contacts in a bucket, and not one more."""
    table = table_of(replace(SMALL, bucket_size=20, same_prefix_per_bucket=allowed))
    results = [
        table.verified(contact_of(number, host=f"198.51.100.{number % 250 + 1}"), 1.0)
        for number in far_contacts(allowed + 1)
    ]
    assert [Insertion.ADDED] * allowed + [Insertion.TOO_SIMILAR] == results


def test_verified_same_prefix_is_capped_a_table() -> None:
    """Over all buckets one /48 has ten contacts."""
    table = table_of(DhtConfig(same_prefix_per_bucket=100))
    for number in range(1, 200):
        table.verified(contact_of(number, host=f"2001:db8:5::{number:x}"), 1.0)
    assert len(table) == DhtConfig().same_prefix_per_table


def test_verified_private_prefixes_are_exempt_by_configuration() -> None:
    """A laboratory lives in one /24; with the exemption off the cap holds there too."""
    for is_exempt, expected in ((True, 15), (False, 2)):
        table = table_of(DhtConfig(are_private_prefixes_exempt=is_exempt))
        for number in range(1, 16):
            table.verified(contact_of(number, host="127.0.0.1", port=number), 1.0)
        assert expected == len(table)


def test_evicted_contact_frees_its_prefix() -> None:
    """What left the table no longer counts."""
    table = table_of(DhtConfig())
    numbers = far_contacts(3)
    contacts = [contact_of(number, host=f"198.51.100.{index + 1}") for index, number in enumerate(numbers)]
    table.verified(contacts[0], 1.0)
    table.verified(contacts[1], 1.0)
    for _ in range(3):
        table.failed(contacts[0].node_id, 0.5)
    assert Insertion.ADDED == table.verified(contacts[2], 3.0)


@pytest.mark.parametrize("point", [0, 1, 2**159 - 1, 2**159, 2**159 + 1, 2**160 - 1])
def test_bucket_of_edge_ids_is_the_one_whose_interval_holds_them(point: int) -> None:
    """Edges of intervals belong to exactly one bucket, the greatest id included."""
    table = table_of()
    for number in range(1, 60):
        table.verified(contact_of(number), 1.0)
    assert len(table.buckets) > 1
    holding = [bucket for bucket in table.buckets if bucket.range[0] <= point <= bucket.range[1]]
    assert [table.bucket_of(point)] == holding


def test_has_use_for_says_no_to_known_contacts_and_full_spares() -> None:
    """Contacts heard of are pinged only when that can change something."""
    table = table_of()
    contacts = [contact_of(number) for number in far_contacts(7)]
    assert table.has_use_for(contacts[0])
    for contact in contacts[:6]:
        table.verified(contact, 1.0)
    assert not table.has_use_for(contacts[0])
    assert not table.has_use_for(contacts[6])


def test_has_gap_until_a_bucket_is_full_that_may_not_split() -> None:
    """The half without the own id takes four; the one that holds it splits and has always room."""
    table = table_of()
    for number in far_contacts(4):
        assert table.has_gap(table.bucket_of(contact_of(number).point))
        table.verified(contact_of(number), 1.0)
    for number in range(1, 400):
        table.verified(contact_of(number), 2.0)
    assert not table.has_gap(table.bucket_of(contact_of(far_contacts(1)[0]).point))
    assert table.has_gap(table.bucket_of(0))


def test_begin_anew_lets_buckets_grow_stale_one_by_one() -> None:
    """Over one interval of refreshes, none at once; nodes that start together do not act together."""
    table = table_of()
    for number in range(1, 400):
        table.verified(contact_of(number), 1.0)
    table.begin_anew(10_000.0, Random(1))
    refresh_s, buckets = SMALL.bucket_refresh_s, len(table.buckets)
    assert not table.stale_buckets(10_000.0 - refresh_s)
    stale = [len(table.stale_buckets(10_000.0 + wait * refresh_s - refresh_s)) for wait in (0.25, 0.5, 0.75, 1.0)]
    assert stale == sorted(stale)
    assert 0 < stale[1] < buckets == stale[3]


def test_has_use_for_says_no_to_a_prefix_that_is_used_up() -> None:
    """A network that has its share is not even pinged."""
    table = table_of(DhtConfig())
    numbers = far_contacts(3)
    contacts = [contact_of(number, host=f"198.51.100.{index + 1}") for index, number in enumerate(numbers)]
    assert table.has_use_for(contacts[2])
    table.verified(contacts[0], 1.0)
    table.verified(contacts[1], 1.0)
    assert not table.has_use_for(contacts[2])


def test_leave_takes_the_contact_out_and_lets_a_spare_in() -> None:
    """A contact that became a client is nobody to ask."""
    table = table_of()
    contacts = [contact_of(number) for number in far_contacts(5)]
    for contact in contacts:
        table.verified(contact, 1.0)
    table.leave(contacts[0].node_id)
    table.leave(contacts[0].node_id)
    assert table.find(contacts[0].node_id) is None
    assert table.find(contacts[4].node_id) is not None


def test_stale_contacts_are_returned_longest_ago_first() -> None:
    """Upkeep begins with the contact that has been silent for longest."""
    table = table_of(replace(SMALL, stale_contact_s=4.0))
    old, older = contact_of(1), contact_of(2)
    table.verified(old, 2.0)
    table.verified(older, 1.0)
    table.verified(contact_of(3), 9.0)
    assert [older, old] == table.stale_contacts(10.0, 10)
    assert [older] == table.stale_contacts(10.0, 1)


def test_stale_contacts_leave_out_who_was_up_for_long() -> None:
    """Who is known for an hour is trusted to live half an hour more, and nobody longer than the greatest age."""
    table = table_of(replace(SMALL, stale_contact_s=60.0, stale_age_share=0.5, stale_contact_max_s=3600.0))
    lasting, ancient, new = contact_of(1), contact_of(2), contact_of(3)
    for contact, first_s in ((ancient, 0.0), (lasting, 96_400.0), (new, 99_990.0)):
        table.verified(contact, first_s)
        table.verified(contact, 100_000.0)
    assert [] == table.stale_contacts(100_050.0, 10)
    assert [new] == table.stale_contacts(100_070.0, 10)
    assert [lasting] == [one for one in table.stale_contacts(101_801.0, 10) if one is not new]
    assert ancient in table.stale_contacts(103_601.0, 10)


def test_heard_contact_is_not_stale() -> None:
    """Who asked from where it is known to receive is alive; a failure is only taken back by an answer."""
    table = table_of(replace(SMALL, stale_contact_s=60.0))
    asking, failing = contact_of(1), contact_of(2)
    for contact in (asking, failing):
        table.verified(contact, 1.0)
    table.failed(failing.node_id, 50.0)
    for contact in (asking, failing, contact_of(3)):
        table.heard(contact, 90.0)
    assert [failing] == table.stale_contacts(100.0, 10)
    assert 2 == len(table)


def test_heard_from_another_place_changes_nothing() -> None:
    """A contact that asks from another endpoint is not believed to be where it was."""
    table = table_of(replace(SMALL, stale_contact_s=60.0))
    contact = contact_of(1)
    table.verified(contact, 1.0)
    table.heard(Contact(contact.public_key, contact_of(2).endpoint), 90.0)
    assert [contact] == table.stale_contacts(100.0, 10)
