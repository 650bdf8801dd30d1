"""The key of a group that everybody may join who knows its token. Pure: the same name and token give the same keys.

A certificate that the key signed is public, and lets anybody try tokens without asking a member. So deriving the key
is slow on purpose: a try costs 32 MiB of memory and 50-300 ms. That makes guessing dear, not impossible: a token must
still be hard to guess.

Source: RFC 7914 (scrypt); Percival, "Stronger key derivation via sequential memory-hard functions" (2009), whose N for
interactive logins is doubled here.
"""

from __future__ import annotations

from unicodedata import normalize

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from pilotdht.errors import InvalidArgument
from pilotdht.identity.keys import SEED_BYTES, KeyPair
from pilotdht.identity.names import check_group_name

MAX_TOKEN_CHARS = 1024
"""Longer ones are files given by mistake."""

_SALT = b"pilotdht/1 token group "
_SCRYPT_N = 2**15
_SCRYPT_R = 8
_SCRYPT_P = 1


def token_group_keys(name: str, token: str, *, network: int = 0) -> KeyPair:
    """Return the key pair of the token group of a name; call it in a thread, it takes 50-300 ms of CPU.

    Args:
        name: the group's name: groups of other names have other keys for one token.
        token: the shared secret, 1..1,024 characters. Composed and decomposed spellings of a letter are the same.
        network: the mesh; each has its own groups.

    Raises:
        InvalidArgument: the name is malformed, or the token empty or too long.
    """
    check_group_name(name)
    if not 0 < len(token) <= MAX_TOKEN_CHARS:
        raise InvalidArgument(
            "the token of a group is empty, or longer than 1,024 characters",
            hint="choose a secret that nobody can guess, such as four random words",
        )
    salt = _SALT + network.to_bytes(2, "big") + name.encode("ascii")
    secret = normalize("NFC", token).encode("utf-8", "surrogatepass")  # what a shell passes need not be valid text
    scrypt = Scrypt(salt=salt, length=SEED_BYTES, n=_SCRYPT_N, r=_SCRYPT_R, p=_SCRYPT_P)
    return KeyPair.from_seed(scrypt.derive(secret))
