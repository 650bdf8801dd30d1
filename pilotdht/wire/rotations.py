"""That a group has another key: said by the key that it had until then. Pure.

A group's id follows from its key, so its members move: each has its certificates made anew by an admin, is a member of
both until a stated date, and of the new one alone afterwards. Certificates of the old key are void from that date on.

As an item of gossip, and inside a GROUP_NOTICE record, a rotation is one type byte and ``[body bytes, signature 64]``;
the signature, by the old key, covers ``domain || body`` exactly as received. The body is a list: version, old key, new
key, issue time in Unix milliseconds, Unix time in seconds from which certificates of the old key are void.
"""

from __future__ import annotations

from pilotdht.errors import BadMessage, InvalidArgument
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import SIGNATURE_BYTES, KeyPair, public_key_untrusted
from pilotdht.values import dataclass
from pilotdht.wire.certificates import MAX_UNIX_S, chain_signatures
from pilotdht.wire.codec import bytes_untrusted, decode_list_untrusted, encode, integer_untrusted
from pilotdht.wire.membership import ItemType
from pilotdht.wire.record import CLOCK_SKEW_S
from pilotdht.wire.verified import VerifiedSignatures

MAX_ROTATION_BYTES = 180

_VERSION = 1
_FIELDS = 5
_DOMAIN = b"pilotdht/1 group rotation"
_MAX_MS = 2**53


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """That a group's key has a successor; its signature was verified."""

    group_key: PublicKey
    """The key that the group had, and that signed."""
    successor: PublicKey
    """The key that it has from now on."""
    issued_ms: int
    """Unix time of signing in milliseconds."""
    until_s: int
    """Unix time in seconds from which certificates of the old key are void."""
    wire: bytes
    """Its exact bytes, the type byte first."""

    def is_live(self, unix_time: float) -> bool:
        """Return whether it was not signed too far in the future; it has no end."""
        return self.issued_ms / 1000 - CLOCK_SKEW_S <= unix_time


def rotate(keys: KeyPair, *, successor: PublicKey, issued_ms: int, until_s: int) -> Rotation:
    """Sign that a group has another key.

    Args:
        keys: the group's keys until now.
        successor: its key from now on.
        issued_ms: now, Unix time in milliseconds.
        until_s: Unix time in seconds from which certificates of the old key are void.

    Raises:
        InvalidArgument: a key cannot follow itself, or a value is out of its range.
    """
    if successor == keys.public_key:
        raise InvalidArgument("a group's key cannot be its own successor")
    if not 0 < issued_ms <= _MAX_MS or not 0 < until_s <= MAX_UNIX_S:
        raise InvalidArgument("these dates are out of range")
    body = encode([_VERSION, keys.public_key, successor, issued_ms, until_s])
    wire = _wire(body, keys.sign(_DOMAIN + body))
    return Rotation(group_key=keys.public_key, successor=successor, issued_ms=issued_ms, until_s=until_s, wire=wire)


def rotation_untrusted(
    wire: bytes, *, group_key: PublicKey | None = None, signatures: VerifiedSignatures = chain_signatures
) -> Rotation:
    """Read and verify a rotation.

    Args:
        wire: type byte and ``[body, signature]``.
        group_key: the key that it must replace; absent: any.
        signatures: remembers which were found good.

    Raises:
        BadMessage: malformed, too large, about another key, or not signed by the key that it replaces.
    """
    if len(wire) > MAX_ROTATION_BYTES:
        raise BadMessage("rotation_size")
    if wire[:1] != bytes([ItemType.ROTATION]):
        raise BadMessage("rotation_type")
    parts = decode_list_untrusted(wire[1:])
    if len(parts) != 2:
        raise BadMessage("rotation")
    body, signature = bytes_untrusted(parts[0]), bytes_untrusted(parts[1], size=SIGNATURE_BYTES)
    if _wire(body, signature) != wire:
        raise BadMessage("rotation_form")
    values = decode_list_untrusted(body)
    if len(values) != _FIELDS or type(values[0]) is not int or values[0] != _VERSION:
        raise BadMessage("rotation_version")
    old, successor = public_key_untrusted(values[1]), public_key_untrusted(values[2])
    if old == successor or (group_key is not None and old != group_key):
        raise BadMessage("rotation_group")
    rotation = Rotation(
        group_key=old,
        successor=successor,
        issued_ms=integer_untrusted(values[3], low=1, high=_MAX_MS),
        until_s=integer_untrusted(values[4], low=1, high=MAX_UNIX_S),
        wire=wire,
    )
    if not signatures.verify(old, _DOMAIN + body, signature):
        raise BadMessage("rotation_signature")
    return rotation


class Succession:
    """The successor of one key, once it has one.

    Of two the first that was heard of stays: a thief of the old key cannot lead away those who follow the new one
    already.
    """

    def __init__(self, key: PublicKey) -> None:
        """Make that of a key without a successor."""
        self.rotation: Rotation | None = None
        """Who follows; absent: nobody yet."""
        self.conflicts = 0
        """Rotations that name another successor than the one that is followed."""
        self._key = key

    def add(self, rotation: Rotation, unix_time: float) -> bool:
        """Follow a rotation; return whether it is news, which is worth telling others.

        A second one of the same successor is none, whatever date it names: nobody moves the end that was announced.
        """
        if rotation.group_key != self._key or not rotation.is_live(unix_time):
            return False
        if self.rotation is None:
            self.rotation = rotation
            return True
        self.conflicts += rotation.successor != self.rotation.successor
        return False

    def is_over(self, unix_time: float) -> bool:
        """Return whether certificates of the key are void."""
        return self.rotation is not None and unix_time >= self.rotation.until_s


def _wire(body: bytes, signature: bytes) -> bytes:
    return bytes([ItemType.ROTATION]) + encode([body, signature])
