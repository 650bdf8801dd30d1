"""Copies of records that lookups left along their way: short-lived, bounded, first to go when memory is short. Pure."""

from __future__ import annotations

import math
from typing import NamedTuple

from pilotdht.identity.ids import PublicKey
from pilotdht.wire.records import RecordKey, SignedRecord

COPY_OVERHEAD_BYTES = 200
"""What a copy takes in memory beside its bytes, about."""


class Copy(NamedTuple):
    """A cached record."""

    wire: bytes
    """Its exact bytes."""
    version: tuple[int, int]
    """Sequence and time of signing: the higher of two is newer."""
    until_s: float
    """Unix time at which it is forgotten; never later than the record's own expiry."""


class RecordCache:
    """Cached copies, oldest first."""

    def __init__(self, *, capacity_bytes: int, lifetime_s: float) -> None:
        """Make a cache of at most ``capacity_bytes``, whose copies live for ``lifetime_s`` at most."""
        self._capacity_bytes = capacity_bytes
        self._lifetime_s = lifetime_s
        self._copies: dict[tuple[RecordKey, PublicKey], Copy] = {}
        self._signers: dict[RecordKey, dict[PublicKey, None]] = {}
        self.size_bytes = 0
        """What all copies take."""
        self.evicted = 0
        """Copies dropped to make room."""
        self._none_over_before_s = math.inf

    def __len__(self) -> int:
        """Return how many copies are kept."""
        return len(self._copies)

    def put(self, signed: SignedRecord, *, bits_beyond: int, unix_time: float) -> bool:
        """Keep a copy; return whether it is kept.

        Args:
            signed: verified, and live.
            bits_beyond: by how many bits this node is farther from the key than the nodes that hold the record.
            unix_time: now.
        """
        record = signed.record
        lifetime_s = self._lifetime_s * 2.0 ** -min(bits_beyond, 64)
        until_s = min(record.expires_s, unix_time + lifetime_s)
        slot = (record.key, record.public_key)
        version = (record.sequence, record.issued_ms)
        held = self._copies.get(slot)
        size_bytes = len(signed.wire) + COPY_OVERHEAD_BYTES
        if size_bytes > self._capacity_bytes or until_s <= unix_time:
            return False
        if held is not None:
            if held.version > version or (held.version == version and held.wire != signed.wire):
                return False
            if held.version == version:
                return held.until_s > unix_time  # the same copy again never lives longer than the first said
            self.drop(*slot)
        self._copies[slot] = Copy(signed.wire, version, until_s)
        self._signers.setdefault(record.key, {})[record.public_key] = None
        self.size_bytes += size_bytes
        self._none_over_before_s = min(self._none_over_before_s, until_s)
        while self.size_bytes > self._capacity_bytes:
            self.evict_oldest()
        return True

    def find(self, key: RecordKey, signer: PublicKey | None, unix_time: float) -> Copy | None:
        """Return the live copy of a signer, or of the first one when ``signer`` is absent."""
        signers = self._signers.get(key)
        if signers is None:
            return None
        for one in [signer] if signer is not None else list(signers):
            copy = self._copies.get((key, one))
            if copy is None:
                continue
            if copy.until_s > unix_time:
                return copy
            self.drop(key, one)
        return None

    def drop(self, key: RecordKey, signer: PublicKey) -> None:
        """Forget a copy, when it is there."""
        copy = self._copies.pop((key, signer), None)
        if copy is None:
            return
        self.size_bytes -= len(copy.wire) + COPY_OVERHEAD_BYTES
        signers = self._signers[key]
        del signers[signer]
        if not signers:
            del self._signers[key]

    def drop_older(self, signed: SignedRecord) -> None:
        """Forget a copy that ``signed`` has ended."""
        record = signed.record
        copy = self._copies.get((record.key, record.public_key))
        if copy is not None and copy.version < (record.sequence, record.issued_ms):
            self.drop(record.key, record.public_key)

    def evict_oldest(self) -> bool:
        """Forget the oldest copy; return false when there is none."""
        slot = next(iter(self._copies), None)
        if slot is None:
            return False
        self.drop(*slot)
        self.evicted += 1
        return True

    def expire(self, unix_time: float) -> int:
        """Forget what is over; return how many that were."""
        if unix_time < self._none_over_before_s:
            return 0
        over = [slot for slot, copy in self._copies.items() if copy.until_s <= unix_time]
        for slot in over:
            self.drop(*slot)
        self._none_over_before_s = min((copy.until_s for copy in self._copies.values()), default=math.inf)
        return len(over)
