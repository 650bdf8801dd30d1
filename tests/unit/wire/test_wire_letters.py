"""Letters by the bare primitives, and everything by which one is refused."""

from __future__ import annotations

import json
from hashlib import sha256, sha512
from pathlib import Path
from typing import Any

import msgpack
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from pilotdht.errors import BadMessage
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import KeyPair
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.envelope import Envelope
from pilotdht.wire.letter import (
    LETTER_SIZES,
    MAX_CONTENT_BYTES,
    MAX_LETTER_LIFETIME_S,
    letter_id,
    open_letter_untrusted,
    seal_letter,
)
from pilotdht.wire.letter_messages import MAX_SKIPPED, MAX_TAKEN, Collect, Leave, Letters
from pilotdht.wire.record import CLOCK_SKEW_S
from pilotdht.wire.seal import SEAL_OVERHEAD_BYTES, network_salt

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "wire.json").read_text(encoding="utf-8")
)["letters"]
ALICE, BOB, EVE = (KeyPair.from_seed(bytes(range(start, start + 32))) for start in (0, 32, 64))
SALT = network_salt(0, b"")
ISSUED_S = 1_790_000_000


def sealed(content: bytes = b"hello", *, author: KeyPair = ALICE, target: KeyPair = BOB, salt: bytes = SALT) -> bytes:
    """Return a letter."""
    return seal_letter(author, target.public_key, content, salt=salt, ephemeral_seed=b"e" * 32, unix_time=ISSUED_S)


def forged(*values: object, sealer: KeyPair = EVE) -> bytes:
    """Return a rightly sealed letter to Bob with any content; ``sealer`` only gives the ephemeral key."""
    body = msgpack.packb(list(values))
    plaintext = (len(body).to_bytes(2, "big") + body).ljust(LETTER_SIZES[0] - 48, b"\0")
    info = b"pilotdht/1 letter" + sealer.public_key + BOB.public_key
    key = HKDF(algorithm=hashes.SHA256(), length=32, salt=SALT, info=info).derive(sealer.agree(BOB.public_key))
    return sealer.public_key + AESGCM(key).encrypt(bytes(12), plaintext, b"pilotdht/1 letter")


@pytest.mark.parametrize("vector", VECTORS, ids=["short", "middle", "longest"])
def test_vector_of_letter_opens_with_bare_primitives(vector: dict[str, str]) -> None:
    """X25519, HKDF, AES-256-GCM and Ed25519 by hand; then by our code."""
    letter, content = bytes.fromhex(vector["letter"]), bytes.fromhex(vector["content"])
    ephemeral = KeyPair.from_seed(bytes(range(128, 160)))
    scalars = [X25519PrivateKey.from_private_bytes(sha512(keys.seed).digest()[:32]) for keys in (BOB, ephemeral)]
    secret = scalars[0].exchange(scalars[1].public_key())
    info = b"pilotdht/1 letter" + ephemeral.public_key + BOB.public_key
    key = HKDF(algorithm=hashes.SHA256(), length=32, salt=SALT, info=info).derive(secret)
    assert ephemeral.public_key == letter[:32]
    plaintext = AESGCM(key).decrypt(bytes(12), letter[32:], b"pilotdht/1 letter")
    end = 2 + int.from_bytes(plaintext[:2], "big")
    version, author, issued_s, said, signature = msgpack.unpackb(plaintext[2:end])
    assert (1, ALICE.public_key, ISSUED_S, content) == (version, author, issued_s, said)
    assert bytes(len(plaintext) - end) == plaintext[end:]
    signed = b"pilotdht/1 letter signature" + SALT + BOB.public_key + issued_s.to_bytes(8, "big") + content
    Ed25519PublicKey.from_public_bytes(author).verify(signature, signed)
    assert vector["id"] == sha256(letter).digest()[:8].hex() == letter_id(letter).hex()
    opened = open_letter_untrusted(BOB, letter, salt=SALT, unix_time=ISSUED_S + 5)
    assert (ALICE.public_key, ISSUED_S, content) == (opened.author, opened.issued_s, opened.content)


def test_letters_have_three_lengths() -> None:
    """Whoever keeps one cannot tell by it how long the reason is, or whether there is a word or an answer."""
    sizes = {len(sealed(bytes(size))) for size in range(0, MAX_CONTENT_BYTES + 1, 13)}
    assert set(LETTER_SIZES) == sizes
    with pytest.raises(ValueError, match="858"):
        sealed(bytes(MAX_CONTENT_BYTES + 1))


@pytest.mark.parametrize(
    ("unix_time", "is_good"),
    [
        (ISSUED_S - CLOCK_SKEW_S, True),
        (ISSUED_S - CLOCK_SKEW_S - 1, False),
        (ISSUED_S + MAX_LETTER_LIFETIME_S + CLOCK_SKEW_S, True),
        (ISSUED_S + MAX_LETTER_LIFETIME_S + CLOCK_SKEW_S + 1, False),
    ],
)
def test_letter_counts_as_long_as_it_may_have_been_kept(unix_time: float, is_good: bool) -> None:
    """An old one that somebody hid for a month says nothing any more."""
    if is_good:
        assert b"hello" == open_letter_untrusted(BOB, sealed(), salt=SALT, unix_time=unix_time).content
    else:
        with pytest.raises(BadMessage, match="letter_date"):
            open_letter_untrusted(BOB, sealed(), salt=SALT, unix_time=unix_time)


