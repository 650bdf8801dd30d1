"""Sealed datagrams: tampering, days, replays, hostile keys, bounded memory."""

from __future__ import annotations

import pytest

from pilotdht.errors import BadMessage
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import KeyPair
from pilotdht.wire.seal import DAY_EDGE_S, DAY_S, SEAL_OVERHEAD_BYTES, Sealer, network_salt

ALICE, BOB = (KeyPair.from_seed(bytes([number]) * 32) for number in (1, 2))
SALT = network_salt(0, b"")
NOON = 20_000 * DAY_S + DAY_S / 2
NONCE = bytes(12)

PRIME = 2**255 - 19
LOW_ORDER = (0, 1, PRIME - 1, PRIME, PRIME + 1, 2**255 - 1)
ORDER_EIGHT = (
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
)


def sealer(keys: KeyPair, *, salt: bytes = SALT, capacity: int = 4) -> Sealer:
    """Return a fresh sealer."""
    return Sealer(keys, salt=salt, capacity=capacity)


def sealed(plaintext: bytes = b"hello", *, unix_time: float = NOON) -> bytes:
    """Return what Alice sealed for Bob."""
    return sealer(ALICE).seal(BOB.public_key, plaintext, nonce=NONCE, unix_time=unix_time)


def test_open_any_changed_byte_is_refused() -> None:
    """Header, key, nonce, text and tag are all authenticated."""
    datagram = sealed()
    bob = sealer(BOB)
    for at in range(len(datagram)):
        for bit in (1, 0x80):
            with pytest.raises(BadMessage):
                bob.open_untrusted(datagram[:at] + bytes([datagram[at] ^ bit]) + datagram[at + 1 :], unix_time=NOON)
    for data in (*(datagram[:size] for size in range(len(datagram))), datagram + b"\0"):
        with pytest.raises(BadMessage):
            bob.open_untrusted(data, unix_time=NOON)
    assert 0 == len(bob)
    assert (ALICE.public_key, b"hello") == bob.open_untrusted(datagram, unix_time=NOON)
    assert SEAL_OVERHEAD_BYTES + 5 == len(datagram)


def test_open_replayed_opens_equal() -> None:
    """Within its day a datagram can be replayed: what is sealed must be idempotent."""
    bob, datagram = sealer(BOB), sealed()
    assert bob.open_untrusted(datagram, unix_time=NOON) == bob.open_untrusted(datagram, unix_time=NOON + 60)


def test_open_by_others_or_elsewhere_is_refused() -> None:
    """Only the receiver, in the same mesh, opens it; not even its sender, nor as an answer of the receiver."""
    datagram = sealed()
    for other in (
        sealer(KeyPair.from_seed(b"\x03" * 32)),
        sealer(ALICE),
        sealer(BOB, salt=network_salt(1, b"")),
        sealer(BOB, salt=network_salt(0, b"k")),
    ):
        with pytest.raises(BadMessage):
            other.open_untrusted(datagram, unix_time=NOON)
    reflected = datagram[:1] + BOB.public_key + datagram[33:]
    with pytest.raises(BadMessage):
        sealer(ALICE).open_untrusted(reflected, unix_time=NOON)


@pytest.mark.parametrize("days", [-2, -1, 1, 2])
def test_open_on_another_day_is_refused(days: int) -> None:
    """At noon only today's key opens."""
    with pytest.raises(BadMessage):
        sealer(BOB).open_untrusted(sealed(), unix_time=NOON + days * DAY_S)


@pytest.mark.parametrize(
    ("sealed_at_s", "opened_at_s", "opens"),
    [
        (-1, 1, True),
        (1, -1, True),
        (-DAY_EDGE_S / 2, DAY_EDGE_S - 1, True),
        (-1, DAY_EDGE_S, False),
        (1, -DAY_EDGE_S + 1, True),
        (1, -DAY_EDGE_S - 1, False),
    ],
)
def test_open_around_midnight_bridges_clocks_that_differ(sealed_at_s: float, opened_at_s: float, opens: bool) -> None:
    """An hour on each side of midnight the neighbouring day's key opens too."""
    midnight = 20_000 * DAY_S
    datagram, bob = sealed(unix_time=midnight + sealed_at_s), sealer(BOB)
    if opens:
        assert b"hello" == bob.open_untrusted(datagram, unix_time=midnight + opened_at_s)[1]
    else:
        with pytest.raises(BadMessage):
            bob.open_untrusted(datagram, unix_time=midnight + opened_at_s)


def test_open_with_a_clock_at_zero_is_refused_cleanly() -> None:
    """A device whose clock starts in 1970 drops what it cannot open, and speaks with others like it."""
    with pytest.raises(BadMessage):
        sealer(BOB).open_untrusted(sealed(), unix_time=0.0)
    assert b"hello" == sealer(BOB).open_untrusted(sealed(unix_time=5.0), unix_time=0.0)[1]


def test_low_order_and_non_canonical_keys_are_refused() -> None:
    """A key whose secret everybody knows neither seals nor opens."""
    points = [number.to_bytes(32, "little") for number in LOW_ORDER] + [bytes.fromhex(text) for text in ORDER_EIGHT]
    points += [point[:31] + bytes([point[31] | 0x80]) for point in points]
    bob, datagram = sealer(BOB), sealed()
    for point in points:
        with pytest.raises(BadMessage):
            BOB.agree(PublicKey(point))
        with pytest.raises(BadMessage):
            bob.seal(PublicKey(point), b"", nonce=NONCE, unix_time=NOON)
        with pytest.raises(BadMessage):
            bob.open_untrusted(datagram[:1] + point + datagram[33:], unix_time=NOON)
    assert 0 == len(bob)


def test_capacity_is_kept_and_garbage_takes_no_place() -> None:
    """The peer used longest ago goes; strangers' garbage pushes nobody out."""
    bob = sealer(BOB, capacity=3)
    bob.open_untrusted(sealed(), unix_time=NOON)
    for number in range(10, 30):
        stranger = KeyPair.from_seed(bytes([number]) * 32)
        garbage = b"\x20" + stranger.public_key + bytes(60)
        with pytest.raises(BadMessage):
            bob.open_untrusted(garbage, unix_time=NOON)
        assert 1 == len(bob)
    for number in range(10, 30):
        bob.seal(KeyPair.from_seed(bytes([number]) * 32).public_key, b"", nonce=NONCE, unix_time=NOON)
    assert 3 == len(bob)
