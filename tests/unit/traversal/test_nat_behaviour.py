"""The NAT in front of a node, judged from what peers say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pilotdht.config.net import NetConfig
from pilotdht.config.traversal import TraversalConfig
from pilotdht.identity.ids import PublicKey
from pilotdht.net.observed import ObservedEndpoints, Sighting
from pilotdht.traversal.behaviour import Filtering, NatBehaviour, Standing, judge
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.traversal_messages import NatMapping
from tests.support.nat_words import CONE, LOCAL, NOW, OUTSIDE, judged, reporter, seen_through, word

ANEW = Endpoint("203.0.113.77", 5000)
LIE = Endpoint("198.51.100.66", 666)
KINDS = (
    NatMapping.NONE,
    NatMapping.ENDPOINT_INDEPENDENT,
    NatMapping.ADDRESS_DEPENDENT,
    NatMapping.ADDRESS_AND_PORT_DEPENDENT,
)


def words_through(kind: NatMapping, count: int) -> list[Sighting]:
    """Return the words of ``count`` hosts, each asked at two ports."""
    return [
        word(number, seen_through(kind, asked), at=asked)
        for number in range(count)
        for asked in (reporter(number), reporter(number, port=4001))
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_judge_each_mapping_is_recognised(kind: NatMapping) -> None:
    """Five hosts, each asked at two ports, tell all four apart."""
    assert kind is judged(words_through(kind, 5)).mapping


@pytest.mark.parametrize(
    ("kind", "count", "expected"),
    [
        (NatMapping.ENDPOINT_INDEPENDENT, 2, NatMapping.UNKNOWN),
        (NatMapping.ENDPOINT_INDEPENDENT, 3, NatMapping.ENDPOINT_INDEPENDENT),
        (NatMapping.ADDRESS_DEPENDENT, 3, NatMapping.UNKNOWN),
        (NatMapping.ADDRESS_DEPENDENT, 4, NatMapping.ADDRESS_DEPENDENT),
        (NatMapping.NONE, 0, NatMapping.UNKNOWN),
    ],
)
def test_judge_too_few_words_are_unknown(kind: NatMapping, count: int, expected: NatMapping) -> None:
    """A cone takes three peers, a random NAT four."""
    assert expected is judged(words_through(kind, count)).mapping


def test_judge_cone_names_its_endpoint() -> None:
    """All that follows from agreement is told."""
    assert NatBehaviour(
        mapping=NatMapping.ENDPOINT_INDEPENDENT,
        are_ports_kept=True,
        public=CONE,
        public_host=OUTSIDE,
        samples=4,
        prefixes=4,
        confidence=0.8,
    ) == judged([word(number, CONE) for number in range(4)])


def test_judge_random_nat_names_its_host_only() -> None:
    """Peers agree on the address and on nothing else."""
    found = judged(words_through(NatMapping.ADDRESS_AND_PORT_DEPENDENT, 6))
    assert (None, OUTSIDE, False) == (found.public, found.public_host, found.are_ports_kept)


def test_judge_dependence_without_two_ports_of_a_host_is_taken_to_be_wide() -> None:
    """When it cannot be told whether the port matters, it is taken to matter."""
    words = [word(number, seen_through(NatMapping.ADDRESS_DEPENDENT, reporter(number))) for number in range(5)]
    assert NatMapping.ADDRESS_AND_PORT_DEPENDENT is judged(words).mapping


def test_judge_dependence_one_prefix_has_one_vote() -> None:
    """A liar with many hosts of one network cannot make the port seem not to matter."""
    words = words_through(NatMapping.ADDRESS_AND_PORT_DEPENDENT, 5)
    for number in range(50):
        for port in (4000, 4001):
            words.append(word(100 + number, LIE, at=Endpoint(f"8.8.8.{number}", port)))
    assert NatMapping.ADDRESS_AND_PORT_DEPENDENT is judged(words).mapping


def test_judge_one_network_has_one_voice() -> None:
    """Fifty liars of one network do not outvote three honest peers."""
    words = [word(number, CONE, age_s=10.0) for number in range(3)]
    words += [word(100 + number, LIE, at=Endpoint(f"8.8.8.{number}", 4000)) for number in range(50)]
    found = judged(words)
    assert (NatMapping.ENDPOINT_INDEPENDENT, CONE) == (found.mapping, found.public)


def test_judge_liars_who_repeat_one_honest_word_make_no_cone() -> None:
    """Behind a random NAT, two liars that were told what one honest peer sees are three voices of seven."""
    words = [word(number, seen_through(NatMapping.ADDRESS_DEPENDENT, reporter(number))) for number in range(5)]
    words += [word(5, words[0].seen), word(6, words[0].seen)]
    assert NatMapping.ADDRESS_AND_PORT_DEPENDENT is judged(words).mapping


def test_judge_change_of_address_never_looks_random() -> None:
    """Peer after peer names the new endpoint; the verdict is cone or unknown, and the new one well before the end."""
    words = [word(number, CONE, age_s=100.0) for number in range(16)]
    found = []
    for number in range(16):
        words[number] = word(number, ANEW, age_s=50.0 - number)
        found.append(judged(words))
    assert {NatMapping.ENDPOINT_INDEPENDENT, NatMapping.UNKNOWN} >= {verdict.mapping for verdict in found}
    assert [ANEW] * 10 == [verdict.public for verdict in found[6:]]


def test_judge_two_changes_in_a_row_never_look_random() -> None:
    """A router that restarts twice leaves three endpoints, and still no random NAT."""
    again = Endpoint("203.0.113.78", 5001)
    words = [word(number, CONE, age_s=100.0) for number in range(6)]
    words += [word(number, ANEW, age_s=50.0) for number in range(6, 11)]
    words += [word(number, again) for number in range(11, 13)]
    before = judged(words)
    words += [word(number, again) for number in range(13, 20)]
    after = judged(words)
    assert (NatMapping.UNKNOWN, NatMapping.ENDPOINT_INDEPENDENT, again) == (before.mapping, after.mapping, after.public)


def test_judge_change_with_a_liar_never_looks_random() -> None:
    """Old word, new word and a lie are three of four: unknown."""
    words = [word(0, CONE, age_s=9), word(1, CONE, age_s=8), word(2, ANEW), word(3, LIE)]
    assert NatMapping.UNKNOWN is judged(words).mapping


def test_judge_nat_that_takes_its_addresses_in_turn_is_no_cone() -> None:
    """Half of the peers see one endpoint and half another, all the time: neither can be told to anybody."""
    words = [word(number, ANEW if number % 2 else CONE, age_s=float(number)) for number in range(16)]
    found = judged(words)
    assert (NatMapping.UNKNOWN, None, None) == (found.mapping, found.public, found.public_host)


def test_judge_old_words_do_not_count() -> None:
    """What was said a quarter of an hour ago is forgotten."""
    words = [word(number, CONE, age_s=901.0) for number in range(9)]
    assert NatBehaviour() == judged(words)


def test_judge_words_from_before_a_move_do_not_count() -> None:
    """When the machine's own address changed, nobody has seen the new one before."""
    words = [word(number, CONE, age_s=20.0) for number in range(9)]
    words += [word(number, ANEW, age_s=5.0) for number in range(20, 23)]
    found = judged(words, standing=Standing(local=(LOCAL,), moved_at=NOW - 10.0))
    assert (ANEW, 3) == (found.public, found.samples)


