"""How the two ends of a trunk prove who they are, inside TLS. Pure.

::

    client   label 4 | nonce 32 | MAC 16
    server   public key 32 | nonce 32 | signature 64
    client   public key 32 | signature 64
    server   result 1 | keepalive u16 (seconds)

The MAC (HMAC-SHA256 under the mesh's salt, cut to 16 bytes) keeps meshes apart: a server says nothing to nodes of
another one. Either signature covers the salt, both nonces that are known by then, the hash of the certificate that the
server presents in TLS, and who the other end is. So a proof is worth something on this one connection alone: whoever
stands in between, as a firewall does that opens TLS, must present another certificate, whose hash nobody has signed.
The client says who it is only to a server that has proven itself.

Source: RFC 5929, section 4 (binding to the server's certificate); RFC 9266 says why a newer binding is preferred where
the library offers one, which the interpreter's does not for TLS 1.3.
"""

from __future__ import annotations

from enum import IntEnum
from hashlib import sha256
from hmac import compare_digest
from hmac import digest as hmac_digest

from pilotdht.errors import BadMessage
from pilotdht.identity.ids import PUBLIC_KEY_BYTES, PublicKey
from pilotdht.identity.keys import SIGNATURE_BYTES, KeyPair, verify

NONCE_BYTES = 32
_MAGIC = b"PDT1"
_MAC_BYTES = 16
ASK_BYTES = len(_MAGIC) + NONCE_BYTES + _MAC_BYTES
"""Size of what the client says first."""
SERVER_PROOF_BYTES = PUBLIC_KEY_BYTES + NONCE_BYTES + SIGNATURE_BYTES
"""Size of the server's proof."""
CLIENT_PROOF_BYTES = PUBLIC_KEY_BYTES + SIGNATURE_BYTES
"""Size of the client's proof."""
WELCOME_BYTES = 3
"""Size of the server's last word before frames."""

_LABEL = b"pilotdht/1 trunk"


class Welcome(IntEnum):
    """What a server says to a client that has proven itself."""

    OK = 0
    """Frames may be sent."""
    FULL = 1
    """As many trunks stand as may."""
    QUOTA = 2
    """As many come from the client's network as may."""
    FAILED = 3
    """No socket could be opened for it."""


def encode_ask(salt: bytes, nonce: bytes) -> bytes:
    """Return what the client says first."""
    return _MAGIC + nonce + _mac(salt, nonce)


def ask_untrusted(data: bytes, salt: bytes) -> bytes:
    """Return the client's nonce.

    Raises:
        BadMessage: no client of this mesh says that.
    """
    magic, nonce, mac = data[:4], data[4 : 4 + NONCE_BYTES], data[4 + NONCE_BYTES :]
    if len(data) != ASK_BYTES or magic != _MAGIC:
        raise BadMessage("trunk_ask")
    if not compare_digest(mac, _mac(salt, nonce)):
        raise BadMessage("trunk_mesh")
    return nonce


def encode_server_proof(
    keys: KeyPair, *, salt: bytes, client_nonce: bytes, server_nonce: bytes, certificate: bytes
) -> bytes:
    """Return the server's proof; ``certificate`` (DER) is the one that it presents."""
    signed = _signed(b" server", salt, client_nonce, server_nonce, certificate, b"")
    return keys.public_key + server_nonce + keys.sign(signed)


def server_proof_untrusted(
    data: bytes, *, salt: bytes, client_nonce: bytes, certificate: bytes
) -> tuple[PublicKey, bytes]:
    """Return the server's key and nonce; ``certificate`` (DER) is the one that the client was shown.

    Raises:
        BadMessage: whoever answers has not signed this certificate.
    """
    if len(data) != SERVER_PROOF_BYTES:
        raise BadMessage("trunk_proof")
    key, nonce = PublicKey(data[:PUBLIC_KEY_BYTES]), data[PUBLIC_KEY_BYTES : PUBLIC_KEY_BYTES + NONCE_BYTES]
    signed = _signed(b" server", salt, client_nonce, nonce, certificate, b"")
    if not verify(key, signed, data[PUBLIC_KEY_BYTES + NONCE_BYTES :]):
        raise BadMessage("trunk_signature")
    return key, nonce


def encode_client_proof(
    keys: KeyPair, *, salt: bytes, client_nonce: bytes, server_nonce: bytes, certificate: bytes, server: PublicKey
) -> bytes:
    """Return the client's proof, which is for one server alone."""
    signed = _signed(b" client", salt, client_nonce, server_nonce, certificate, server)
    return keys.public_key + keys.sign(signed)


def client_proof_untrusted(
    data: bytes, *, salt: bytes, client_nonce: bytes, server_nonce: bytes, certificate: bytes, server: PublicKey
) -> PublicKey:
    """Return the client's key.

    Raises:
        BadMessage: it has not signed for this connection.
    """
    if len(data) != CLIENT_PROOF_BYTES:
        raise BadMessage("trunk_proof")
    key = PublicKey(data[:PUBLIC_KEY_BYTES])
    if not verify(
        key, _signed(b" client", salt, client_nonce, server_nonce, certificate, server), data[PUBLIC_KEY_BYTES:]
    ):
        raise BadMessage("trunk_signature")
    return key


def encode_welcome(result: Welcome, keepalive_s: float) -> bytes:
    """Return the server's last word before frames; the client shows every ``keepalive_s`` that it is there."""
    return bytes((result,)) + min(0xFFFF, max(1, int(keepalive_s))).to_bytes(2, "big")


def welcome_untrusted(data: bytes) -> tuple[Welcome, int]:
    """Return the server's last word, and how often the client is to show that it is there, in seconds.

    Raises:
        BadMessage: it is none.
    """
    if len(data) != WELCOME_BYTES or data[0] > max(Welcome) or not any(data[1:]):
        raise BadMessage("trunk_welcome")
    return Welcome(data[0]), int.from_bytes(data[1:], "big")


def _mac(salt: bytes, nonce: bytes) -> bytes:
    return hmac_digest(salt, _LABEL + b" mac" + nonce, sha256)[:_MAC_BYTES]


def _signed(
    role: bytes, salt: bytes, client_nonce: bytes, server_nonce: bytes, certificate: bytes, other: bytes
) -> bytes:
    """Return what is signed: parts of fixed length behind a label that says which of the two proofs it is."""
    return b"".join((_LABEL, role, salt, client_nonce, server_nonce, sha256(certificate).digest(), other))
