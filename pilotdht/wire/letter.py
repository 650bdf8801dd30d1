"""Letters: a few words sealed for one key, kept by others until its owner comes by.

::

    letter     ephemeral public key 32 | AES-256-GCM ciphertext and tag 16
    plaintext  length 2 | msgpack [1, author 32, issued (Unix s), content, signature 64] | zero padding

The key is ``HKDF-SHA256(X25519(ephemeral, target), salt = network salt, info = label || ephemeral || target)``. Each
letter has an ephemeral key of its own, so the nonce is zero: no key seals twice. Who keeps a letter can read nothing of
it, nor tell by its length what it says: there are three lengths. The signature covers
``label || salt || target || issued 8 || content``, so that a letter counts for one target in one mesh, and for the days
in which it may have been kept.

The author can be replaced by nobody, and may not deny what it wrote: a letter is a signed word. There is no forward
secrecy against the theft of the target's key.

Source: RFC 9180, section 5.1 (a KEM with an ephemeral key); RFC 7748, RFC 5869, RFC 8032.
"""

from __future__ import annotations

from hashlib import sha256
from hmac import digest as hmac_digest

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pilotdht.errors import BadMessage
from pilotdht.identity.ids import PUBLIC_KEY_BYTES, PublicKey
from pilotdht.identity.keys import SIGNATURE_BYTES, KeyPair, public_key_untrusted, verify
from pilotdht.values import dataclass
from pilotdht.wire.codec import bytes_untrusted, decode_list_untrusted, encode, integer_untrusted
from pilotdht.wire.record import CLOCK_SKEW_S
from pilotdht.wire.seal import NONCE_BYTES, TAG_BYTES

LETTER_SIZES = (256, 512, 1024)
"""Lengths that a letter can have, in bytes: a word without a reason, with one, and with the longest one."""

LETTER_ID_BYTES = 8
"""Enough to tell apart the letters of one target."""

MAX_LETTER_LIFETIME_S = 7 * 86_400
"""Longest time for which a letter may be kept: a laptop that was closed for a week."""

MAX_CONTENT_BYTES = 858
"""What fits into the longest letter."""

_VERSION = 1
_LABEL = b"pilotdht/1 letter"
_SIGNATURE_LABEL = b"pilotdht/1 letter signature"
_NO_NONCE = bytes(NONCE_BYTES)
_LENGTH_BYTES = 2
_OVERHEAD_BYTES = PUBLIC_KEY_BYTES + TAG_BYTES


@dataclass(frozen=True, slots=True)
class OpenedLetter:
    """What a letter says, and who proved to have written it."""

    author: PublicKey
    """Who signed it."""
    issued_s: int
    """When, in Unix seconds; at most the longest lifetime ago."""
    content: bytes
    """Up to 858 bytes, unchecked."""


def letter_id(letter: bytes) -> bytes:
    """Return what a letter is known by: 8 bytes."""
    return sha256(letter).digest()[:LETTER_ID_BYTES]


def seal_letter(
    keys: KeyPair, target: PublicKey, content: bytes, *, salt: bytes, ephemeral_seed: bytes, unix_time: float
) -> bytes:
    """Return a letter that only ``target`` can open.

    Args:
        keys: the author's.
        target: for whom.
        content: up to 858 bytes.
        salt: the mesh's, :func:`pilotdht.wire.seal.network_salt`.
        ephemeral_seed: 32 unpredictable bytes, never used before.
        unix_time: now.

    Raises:
        ValueError: the content is too long.
        BadMessage: ``target`` is not a usable key.
    """
    if len(content) > MAX_CONTENT_BYTES:
        raise ValueError(f"a letter has room for {MAX_CONTENT_BYTES} bytes, not {len(content)}")
    issued_s = int(unix_time)
    signature = keys.sign(_signed(salt, target, issued_s, content))
    body = encode([_VERSION, keys.public_key, issued_s, content, signature])
    plaintext = len(body).to_bytes(_LENGTH_BYTES, "big") + body
    size = next(size for size in LETTER_SIZES if size >= len(plaintext) + _OVERHEAD_BYTES)
    ephemeral = KeyPair.from_seed(ephemeral_seed)
    key = _key(ephemeral.agree(target), salt, ephemeral.public_key, target)
    padded = plaintext.ljust(size - _OVERHEAD_BYTES, b"\0")
    return ephemeral.public_key + AESGCM(key).encrypt(_NO_NONCE, padded, _LABEL)


def letter_untrusted(value: object) -> bytes:
    """Return ``value`` when it can be a letter, by its length.

    Raises:
        BadMessage: it cannot.
    """
    letter = bytes_untrusted(value)
    if len(letter) not in LETTER_SIZES:
        raise BadMessage("letter_size")
    return letter


def open_letter_untrusted(keys: KeyPair, letter: bytes, *, salt: bytes, unix_time: float) -> OpenedLetter:
    """Return what a letter says when it is for ``keys``, whole, and not too old.

    Raises:
        BadMessage: sealed for another key or mesh, changed, malformed, wrongly signed, by ourselves, or of another time
            than it can have been kept for.
    """
    ephemeral = PublicKey(letter_untrusted(letter)[:PUBLIC_KEY_BYTES])
    target = keys.public_key
    key = _key(keys.agree(ephemeral), salt, ephemeral, target)
    try:
        plaintext = AESGCM(key).decrypt(_NO_NONCE, letter[PUBLIC_KEY_BYTES:], _LABEL)
    except InvalidTag:
        raise BadMessage("letter_tag") from None
    end = _LENGTH_BYTES + int.from_bytes(plaintext[:_LENGTH_BYTES], "big")
    if end > len(plaintext):
        raise BadMessage("letter_length")
    values = decode_list_untrusted(plaintext[_LENGTH_BYTES:end])
    if len(values) < 5 or type(values[0]) is not int or values[0] != _VERSION:
        raise BadMessage("letter_version")
    author = public_key_untrusted(values[1])
    issued_s = integer_untrusted(values[2], low=1, high=2**53)
    content = bytes_untrusted(values[3], most=MAX_CONTENT_BYTES)
    signature = bytes_untrusted(values[4], size=SIGNATURE_BYTES)
    if author == target:
        raise BadMessage("letter_own")
    if not -CLOCK_SKEW_S <= unix_time - issued_s <= MAX_LETTER_LIFETIME_S + CLOCK_SKEW_S:
        raise BadMessage("letter_date")
    if not verify(author, _signed(salt, target, issued_s, content), signature):
        raise BadMessage("letter_signature")
    return OpenedLetter(author, issued_s, content)


def _signed(salt: bytes, target: PublicKey, issued_s: int, content: bytes) -> bytes:
    return _SIGNATURE_LABEL + salt + target + issued_s.to_bytes(8, "big") + content


def _key(secret: bytes, salt: bytes, ephemeral: PublicKey, target: PublicKey) -> bytes:
    # HKDF for one block of output, RFC 5869, sections 2.2 and 2.3
    root = hmac_digest(salt, secret, sha256)
    return hmac_digest(root, _LABEL + ephemeral + target + b"\x01", sha256)
