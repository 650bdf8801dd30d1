"""The fuse keeps back what is beyond all reason, and nothing else."""

from __future__ import annotations

from pilotdht.wire.endpoint import Endpoint
from simulations.baseline.package import Tally
from simulations.baseline.transport import DATAGRAMS_PER_S, STORE_WINDOW_S, STORES_PER_PAIR, Fuse

ONE, TWO = Endpoint("20.0.1.1", 4433), Endpoint("20.0.2.1", 4433)
STORE = b"\x00" + bytes(20) + b"\x92\xa5store\x93"
REPLY = b"\x01" + bytes(20) + b"\x92\xa5store\x93"
PING = b"\x00" + bytes(20) + b"\x92\xa4ping\x91"


def test_fuse_lets_stores_through_up_to_its_limit() -> None:
    """The limit is one pair's and one window's; what is no STORE request does not count towards it."""
    tally = Tally()
    fuse = Fuse(tally)
    let = [fuse.lets_through(STORE, ONE, 1000.0 + number / 10) for number in range(STORES_PER_PAIR + 2)]
    assert let == [True] * STORES_PER_PAIR + [False] * 2
    assert tally.dropped == 2
    assert fuse.lets_through(STORE, TWO, 1003.0)
    assert fuse.lets_through(PING, ONE, 1003.0)
    assert fuse.lets_through(REPLY, ONE, 1003.0)
    assert fuse.lets_through(STORE, ONE, 1000.0 + STORE_WINDOW_S)
    assert tally.dropped == 2


def test_fuse_bounds_datagrams_a_second() -> None:
    """Past the limit everything is dropped until the second is over."""
    tally = Tally()
    fuse = Fuse(tally)
    let = [fuse.lets_through(PING, ONE, 1000.5) for _ in range(DATAGRAMS_PER_S + 3)]
    assert let == [True] * DATAGRAMS_PER_S + [False] * 3
    assert tally.dropped == 3
    assert fuse.lets_through(PING, ONE, 1001.0)


def test_fuse_without_limits_drops_nothing() -> None:
    """Given limits replace the usual ones."""
    tally = Tally()
    fuse = Fuse(tally, stores_per_pair=10_000, per_s=10_000)
    assert all(fuse.lets_through(STORE, ONE, 1000.0) for _ in range(5000))
    assert tally.dropped == 0
