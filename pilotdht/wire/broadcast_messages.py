"""What members of a group say to one another to spread messages: pushes, announcements, repair, and who is a neighbour.

Everything that changes a neighbour's view is a request with an answer or harmless when it is lost.

Source: HyParView (Leitao, Pereira, Rodrigues, DSN 2007), section 4; Plumtree ("Epidemic broadcast trees", the same,
SRDS 2007), section 3.
"""

from __future__ import annotations

from dataclasses import replace
from enum import IntEnum
from typing import ClassVar

from pilotdht.identity.ids import NodeId
from pilotdht.values import dataclass
from pilotdht.wire.codec import bytes_untrusted, flag_untrusted, integer_untrusted, list_untrusted
from pilotdht.wire.contact import Contact, contact_untrusted, contacts_untrusted
from pilotdht.wire.events import (
    EVENT_ID_BYTES,
    MAX_EVENT_BYTES,
    MAX_SEQUENCE,
    MAX_UNIX_MS,
    EventId,
    event_id_untrusted,
)
from pilotdht.wire.gossip_messages import GroupRequest, cursor_untrusted, fewer_items, group_untrusted, prefix_untrusted
from pilotdht.wire.groups import GroupId
from pilotdht.wire.message import Reply, key_untrusted, take

MAX_HOPS = 255
MAX_ANNOUNCED = 30
"""Ids in one announcement: 30 of 32 bytes each fill a datagram."""

MAX_CONTACTS = 8
"""Contacts that one message names: seven of a shuffle and its sender."""

MAX_TTL = 16
MAX_EVENTS = 16
"""Events in one reply; the shortest has some 170 bytes."""

MAX_POSITIONS = 23
"""Streams in one reply: 23 of at most 46 bytes fill a datagram."""

_ID_AND_HEADER_BYTES = EVENT_ID_BYTES + 2
_LEAST_CONTACT_BYTES = 43
_LEAST_POSITION_BYTES = 26


class PushOutcome(IntEnum):
    """What became of a pushed event; the number on the wire."""

    NEW = 0
    """It was not known: the link belongs to the tree."""
    DUPLICATE = 1
    """It was known: the link does not belong to the tree."""
    REFUSED = 2
    """It was not taken: too many, too old, or its sender is no member as the answering one knows it."""


class Wish(IntEnum):
    """How much a member wants to be a neighbour; the number on the wire."""

    LOW = 0
    """It has others: refuse when there is no room."""
    HIGH = 1
    """It has none: make room."""
    JOIN = 2
    """It is new: make room, and tell others of it."""
    REFRESH = 3
    """It holds us for a neighbour, and asks whether we do."""


class WalkKind(IntEnum):
    """What walks from neighbour to neighbour; the number on the wire."""

    JOIN = 0
    """Somebody is new."""
    SHUFFLE = 1
    """Somebody wants to exchange contacts."""
    SHUFFLED = 2
    """The answer to a shuffle; walks no further."""


class LinkState(IntEnum):
    """What a link becomes; the number on the wire."""

    NONE = 0
    """The members are neighbours no more."""
    LAZY = 1
    """Only ids are sent along it."""
    EAGER = 2
    """Whole events are sent along it."""


def _ids_untrusted(value: object) -> tuple[EventId, ...]:
    return tuple([event_id_untrusted(one) for one in list_untrusted(value, most=MAX_ANNOUNCED)])


def _contacts_untrusted(value: object) -> tuple[Contact, ...]:
    return contacts_untrusted(list_untrusted(value, most=MAX_CONTACTS))


@dataclass(slots=True, unsafe_hash=True)
class Push(GroupRequest):
    """Give an event to a neighbour."""

    code: ClassVar[int] = 16
    group: GroupId
    """20 bytes."""
    hops: int
    """Members that passed it on so far, 0..255; 0: from its sender itself."""
    item: bytes
    """The signed event."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return [self.group, self.hops, self.item]

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> Push:
        """Return the message with these wire fields."""
        group, hops, item = take(fields, 3)[:3]
        return cls(
            group_untrusted(group), integer_untrusted(hops, high=MAX_HOPS), bytes_untrusted(item, most=MAX_EVENT_BYTES)
        )


@dataclass(slots=True, unsafe_hash=True)
class Pushed(Reply):
    """Say what became of a pushed event."""

    code: ClassVar[int] = 48
    may_be_cut: ClassVar[bool] = False
    outcome: PushOutcome
    """New, known, or not taken."""
    is_neighbour: bool
    """The answering member holds the other one for a neighbour."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return [int(self.outcome), int(self.is_neighbour)]

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> Pushed:
        """Return the message with these wire fields."""
        outcome, is_neighbour = take(fields, 2)[:2]
        return cls(PushOutcome(integer_untrusted(outcome, high=len(PushOutcome) - 1)), flag_untrusted(is_neighbour))


