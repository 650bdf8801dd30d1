"""Contacts given up lately: who is kept, and when a cut is suspected."""

from __future__ import annotations

import random

from pilotdht.config.dht import DhtConfig
from pilotdht.dht.lost import LostContacts
from tests.support.dht_examples import contact_of

CONFIG = DhtConfig(lost_contacts_kept=4, lost_contact_keep_s=1000.0, split_window_s=100.0, split_share=0.2)


def test_lost_contacts_are_bounded_and_the_oldest_go_first() -> None:
    """Four are kept; the last lost come first when all are asked."""
    lost = LostContacts(CONFIG)
    for number in range(1, 7):
        lost.add(contact_of(number), table_size=100, now=float(number))
    assert [contact_of(number) for number in (6, 5, 4, 3)] == lost.all()
    assert 4 == len(lost)


def test_lost_contacts_are_forgotten_after_a_while() -> None:
    """Who has been gone for hours is not asked any more."""
    lost = LostContacts(CONFIG)
    lost.add(contact_of(1), table_size=100, now=0.0)
    lost.add(contact_of(2), table_size=100, now=1001.0)
    assert [contact_of(2)] == lost.all()


def test_split_is_suspected_when_a_fifth_is_lost_together() -> None:
    """Two of ten within the window are a fifth; the same two far apart are churn."""
    together, apart = LostContacts(CONFIG), LostContacts(CONFIG)
    for lost, gap_s in ((together, 10.0), (apart, 200.0)):
        lost.add(contact_of(1), table_size=9, now=0.0)
        assert not lost.is_split_suspected(now=0.0)
        lost.add(contact_of(2), table_size=8, now=gap_s)
    assert together.is_split_suspected(now=500.0)
    assert not apart.is_split_suspected(now=500.0)


def test_suspicion_ends_with_time_and_with_the_last_contact() -> None:
    """It does not outlive the contacts that it rests on."""
    lost = LostContacts(CONFIG)
    for number in (1, 2):
        lost.add(contact_of(number), table_size=2, now=0.0)
    assert not lost.is_split_suspected(now=1001.0)
    assert lost.remove(contact_of(1).node_id)
    assert lost.is_split_suspected(now=1.0)
    assert lost.remove(contact_of(2).node_id)
    assert not lost.is_split_suspected(now=1.0)
    assert not lost.remove(contact_of(2).node_id)


def test_any_draws_from_all_and_nothing_from_none() -> None:
    """One of them at random."""
    lost = LostContacts(CONFIG)
    draw = random.Random(1)
    assert lost.any(draw) is None
    for number in (1, 2, 3):
        lost.add(contact_of(number), table_size=100, now=0.0)
    assert {contact_of(number) for number in (1, 2, 3)} == {lost.any(draw) for _ in range(50)}


def test_capacity_of_zero_keeps_nobody() -> None:
    """Whoever does not want it can switch it off."""
    lost = LostContacts(DhtConfig(lost_contacts_kept=0))
    lost.add(contact_of(1), table_size=1, now=0.0)
    assert [] == lost.all()