def test_letter_opens_for_its_target_in_its_mesh_alone() -> None:
    """Another key, another mesh, or its own author get nothing."""
    for keys, salt in ((EVE, SALT), (ALICE, SALT), (BOB, network_salt(7, b"")), (BOB, network_salt(0, b"key"))):
        with pytest.raises(BadMessage, match="letter_tag"):
            open_letter_untrusted(keys, sealed(), salt=salt, unix_time=ISSUED_S)
    with pytest.raises(BadMessage, match="letter_own"):
        open_letter_untrusted(BOB, sealed(author=BOB), salt=SALT, unix_time=ISSUED_S)


def test_letter_that_was_signed_for_somebody_else_is_refused() -> None:
    """What Alice wrote to Eve, Eve cannot hand to Bob as hers; nor under another date, mesh or author."""
    signature_for_eve = ALICE.sign(
        b"pilotdht/1 letter signature" + SALT + EVE.public_key + ISSUED_S.to_bytes(8, "big") + b"hello"
    )
    signed = b"pilotdht/1 letter signature" + SALT + BOB.public_key + ISSUED_S.to_bytes(8, "big") + b"hello"
    good = ALICE.sign(signed)
    other_mesh = ALICE.sign(signed.replace(SALT, network_salt(1, b"")))
    key = ALICE.public_key
    assert (
        b"hello"
        == open_letter_untrusted(BOB, forged(1, key, ISSUED_S, b"hello", good), salt=SALT, unix_time=ISSUED_S).content
    )
    for values in (
        (1, key, ISSUED_S, b"hello", signature_for_eve),
        (1, key, ISSUED_S, b"hello", other_mesh),
        (1, key, ISSUED_S + 1, b"hello", good),
        (1, key, ISSUED_S, b"hullo", good),
        (1, EVE.public_key, ISSUED_S, b"hello", good),
        (1, bytes(32), ISSUED_S, b"hello", good),
        (1, key, ISSUED_S, b"hello", bytes(64)),
    ):
        with pytest.raises(BadMessage, match="letter_signature"):
            open_letter_untrusted(BOB, forged(*values), salt=SALT, unix_time=ISSUED_S)


@pytest.mark.parametrize(
    "values",
    [
        (),
        (1,),
        (2, ALICE.public_key, ISSUED_S, b"", bytes(64)),
        (True, ALICE.public_key, ISSUED_S, b"", bytes(64)),
        (1, bytes(31), ISSUED_S, b"", bytes(64)),
        (1, "key", ISSUED_S, b"", bytes(64)),
        (1, ALICE.public_key, 0, b"", bytes(64)),
        (1, ALICE.public_key, 1.5, b"", bytes(64)),
        (1, ALICE.public_key, 2**60, b"", bytes(64)),
        (1, ALICE.public_key, ISSUED_S, "text", bytes(64)),
        (1, ALICE.public_key, ISSUED_S, b"", bytes(63)),
        (1, ALICE.public_key, ISSUED_S, b""),
    ],
)
def test_letter_with_a_bad_field_is_refused(values: tuple[object, ...]) -> None:
    """Whoever seals rightly can still write nonsense."""
    with pytest.raises(BadMessage):
        open_letter_untrusted(BOB, forged(*values), salt=SALT, unix_time=ISSUED_S)


def test_letter_under_an_unusable_ephemeral_key_is_refused() -> None:
    """Points of low order would give a key that everybody knows."""
    for point in (bytes(32), b"\x01" + bytes(31), b"\xff" * 32):
        with pytest.raises(BadMessage, match="agreement_key"):
            open_letter_untrusted(BOB, point + sealed()[32:], salt=SALT, unix_time=ISSUED_S)


def test_letter_changed_or_cut_anywhere_is_refused() -> None:
    """It is its bytes."""
    letter = sealed()
    for at in range(0, len(letter), 5):
        with pytest.raises(BadMessage):
            open_letter_untrusted(
                BOB, letter[:at] + bytes([letter[at] ^ 1]) + letter[at + 1 :], salt=SALT, unix_time=ISSUED_S
            )
    for data in (b"", letter[:-1], letter + b"\0", letter.ljust(512, b"\0")):
        with pytest.raises(BadMessage):
            open_letter_untrusted(BOB, data, salt=SALT, unix_time=ISSUED_S)


def test_longest_messages_fit_into_a_datagram() -> None:
    """The longest letter with everything around it, and the fullest question and answer."""
    letter = sealed(bytes(MAX_CONTENT_BYTES))
    ids = tuple(bytes([number]) * 8 for number in range(255))
    observed = Endpoint("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", 65_535)
    leave = Leave(PublicKey(BOB.public_key), MAX_LETTER_LIFETIME_S, letter)
    collect = Collect(ids[:MAX_TAKEN], ids[:MAX_SKIPPED])
    for message, seen in ((leave, None), (collect, None), (Letters((letter,), 65_535), observed)):
        plaintext = Envelope(message, b"i" * 8, token=b"t" * 8, observed=seen).encoded()
        assert len(plaintext) + SEAL_OVERHEAD_BYTES <= 1200
    short = sealed(b"")
    assert len(Envelope(Letters((short,) * 4, 64), b"i" * 8, token=b"t" * 8, observed=observed).encoded()) <= 1139
