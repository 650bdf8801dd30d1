"""What nodes behind NATs ask of servers, and what two nodes tell one another to find a direct way.

A node that cannot be reached attaches to servers. Whoever wants it calls it there and gets a channel through the
server, which rings the node. Both ends then meet through that channel: each says where else it may be.
"""

from __future__ import annotations

from dataclasses import replace
from enum import IntEnum
from typing import ClassVar

from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import public_key_untrusted
from pilotdht.values import dataclass
from pilotdht.wire.codec import bytes_untrusted, flag_untrusted, integer_untrusted, list_untrusted
from pilotdht.wire.contact import Contact, contact_untrusted, contacts_untrusted
from pilotdht.wire.endpoint import Endpoint, unpack_endpoint_untrusted
from pilotdht.wire.message import Reply, Request, take
from pilotdht.wire.records import MAX_INTRODUCERS

CHANNEL_ID_BYTES = 8
"""Too many to guess: 2^64."""

MAX_MEETING_ENDPOINTS = 8
"""As many as a record names."""

MAX_LIFETIME_S = 86_400
"""Longest time for which anybody stays attached without saying so again."""

_PACKED_ENDPOINT_BYTES = {False: 8, True: 20}  # with the header of bytes in msgpack
_PACKED_KEY_BYTES = 35  # with its header, and that of the contact


MAX_KNOCKS = 16
"""No server has more strangers knock for one question."""


class CallResult(IntEnum):
    """What a server answers to whoever attaches or calls."""

    OK = 0
    """Done."""
    NOT_ATTACHED = 1
    """Nobody with the key that was called is attached here."""
    FULL = 2
    """No room for another client or channel."""
    QUOTA = 3
    """The caller, its network or the called node has used up its share; later there is some again."""
    DISABLED = 4
    """This node serves nobody."""
    REFUSED = 5
    """Not for this sender: it asks through a channel, or calls itself."""
    UNPROVEN = 6
    """The sender must show first that it receives where it says: ask again with the token of this answer."""


class NatMapping(IntEnum):
    """How the NAT before a node chooses the outer port. Source: RFC 4787, section 4.1."""

    UNKNOWN = 0
    """Too few have told yet."""
    NONE = 1
    """There is none: the outer port is our own."""
    ENDPOINT_INDEPENDENT = 2
    """The same one whoever we send to."""
    ADDRESS_DEPENDENT = 3
    """Another one for each address we send to."""
    ADDRESS_AND_PORT_DEPENDENT = 4
    """Another one for each endpoint we send to: nobody can tell it beforehand."""


@dataclass(slots=True, unsafe_hash=True)
class Attach(Request):
    """Ask a server to be reachable through it, or to stay so."""

    code: ClassVar[int] = 7
    wants_room: ClassVar[bool] = False

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return []

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> Attach:
        """Return the message with these wire fields."""
        return cls()


@dataclass(slots=True, unsafe_hash=True)
class Attached(Reply):
    """Say whether the sender can be called here."""

    code: ClassVar[int] = 39
    may_be_cut: ClassVar[bool] = False
    result: CallResult
    """``OK``, or why not."""
    lifetime_s: int = 0
    """Seconds for which it holds; 0 unless ``OK``."""
    is_relay: bool = False
    """The channels of this server carry whatever is sent, not only what it takes to meet."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return [int(self.result), self.lifetime_s, int(self.is_relay)]

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> Attached:
        """Return the message with these wire fields."""
        result, lifetime_s, is_relay = take(fields, 3)[:3]
        lifetime_s = integer_untrusted(lifetime_s, high=MAX_LIFETIME_S)
        return cls(_result_untrusted(result), lifetime_s, flag_untrusted(is_relay))


@dataclass(slots=True, unsafe_hash=True)
class Call(Request):
    """Ask a server for a channel to a node that is attached to it; a repeated call gets the channel that is there."""

    code: ClassVar[int] = 8
    wants_room: ClassVar[bool] = False
    target: PublicKey
    """Whom to call; 32 bytes."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return [self.target]

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> Call:
        """Return the message with these wire fields."""
        return cls(public_key_untrusted(take(fields, 1)[0]))


@dataclass(slots=True, unsafe_hash=True)
class Called(Reply):
    """Give a channel; it can be used at once."""

    code: ClassVar[int] = 40
    may_be_cut: ClassVar[bool] = False
    result: CallResult
    """``OK``, or why there is no channel."""
    channel_id: bytes = b""
    """8 bytes; empty unless ``OK``."""
    is_relay: bool = False
    """The channel carries whatever is sent, not only what it takes to meet."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return [int(self.result), self.channel_id, int(self.is_relay)]

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> Called:
        """Return the message with these wire fields."""
        result, channel_id, is_relay = take(fields, 3)[:3]
        checked = _result_untrusted(result)
        size = CHANNEL_ID_BYTES if checked is CallResult.OK else 0
        return cls(checked, bytes_untrusted(channel_id, size=size), flag_untrusted(is_relay))


@dataclass(slots=True, unsafe_hash=True)
class Ring(Request):
    """Tell an attached node that somebody called it, and through which channel it is heard."""

    code: ClassVar[int] = 24
    wants_room: ClassVar[bool] = False
    caller: PublicKey
    """Who calls, as the server knows it; 32 bytes."""
    channel_id: bytes
    """8 bytes."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return [self.caller, self.channel_id]

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> Ring:
        """Return the message with these wire fields."""
        caller, channel_id = take(fields, 2)[:2]
        return cls(public_key_untrusted(caller), channel_id_untrusted(channel_id))


