"""What stock participants store, and how answers are judged."""

from __future__ import annotations

import pytest
from kademlia.utils import digest

from pilotdht.wire.endpoint import Endpoint
from simulations.baseline.records import (
    FORGED,
    OUTDATED,
    RIGHT,
    forgery,
    judged,
    seed_with_id,
    seeds_near,
    stock_id_of,
    stock_key_of,
    value_of,
)
from simulations.population.member import Identity

OWNER = Identity(number=7, seed=bytes(range(32)), endpoint=Endpoint("20.0.7.1", 4433))
OTHER = Identity(number=8, seed=bytes(32), endpoint=Endpoint("20.0.8.1", 4433))


def test_stock_id_of_seed_is_its_sha1() -> None:
    """A plain seed yields a hash; a seed that was made for an id yields that id."""
    assert digest(OWNER.seed) == stock_id_of(OWNER.seed)
    assert digest(OWNER.name) == stock_key_of(OWNER)
    chosen = bytes(range(100, 120))
    assert len(seed_with_id(chosen)) == 32
    assert chosen == stock_id_of(seed_with_id(chosen))


def test_seeds_near_key_are_nearest_there_can_be() -> None:
    """Ids stand at distances 1, 2, 3 from the key."""
    key = stock_key_of(OWNER)
    point = int.from_bytes(key, "big")
    distances = [int.from_bytes(stock_id_of(seed), "big") ^ point for seed in seeds_near(key, 3)]
    assert distances == [1, 2, 3]


def test_value_is_as_long_as_a_typical_record() -> None:
    """Both implementations carry between 200 and 300 bytes a record."""
    assert 200 <= len(value_of(OWNER, 3)) <= 300


@pytest.mark.parametrize(
    ("value", "verdict"),
    [
        (value_of(OWNER, 3), RIGHT),
        (value_of(OWNER, 4), RIGHT),  # published after the asker began
        (value_of(OWNER, 2), OUTDATED),
        (value_of(OTHER, 3), FORGED),
        (value_of(OWNER, 3).replace("20.0.7.1", "20.0.9.1"), FORGED),
        (value_of(OWNER, 2).replace(" 2 ", " 3 "), FORGED),
        (value_of(OWNER, 3) + " ", FORGED),
        (value_of(OWNER, 3).replace(" 3 ", " ³ "), FORGED),
        (forgery(value_of(OWNER, 3), OTHER.endpoint, stock_key_of(OWNER)), FORGED),
        (forgery(None, OTHER.endpoint, stock_key_of(OWNER)), FORGED),
        ("", FORGED),
        (3, FORGED),
        (b"bytes", FORGED),
    ],
)
def test_judged_tells_newest_from_outdated_and_forged(value: object, verdict: str) -> None:
    """Only what the owner's seed yields counts, and only from the version that is known on."""
    assert verdict == judged(value, OWNER, 3)


def test_forgery_of_a_known_value_keeps_its_shape() -> None:
    """It claims a newer version and leads elsewhere."""
    fields = forgery(value_of(OWNER, 3), OTHER.endpoint, stock_key_of(OWNER)).split(" ")
    assert fields[:3] == ["agent-7", "1003", "20.0.8.1:4433"]
    assert len(fields) == 5
