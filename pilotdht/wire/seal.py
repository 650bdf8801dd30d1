"""Sealed datagrams: authenticated encryption between two identity keys without a handshake.

``0x20 | sender public key 32 | nonce 12 | AES-256-GCM ciphertext and tag 16``. The key of a direction is
``HKDF-SHA256(X25519(own, peer), salt = network key, info = label || sender || receiver || day)``; one Diffie-Hellman a
peer, kept; a new key each day, so that random nonces never come near their bound (NIST SP 800-38D, section 8.3: 2^32
a key).

What is sealed can be replayed within its day: every sealed request is idempotent, and a reply is accepted once. There
is no forward secrecy here and nothing secret either: payloads of applications travel in tunnels.

Source: RFC 7748, RFC 5869, NIST SP 800-38D.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from hmac import digest as hmac_digest

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pilotdht.errors import BadMessage
from pilotdht.identity.ids import PUBLIC_KEY_BYTES, PublicKey
from pilotdht.identity.keys import KeyPair

SEALED = 0x20
NONCE_BYTES = 12
TAG_BYTES = 16
SEAL_OVERHEAD_BYTES = 1 + PUBLIC_KEY_BYTES + NONCE_BYTES + TAG_BYTES
DAY_S = 86_400
DAY_EDGE_S = 3_600
"""Around midnight the neighbouring day's key is accepted too: that is how far two clocks may differ."""

CIPHERS_KEPT = 512
"""Cipher objects kept: those of the exchanges under way, 1 kB each."""

_LABEL = b"pilotdht/1 seal"
_HEADER = bytes([SEALED])
_NONCE_AT = 1 + PUBLIC_KEY_BYTES
_TEXT_AT = _NONCE_AT + NONCE_BYTES


def network_salt(network: int, network_key: bytes) -> bytes:
    """Return the salt that separates meshes: 0 without a key is the public one."""
    return sha256(_LABEL + b" network" + network.to_bytes(2, "big") + network_key).digest()


class Sealer:
    """Seals and opens datagrams between one key pair and its peers.

    Keeps derived keys for the most recently used peers; a peer enters only when it sealed something that opened, or
    when we seal for it, so that strangers' garbage cannot push out real peers.
    """

    def __init__(self, keys: KeyPair, *, salt: bytes, capacity: int) -> None:
        """Make a sealer.

        Args:
            keys: whose.
            salt: :func:`network_salt`.
            capacity: how many peers' keys are kept.
        """
        self._keys = keys
        self._own = keys.public_key
        self._salt = salt
        self._capacity = capacity
        self._peers: OrderedDict[PublicKey, _Peer] = OrderedDict()

    def seal(self, peer: PublicKey, plaintext: bytes, *, nonce: bytes, unix_time: float) -> bytes:
        """Return the datagram that only ``peer`` can open.

        Raises:
            BadMessage: ``peer`` is not a usable key.
        """
        own = self._own
        shared = self._peers.get(peer)
        if shared is None:
            shared = _Peer(self._keys, peer, self._salt)
            self._enter(peer, shared)
        else:
            self._peers.move_to_end(peer)
        aead = shared.outgoing(own, peer, int(unix_time // DAY_S))
        return b"".join((_HEADER, own, nonce, aead.encrypt(nonce, plaintext, _HEADER)))

    def open_untrusted(
        self, datagram: bytes, *, unix_time: float, admit: Callable[[], None] | None = None
    ) -> tuple[PublicKey, bytes]:
        """Return who sealed a datagram for us, proven, and what it says.

        Args:
            datagram: as it arrived.
            unix_time: seconds since 1970.
            admit: called before a key is agreed on with a stranger, which is what costs; raises to refuse that.

        Raises:
            BadMessage: too short, from ourselves, an unusable key, or not sealed for us today.
        """
        if len(datagram) < SEAL_OVERHEAD_BYTES or datagram[0] != SEALED:
            raise BadMessage("sealed_size")
        sender = PublicKey(datagram[1:_NONCE_AT])
        own = self._own
        if sender == own:
            raise BadMessage("sealed_by_self")
        peer = known = self._peers.get(sender)
        if peer is None:
            if admit is not None:
                admit()
            peer = _Peer(self._keys, sender, self._salt)
        nonce, text = datagram[_NONCE_AT:_TEXT_AT], datagram[_TEXT_AT:]
        for day in _days(unix_time):
            try:
                plaintext = peer.incoming(sender, own, day).decrypt(nonce, text, _HEADER)
            except InvalidTag:
                continue
            if known is None:
                self._enter(sender, peer)
            else:
                self._peers.move_to_end(sender)
            return sender, plaintext
        raise BadMessage("sealed_tag")

    def __len__(self) -> int:
        """Return how many peers' keys are kept."""
        return len(self._peers)

    def _enter(self, public_key: PublicKey, peer: _Peer) -> None:
        self._peers[public_key] = peer
        if len(self._peers) > self._capacity:
            self._peers.popitem(last=False)


class _Peer:
    """The keys shared with one peer.

    Kept as bytes: a cipher object takes ten times the memory of its key, and a microsecond to make; :func:`_cipher`
    remembers those in use.
    """

    __slots__ = ("_incoming", "_incoming_day", "_outgoing", "_outgoing_day", "_root")

    def __init__(self, keys: KeyPair, peer: PublicKey, salt: bytes) -> None:
        self._root = hmac_digest(salt, keys.agree(peer), sha256)  # HKDF-Extract
        self._outgoing_day = self._incoming_day = -1
        self._outgoing = self._incoming = b""

    def outgoing(self, sender: PublicKey, receiver: PublicKey, day: int) -> AESGCM:
        if day != self._outgoing_day:
            self._outgoing, self._outgoing_day = self._derive(sender, receiver, day), day
        return _cipher(self._outgoing)

    def incoming(self, sender: PublicKey, receiver: PublicKey, day: int) -> AESGCM:
        if day != self._incoming_day:
            self._incoming, self._incoming_day = self._derive(sender, receiver, day), day
        return _cipher(self._incoming)

    def _derive(self, sender: PublicKey, receiver: PublicKey, day: int) -> bytes:
        # HKDF-Expand for one block of output, RFC 5869, section 2.3
        info = _LABEL + sender + receiver + day.to_bytes(4, "big")
        return hmac_digest(self._root, info + b"\x01", sha256)


@lru_cache(maxsize=CIPHERS_KEPT)
def _cipher(key: bytes) -> AESGCM:
    return AESGCM(key)


def _days(unix_time: float) -> tuple[int, ...]:
    day, second = divmod(unix_time, DAY_S)
    today = int(day)
    if second < DAY_EDGE_S and today > 0:  # a clock without a battery starts in the first hour of day 0
        return (today, today - 1)
    if second > DAY_S - DAY_EDGE_S:
        return (today, today + 1)
    return (today,)
