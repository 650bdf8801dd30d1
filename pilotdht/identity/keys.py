"""An Ed25519 key pair: who a node is.

The same key signs records, proves the node inside TLS and, mapped to its Montgomery form, agrees on sealing keys. Joint
use of one key for EdDSA and X25519 is argued safe by Thormarker, "On using the same key pair for Ed25519 and an X25519
based KEM" (2021); the map is that of RFC 7748, section 4.1.

Not for storage: see :mod:`pilotdht.identity.keyfile`.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import base58
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from pilotdht.errors import BadMessage, InvalidArgument
from pilotdht.identity.address import Address
from pilotdht.identity.ids import PUBLIC_KEY_BYTES, NodeId, PublicKey, node_id_of

SEED_BYTES = 32
SIGNATURE_BYTES = 64

_FIELD_PRIME = 2**255 - 19
_DID_PREFIX = "did:key:z"
_MULTICODEC_ED25519 = b"\xed\x01"


class KeyPair:
    """An Ed25519 key pair with everything that is derived from it."""

    __slots__ = ("_agreement", "_private", "node_id", "public_key")

    def __init__(self, private_key: Ed25519PrivateKey) -> None:
        self._private = private_key
        self._agreement: X25519PrivateKey | None = None
        self.public_key = PublicKey(private_key.public_key().public_bytes_raw())
        """32 bytes."""
        self.node_id: NodeId = node_id_of(self.public_key)
        """20 bytes."""

    @classmethod
    def generate(cls) -> KeyPair:
        """Make a new key pair from the system's entropy."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_seed(cls, seed: bytes) -> KeyPair:
        """Return the key pair of a 32-byte RFC 8032 seed.

        Raises:
            InvalidArgument: the seed has another length.
        """
        if len(seed) != SEED_BYTES:
            raise InvalidArgument(f"a seed has {SEED_BYTES} bytes, not {len(seed)}")
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    @property
    def private_key(self) -> Ed25519PrivateKey:
        """The private half, for certificates and key files."""
        return self._private

    @property
    def seed(self) -> bytes:
        """The 32-byte seed of RFC 8032, section 5.1.5: as good as the key pair itself."""
        return self._private.private_bytes_raw()

    @property
    def address(self) -> Address:
        """The virtual address on the public mesh."""
        return Address.of_node_id(self.node_id)

    @property
    def did(self) -> str:
        """The ``did:key`` text form."""
        return did_of(self.public_key)

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte Ed25519 signature of ``message`` (RFC 8032, section 5.1.6)."""
        return self._private.sign(message)

    def agree(self, peer: PublicKey) -> bytes:
        """Return the 32-byte X25519 secret shared with the owner of ``peer``.

        Raises:
            BadMessage: ``peer`` is not a point that an agreement can use.

        Source: RFC 7748, sections 4.1 and 6.1.
        """
        if self._agreement is None:
            digest = hashlib.sha512(self._private.private_bytes_raw()).digest()
            self._agreement = X25519PrivateKey.from_private_bytes(digest[:32])
        try:
            return self._agreement.exchange(X25519PublicKey.from_public_bytes(_montgomery_untrusted(peer)))
        except ValueError as error:  # a low-order point: the secret would be known to everybody
            raise BadMessage("agreement_key") from error

    def __repr__(self) -> str:
        """Show the address, never key material."""
        return f"<KeyPair {self.address}>"


def verify(public_key: PublicKey, message: bytes, signature: bytes) -> bool:
    """Return whether ``signature`` is the key owner's signature of ``message``."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def did_of(public_key: PublicKey) -> str:
    """Return the ``did:key`` of a public key, 56 characters (W3C did:key method, section 3.1)."""
    return _DID_PREFIX + base58.b58encode(_MULTICODEC_ED25519 + public_key).decode("ascii")


def parse_did(text: str) -> PublicKey:
    """Read a ``did:key`` of an Ed25519 key.

    Raises:
        InvalidArgument: another method, key type, or a malformed text.
    """
    hint = "a did:key of an Ed25519 key starts with did:key:z6Mk"
    if not text.startswith(_DID_PREFIX) or len(text) > 64:
        raise InvalidArgument(f"{text[:80]!r} is not a did:key", hint=hint)
    try:
        decoded = base58.b58decode(text.removeprefix(_DID_PREFIX))
    except ValueError as error:
        raise InvalidArgument(f"{text!r} is not base58", hint=hint) from error
    if decoded[:2] != _MULTICODEC_ED25519 or len(decoded) != 2 + PUBLIC_KEY_BYTES:
        raise InvalidArgument(f"{text!r} is not an Ed25519 key", hint=hint)
    public_key = PublicKey(decoded[2:])
    if did_of(public_key) != text:  # base58 decoders forgive white space: one key has one spelling
        raise InvalidArgument(f"{text!r} is not a did:key", hint=hint)
    return public_key


def public_key_untrusted(data: object) -> PublicKey:
    """Return ``data`` as a public key.

    Raises:
        BadMessage: not 32 bytes.
    """
    if type(data) is not bytes or len(data) != PUBLIC_KEY_BYTES:
        raise BadMessage("public_key")
    return PublicKey(data)


@lru_cache(maxsize=4096)  # who talks to many with one key, or has many keys, meets the same peers
def _montgomery_untrusted(public_key: PublicKey) -> bytes:
    """Map an Edwards point to its Montgomery u-coordinate: u = (1 + y) / (1 - y)."""
    y = int.from_bytes(public_key, "little") & ((1 << 255) - 1)
    if y >= _FIELD_PRIME or y == 1:  # not canonical, or the neutral element
        raise BadMessage("agreement_key")
    return ((1 + y) * pow(1 - y, -1, _FIELD_PRIME) % _FIELD_PRIME).to_bytes(32, "little")
