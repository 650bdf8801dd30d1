"""Tokens that prove that somebody receives at an address: short MACs that we make, and recognise without keeping any.

A token is bound to a purpose, an endpoint and a public key. Secrets rotate; the one before is still accepted, so a
token lives between one and two lifetimes. Pure: ``now`` and the entropy are passed in.

Source: RFC 9000, section 8.1 (address validation); BEP 5 (write tokens).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from hashlib import blake2b
from hmac import compare_digest

from pilotdht.identity.ids import PublicKey
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.message import TOKEN_BYTES

_SECRET_BYTES = 32


class Standing(Enum):
    """What a token is worth."""

    NONE = 0
    """Missing, expired, somebody else's, or made up."""
    PREVIOUS = 1
    """Good, and soon to expire: a fresh one is due."""
    CURRENT = 2
    """Good."""


class Purpose(Enum):
    """What a token is for; one for another purpose is worth nothing."""

    ADDRESS = b"address"
    """The holder receives at the endpoint: replies may be longer than their requests."""
    STORE = b"store"
    """The holder may write to our store."""


class TokenMint:
    """Issues and checks tokens."""

    def __init__(self, *, token_bytes: Callable[[int], bytes], lifetime_s: float) -> None:
        """Make a mint.

        Args:
            token_bytes: source of unpredictable bytes.
            lifetime_s: how long a secret is used before the next one.
        """
        self._token_bytes = token_bytes
        self._lifetime_s = lifetime_s
        self._current = token_bytes(_SECRET_BYTES)
        self._previous = token_bytes(_SECRET_BYTES)
        self._rotate_at: float | None = None

    def issue(self, purpose: Purpose, endpoint: Endpoint, public_key: PublicKey, *, now: float) -> bytes:
        """Return an 8-byte token for whoever owns ``public_key`` and receives at ``endpoint``."""
        self._rotate(now)
        return _mac(self._current, purpose, endpoint.packed() + public_key)

    def check(
        self, token: bytes, purpose: Purpose, endpoint: Endpoint, public_key: PublicKey, *, now: float
    ) -> Standing:
        """Return what ``token`` is worth when it comes from ``endpoint`` and ``public_key``."""
        if len(token) != TOKEN_BYTES:
            return Standing.NONE
        self._rotate(now)
        holder = endpoint.packed() + public_key
        if compare_digest(token, _mac(self._current, purpose, holder)):
            return Standing.CURRENT
        if compare_digest(token, _mac(self._previous, purpose, holder)):
            return Standing.PREVIOUS
        return Standing.NONE

    def _rotate(self, now: float) -> None:
        if self._rotate_at is None:
            self._rotate_at = now + self._lifetime_s
        elif now >= self._rotate_at:
            is_long_idle = now >= self._rotate_at + self._lifetime_s
            self._previous = self._token_bytes(_SECRET_BYTES) if is_long_idle else self._current
            self._current = self._token_bytes(_SECRET_BYTES)
            self._rotate_at = now + self._lifetime_s


def _mac(secret: bytes, purpose: Purpose, holder: bytes) -> bytes:
    return blake2b(holder, key=secret, digest_size=TOKEN_BYTES, person=purpose.value).digest()
