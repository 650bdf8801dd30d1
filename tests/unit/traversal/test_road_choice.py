"""Which road is taken, and which endpoints of a peer are tried at all."""

from __future__ import annotations

import pytest

from pilotdht.net.switchboard import Switchboard
from pilotdht.traversal.road_choice import KEPT, RoadChoice, worth_trying
from pilotdht.wire.endpoint import Endpoint

PUBLIC = Endpoint("198.51.100.7", 4000)
OTHER = Endpoint("203.0.113.9", 4000)
LAN = Endpoint("192.168.1.2", 4000)
RELAYED = Switchboard(lambda _batch: None).connect(lambda _datagrams: None)


def choice_of(*roads: tuple[Endpoint, float]) -> RoadChoice:
    """Return a choice among roads that were all proven."""
    choice = RoadChoice()
    for number, (endpoint, rtt_s) in enumerate(roads):
        choice.proven(endpoint, rtt_s, float(number))
    return choice


def test_direct_road_goes_before_a_quicker_relay() -> None:
    """A relay is somebody else's bandwidth."""
    choice = choice_of((RELAYED, 0.01), (PUBLIC, 0.2))
    assert PUBLIC == choice.best(RELAYED)
    assert PUBLIC == choice.best(PUBLIC)


@pytest.mark.parametrize(("rtt_s", "is_taken"), [(0.010, True), (0.034, True), (0.037, False), (0.041, False)])
def test_road_is_left_only_for_a_clearly_better_one(rtt_s: float, *, is_taken: bool) -> None:
    """Two that are alike do not make a link jump."""
    choice = choice_of((PUBLIC, 0.040), (OTHER, rtt_s))
    assert (OTHER if is_taken else PUBLIC) == choice.best(PUBLIC)


def test_road_that_was_forgotten_is_not_taken() -> None:
    """And when it was the only one there is none."""
    choice = choice_of((PUBLIC, 0.04), (RELAYED, 0.05))
    choice.forget(PUBLIC)
    assert RELAYED == choice.best(PUBLIC)
    choice.forget(RELAYED)
    assert choice.best(RELAYED) is None


def test_roads_are_bounded_and_the_oldest_goes() -> None:
    """A peer that moves all day costs no memory."""
    choice = choice_of(*((Endpoint("198.51.100.7", 4000 + number), 0.04) for number in range(KEPT + 3)))
    assert KEPT == len(list(choice))
    assert Endpoint("198.51.100.7", 4000) not in choice


@pytest.mark.parametrize(
    ("offered", "own", "tried"),
    [
        ([PUBLIC, LAN], [OTHER], [PUBLIC]),  # its home network is not ours
        ([PUBLIC, LAN], [Endpoint(PUBLIC.host, 9), LAN], [PUBLIC, LAN]),  # behind one router
        ([LAN], [Endpoint("192.168.1.3", 4000)], [LAN]),  # a network of its own
        ([PUBLIC, PUBLIC, RELAYED], [], [PUBLIC]),
        ([Endpoint("127.0.0.1", 4000)], [OTHER], []),
    ],
)
def test_only_endpoints_that_may_be_reached_are_tried(
    offered: list[Endpoint], own: list[Endpoint], tried: list[Endpoint]
) -> None:
    """Nobody makes us send into our own network."""
    assert tried == worth_trying(offered, own)
