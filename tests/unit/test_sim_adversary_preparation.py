"""What attackers prepare: ground keys, sets of contacts, archives of old records, places."""

from __future__ import annotations

from random import Random

import pytest

from pilotdht.errors import InvalidArgument
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import KeyPair
from pilotdht.net.prefixes import prefix_of
from pilotdht.wire.contact import Contact
from pilotdht.wire.records import NodeRecord, sign_record
from simulations.adversaries.conspiracy import Archive, Conspiracy
from simulations.adversaries.grinding import bits_for, grind, pilot_id_of
from simulations.adversaries.key_space import ContactSet
from simulations.adversaries.siege import attack_place, key_of, seeds_beside
from simulations.baseline.records import stock_id_of
from simulations.population.member import Identity
from simulations.scenarios.eclipse import EclipseOptions, ids_a_record
from simulations.world.places import address_of, endpoint_of

KEYS = KeyPair.from_seed(bytes(32))


def contact(random: Random) -> Contact:
    """Return a contact that nobody owns."""
    return Contact(PublicKey(random.randbytes(32)), endpoint_of(random.randrange(1000)))


def identity(number: int) -> Identity:
    """Return a participant."""
    return Identity(number=number, seed=number.to_bytes(32, "big"), endpoint=endpoint_of(number))


def shared_bits(one: bytes, other: bytes) -> int:
    """Return how many leading bits two ids have in common."""
    return 160 - (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).bit_length()


def version(issued_s: int) -> bytes:
    """Return a version of one signer's record."""
    return sign_record(KEYS, NodeRecord(public_key=KEYS.public_key, issued_ms=issued_s * 1000, ttl_s=7200)).wire


def test_ground_keys_share_the_bits_wanted_with_each_target() -> None:
    """One search finds as many as wanted for two targets, and the same ones with the same seed."""
    targets = [Random(one).randbytes(20) for one in (1, 2)]
    first, again = (grind(targets, bits=6, count=5, random=Random(3), id_of=pilot_id_of) for _ in range(2))
    assert first == again
    assert [len(seeds) for seeds in first] == [5, 5]
    for target, seeds in zip(targets, first, strict=True):
        assert all(shared_bits(KeyPair.from_seed(seed).node_id, target) >= 6 for seed in seeds)


def test_targets_that_lie_together_are_both_served() -> None:
    """Two equal targets share what is found."""
    target = Random(1).randbytes(20)
    found = grind([target, target], bits=4, count=3, random=Random(2), id_of=pilot_id_of)
    assert [len(seeds) for seeds in found] == [3, 3]
    assert len({*found[0], *found[1]}) == 6


@pytest.mark.parametrize("bits", [0, 25])
def test_grinding_for_ever_is_refused(bits: int) -> None:
    """What cannot end in minutes does not begin."""
    with pytest.raises(InvalidArgument):
        grind([bytes(20)], bits=bits, count=1, random=Random(1), id_of=pilot_id_of)


@pytest.mark.parametrize(("nodes", "bits"), [(2, 4), (100, 10), (1000, 13), (10_000, 17)])
def test_bits_are_enough_to_be_nearer_than_honest_nodes(nodes: int, bits: int) -> None:
    """Three more than the logarithm of the population."""
    assert bits_for(nodes) == bits


def test_ground_attackers_are_nearer_to_the_record_than_any_honest_node() -> None:
    """Of 64 honest nodes none is nearer than the farthest ground one, but by the chance of one in eight a key."""
    victims = [identity(number) for number in range(8)]
    seeds = seeds_beside(victims, count=4, nodes=64, random=Random(1), implementation="pilotdht")
    honest = [KeyPair.from_seed(identity(number).seed).node_id for number in range(64)]
    captured = 0
    for victim, group in zip(victims, seeds, strict=True):
        key = key_of(victim, "pilotdht")
        least = min(shared_bits(KeyPair.from_seed(seed).node_id, key) for seed in group)
        captured += least > max(shared_bits(one, key) for one in honest)
    assert captured >= 5


def test_stock_attackers_choose_their_ids() -> None:
    """The stock protocol asks nobody where an id comes from: the nearest there can be are taken."""
    seeds = seeds_beside([identity(1)], count=20, nodes=10_000, random=Random(1), implementation="kademlia")
    key = key_of(identity(1), "kademlia")
    assert min(shared_bits(stock_id_of(seed), key) for seed in seeds[0]) >= 155


