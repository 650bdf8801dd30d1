"""What nodes ask one another about contacts and records, and what they answer.

Contacts stand nearest first, so that a reply that must be shorter loses the farthest.
"""

from __future__ import annotations

from dataclasses import replace
from enum import IntEnum
from typing import ClassVar

from pilotdht.identity.ids import NodeId, PublicKey
from pilotdht.identity.keys import public_key_untrusted
from pilotdht.values import dataclass
from pilotdht.wire.codec import bytes_untrusted, integer_untrusted, list_untrusted
from pilotdht.wire.contact import Contact, contacts_untrusted
from pilotdht.wire.message import Reply, Request, key_untrusted, take, token_untrusted
from pilotdht.wire.records import MAX_RECORD_BYTES, RecordKey

MAX_CONTACTS = 20
MAX_ENTRIES = 8

_PACKED_CONTACT_BYTES = {False: 43, True: 55}  # list header, key with header, endpoint with header


class StoreCode(IntEnum):
    """What a holder answers to a write."""

    STORED = 0
    """Kept until it expires."""
    OLDER = 1
    """A newer one is held already."""
    CONFLICT = 2
    """One with the same sequence number and other bytes is held already."""
    FULL = 3
    """A quota is reached."""
    BAD_TOKEN = 4
    """The store token is missing, expired, or another sender's."""
    INVALID = 5
    """The record is malformed, wrongly signed, under another key, expired or not yet valid."""
    REVOKED = 6
    """The key was revoked."""
    CACHED = 7
    """Kept for a short time only: others are closer to the key."""


def _contacts_untrusted(value: object) -> tuple[Contact, ...]:
    """Return the contacts of a list; a malformed one spoils the whole message, as no honest node sends it."""
    return contacts_untrusted(list_untrusted(value, most=MAX_CONTACTS))


def _fewer_contacts(contacts: tuple[Contact, ...], excess_bytes: int) -> tuple[Contact, ...]:
    kept = len(contacts)
    while kept and excess_bytes > 0:
        kept -= 1
        excess_bytes -= _PACKED_CONTACT_BYTES[contacts[kept].endpoint.is_ipv6]
    return contacts[:kept]


@dataclass(slots=True, unsafe_hash=True)
class Ping(Request):
    """Ask whether the peer is there."""

    code: ClassVar[int] = 1
    wants_room: ClassVar[bool] = False

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return []

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> Ping:
        """Return the message with these wire fields."""
        return cls()


@dataclass(slots=True, unsafe_hash=True)
class Pong(Reply):
    """Say that this node is there."""

    code: ClassVar[int] = 33
    may_be_cut: ClassVar[bool] = False

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return []

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> Pong:
        """Return the message with these wire fields."""
        return cls()


@dataclass(slots=True, unsafe_hash=True)
class FindNode(Request):
    """Ask for the contacts closest to a point of the key space."""

    code: ClassVar[int] = 2
    target: NodeId
    """20 bytes."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return [self.target]

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> FindNode:
        """Return the message with these wire fields."""
        return cls(NodeId(key_untrusted(take(fields, 1)[0])))


@dataclass(slots=True, unsafe_hash=True)
class Nodes(Reply):
    """The closest contacts that the answering node knows, itself excluded, nearest first."""

    code: ClassVar[int] = 34
    contacts: tuple[Contact, ...]
    """Up to 20; the target itself is among them when known."""
    store_token: bytes = b""
    """8 bytes to send back with a write; empty when this holder is full."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return [self.store_token, [contact.packed() for contact in self.contacts]]

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> Nodes:
        """Return the message with these wire fields."""
        token, contacts = take(fields, 2)[:2]
        return cls(_contacts_untrusted(contacts), token_untrusted(token))

    def shortened(self, excess_bytes: int) -> Nodes:
        """Leave out the farthest contacts."""
        return replace(self, contacts=_fewer_contacts(self.contacts, excess_bytes))


