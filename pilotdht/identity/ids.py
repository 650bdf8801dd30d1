"""Identifier types: what a byte string means, told by its type.

All are plain ``bytes`` at run time, so that dictionaries, sorting and XOR cost nothing extra.
"""

from __future__ import annotations

import hashlib
from typing import NewType

PublicKey = NewType("PublicKey", bytes)
"""An Ed25519 public key, 32 bytes (RFC 8032, section 5.1.5)."""

NodeId = NewType("NodeId", bytes)
"""A point in the 160-bit key space of the DHT, 20 bytes."""

PUBLIC_KEY_BYTES = 32
NODE_ID_BYTES = 20
NODE_ID_BITS = 8 * NODE_ID_BYTES

_NODE_ID_DOMAIN = b"pilotdht/1 id"


def node_id_of(public_key: PublicKey) -> NodeId:
    """Return the node id that belongs to a public key: SHA-256, domain-separated, cut to 160 bits."""
    return NodeId(hashlib.sha256(_NODE_ID_DOMAIN + public_key).digest()[:NODE_ID_BYTES])


def distance(one: bytes, other: bytes) -> int:
    """Return the XOR distance of two 20-byte keys (Kademlia 2002, section 2.1)."""
    return int.from_bytes(one, "big") ^ int.from_bytes(other, "big")