def test_nearest_contacts_are_exactly_the_nearest() -> None:
    """A search by prefixes gives what sorting all of them gives, also when fewer are there than wanted."""
    random = Random(5)
    contacts = [contact(random) for _ in range(200)]
    many, few = ContactSet(), ContactSet()
    many.add_all(contacts)
    for one in contacts[:3]:
        few.add(one)
    for _ in range(50):
        target = random.randbytes(20)
        point = int.from_bytes(target, "big")
        assert many.nearest(target, 20) == sorted(contacts, key=lambda one: one.point ^ point)[:20]
        assert few.nearest(target, 20) == sorted(contacts[:3], key=lambda one: one.point ^ point)
    assert many.nearest(contacts[7].node_id, 1) == [contacts[7]]


def test_archive_gives_the_oldest_version_that_is_still_valid() -> None:
    """One version is no roll-back; of several the oldest live one is, and void ones are kept apart."""
    archive, key = Archive(), sign_record(KEYS, NodeRecord(public_key=KEYS.public_key, issued_ms=1, ttl_s=2)).record.key
    archive.keep(version(10_000))
    assert archive.rolled_back(key, KEYS.public_key, 10_001) is None
    archive.keep(version(10_100))
    archive.keep(version(10_100))
    archive.keep(version(10_050))
    assert archive.rolled_back(key, KEYS.public_key, 10_200) == version(10_000)
    assert archive.rolled_back(key, None, 10_200) == version(10_000)
    assert archive.rolled_back(key, KEYS.public_key, 17_220) == version(10_050)
    assert archive.expired(key, KEYS.public_key, 17_220) == version(10_000)
    assert archive.newest(key, KEYS.public_key) == version(10_100)
    assert len(archive) == 1


def test_archive_keeps_no_more_versions_than_it_may_and_nothing_forged() -> None:
    """However often a publisher refreshes, the oldest and the newest stay; what is not signed is not taken in."""
    archive = Archive()
    for second in range(30):
        archive.keep(version(10_000 + second))
    archive.keep(version(20_000)[:-1] + b"x")
    key = sign_record(KEYS, NodeRecord(public_key=KEYS.public_key, issued_ms=1, ttl_s=2)).record.key
    assert archive.rolled_back(key, KEYS.public_key, 10_100) == version(10_000)
    assert archive.newest(key, KEYS.public_key) == version(10_029)


def test_decoys_are_nearer_than_a_thousand_nodes_and_live_in_many_networks() -> None:
    """Ten of them share more bits with any target than the eight nearest of 1,000 nodes do, and others name others."""
    conspiracy = Conspiracy(seed=1)
    target = Random(9).randbytes(20)
    first, second = (conspiracy.decoys(target, 10, turn=turn) for turn in (0, 1))
    assert min(shared_bits(one.node_id, target) for one in first + second) >= 8
    assert len({prefix_of(one.endpoint.host) for one in first + second}) == 20


def test_honest_nodes_met_are_told_to_all_but_attackers_are_not() -> None:
    """Whoever knocks does so at honest doors."""
    random = Random(2)
    conspiracy = Conspiracy(seed=1)
    fellow, honest = contact(random), contact(random)
    conspiracy.join("sybil", fellow)
    conspiracy.met(fellow)
    assert conspiracy.someone(random) is None
    conspiracy.met(honest)
    assert conspiracy.someone(random) == honest


def test_attackers_of_one_prefix_share_it_with_nobody_else() -> None:
    """All of a group stand in one /24, far from honest ones; beyond 254 they share addresses."""
    places = [attack_place(2, index) for index in range(300)]
    assert len(set(places)) == 300
    assert {prefix_of(place.host) for place in places} == {prefix_of(address_of(1_000_002))}


@pytest.mark.parametrize(("share", "targets", "ids"), [(0.0, 3, 20), (0.3, 3, 10), (0.01, 3, 1)])
def test_ids_next_to_a_record_are_given_or_a_share_of_the_population(share: float, targets: int, ids: int) -> None:
    """A share is divided among the records, and each gets one."""
    assert ids_a_record(EclipseOptions(nodes=100, targets=targets, share=share)) == ids
