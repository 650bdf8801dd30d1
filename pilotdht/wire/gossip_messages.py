"""What members of a group say to one another about who is a member: probes, gossip, and comparing what both know.

Items are opaque here: signed facts and suspicions (:mod:`pilotdht.wire.membership`), and whatever else rides along.

Source: SWIM (Das, Gupta, Motivala, 2002), section 4; Lifeguard (Dadgar, Phillips, Currey, 2018), section IV (nack).
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from pilotdht.errors import BadMessage
from pilotdht.identity.ids import NODE_ID_BYTES, NodeId
from pilotdht.values import dataclass
from pilotdht.wire.codec import bytes_untrusted, flag_untrusted, integer_untrusted, list_untrusted, text_untrusted
from pilotdht.wire.groups import GroupId
from pilotdht.wire.message import Reply, Request, key_untrusted, take

MAX_ITEMS = 64
"""Items in one datagram; the shortest has 80 bytes, so no honest sender comes near."""

MAX_ITEM_BYTES = 1_050
"""What one datagram carries besides the envelope."""

FAN_OUT = 16
"""Children of a node of the summary tree: one hexadecimal digit of the member's id."""

MAX_PREFIX_DIGITS = 10
"""Depth of the summary tree: 16^10 leaves."""

MAX_PREFIXES = 8
"""Summaries asked for at once: 8 times 16 hashes of 6 bytes fill a datagram."""

HASH_BYTES = 6
"""Two different sets of facts look alike once in 2^48; the next comparison is with another peer, so it does no harm."""


class GroupRequest(Request):
    """Base of requests that concern one group."""

    __slots__ = ()
    group: GroupId
    """20 bytes."""


def items_untrusted(value: object) -> tuple[bytes, ...]:
    """Return the items of a list.

    Raises:
        BadMessage: not a list of byte strings within their bounds.
    """
    return tuple([bytes_untrusted(item, most=MAX_ITEM_BYTES) for item in list_untrusted(value, most=MAX_ITEMS)])


def group_untrusted(value: object) -> GroupId:
    """Return ``value`` when it is a group's id.

    Raises:
        BadMessage: it is not.
    """
    return GroupId(key_untrusted(value))


def fewer_items(items: tuple[bytes, ...], excess_bytes: int) -> tuple[bytes, ...]:
    """Return ``items`` without as many of the last as have ``excess_bytes`` together."""
    kept = len(items)
    while kept and excess_bytes > 0:
        kept -= 1
        excess_bytes -= len(items[kept])
    return items[:kept]


def prefix_untrusted(value: object) -> str:
    """Return ``value`` when it names a part of the id space: up to 10 hexadecimal digits.

    Raises:
        BadMessage: it does not.
    """
    text = text_untrusted(value, most_chars=MAX_PREFIX_DIGITS)
    if text.strip("0123456789abcdef"):
        raise BadMessage("prefix")
    return text


def cursor_untrusted(value: object) -> bytes:
    """Return ``value`` when it says where to go on among ids: one of them, or nothing for the first.

    Raises:
        BadMessage: it does not.
    """
    cursor = bytes_untrusted(value, most=NODE_ID_BYTES)
    if len(cursor) not in (0, NODE_ID_BYTES):
        raise BadMessage("bytes")
    return cursor


@dataclass(slots=True, unsafe_hash=True)
class Probe(GroupRequest):
    """Ask a member whether it is there, and tell it what is new."""

    code: ClassVar[int] = 9
    group: GroupId
    """20 bytes."""
    items: tuple[bytes, ...] = ()
    """News that ride along."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return [self.group, list(self.items)]

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> Probe:
        """Return the message with these wire fields."""
        group, items = take(fields, 2)[:2]
        return cls(group_untrusted(group), items_untrusted(items))


@dataclass(slots=True, unsafe_hash=True)
class ProbeAck(Reply):
    """Say that this member is there."""

    code: ClassVar[int] = 41
    may_be_cut: ClassVar[bool] = False
    items: tuple[bytes, ...] = ()
    """News that ride along."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return [list(self.items)]

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> ProbeAck:
        """Return the message with these wire fields."""
        return cls(items_untrusted(take(fields, 1)[0]))

    def shortened(self, excess_bytes: int) -> ProbeAck:
        """Leave out the last items."""
        return replace(self, items=fewer_items(self.items, excess_bytes))