@dataclass(slots=True, unsafe_hash=True)
class Announce(GroupRequest):
    """Tell a neighbour which events there are; nobody answers."""

    code: ClassVar[int] = 17
    group: GroupId
    """20 bytes."""
    hops: int
    """Members that passed on the farthest travelled of them, 0..255."""
    ids: tuple[EventId, ...]
    """Up to 30 of them."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return [self.group, self.hops, [one.packed() for one in self.ids]]

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> Announce:
        """Return the message with these wire fields."""
        group, hops, ids = take(fields, 3)[:3]
        return cls(group_untrusted(group), integer_untrusted(hops, high=MAX_HOPS), _ids_untrusted(ids))


@dataclass(slots=True, unsafe_hash=True)
class Graft(GroupRequest):
    """Ask for an event that was announced, and, as a neighbour, for all further ones."""

    code: ClassVar[int] = 18
    group: GroupId
    """20 bytes."""
    event_id: EventId
    """Which."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return [self.group, self.event_id.packed()]

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> Graft:
        """Return the message with these wire fields."""
        group, event_id = take(fields, 2)[:2]
        return cls(group_untrusted(group), event_id_untrusted(event_id))


@dataclass(slots=True, unsafe_hash=True)
class Grafted(Reply):
    """Hand out one event."""

    code: ClassVar[int] = 49
    hops: int
    """Members that passed it on so far, 0..255."""
    item: bytes
    """The signed event; empty when it is not kept, or did not fit."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return [self.hops, self.item]

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> Grafted:
        """Return the message with these wire fields."""
        hops, item = take(fields, 2)[:2]
        return cls(integer_untrusted(hops, high=MAX_HOPS), bytes_untrusted(item, most=MAX_EVENT_BYTES))

    def shortened(self, excess_bytes: int) -> Grafted:
        """Leave out the event."""
        return replace(self, item=b"")


@dataclass(slots=True, unsafe_hash=True)
class FetchEvents(GroupRequest):
    """Ask for what one sender said from one number on."""

    code: ClassVar[int] = 19
    group: GroupId
    """20 bytes."""
    sender: NodeId
    """Who said it."""
    epoch_ms: int
    """When the sender began to count."""
    sequence: int
    """The first number wanted."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return [self.group, self.sender, self.epoch_ms, self.sequence]

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> FetchEvents:
        """Return the message with these wire fields."""
        group, sender, epoch_ms, sequence = take(fields, 4)[:4]
        return cls(
            group_untrusted(group),
            NodeId(key_untrusted(sender)),
            integer_untrusted(epoch_ms, low=1, high=MAX_UNIX_MS),
            integer_untrusted(sequence, low=1, high=MAX_SEQUENCE),
        )


@dataclass(slots=True, unsafe_hash=True)
class Events(Reply):
    """Hand out what one sender said, in the order of its numbers."""

    code: ClassVar[int] = 50
    items: tuple[bytes, ...]
    """Signed events; fewer than are kept when they do not fit."""
    is_last: bool
    """There are no later ones."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return [list(self.items), int(self.is_last)]

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> Events:
        """Return the message with these wire fields."""
        items, is_last = take(fields, 2)[:2]
        return cls(
            tuple([bytes_untrusted(item, most=MAX_EVENT_BYTES) for item in list_untrusted(items, most=MAX_EVENTS)]),
            flag_untrusted(is_last),
        )

    def shortened(self, excess_bytes: int) -> Events:
        """Leave out the last events."""
        return replace(self, items=fewer_items(self.items, excess_bytes), is_last=False)


@dataclass(slots=True, unsafe_hash=True)
class FetchStreams(GroupRequest):
    """Ask how far a member has heard the senders of one part of the id space."""

    code: ClassVar[int] = 20
    group: GroupId
    """20 bytes."""
    prefix: str
    """Hexadecimal digits that the senders' ids begin with."""
    after: bytes = b""
    """Only senders above this id; empty: from the first on."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return [self.group, self.prefix, self.after]

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> FetchStreams:
        """Return the message with these wire fields."""
        group, prefix, after = take(fields, 3)[:3]
        return cls(group_untrusted(group), prefix_untrusted(prefix), cursor_untrusted(after))


@dataclass(slots=True, unsafe_hash=True)
class Position:
    """How far one sender was heard."""

    sender: NodeId
    """Who."""
    epoch_ms: int
    """When the sender began to count."""
    first: int
    """The lowest number that is still kept; above ``last``: none is."""
    last: int
    """Everything up to this number was heard or given up."""

    def packed(self) -> list[object]:
        """Return the wire form."""
        return [self.sender, self.epoch_ms, self.first, self.last]


def _position_untrusted(value: object) -> Position:
    sender, epoch_ms, first, last = take(list_untrusted(value, most=8), 4)[:4]
    return Position(
        NodeId(key_untrusted(sender)),
        integer_untrusted(epoch_ms, low=1, high=MAX_UNIX_MS),
        integer_untrusted(first, high=MAX_SEQUENCE + 1),
        integer_untrusted(last, high=MAX_SEQUENCE),
    )


@dataclass(slots=True, unsafe_hash=True)
class Streams(Reply):
    """How far senders were heard, in the order of their ids."""

    code: ClassVar[int] = 51
    positions: tuple[Position, ...]
    """Fewer than there are when they do not fit."""
    is_last: bool
    """There are no more in this part of the id space."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return [[one.packed() for one in self.positions], int(self.is_last)]

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> Streams:
        """Return the message with these wire fields."""
        positions, is_last = take(fields, 2)[:2]
        return cls(
            tuple([_position_untrusted(one) for one in list_untrusted(positions, most=MAX_POSITIONS)]),
            flag_untrusted(is_last),
        )

    def shortened(self, excess_bytes: int) -> Streams:
        """Leave out the last positions."""
        fewer = 1 + excess_bytes // _LEAST_POSITION_BYTES
        return replace(self, positions=self.positions[: max(0, len(self.positions) - fewer)], is_last=False)


