"""What participants store in the stock network, under which keys and ids, and how an answer is judged. No I/O.

The stock server knows no signatures: whoever stores last is right. So that the *scenario* can tell true from false, a
value ends in a tag that only its owner's seed yields. Neither servers nor attackers look at it.
"""

from __future__ import annotations

from hashlib import sha1, sha256, sha512

from pilotdht.wire.endpoint import Endpoint
from simulations.population.member import Identity

ID_BYTES = 20
"""Length of ids and keys."""

CHOSEN = b"kademlia-id:"
"""A 32-byte seed that begins with this carries the id itself in its last 20 bytes."""

RIGHT = ""
"""The owner's newest value."""
OUTDATED = "outdated"
"""A value of the owner, but not the newest."""
FORGED = "forged"
"""A value that its owner never published."""


def stock_id_of(seed: bytes) -> bytes:
    """Return the 20-byte id of whoever has a 32-byte seed: its SHA-1, or what :func:`seed_with_id` put into it."""
    if seed.startswith(CHOSEN):
        return seed[len(CHOSEN) :]
    return sha1(seed).digest()  # noqa: S324 - the package's own length of ids, no secret


def seed_with_id(node_id: bytes) -> bytes:
    """Return a seed for an id of one's choice: the stock protocol asks nobody where an id comes from."""
    assert len(node_id) == ID_BYTES, "ids have 20 bytes"
    return CHOSEN + node_id


def stock_key_of(identity: Identity) -> bytes:
    """Return the 20-byte key that a participant's value is stored under: the SHA-1 of its name."""
    return sha1(identity.name.encode()).digest()  # noqa: S324 - the package's own rule


def seeds_near(key: bytes, count: int) -> list[bytes]:
    """Return seeds whose ids are the nearest there can be to a key, at XOR distances 1, 2, …: what an eclipse wants."""
    point = int.from_bytes(key, "big")
    return [seed_with_id((point ^ distance).to_bytes(ID_BYTES, "big")) for distance in range(1, count + 1)]


def value_of(identity: Identity, version: int) -> str:
    """Return what a participant publishes: name, version, endpoint, a stand-in for its public key, and the tag.

    With 220 bytes it is nearly as long as a typical signed NODE record (260), so that both implementations carry alike.
    """
    public = sha256(identity.seed).hexdigest()
    tag = sha512(identity.seed + version.to_bytes(8, "big")).hexdigest()
    return f"{identity.name} {version} {identity.endpoint} {public} {tag}"


def judged(value: object, identity: Identity, version: int) -> str:
    """Return :data:`RIGHT`, :data:`OUTDATED` or :data:`FORGED`.

    Args:
        value: what the network answered.
        identity: of the owner.
        version: what the owner published last, as the scenario knows; newer ones are right as well.
    """
    if not isinstance(value, str):
        return FORGED
    claimed = version_in(value)
    if claimed is None or value != value_of(identity, claimed):
        return FORGED
    return RIGHT if claimed >= version else OUTDATED


def version_in(value: str) -> int | None:
    """Return the version that a value claims; absent when it is no value of ours."""
    fields = value.split(" ")
    if len(fields) != 5 or not fields[1].isascii() or not fields[1].isdigit():
        return None
    return int(fields[1])


def forgery(value: object, place: Endpoint, key: bytes) -> str:
    """Return a false value that leads to ``place``: made from a true one where the attacker has seen one.

    Args:
        value: a true value; anything else when none is known.
        place: where victims are to be sent.
        key: that it is asked for under.
    """
    fields = value.split(" ") if isinstance(value, str) else []
    if len(fields) != 5:
        fields = [key.hex(), "1", "", sha256(key).hexdigest(), sha512(key).hexdigest()]
    return f"{fields[0]} {int(fields[1]) + 1000} {place} {fields[3]} {fields[4]}"
