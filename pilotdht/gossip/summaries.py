"""What is known, as a tree of hashes over ids: two members find out with a few hashes where they differ. Pure.

A node of the tree is a prefix of hexadecimal digits; its hash is the XOR of those of all ``id || version`` below it, so
that a change costs one update a level. A part with at most :data:`LEAF_IDS` ids is not divided further: fetching it is
as cheap as asking for its hashes.

Not collision-resistant against an author who chooses ids and versions to cancel out (XOR of hashes): that would only
hide the author's own facts from one comparison. Members compare with many others.

Source: Merkle (1987); Demers et al., "Epidemic algorithms" (1987), section 1.3 (anti-entropy with checksums).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from hashlib import blake2b

from pilotdht.wire.gossip_messages import FAN_OUT, HASH_BYTES, MAX_PREFIX_DIGITS

LEAF_IDS = 8
"""Ids below which a part is not divided further."""

_DEPTH = 2
"""Levels whose hashes are kept: 256 parts; those of deeper ones are computed when asked for."""

_DIGITS = "0123456789abcdef"


class SummaryTree:
    """Ids with versions, summarised."""

    def __init__(self) -> None:
        self._versions: dict[bytes, int] = {}
        self._sorted: list[bytes] = []
        self._hashes: dict[str, int] = {}

    def __len__(self) -> int:
        """Return how many ids are known."""
        return len(self._sorted)

    def set(self, key: bytes, version: bytes) -> None:
        """Take in an id, or another version of it."""
        fresh = int.from_bytes(blake2b(key + version, digest_size=HASH_BYTES).digest(), "big")
        old = self._versions.get(key)
        if old is None:
            insort(self._sorted, key)
        self._versions[key] = fresh
        self._mix(key, fresh if old is None else fresh ^ old)

    def discard(self, key: bytes) -> None:
        """Forget an id; one that is not known is fine."""
        old = self._versions.pop(key, None)
        if old is not None:
            del self._sorted[bisect_left(self._sorted, key)]
            self._mix(key, old)

    def hashes(self, prefix: str) -> bytes:
        """Return 16 hashes of 6 bytes over the children of a part, or one over all of it when it is a leaf."""
        first, end = self._range(prefix)
        if end - first <= LEAF_IDS or len(prefix) >= MAX_PREFIX_DIGITS:
            return self._hash(prefix).to_bytes(HASH_BYTES, "big")
        return b"".join(self._hash(prefix + digit).to_bytes(HASH_BYTES, "big") for digit in _DIGITS)

    def equals(self, prefix: str, one_hash: bytes) -> bool:
        """Return whether a part is the same as somebody else's leaf."""
        return self._hash(prefix) == int.from_bytes(one_hash, "big")

    def differing(self, prefix: str, hashes: bytes) -> list[str]:
        """Return the children of a part whose hashes are not those that somebody else has."""
        sizes = range(0, FAN_OUT * HASH_BYTES, HASH_BYTES)
        return [
            prefix + digit
            for digit, start in zip(_DIGITS, sizes, strict=True)
            if self._hash(prefix + digit) != int.from_bytes(hashes[start : start + HASH_BYTES], "big")
        ]

    def is_empty(self, prefix: str) -> bool:
        """Return whether nothing is known of a part."""
        first, end = self._range(prefix)
        return first == end

    def ids(self, prefix: str, *, after: bytes = b"") -> list[bytes]:
        """Return the ids of a part in ascending order, those above ``after``."""
        first, end = self._range(prefix)
        if after:
            first = max(first, bisect_left(self._sorted, after + b"\0"))
        return self._sorted[first:end]

    def _range(self, prefix: str) -> tuple[int, int]:
        if not prefix:
            return 0, len(self._sorted)
        low = bytes.fromhex(prefix + "0" * (len(prefix) % 2))
        first = bisect_left(self._sorted, low)
        above = int(prefix, 16) + 1
        if above >= 16 ** len(prefix):
            return first, len(self._sorted)
        text = format(above, f"0{len(prefix)}x")
        return first, bisect_left(self._sorted, bytes.fromhex(text + "0" * (len(text) % 2)))

    def _hash(self, prefix: str) -> int:
        if len(prefix) <= _DEPTH:
            return self._hashes.get(prefix, 0)
        total = 0
        for key in self.ids(prefix):
            total ^= self._versions[key]
        return total

    def _mix(self, key: bytes, change: int) -> None:
        text = key[:1].hex()
        for depth in range(_DEPTH + 1):
            prefix = text[:depth]
            mixed = self._hashes.get(prefix, 0) ^ change
            if mixed:
                self._hashes[prefix] = mixed
            else:
                self._hashes.pop(prefix, None)
