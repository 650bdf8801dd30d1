"""What nodes say to one another in sealed datagrams: requests and replies as checked values.

A sealed datagram's plaintext is ``length (2 bytes) | msgpack list | zero padding``. The list is

* request: ``[type, request id, flags, address token, …fields]``
* reply: ``[type, request id, flags, observed endpoint, address token, …fields]``

Every request is idempotent, which is the rule against replays. Contacts stand nearest first, so that a reply that must
be shorter loses the farthest. Types 7 and 8 are kept for introductions between nodes behind NATs.

Treat the values as frozen: a frozen dataclass costs three times as much to make, and each datagram makes two or three.

Invariant: decoding what was encoded gives an equal value; nothing but :class:`BadMessage` leaves a decoder.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum, IntFlag
from typing import ClassVar

from pilotdht.errors import BadMessage
from pilotdht.identity.ids import NODE_ID_BYTES, NodeId, PublicKey
from pilotdht.identity.keys import public_key_untrusted
from pilotdht.wire.codec import bytes_untrusted, decode_list_untrusted, encode, integer_untrusted, list_untrusted
from pilotdht.wire.contact import Contact, contacts_untrusted
from pilotdht.wire.endpoint import Endpoint, unpack_endpoint_untrusted
from pilotdht.wire.records import MAX_RECORD_BYTES, RecordKey

REQUEST_ID_BYTES = 8
TOKEN_BYTES = 8
MAX_CONTACTS = 20
MAX_ENTRIES = 8

_LENGTH_BYTES = 2
_PACKED_CONTACT_BYTES = {False: 43, True: 55}  # list header, key with header, endpoint with header


class Flags(IntFlag):
    """What a sender says of itself in each message."""

    NONE = 0
    """Nothing special."""
    CLIENT = 1
    """Not known to be reachable from outside: never to be put in a routing table."""


_FLAGS = (Flags.NONE, Flags.CLIENT)


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


class Message:
    """Base of all messages; ``code`` is the type number on the wire."""

    __slots__ = ()
    code: ClassVar[int]

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        raise NotImplementedError

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> Message:
        """Return the message with these wire fields.

        Raises:
            BadMessage: too few fields, or one that is malformed. More fields are ignored: later versions add them.
        """
        raise NotImplementedError


class Request(Message):
    """Base of messages that ask."""

    __slots__ = ()


class Reply(Message):
    """Base of messages that answer."""

    __slots__ = ()

    def shortened(self, excess_bytes: int) -> Reply:
        """Return this reply made at least ``excess_bytes`` shorter by leaving out what matters least.

        A reply that cannot be shortened is returned as it is.
        """
        return self


def _take(fields: list[object], count: int) -> list[object]:
    if len(fields) < count:
        raise BadMessage("fields")
    return fields


def _key(value: object) -> bytes:
    return bytes_untrusted(value, size=NODE_ID_BYTES)


def _token(value: object) -> bytes:
    return bytes_untrusted(value, most=TOKEN_BYTES)


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
        return cls(NodeId(_key(_take(fields, 1)[0])))


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
        token, contacts = _take(fields, 2)[:2]
        return cls(_contacts_untrusted(contacts), _token(token))

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
        key, signer = _take(fields, 2)[:2]
        return cls(RecordKey(_key(key)), None if signer is None else public_key_untrusted(signer))


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
        token, record, contacts = _take(fields, 3)[:3]
        checked = None if record is None else bytes_untrusted(record, most=MAX_RECORD_BYTES)
        return cls(checked, _contacts_untrusted(contacts), _token(token))

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
        key, start = _take(fields, 2)[:2]
        return cls(RecordKey(_key(key)), integer_untrusted(start, high=2**16))


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
        token, entries, total, contacts = _take(fields, 4)[:4]
        checked = tuple(bytes_untrusted(e, most=MAX_RECORD_BYTES) for e in list_untrusted(entries, most=MAX_ENTRIES))
        return cls(checked, integer_untrusted(total, high=2**16), _contacts_untrusted(contacts), _token(token))

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
        key, token, record = _take(fields, 3)[:3]
        return cls(RecordKey(_key(key)), _token(token), bytes_untrusted(record, most=MAX_RECORD_BYTES))


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
        key, token, entry = _take(fields, 3)[:3]
        return cls(RecordKey(_key(key)), _token(token), bytes_untrusted(entry, most=MAX_RECORD_BYTES))


@dataclass(slots=True, unsafe_hash=True)
class Stored(Reply):
    """What a holder did with a write."""

    code: ClassVar[int] = 37
    result: StoreCode
    """Kept, or why not."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return [int(self.result)]

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> Stored:
        """Return the message with these wire fields."""
        return cls(StoreCode(integer_untrusted(_take(fields, 1)[0], high=max(StoreCode))))


REQUESTS: dict[int, type[Request]] = {t.code: t for t in (Ping, FindNode, FindRecord, FindEntries, Store, StoreEntry)}
"""Request types by number."""

REPLIES: dict[int, type[Reply]] = {t.code: t for t in (Pong, Nodes, FoundRecord, FoundEntries, Stored)}
"""Reply types by number."""


@dataclass(slots=True, unsafe_hash=True)
class Envelope:
    """A message with what surrounds it in a sealed datagram."""

    message: Message
    """What is said."""
    request_id: bytes
    """8 bytes, chosen by whoever asks."""
    flags: Flags = Flags.NONE
    """What the sender says of itself."""
    token: bytes = b""
    """Address token: in a request the one received before, in a reply a fresh one; may be empty."""
    observed: Endpoint | None = None
    """In replies: the requester's endpoint as the answering node saw it."""

    def encoded(self, *, size_bytes: int = 0) -> bytes:
        """Return the plaintext, padded with zeros to at least ``size_bytes``."""
        message = self.message
        head: list[object] = [message.code, self.request_id, int(self.flags)]
        if self.observed is not None:
            head.append(self.observed.packed())
        head.append(self.token)
        body = encode(head + message.fields())
        plaintext = len(body).to_bytes(_LENGTH_BYTES, "big") + body
        return plaintext if len(plaintext) >= size_bytes else plaintext.ljust(size_bytes, b"\0")


def envelope_untrusted(plaintext: bytes) -> Envelope:
    """Read what :meth:`Envelope.encoded` writes.

    Raises:
        BadMessage: malformed in any way, or of an unknown type.
    """
    end = _LENGTH_BYTES + int.from_bytes(plaintext[:_LENGTH_BYTES], "big")
    if end == _LENGTH_BYTES or len(plaintext) < end:
        raise BadMessage("length")
    values = decode_list_untrusted(plaintext[_LENGTH_BYTES:end])
    if len(values) < 4:
        raise BadMessage("fields")
    code, request_id = values[0], values[1]
    if type(request_id) is not bytes or len(request_id) != REQUEST_ID_BYTES:
        raise BadMessage("bytes")
    flags = _FLAGS[integer_untrusted(values[2], high=255) & 1]  # unknown flags are later versions'
    if type(code) is not int:
        raise BadMessage("type")
    request_type = REQUESTS.get(code)
    if request_type is not None:
        return Envelope(request_type.from_fields_untrusted(values[4:]), request_id, flags, _token(values[3]))
    reply_type = REPLIES.get(code)
    if reply_type is None or len(values) < 5:
        raise BadMessage("type")
    observed = unpack_endpoint_untrusted(values[3])
    return Envelope(reply_type.from_fields_untrusted(values[5:]), request_id, flags, _token(values[4]), observed)
