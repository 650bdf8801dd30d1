"""Leaving letters with other nodes, asking for one's own, and hearing that some wait.

What a letter is stands in :mod:`pilotdht.wire.letter`.
"""

from __future__ import annotations

from dataclasses import replace
from enum import IntEnum
from typing import ClassVar

from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import public_key_untrusted
from pilotdht.values import dataclass
from pilotdht.wire.codec import bytes_untrusted, integer_untrusted, list_untrusted
from pilotdht.wire.letter import LETTER_ID_BYTES, MAX_LETTER_LIFETIME_S, letter_untrusted
from pilotdht.wire.message import Reply, Request, take

MAX_TAKEN = 8
"""Letters acknowledged at once: twice what one answer brings."""

MAX_SKIPPED = 64
"""Letters that can be left where they are while others are fetched."""

MAX_LETTERS = 4
"""Letters in one answer: so many short ones fit into a datagram."""

MAX_WAITING = 65_535
"""Nobody keeps more letters for one key."""

_LETTER_HEADER_BYTES = 3  # of a byte string of 256 bytes or more in msgpack


class LeaveResult(IntEnum):
    """What a node answers to whoever leaves a letter with it."""

    KEPT = 0
    """It is kept until it is fetched, or its time is over."""
    FULL = 1
    """No room: in all, or for letters to this target."""
    QUOTA = 2
    """The writer or its network has used up its share; later there is some again."""
    DISABLED = 3
    """This node keeps no letters."""
    REFUSED = 4
    """Not from this sender: it asks through a channel, or the letter is for itself or for the node that was asked."""
    UNPROVEN = 5
    """The sender must show first that it receives where it says: ask again with the token of this answer."""


@dataclass(slots=True, unsafe_hash=True)
class Leave(Request):
    """Leave a letter with a node; it takes the place of an earlier one from the same sender for the same target."""

    code: ClassVar[int] = 29
    wants_room: ClassVar[bool] = False
    target: PublicKey
    """Who may fetch it; 32 bytes."""
    lifetime_s: int
    """Seconds for which it is to be kept, at most a week."""
    letter: bytes
    """256, 512 or 1024 bytes."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return [self.target, self.lifetime_s, self.letter]

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> Leave:
        """Return the message with these wire fields."""
        target, lifetime_s, letter = take(fields, 3)[:3]
        lifetime_s = integer_untrusted(lifetime_s, low=1, high=MAX_LETTER_LIFETIME_S)
        return cls(public_key_untrusted(target), lifetime_s, letter_untrusted(letter))


@dataclass(slots=True, unsafe_hash=True)
class Left(Reply):
    """Say whether the letter is kept."""

    code: ClassVar[int] = 61
    may_be_cut: ClassVar[bool] = False
    result: LeaveResult
    """``KEPT``, or why not."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return [int(self.result)]

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> Left:
        """Return the message with these wire fields."""
        return cls(LeaveResult(integer_untrusted(take(fields, 1)[0], high=max(LeaveResult))))


@dataclass(slots=True, unsafe_hash=True)
class Collect(Request):
    """Ask for the letters to the sender, the oldest first, and say which ones it has got and are kept no longer."""

    code: ClassVar[int] = 30
    taken: tuple[bytes, ...] = ()
    """Ids of up to 8 letters that need not be kept any more."""
    skipped: tuple[bytes, ...] = ()
    """Ids of up to 64 letters that are to be kept, and not sent now."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return [list(self.taken), list(self.skipped)]

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> Collect:
        """Return the message with these wire fields."""
        taken, skipped = take(fields, 2)[:2]
        return cls(_ids_untrusted(taken, MAX_TAKEN), _ids_untrusted(skipped, MAX_SKIPPED))


@dataclass(slots=True, unsafe_hash=True)
class Letters(Reply):
    """Hand over letters; each is kept until it was acknowledged."""

    code: ClassVar[int] = 62
    letters: tuple[bytes, ...]
    """Up to 4, the oldest first."""
    waiting: int
    """How many are kept for the sender, these included."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return [list(self.letters), self.waiting]

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> Letters:
        """Return the message with these wire fields."""
        letters, waiting = take(fields, 2)[:2]
        listed = tuple([letter_untrusted(letter) for letter in list_untrusted(letters, most=MAX_LETTERS)])
        return cls(listed, integer_untrusted(waiting, high=MAX_WAITING))

    def shortened(self, excess_bytes: int) -> Letters:
        """Leave out the youngest: they are asked for again."""
        kept = len(self.letters)
        while kept and excess_bytes > 0:
            kept -= 1
            excess_bytes -= len(self.letters[kept]) + _LETTER_HEADER_BYTES
        return replace(self, letters=self.letters[:kept])


@dataclass(slots=True, unsafe_hash=True)
class LettersWait(Request):
    """Tell a node that just asked for something that letters to it are kept here; nobody answers."""

    code: ClassVar[int] = 31
    count: int
    """How many."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return [self.count]

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> LettersWait:
        """Return the message with these wire fields."""
        return cls(integer_untrusted(take(fields, 1)[0], high=MAX_WAITING))


def _ids_untrusted(value: object, most: int) -> tuple[bytes, ...]:
    return tuple([bytes_untrusted(one, size=LETTER_ID_BYTES) for one in list_untrusted(value, most=most)])
