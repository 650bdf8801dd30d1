"""Ids of groups: where the members of a group meet in the key space. Pure.

* An open group is known by its name alone: everybody who knows the name computes the same id.
* A keyed group (by token or by invitation) is known by its public key; its id proves which key may admit members, and
  two groups of one name stay apart.
"""

from __future__ import annotations

from hashlib import sha256
from typing import NewType

from pilotdht.identity.ids import NODE_ID_BYTES, PublicKey

GroupId = NewType("GroupId", bytes)
"""20 bytes."""

_OPEN_DOMAIN = b"pilotdht/1 open group"
_KEYED_DOMAIN = b"pilotdht/1 keyed group"


def open_group_id(name: str, *, network: int = 0) -> GroupId:
    """Return the id of the open group of a name in one mesh: SHA-256, cut to 160 bits."""
    return _cut(_OPEN_DOMAIN + network.to_bytes(2, "big") + name.encode("ascii"))


def keyed_group_id(group_key: PublicKey, *, network: int = 0) -> GroupId:
    """Return the id of the group whose members ``group_key`` admits, directly or through others."""
    return _cut(_KEYED_DOMAIN + network.to_bytes(2, "big") + group_key)


def _cut(data: bytes) -> GroupId:
    return GroupId(sha256(data).digest()[:NODE_ID_BYTES])