@dataclass(slots=True, unsafe_hash=True)
class ProbeFor(GroupRequest):
    """Ask a member to probe another one that did not answer us."""

    code: ClassVar[int] = 10
    group: GroupId
    """20 bytes."""
    target: NodeId
    """Id of the member to be probed."""
    wait_ms: int
    """Answer after so many milliseconds in any case."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return [self.group, self.target, self.wait_ms]

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> ProbeFor:
        """Return the message with these wire fields."""
        group, target, wait_ms = take(fields, 3)[:3]
        return cls(group_untrusted(group), NodeId(key_untrusted(target)), integer_untrusted(wait_ms, high=60_000))


@dataclass(slots=True, unsafe_hash=True)
class ProbeOutcome(Reply):
    """Whether a member answered when it was probed for another one."""

    code: ClassVar[int] = 42
    may_be_cut: ClassVar[bool] = False
    is_alive: bool
    """It answered; otherwise this is a nack: the asked one is there, the probed one was silent."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return [int(self.is_alive)]

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> ProbeOutcome:
        """Return the message with these wire fields."""
        return cls(flag_untrusted(take(fields, 1)[0]))


@dataclass(slots=True, unsafe_hash=True)
class Gossip(GroupRequest):
    """Tell a member what is new; nobody answers."""

    code: ClassVar[int] = 11
    group: GroupId
    """20 bytes."""
    items: tuple[bytes, ...]
    """What is new."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return [self.group, list(self.items)]

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> Gossip:
        """Return the message with these wire fields."""
        group, items = take(fields, 2)[:2]
        return cls(group_untrusted(group), items_untrusted(items))


@dataclass(slots=True, unsafe_hash=True)
class Summarise(GroupRequest):
    """Ask what a member knows, as hashes over parts of the id space."""

    code: ClassVar[int] = 12
    group: GroupId
    """20 bytes."""
    subject: int
    """What about: 0 members, 1 events."""
    prefixes: tuple[str, ...]
    """Up to 8 parts: hexadecimal digits that the ids begin with; empty: all ids."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return [self.group, self.subject, list(self.prefixes)]

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> Summarise:
        """Return the message with these wire fields."""
        group, subject, prefixes = take(fields, 3)[:3]
        return cls(
            group_untrusted(group),
            integer_untrusted(subject, high=255),
            tuple([prefix_untrusted(prefix) for prefix in list_untrusted(prefixes, most=MAX_PREFIXES)]),
        )


@dataclass(slots=True, unsafe_hash=True)
class Summaries(Reply):
    """Hashes over the parts that were asked about."""

    code: ClassVar[int] = 43
    hashes: tuple[bytes, ...]
    """For each part, in the order of the request: 16 hashes of 6 bytes over its children, or one over all of it when it
    is so small that it is not divided further. Fewer than were asked about when they do not fit."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return [list(self.hashes)]

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> Summaries:
        """Return the message with these wire fields."""
        hashes = [
            bytes_untrusted(value, most=FAN_OUT * HASH_BYTES)
            for value in list_untrusted(take(fields, 1)[0], most=MAX_PREFIXES)
        ]
        if any(len(value) not in (HASH_BYTES, FAN_OUT * HASH_BYTES) for value in hashes):
            raise BadMessage("summary")
        return cls(tuple(hashes))

    def shortened(self, excess_bytes: int) -> Summaries:
        """Leave out the last parts."""
        return replace(self, hashes=fewer_items(self.hashes, excess_bytes))


@dataclass(slots=True, unsafe_hash=True)
class FetchFacts(GroupRequest):
    """Ask for the facts about the members of one part of the id space."""

    code: ClassVar[int] = 13
    group: GroupId
    """20 bytes."""
    prefix: str
    """Hexadecimal digits that the ids begin with."""
    after: bytes = b""
    """Only ids above this one; empty: from the first on."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return [self.group, self.prefix, self.after]

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> FetchFacts:
        """Return the message with these wire fields."""
        group, prefix, after = take(fields, 3)[:3]
        return cls(group_untrusted(group), prefix_untrusted(prefix), cursor_untrusted(after))


@dataclass(slots=True, unsafe_hash=True)
class Facts(Reply):
    """Facts about members, in the order of their ids."""

    code: ClassVar[int] = 44
    items: tuple[bytes, ...]
    """Signed facts and revocations; fewer than there are when they do not fit."""
    gone: tuple[NodeId, ...] = ()
    """Ids of members, among these, that the answering member holds for dead."""
    is_last: bool = True
    """There are no more in this part of the id space."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return [list(self.items), list(self.gone), int(self.is_last)]

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> Facts:
        """Return the message with these wire fields."""
        items, gone, is_last = take(fields, 3)[:3]
        return cls(
            items_untrusted(items),
            tuple([NodeId(key_untrusted(one)) for one in list_untrusted(gone, most=MAX_ITEMS)]),
            flag_untrusted(is_last),
        )

    def shortened(self, excess_bytes: int) -> Facts:
        """Leave out the last facts."""
        return replace(self, items=fewer_items(self.items, excess_bytes), is_last=False)
