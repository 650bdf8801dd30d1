"""What all records are: a signer, a date, a lifetime, a place in the key space that follows from what they say.

The kinds themselves stand in :mod:`pilotdht.wire.records` and :mod:`pilotdht.wire.group_records`.
"""

from __future__ import annotations

import hashlib
from enum import IntEnum
from typing import ClassVar, NewType

from pilotdht.identity.address import Address
from pilotdht.identity.ids import NODE_ID_BYTES, PublicKey
from pilotdht.values import dataclass
from pilotdht.wire.codec import encode

RecordKey = NewType("RecordKey", bytes)
"""Where a record lies in the key space, 20 bytes."""

RECORD_VERSION = 1
MAX_RECORD_BYTES = 700
"""A maximal record and a useful number of contacts still fit in one datagram of 1,200 bytes."""

MAX_ENTRY_TTL_S = 3600
CLOCK_SKEW_S = 600.0
"""How far ahead of ours a publisher's clock may be; more would let records outlive their bound."""

MAX_SHARD = 255

_KEY_DOMAIN = b"pilotdht/1 key "


class RecordKind(IntEnum):
    """What a record says; the number on the wire."""

    NODE = 1
    """Where a node is."""
    NAME = 2
    """That a key claims a hostname."""
    TAG = 3
    """That a key carries a tag."""
    REVOKED = 4
    """That a key must not be used any more."""
    GROUP = 5
    """That a key is in a group."""
    GROUP_NOTICE = 6
    """That a group has expelled a key, or has another key itself."""


def record_key(domain: str, *parts: bytes) -> RecordKey:
    """Return SHA-256 over the domain and the length-prefixed parts, cut to 160 bits."""
    state = hashlib.sha256(_KEY_DOMAIN + domain.encode("ascii"))
    for part in parts:
        state.update(len(part).to_bytes(2, "big") + part)
    return RecordKey(state.digest()[:NODE_ID_BYTES])


def packed_network(network: int) -> bytes:
    """Return the part of a record's key that tells the meshes apart: 2 bytes."""
    return network.to_bytes(2, "big")


def packed_shard(shard: int) -> bytes:
    """Return the part of an entry's key that tells the shards apart: 1 byte."""
    return shard.to_bytes(1, "big")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Base of all records."""

    kind: ClassVar[RecordKind]
    max_ttl_s: ClassVar[int]

    public_key: PublicKey
    """Who says it, and who signs."""
    network: int = 0
    """The mesh it belongs to."""
    issued_ms: int
    """Unix time of signing in milliseconds; also the sequence number."""
    ttl_s: int
    """Seconds from signing until it expires."""

    @property
    def sequence(self) -> int:
        """Which of two records of one signer is newer."""
        return self.issued_ms

    @property
    def address(self) -> Address:
        """The signer's virtual address."""
        return Address.of_public_key(self.public_key, network=self.network)

    @property
    def key(self) -> RecordKey:
        """Where it lies in the key space."""
        raise NotImplementedError

    @property
    def expires_s(self) -> float:
        """Unix time from which it is void."""
        return self.issued_ms / 1000 + self.ttl_s

    def is_live(self, unix_time: float) -> bool:
        """Return whether it is neither expired nor signed too far in the future."""
        is_current = self.issued_ms / 1000 - CLOCK_SKEW_S <= unix_time < self.expires_s
        return is_current and self.is_backed(unix_time)

    def is_backed(self, unix_time: float) -> bool:
        """Return whether the certificates that it rests on are in force; a record without any needs none.

        A record that is not backed is not even kept to know that it was there: its signer had no right to it.
        """
        return True

    def fields(self) -> list[object]:
        """Return what follows the common fields in the body, in wire order."""
        raise NotImplementedError

    def body(self) -> bytes:
        """Return the bytes that are signed."""
        common = [RECORD_VERSION, int(self.kind), self.network, self.public_key, self.issued_ms, self.ttl_s]
        return encode(common + self.fields())


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry(Record):
    """Base of records that many signers have under one key, one each."""

    max_ttl_s: ClassVar[int] = MAX_ENTRY_TTL_S


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardedEntry(Entry):
    """Base of entries that go on under a further key when the holders of one are full."""

    shard: int = 0
    """Which part of the key space of what it is about, 0..255."""
