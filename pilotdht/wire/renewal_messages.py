"""What members say when their group has another key: a member shows its certificates, and gets new ones.

Whoever asks is known by the sealed datagram, whoever answers by what it gives: certificates prove themselves. So a
reply needs no signature, and a request no proof but the certificates of the old key.
"""

from __future__ import annotations

from typing import ClassVar

from pilotdht.values import dataclass
from pilotdht.wire.certificates import MAX_CHAIN_BYTES
from pilotdht.wire.codec import bytes_untrusted
from pilotdht.wire.gossip_messages import GroupRequest, group_untrusted
from pilotdht.wire.groups import GroupId
from pilotdht.wire.message import Reply, take


@dataclass(slots=True, unsafe_hash=True)
class Renew(GroupRequest):
    """Ask for certificates of the group's new key."""

    code: ClassVar[int] = 14
    group: GroupId
    """20 bytes: the group by its old key."""
    chain: bytes
    """The sender's certificates of the old key."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return [self.group, self.chain]

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> Renew:
        """Return the message with these wire fields."""
        group, chain = take(fields, 2)[:2]
        return cls(group_untrusted(group), bytes_untrusted(chain, most=MAX_CHAIN_BYTES))


@dataclass(slots=True, unsafe_hash=True)
class Renewed(Reply):
    """Certificates of the new key."""

    code: ClassVar[int] = 45
    chain: bytes
    """From the new key to the requester; empty: this member cannot issue them, or not yet."""

    def fields(self) -> list[object]:
        """Return the fields in wire order."""
        return [self.chain]

    @classmethod
    def from_fields_untrusted(cls, fields: list[object]) -> Renewed:
        """Return the message with these wire fields."""
        return cls(bytes_untrusted(take(fields, 1)[0], most=MAX_CHAIN_BYTES))
