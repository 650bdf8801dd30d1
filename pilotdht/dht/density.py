"""How many nodes the mesh has, judged by how close the nearest known ones are. Pure.

Ids are hashes of keys, so they lie evenly: when the k-th nearest contact is a share d of the key space away, about
k / d nodes exist. With 16 contacts the estimate is within a quarter of the truth two times out of three.

Source: Manku, Bawa, Raghavan, "Symphony" (2003), section 3.4; go-libp2p-kad-dht, netsize.
"""

from __future__ import annotations

from collections.abc import Sequence

from pilotdht.identity.ids import NODE_ID_BITS
from pilotdht.wire.contact import Contact

CONTACTS_COUNTED = 16
"""Nearest contacts that the estimate rests on."""


def estimated_nodes(own_point: int, nearest: Sequence[Contact]) -> int:
    """Return how many nodes exist, this one included.

    Args:
        own_point: this node's id as a number.
        nearest: its nearest contacts, nearest first; fewer than :data:`CONTACTS_COUNTED` when it knows no more.
    """
    if len(nearest) < CONTACTS_COUNTED:
        return len(nearest) + 1
    farthest = nearest[CONTACTS_COUNTED - 1].point ^ own_point
    return max(CONTACTS_COUNTED, (CONTACTS_COUNTED << NODE_ID_BITS) // max(1, farthest)) + 1