def test_judge_neighbours_do_not_count_beside_strangers() -> None:
    """Whoever is behind the same router sees the inside, and as many as there are of them."""
    words = [word(number, LOCAL, at=Endpoint("192.168.1.3", 4000 + number)) for number in range(50)]
    words += [word(number, CONE, age_s=10.0) for number in range(60, 63)]
    found = judged(words)
    assert (NatMapping.ENDPOINT_INDEPENDENT, CONE, 3) == (found.mapping, found.public, found.samples)


def test_judge_laboratory_of_private_addresses_is_judged_by_its_own() -> None:
    """Without a stranger the neighbours' words are all there is; there, keys are counted."""
    words = [word(number, LOCAL, at=Endpoint("192.168.1.3", 4000 + number)) for number in range(3)]
    assert NatMapping.NONE is judged(words).mapping


def test_judge_strangers_cannot_see_a_private_address() -> None:
    """A public peer that names a private address lies, or stands where nobody else does."""
    words = [word(number, Endpoint("10.0.0.7", 4433)) for number in range(5)]
    assert 0 == judged(words).samples


def test_judge_families_are_judged_apart() -> None:
    """Open over IPv6, behind a random NAT over IPv4."""
    own = Endpoint("2a02:db8::2", 4433)
    words = words_through(NatMapping.ADDRESS_AND_PORT_DEPENDENT, 5)
    words += [word(number, own, at=Endpoint(f"2a01:{number:x}::1", 4000)) for number in range(1, 5)]
    standing = Standing(local=(LOCAL, own))
    found = [judge(words, standing, TraversalConfig(), now=NOW, is_ipv6=is_ipv6).mapping for is_ipv6 in (False, True)]
    assert [NatMapping.ADDRESS_AND_PORT_DEPENDENT, NatMapping.NONE] == found