@dataclass(slots=True, unsafe_hash=True)
class Neighbour(GroupRequest):
    """Ask to be a neighbour, and tell what is new."""

    code: ClassVar[int] = 21
    group: GroupId
    """20 bytes."""
    wish: Wish
    """How much."""
    ids: tuple[EventId, ...] = ()
    """Recent events, newest first."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return [self.group, int(self.wish), [one.packed() for one in self.ids]]

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> Neighbour:
        """Return the message with these wire fields."""
        group, wish, ids = take(fields, 3)[:3]
        return cls(group_untrusted(group), Wish(integer_untrusted(wish, high=len(Wish) - 1)), _ids_untrusted(ids))


@dataclass(slots=True, unsafe_hash=True)
class Neighbourhood(Reply):
    """Say whether the two are neighbours now, and tell what is new and whom else to ask."""

    code: ClassVar[int] = 52
    may_be_cut: ClassVar[bool] = False
    is_neighbour: bool
    """They are."""
    contacts: tuple[Contact, ...] = ()
    """Other members to try."""
    ids: tuple[EventId, ...] = ()
    """Recent events, newest first."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return [
            int(self.is_neighbour),
            [contact.packed() for contact in self.contacts],
            [one.packed() for one in self.ids],
        ]

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> Neighbourhood:
        """Return the message with these wire fields."""
        is_neighbour, contacts, ids = take(fields, 3)[:3]
        return cls(flag_untrusted(is_neighbour), _contacts_untrusted(contacts), _ids_untrusted(ids))

    def shortened(self, excess_bytes: int) -> Neighbourhood:
        """Leave out the oldest events, then the last contacts."""
        ids = self.ids[: max(0, len(self.ids) - 1 - excess_bytes // _ID_AND_HEADER_BYTES)]
        excess_bytes -= (len(self.ids) - len(ids)) * _ID_AND_HEADER_BYTES
        contacts = self.contacts
        if excess_bytes > 0:
            contacts = contacts[: max(0, len(contacts) - 1 - excess_bytes // _LEAST_CONTACT_BYTES)]
        return replace(self, ids=ids, contacts=contacts)


@dataclass(slots=True, unsafe_hash=True)
class Walk(GroupRequest):
    """Send something on a random walk from neighbour to neighbour; nobody answers."""

    code: ClassVar[int] = 22
    group: GroupId
    """20 bytes."""
    kind: WalkKind
    """What walks."""
    ttl: int
    """How many more neighbours it may visit, 0..16."""
    origin: Contact | None
    """Whom it is about: the newcomer, or whoever wants to exchange contacts; absent: whoever sent this message, which
    does not know how others reach it."""
    contacts: tuple[Contact, ...] = ()
    """Up to 8 contacts to exchange."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return [
            self.group,
            int(self.kind),
            self.ttl,
            None if self.origin is None else self.origin.packed(),
            [contact.packed() for contact in self.contacts],
        ]

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> Walk:
        """Return the message with these wire fields."""
        group, kind, ttl, origin, contacts = take(fields, 5)[:5]
        return cls(
            group_untrusted(group),
            WalkKind(integer_untrusted(kind, high=len(WalkKind) - 1)),
            integer_untrusted(ttl, high=MAX_TTL),
            None if origin is None else contact_untrusted(origin),
            _contacts_untrusted(contacts),
        )


@dataclass(slots=True, unsafe_hash=True)
class Relink(GroupRequest):
    """Tell a neighbour what the link becomes; nobody answers."""

    code: ClassVar[int] = 23
    group: GroupId
    """20 bytes."""
    state: LinkState
    """What it becomes."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return [self.group, int(self.state)]

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> Relink:
        """Return the message with these wire fields."""
        group, state = take(fields, 2)[:2]
        return cls(group_untrusted(group), LinkState(integer_untrusted(state, high=len(LinkState) - 1)))
