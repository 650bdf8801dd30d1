"""Whom a node tells its private addresses: the rule, case by case."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pilotdht.identity.ids import PublicKey
from pilotdht.net.switchboard import Switchboard
from pilotdht.node.endpoints import published_endpoints
from pilotdht.traversal.lan.near import Near
from pilotdht.traversal.lan.notices import networks_of
from pilotdht.traversal.lan.telling import for_everybody, is_same_link, may_be_told
from pilotdht.traversal.road_choice import RoadChoice, worth_trying
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.traversal_messages import MAX_MEETING_ENDPOINTS

ROUTER = Endpoint("81.7.0.1", 4000)
ELSEWHERE = Endpoint("45.9.0.1", 4000)
LAN = Endpoint("192.168.1.2", 4433)
LAN6 = Endpoint("fd00::2", 4433)
GLOBAL6 = Endpoint("2001:db8::2", 4433)
LOOPBACK = Endpoint("127.0.0.1", 4433)
RELAYED = Switchboard(lambda _batch: None).connect(lambda _datagrams: None)
PEER = PublicKey(bytes(32))


@pytest.mark.parametrize(
    ("endpoints", "advertised", "is_translated", "told"),
    [
        ([LAN], [], False, [LAN]),  # nobody sees a public address: a mesh of its own
        ([LAN, LOOPBACK], [], False, [LAN, LOOPBACK]),
        ([], [], False, []),
        ([ROUTER, LAN], [], True, [ROUTER]),
        ([ROUTER, LAN], [], False, [ROUTER]),  # a public server with a private side
        ([LAN], [], True, []),  # behind a random NAT: it is called through servers
        ([GLOBAL6, LAN, LAN6], [], True, [GLOBAL6]),
        ([LAN, ROUTER], [LAN], True, [LAN, ROUTER]),  # the operator said so
        ([LAN], [LAN], True, [LAN]),
        ([ELSEWHERE, LAN], [ELSEWHERE], False, [ELSEWHERE]),
    ],
)
def test_records_hold_private_addresses_only_where_there_is_no_public_one(
    endpoints: list[Endpoint], advertised: list[Endpoint], told: list[Endpoint], *, is_translated: bool
) -> None:
    """What anybody may know."""
    assert tuple(told) == for_everybody(endpoints, advertised=advertised, is_translated=is_translated)


@pytest.mark.parametrize(
    ("bound", "observed", "is_translated", "published"),
    [
        ([LAN], [(ROUTER, 3), (LAN, 9)], True, [ROUTER]),  # at home, among neighbours
        ([LAN], [(ROUTER, 1)], True, []),  # not sure yet where, but that there is a NAT
        ([LAN], [(LAN, 2)], False, [LAN]),
        ([LAN], [], False, [LAN]),
        ([ROUTER], [(LAN, 1)], False, [ROUTER]),
    ],
)
def test_published_endpoints_follow_the_rule(
    bound: list[Endpoint], observed: list[tuple[Endpoint, int]], published: list[Endpoint], *, is_translated: bool
) -> None:
    """From what the socket is bound to and what peers see."""
    found = published_endpoints(advertised=(), bound=bound, observed=observed, agreement=3, is_translated=is_translated)
    assert tuple(published) == found


@pytest.mark.parametrize(
    ("seen", "said", "is_trusted", "is_told"),
    [
        ([RELAYED], [], True, False),  # nothing is known of it
        ([RELAYED], [ELSEWHERE.host], True, False),
        ([RELAYED], [ROUTER.host], False, False),  # anybody can say that
        ([RELAYED], [ROUTER.host], True, True),
        ([RELAYED], [LAN.host], True, False),  # every home has this address
        ([Endpoint(ROUTER.host, 9)], [], False, True),  # seen behind our router
        ([ELSEWHERE], [ROUTER.host], False, False),
        ([Endpoint("192.168.1.77", 9)], [], False, True),  # on our network
        ([Endpoint("192.168.2.77", 9)], [], False, False),
        ([Endpoint("100.64.9.9", 9)], [], False, False),  # a customer of the same carrier is no guest
        ([LOOPBACK], [], False, False),
    ],
)
def test_private_addresses_are_told_to_those_who_share_them(
    seen: list[Endpoint], said: list[str], *, is_trusted: bool, is_told: bool
) -> None:
    """By what was seen of a peer, or by the word of a trusted one."""
    assert is_told is may_be_told([LAN], public=[ROUTER], seen=seen, said=said, is_trusted=is_trusted)


def near(public: Sequence[Endpoint], private: Sequence[Endpoint], *, is_trusted: bool = False) -> Near:
    """Return what the keeper of roads asks."""
    return Near(
        public=lambda: public, private=lambda: private, neighbours=lambda _key: (), is_trusted=lambda _key: is_trusted
    )


def test_meeting_points_are_bounded_and_keep_the_private_ones() -> None:
    """A message holds eight; who may know the private ones is told them even when there are many others."""
    public = [Endpoint(f"198.51.100.{number}", 4000) for number in range(10)]
    told = near(public, [LAN, LAN6, Endpoint("10.0.0.1", 1)]).points_for(PEER, seen=[public[3]], said=())
    assert MAX_MEETING_ENDPOINTS == len(told)
    assert (LAN, LAN6) == told[-2:]
    told = near(public, [LAN]).points_for(PEER, seen=[ELSEWHERE], said=[public[0].host])
    assert tuple(public[:MAX_MEETING_ENDPOINTS]) == told
    assert (ROUTER, LAN) == near([ROUTER], [LAN], is_trusted=True).points_for(PEER, seen=[], said=[ROUTER.host])


def test_private_mesh_tells_what_it_publishes() -> None:
    """Once, whoever asks."""
    assert (LAN,) == near([LAN], [LAN]).points_for(PEER, seen=[RELAYED], said=[])


@pytest.mark.parametrize(
    ("host", "is_same"),
    [
        ("192.168.1.9", True),
        ("192.168.2.9", False),
        ("10.1.2.3", True),  # by its network, which is wider than our prefix
        ("2001:db8:7::9", True),
        ("2001:db8:8::9", False),
        ("81.7.0.1", False),
        ("127.0.0.1", False),
        ("fe80::1", False),
    ],
)
def test_link_is_known_by_networks_or_by_our_prefix(host: str, *, is_same: bool) -> None:
    """A public address is on our link only when an interface says so."""
    networks = networks_of(["10.0.0.0/8", "2001:db8:7::/64"])
    assert is_same is is_same_link(host, own=["192.168.1.2", "81.7.0.2"], networks=networks)


@pytest.mark.parametrize(
    ("roads", "current", "taken"),
    [
        ([(ROUTER, 0.010), (LAN, 0.010)], ROUTER, LAN),
        ([(ROUTER, 0.010), (LAN, 0.012)], ROUTER, LAN),
        ([(ROUTER, 0.010), (LAN, 0.014)], ROUTER, ROUTER),
        ([(ROUTER, 0.010), (LAN, 0.014)], LAN, LAN),  # not clearly worse: it stays
        ([(ROUTER, 0.010), (LAN, 0.016)], LAN, ROUTER),
        ([(RELAYED, 0.010), (LAN, 0.100)], RELAYED, LAN),
    ],
)
def test_road_over_the_lan_is_taken_unless_it_is_clearly_slower(
    roads: list[tuple[Endpoint, float]], current: Endpoint, taken: Endpoint
) -> None:
    """A hairpin through the router is as quick as the wire, and needs the router."""
    choice = RoadChoice()
    for number, (endpoint, rtt_s) in enumerate(roads):
        choice.proven(endpoint, rtt_s, float(number))
    assert taken == choice.best(current)
    assert taken == choice.best(taken)


def test_node_that_does_not_know_where_it_is_tries_no_private_address() -> None:
    """It may be in somebody else's network of the same numbers."""
    assert [ROUTER] == worth_trying([ROUTER, LAN], [])