@pytest.mark.parametrize(
    ("standing", "expected"),
    [
        (Standing(is_reachable=True), Filtering.ENDPOINT_INDEPENDENT),
        (Standing(in_mesh_since=NOW - 61.0), Filtering.DEPENDENT),
        (Standing(in_mesh_since=NOW - 59.0), Filtering.UNKNOWN),
        (Standing(in_mesh_since=NOW - 600.0, moved_at=NOW - 1.0), Filtering.UNKNOWN),
        (Standing(), Filtering.UNKNOWN),
    ],
)
def test_judge_filtering(standing: Standing, expected: Filtering) -> None:
    """Strangers that came in show an open filter, their absence for a minute a closed one."""
    words = [word(number, CONE) for number in range(4)]
    assert expected is judged(words, standing=standing).filtering


def test_judge_filtering_is_unknown_as_long_as_the_mapping_is() -> None:
    """Nobody comes to a node that nobody knows."""
    assert Filtering.UNKNOWN is judged([], standing=Standing(in_mesh_since=0.0)).filtering


@pytest.mark.parametrize(
    ("mapped", "expected"),
    [
        (Endpoint(OUTSIDE, 7777), Endpoint(OUTSIDE, 7777)),
        (Endpoint("100.64.3.4", 7777), None),
        (Endpoint("198.51.100.1", 7777), None),
        (Endpoint("2a02:db8::2", 7777), None),
    ],
)
def test_judge_mapped_endpoint_is_believed_when_peers_see_us_there(mapped: Endpoint, expected: Endpoint | None) -> None:
    """A router's word counts only with the address that most peers name."""
    words = [word(number, CONE) for number in range(4)]
    assert expected == judged(words, standing=Standing(mapped=mapped)).mapped


def test_judge_mapped_endpoint_alone_is_not_believed() -> None:
    """Without peers a router's word is a claim."""
    assert judged([], standing=Standing(mapped=CONE)).mapped is None


def test_judge_bound_of_samples_is_kept() -> None:
    """Only the most recently heard prefixes count."""
    words = [word(number, CONE, age_s=float(number)) for number in range(100)]
    found = judged(words, config=TraversalConfig(nat_samples_most=8))
    assert (8, 8) == (found.samples, found.prefixes)


def test_sightings_of_observed_endpoints_carry_reporter_and_time() -> None:
    """What the socket's owner remembers is what is judged; the newest word of a peer replaces the one before."""
    observed = ObservedEndpoints(NetConfig())
    moved = reporter(1, port=4009)
    for at, seen, now in ((reporter(1), CONE, 1.0), (reporter(2), CONE, 2.0), (moved, ANEW, 3.0)):
        key = PublicKey(at.host.encode().ljust(32))
        observed.reported(Contact(key, at), seen, now=now)
    expected = (
        Sighting(ANEW, moved, "9.0.1", 3.0),
        Sighting(CONE, reporter(2), "9.0.2", 2.0),
    )
    assert expected == tuple(observed.sightings(now=4.0))
    assert expected[:1] == tuple(observed.sightings(now=2.0 + NetConfig().observed_lifetime_s))


def test_judge_repeated_word_moves_its_peer_to_the_end() -> None:
    """A peer that repeats itself is heard as of now."""
    old = [word(number, CONE, age_s=800.0) for number in range(4)]
    assert judged(old) == judged([replace_time(one, NOW) for one in old])


def replace_time(sighting: Sighting, said_at: float) -> Sighting:
    """Return the same word, said at another time."""
    return sighting._replace(said_at=said_at)


def test_behaviour_is_open_and_predictable() -> None:
    """The two questions that others ask."""
    found = NatBehaviour(mapping=NatMapping.NONE, filtering=Filtering.ENDPOINT_INDEPENDENT)
    assert (True, True) == (found.is_open, found.is_predictable)
    closed = replace(found, mapping=NatMapping.ADDRESS_DEPENDENT, filtering=Filtering.DEPENDENT)
    assert (False, False) == (closed.is_open, closed.is_predictable)
