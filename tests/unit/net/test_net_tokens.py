"""Address and store tokens."""

from __future__ import annotations

import random

import pytest

from pilotdht.identity.ids import PublicKey
from pilotdht.net.tokens import Purpose, Standing, TokenMint
from pilotdht.wire.endpoint import Endpoint

HERE = Endpoint("192.0.2.1", 4000)
KEY = PublicKey(b"k" * 32)


def mint() -> TokenMint:
    """Return a mint with fixed secrets that rotate each 600 s."""
    return TokenMint(token_bytes=random.Random(1).randbytes, lifetime_s=600.0)


def standing(a_mint: TokenMint, token: bytes, *, now: float) -> Standing:
    """Return what the token is worth to its holder."""
    return a_mint.check(token, Purpose.ADDRESS, HERE, KEY, now=now)


def test_token_fresh_is_current() -> None:
    """A token is eight bytes and good at once."""
    a_mint = mint()
    token = a_mint.issue(Purpose.ADDRESS, HERE, KEY, now=0.0)
    assert 8 == len(token)
    assert Standing.CURRENT is standing(a_mint, token, now=1.0)


@pytest.mark.parametrize(
    ("endpoint", "key", "purpose"),
    [
        (Endpoint("192.0.2.2", 4000), KEY, Purpose.ADDRESS),
        (Endpoint("192.0.2.1", 4001), KEY, Purpose.ADDRESS),
        (HERE, PublicKey(b"x" * 32), Purpose.ADDRESS),
        (HERE, KEY, Purpose.STORE),
    ],
    ids=["other host", "other port", "other key", "other purpose"],
)
def test_token_of_another_holder_is_worthless(endpoint: Endpoint, key: PublicKey, purpose: Purpose) -> None:
    """A token is bound to host, port, key and purpose."""
    a_mint = mint()
    token = a_mint.issue(Purpose.ADDRESS, HERE, KEY, now=0.0)
    assert Standing.NONE is a_mint.check(token, purpose, endpoint, key, now=0.0)


def test_token_after_one_rotation_is_previous_and_after_two_worthless() -> None:
    """A token lives between one and two lifetimes."""
    a_mint = mint()
    token = a_mint.issue(Purpose.ADDRESS, HERE, KEY, now=0.0)
    assert Standing.PREVIOUS is standing(a_mint, token, now=600.0)
    assert Standing.PREVIOUS is standing(a_mint, token, now=1199.0)
    assert Standing.NONE is standing(a_mint, token, now=1200.0)


def test_token_after_long_idleness_is_worthless() -> None:
    """A mint that nobody asked for two lifetimes forgets both secrets."""
    a_mint = mint()
    token = a_mint.issue(Purpose.ADDRESS, HERE, KEY, now=0.0)
    assert Standing.NONE is standing(a_mint, token, now=1e6)


@pytest.mark.parametrize("token", [b"", b"short", b"\0" * 8, b"much too long"])
def test_token_made_up_is_worthless(token: bytes) -> None:
    """Nothing but what was issued counts."""
    assert Standing.NONE is standing(mint(), token, now=0.0)
