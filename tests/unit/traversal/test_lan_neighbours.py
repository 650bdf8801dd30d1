"""The table of neighbours: bounded, and what is proven is not pushed out."""

from __future__ import annotations

from random import Random

from pilotdht.config.lan import LanConfig
from pilotdht.identity.ids import PublicKey
from pilotdht.traversal.lan.neighbours import Heard, Neighbours, Standing
from pilotdht.traversal.lan.notices import Claim
from pilotdht.wire.endpoint import Endpoint


def key(number: int) -> PublicKey:
    """Return a key; the table does not look into it."""
    return PublicKey(number.to_bytes(32, "big"))


def claim(number: int, *, host: str = "192.168.1.7") -> Claim:
    """Return a claim to a key."""
    return Claim(key(number), (Endpoint(host, 4000 + number),))


def table(*, max_neighbours: int = 256, names_per_key: int = 2, greeted_most: int = 16) -> Neighbours:
    """Return an empty table."""
    config = LanConfig(max_neighbours=max_neighbours, names_per_key=names_per_key, greeted_most=greeted_most)
    return Neighbours(config, Random(1))


def test_same_announcement_again_changes_nothing() -> None:
    """Repetitions are not asked anew; another place is."""
    known = table()
    assert Heard.NEW is known.heard("a", claim(1))
    asked = known.next_to_ask(0.0)
    assert asked is not None
    known.answered(asked, claim(1).endpoints[0])
    assert Heard.KNOWN is known.heard("a", claim(1))
    assert Standing.PROVEN is next(iter(known)).standing
    assert Heard.NEW is known.heard("a", claim(1, host="192.168.1.8"))
    assert Standing.HEARD is next(iter(known)).standing
    assert 1 == len(known)


def test_flood_of_names_is_bounded_and_leaves_those_that_answered() -> None:
    """Ten thousand announcements, each of another key."""
    known = table(max_neighbours=16)
    for number in range(4):
        known.heard(f"good{number}", claim(number))
    while (asked := known.next_to_ask(0.0)) is not None:
        known.answered(asked, asked.endpoints[0])
    for number in range(100, 10_100):
        known.heard(f"bad{number}", claim(number))
    assert 16 == len(known)
    assert [True] * 4 == [bool(known.endpoints_of(key(number))) for number in range(4)]


def test_table_of_proven_neighbours_takes_no_more() -> None:
    """All of them answered: a newcomer is not remembered, and counted."""
    known = table(max_neighbours=2)
    for number in range(2):
        known.heard(str(number), claim(number))
        asked = known.next_to_ask(0.0)
        assert asked is not None
        known.answered(asked, asked.endpoints[0])
    assert Heard.FULL is known.heard("more", claim(9))


def test_silent_neighbours_go_first() -> None:
    """Those that were not asked yet stay."""
    known = table(max_neighbours=2)
    known.heard("a", claim(1))
    asked = known.next_to_ask(0.0)
    assert asked is not None
    known.silent(asked, 0.0)
    known.heard("b", claim(2))
    known.heard("c", claim(3))
    assert [key(2), key(3)] == [one.public_key for one in known]


def test_one_key_is_named_by_few() -> None:
    """Whoever announces somebody else's key adds two endpoints to its dial, and no third one as long as they speak."""
    known = table()
    heard = [known.heard(str(number), claim(1, host=f"192.168.1.{number + 1}")) for number in range(4)]
    assert [Heard.NEW, Heard.NEW, Heard.CLAIMED, Heard.CLAIMED] == heard
    assert 2 == len(known.endpoints_of(key(1)))
    first = next(iter(known))
    known.silent(first, 0.0)
    assert Heard.NEW is known.heard("true", claim(1, host="192.168.1.99"))
    assert "192.168.1.99" in [endpoint.host for endpoint in known.endpoints_of(key(1))]


def test_endpoints_that_answered_come_first_and_silent_ones_not_at_all() -> None:
    """Among those that claim one key."""
    known = table(names_per_key=3)
    for number in range(3):
        known.heard(str(number), claim(1, host=f"192.168.1.{number + 1}"))
    one, two, three = known
    known.silent(one, 0.0)
    known.answered(three, three.endpoints[0])
    assert (three.endpoints[0], two.endpoints[0]) == known.endpoints_of(key(1))


def test_silent_neighbour_is_left_alone_for_a_while_and_asked_after_the_others() -> None:
    """A flood of silent ones does not keep a newcomer waiting."""
    known = table()
    known.heard("a", claim(1))
    asked = known.next_to_ask(0.0)
    assert asked is not None
    assert known.next_to_ask(1.0) is None  # it is being asked
    known.silent(asked, 2.0)
    assert known.next_to_ask(61.9) is None
    known.heard("b", claim(2))
    assert [key(2), key(1)] == [one.public_key for one in (known.next_to_ask(62.1), known.next_to_ask(62.1)) if one]


def test_no_more_are_greeted_than_are_wanted() -> None:
    """Those that answered count, those that did not do not."""
    known = table(greeted_most=3)
    for number in range(10):
        known.heard(str(number), claim(number))
    for number in range(5):
        asked = known.next_to_ask(0.0)
        assert asked is not None
        if number < 2:
            known.silent(asked, 0.0)
        else:
            known.answered(asked, asked.endpoints[0])
    assert known.next_to_ask(1000.0) is None


def test_gone_and_cleared_are_forgotten_whole() -> None:
    """Nothing of them is left in any index."""
    known = table()
    known.heard("a", claim(1))
    known.heard("b", claim(2))
    assert [True, False] == [known.gone("a"), known.gone("a")]
    assert () == known.endpoints_of(key(1))
    known.clear()
    assert (0, ()) == (len(known), known.endpoints_of(key(2)))