@dataclass(slots=True, unsafe_hash=True)
class FindRecord(Request):
    """Ask for the record under a key, and for the contacts closest to it."""

    code: ClassVar[int] = 3
    key: RecordKey
    """20 bytes."""
    signer: PublicKey | None = None
    """Only the record of this signer, or of any when absent."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return [self.key, self.signer]

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> FindRecord:
        """Return the message with these wire fields."""
        key, signer = take(fields, 2)[:2]
        return cls(RecordKey(key_untrusted(key)), None if signer is None else public_key_untrusted(signer))


@dataclass(slots=True, unsafe_hash=True)
class FoundRecord(Reply):
    """A record when one is held, and the closest contacts in any case."""

    code: ClassVar[int] = 35
    record: bytes | None
    """The signed record's exact bytes, unverified; absent when none is held."""
    contacts: tuple[Contact, ...]
    """Up to 20, nearest first; as many as fit."""
    store_token: bytes = b""
    """As in :class:`Nodes`."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return [self.store_token, self.record, [contact.packed() for contact in self.contacts]]

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> FoundRecord:
        """Return the message with these wire fields."""
        token, record, contacts = take(fields, 3)[:3]
        checked = None if record is None else bytes_untrusted(record, most=MAX_RECORD_BYTES)
        return cls(checked, _contacts_untrusted(contacts), token_untrusted(token))

    def shortened(self, excess_bytes: int) -> FoundRecord:
        """Leave out the farthest contacts; when that is not enough, the record too."""
        shorter = replace(self, contacts=_fewer_contacts(self.contacts, excess_bytes))
        saved = sum(_PACKED_CONTACT_BYTES[c.endpoint.is_ipv6] for c in self.contacts[len(shorter.contacts) :])
        return shorter if saved >= excess_bytes else replace(shorter, record=None)


@dataclass(slots=True, unsafe_hash=True)
class FindEntries(Request):
    """Ask for the entries under a key, from a position on."""

    code: ClassVar[int] = 4
    key: RecordKey
    """20 bytes."""
    start: int = 0
    """How many entries to pass over."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return [self.key, self.start]

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> FindEntries:
        """Return the message with these wire fields."""
        key, start = take(fields, 2)[:2]
        return cls(RecordKey(key_untrusted(key)), integer_untrusted(start, high=2**16))


@dataclass(slots=True, unsafe_hash=True)
class FoundEntries(Reply):
    """Some of the entries under a key, in the holder's stable order, and the closest contacts."""

    code: ClassVar[int] = 36
    entries: tuple[bytes, ...]
    """Signed entries' exact bytes, unverified."""
    total: int
    """How many the holder has under the key."""
    contacts: tuple[Contact, ...]
    """Nearest first; as many as fit."""
    store_token: bytes = b""
    """As in :class:`Nodes`."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return [self.store_token, list(self.entries), self.total, [contact.packed() for contact in self.contacts]]

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> FoundEntries:
        """Return the message with these wire fields."""
        token, entries, total, contacts = take(fields, 4)[:4]
        checked = tuple(bytes_untrusted(e, most=MAX_RECORD_BYTES) for e in list_untrusted(entries, most=MAX_ENTRIES))
        return cls(checked, integer_untrusted(total, high=2**16), _contacts_untrusted(contacts), token_untrusted(token))

    def shortened(self, excess_bytes: int) -> FoundEntries:
        """Leave out contacts beyond the nearest four, then the last entries, then the other contacts."""
        near, far = self.contacts[:4], self.contacts[4:]
        kept_far = _fewer_contacts(far, excess_bytes)
        excess_bytes -= sum(_PACKED_CONTACT_BYTES[c.endpoint.is_ipv6] for c in far[len(kept_far) :])
        entries = list(self.entries)
        while entries and excess_bytes > 0:
            excess_bytes -= len(entries.pop())
        return replace(self, entries=tuple(entries), contacts=_fewer_contacts(near, excess_bytes) + kept_far)


@dataclass(slots=True, unsafe_hash=True)
class Store(Request):
    """Ask a holder to keep a record."""

    code: ClassVar[int] = 5
    key: RecordKey
    """20 bytes; must be the record's own key."""
    store_token: bytes
    """As the holder gave it."""
    record: bytes
    """The signed record's exact bytes."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return [self.key, self.store_token, self.record]

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> Store:
        """Return the message with these wire fields."""
        key, token, record = take(fields, 3)[:3]
        return cls(
            RecordKey(key_untrusted(key)), token_untrusted(token), bytes_untrusted(record, most=MAX_RECORD_BYTES)
        )


@dataclass(slots=True, unsafe_hash=True)
class StoreEntry(Request):
    """Ask a holder to keep one entry among many under a key."""

    code: ClassVar[int] = 6
    key: RecordKey
    """20 bytes; must be the entry's own key."""
    store_token: bytes
    """As the holder gave it."""
    entry: bytes
    """The signed entry's exact bytes."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return [self.key, self.store_token, self.entry]

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> StoreEntry:
        """Return the message with these wire fields."""
        key, token, entry = take(fields, 3)[:3]
        return cls(RecordKey(key_untrusted(key)), token_untrusted(token), bytes_untrusted(entry, most=MAX_RECORD_BYTES))


@dataclass(slots=True, unsafe_hash=True)
class Stored(Reply):
    """What a holder did with a write."""

    code: ClassVar[int] = 37
    may_be_cut: ClassVar[bool] = False
    result: StoreCode
    """Kept, or why not."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return [int(self.result)]

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> Stored:
        """Return the message with these wire fields."""
        return cls(StoreCode(integer_untrusted(take(fields, 1)[0], high=max(StoreCode))))
