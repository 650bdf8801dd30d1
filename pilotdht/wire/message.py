"""What every message in a sealed datagram is: a request or a reply, with fields in a fixed order on the wire.

Treat the values as frozen: a frozen dataclass costs three times as much to make, and each datagram makes two or three.

Invariant: decoding what was encoded gives an equal value; nothing but :class:`BadMessage` leaves a decoder.
"""

from __future__ import annotations

from enum import IntFlag
from typing import ClassVar

from pilotdht.errors import BadMessage
from pilotdht.identity.ids import NODE_ID_BYTES
from pilotdht.wire.codec import bytes_untrusted

REQUEST_ID_BYTES = 8
TOKEN_BYTES = 8


class Flags(IntFlag):
    """What a sender says of itself in each message."""

    NONE = 0
    """Nothing special."""
    CLIENT = 1
    """Not known to be reachable from outside: never to be put in a routing table."""


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
    wants_room: ClassVar[bool] = True
    """Whether it is padded to the longest datagram as long as an answer may be no longer than it is."""


class Reply(Message):
    """Base of messages that answer."""

    __slots__ = ()
    may_be_cut: ClassVar[bool] = True
    """Whether what was left out of a short one is worth asking again for."""

    def shortened(self, excess_bytes: int) -> Reply:
        """Return this reply made at least ``excess_bytes`` shorter by leaving out what matters least.

        A reply that cannot be shortened is returned as it is.
        """
        return self


def take(fields: list[object], count: int) -> list[object]:
    """Return ``fields`` when there are at least ``count``.

    Raises:
        BadMessage: there are fewer.
    """
    if len(fields) < count:
        raise BadMessage("fields")
    return fields


def key_untrusted(value: object) -> bytes:
    """Return ``value`` when it is a point of the key space: 20 bytes.

    Raises:
        BadMessage: it is not.
    """
    return bytes_untrusted(value, size=NODE_ID_BYTES)


def token_untrusted(value: object) -> bytes:
    """Return ``value`` when it is a token: up to 8 bytes.

    Raises:
        BadMessage: it is not.
    """
    return bytes_untrusted(value, most=TOKEN_BYTES)
