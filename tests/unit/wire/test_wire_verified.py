"""The memory of good signatures: what passes through it, and what never does."""

from __future__ import annotations

import pytest

from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import KeyPair, verify
from pilotdht.wire.verified import VerifiedSignatures

KEYS = KeyPair.from_seed(bytes(32))
OTHER = KeyPair.from_seed(bytes([1]) * 32)


class Checks:
    """Counts what is really checked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        monkeypatch.setattr("pilotdht.wire.verified.verify", self)

    def __call__(self, public_key: PublicKey, message: bytes, signature: bytes) -> bool:
        """Check for real, and count."""
        self.count += 1
        return verify(public_key, message, signature)


def test_verified_good_signature_is_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same key, message and signature pass again without a check."""
    checks = Checks(monkeypatch)
    memory = VerifiedSignatures(10)
    signature = KEYS.sign(b"text")
    assert [True] * 3 == [memory.verify(KEYS.public_key, b"text", signature) for _ in range(3)]
    assert (1, 1) == (checks.count, len(memory))


def test_verified_anything_else_is_checked_and_refused() -> None:
    """Another message, key or signature, or bytes moved from one to the other, do not profit from a good one."""
    memory = VerifiedSignatures(10)
    signature = KEYS.sign(b"text")
    assert memory.verify(KEYS.public_key, b"text", signature)
    assert not memory.verify(KEYS.public_key, b"Text", signature)
    assert not memory.verify(OTHER.public_key, b"text", signature)
    assert not memory.verify(KEYS.public_key, b"text", OTHER.sign(b"text"))
    assert not memory.verify(KEYS.public_key, signature[-1:] + b"text", signature[:-1])
    assert not memory.verify(KEYS.public_key, b"ext", signature + b"t")
    assert 1 == len(memory)


def test_verified_bad_signature_is_checked_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found bad leaves no trace."""
    checks = Checks(monkeypatch)
    memory = VerifiedSignatures(10)
    assert [False] * 3 == [memory.verify(KEYS.public_key, b"text", bytes(64)) for _ in range(3)]
    assert (3, 0) == (checks.count, len(memory))


def test_verified_forgets_the_least_recently_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory is bounded, and use keeps a signature in it."""
    memory = VerifiedSignatures(2)
    signed = {text: KEYS.sign(text) for text in (b"a", b"b", b"c")}
    for text in (b"a", b"b", b"a", b"c"):  # forgets b
        assert memory.verify(KEYS.public_key, text, signed[text])
    checks = Checks(monkeypatch)
    for text in (b"a", b"c", b"b"):
        assert memory.verify(KEYS.public_key, text, signed[text])
    assert (1, 2) == (checks.count, len(memory))


def test_verified_capacity_can_be_set() -> None:
    """A smaller memory forgets at once."""
    memory = VerifiedSignatures(10)
    for number in range(10):
        assert memory.verify(KEYS.public_key, bytes([number]), KEYS.sign(bytes([number])))
    memory.set_capacity(3)
    assert 3 == len(memory)
