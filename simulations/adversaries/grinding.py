"""Making key pairs until their ids lie where an attacker wants them. Pure.

Our ids are hashes of public keys, which binds an id to a key and costs whoever wants a certain one about
``2 ** bits`` key pairs. The attack on IPFS that this repeats took an hour and a half on eight cores for a network of
tens of thousands of nodes; for a thousand nodes seconds are enough.

Source: Cholez and Ignat, "Sybil attack strikes again: denying content access in IPFS with a single computer", ARES
2024.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from random import Random

from pilotdht.errors import InvalidArgument
from pilotdht.identity.ids import NODE_ID_BITS
from pilotdht.identity.keys import SEED_BYTES, KeyPair

BITS_BEYOND = 3
"""Leading bits shared with the target beyond log2 of the population: nearer than 7 of 8 nearest honest nodes."""

MAX_BITS = 24
"""More would take minutes a seed."""

IdOf = Callable[[bytes], bytes]
"""Returns the 20-byte id of whoever has a seed."""


def pilot_id_of(seed: bytes) -> bytes:
    """Return the node id of our implementation that belongs to a 32-byte seed."""
    return KeyPair.from_seed(seed).node_id


def bits_for(nodes: int) -> int:
    """Return how many leading bits ids must share with a key to be nearer to it than the honest ones of ``nodes``."""
    return math.ceil(math.log2(max(2, nodes))) + BITS_BEYOND


def grind(targets: Sequence[bytes], *, bits: int, count: int, random: Random, id_of: IdOf) -> list[list[bytes]]:
    """Return seeds whose ids lie next to each of the targets, in the order in which they were found.

    One search serves all targets: a key that misses one may hit another, so ten targets cost little more than one.

    Args:
        targets: 20-byte keys.
        bits: leading bits that an id must share with its target, 1..24.
        count: seeds a target.
        random: where seeds are drawn from.
        id_of: from a seed to its id.

    Raises:
        InvalidArgument: ``bits`` is out of range.
    """
    if not 1 <= bits <= MAX_BITS:
        raise InvalidArgument(f"{bits} bits cannot be ground", hint=f"1..{MAX_BITS} bits take minutes at most")
    found: list[list[bytes]] = [[] for _ in targets]
    wanted: dict[int, list[int]] = {}
    for index, target in enumerate(targets):
        wanted.setdefault(_head(target, bits), []).append(index)
    missing = count * len(targets)
    while missing:
        seed = random.randbytes(SEED_BYTES)
        hits = wanted.get(_head(id_of(seed), bits))
        if hits is None:
            continue
        index = min(hits, key=lambda one: len(found[one]))
        if len(found[index]) < count:
            found[index].append(seed)
            missing -= 1
    return found


def _head(point: bytes, bits: int) -> int:
    return int.from_bytes(point, "big") >> (NODE_ID_BITS - bits)