@dataclass(slots=True, unsafe_hash=True)
class Rung(Reply):
    """Say whether the called node listens to the channel."""

    code: ClassVar[int] = 56
    may_be_cut: ClassVar[bool] = False
    is_taken: bool
    """It does."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return [int(self.is_taken)]

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> Rung:
        """Return the message with these wire fields."""
        return cls(flag_untrusted(take(fields, 1)[0]))


@dataclass(slots=True, unsafe_hash=True)
class Meet(Request):
    """Tell a peer where this node may be besides, and ask it the same; both then try what they heard at once."""

    code: ClassVar[int] = 25
    endpoints: tuple[Endpoint, ...]
    """Up to 8, the likeliest first: hints, to be proven."""
    mapping: NatMapping = NatMapping.UNKNOWN
    """How the sender's NAT chooses ports."""
    introducers: tuple[Contact, ...] = ()
    """Up to 3 servers through which the sender can be called now, should all roads to it fall silent."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return _meeting_fields(self)

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> Meet:
        """Return the message with these wire fields."""
        return cls(*_meeting_untrusted(fields))


@dataclass(slots=True, unsafe_hash=True)
class Met(Reply):
    """Answer with the same about the answering node."""

    code: ClassVar[int] = 57
    endpoints: tuple[Endpoint, ...]
    """Up to 8, the likeliest first: hints, to be proven."""
    mapping: NatMapping = NatMapping.UNKNOWN
    """How the sender's NAT chooses ports."""
    introducers: tuple[Contact, ...] = ()
    """Up to 3 servers through which the sender can be called now, should all roads to it fall silent."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return _meeting_fields(self)

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> Met:
        """Return the message with these wire fields."""
        return cls(*_meeting_untrusted(fields))

    def shortened(self, excess_bytes: int) -> Met:
        """Leave out the last servers, then the least likely endpoints."""
        named = len(self.introducers)
        while named and excess_bytes > 0:
            named -= 1
            excess_bytes -= _PACKED_KEY_BYTES + _PACKED_ENDPOINT_BYTES[self.introducers[named].endpoint.is_ipv6]
        kept = len(self.endpoints)
        while kept and excess_bytes > 0:
            kept -= 1
            excess_bytes -= _PACKED_ENDPOINT_BYTES[self.endpoints[kept].is_ipv6]
        return replace(self, endpoints=self.endpoints[:kept], introducers=self.introducers[:named])


@dataclass(slots=True, unsafe_hash=True)
class HangUp(Request):
    """Tell that a channel has ended; nobody answers."""

    code: ClassVar[int] = 26
    channel_id: bytes
    """8 bytes."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return [self.channel_id]

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> HangUp:
        """Return the message with these wire fields."""
        return cls(channel_id_untrusted(take(fields, 1)[0]))


@dataclass(slots=True, unsafe_hash=True)
class SendKnocks(Request):
    """Ask a server to have others knock here whom the sender never sent anything to."""

    code: ClassVar[int] = 27
    wants_room: ClassVar[bool] = False

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return []

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> SendKnocks:
        """Return the message with these wire fields."""
        return cls()


@dataclass(slots=True, unsafe_hash=True)
class Knocking(Reply):
    """Say how many were told to knock."""

    code: ClassVar[int] = 59
    may_be_cut: ClassVar[bool] = False
    count: int
    """0 when the sender has not shown yet that it receives where it says, or asks too often, or nobody is known."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return [self.count]

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> Knocking:
        """Return the message with these wire fields."""
        return cls(integer_untrusted(take(fields, 1)[0], high=MAX_KNOCKS))


@dataclass(slots=True, unsafe_hash=True)
class KnockFor(Request):
    """Tell a node to ping another one, which a server has found to be where it says; nobody answers."""

    code: ClassVar[int] = 28
    contact: Contact
    """Whom to ping."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return [self.contact.packed()]

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> KnockFor:
        """Return the message with these wire fields."""
        return cls(contact_untrusted(take(fields, 1)[0]))


def channel_id_untrusted(value: object) -> bytes:
    """Return ``value`` when it can be the id of a channel: 8 bytes.

    Raises:
        BadMessage: it cannot.
    """
    return bytes_untrusted(value, size=CHANNEL_ID_BYTES)


def _result_untrusted(value: object) -> CallResult:
    return CallResult(integer_untrusted(value, high=max(CallResult)))


def _meeting_fields(message: Meet | Met) -> list[object]:
    endpoints = [endpoint.packed() for endpoint in message.endpoints]
    return [endpoints, int(message.mapping), [contact.packed() for contact in message.introducers]]


def _meeting_untrusted(fields: list[object]) -> tuple[tuple[Endpoint, ...], NatMapping, tuple[Contact, ...]]:
    endpoints, mapping, introducers = take(fields, 3)[:3]
    listed = list_untrusted(endpoints, most=MAX_MEETING_ENDPOINTS)
    checked = tuple([unpack_endpoint_untrusted(endpoint) for endpoint in listed])
    named = contacts_untrusted(list_untrusted(introducers, most=MAX_INTRODUCERS))
    return checked, NatMapping(integer_untrusted(mapping, high=max(NatMapping))), named
