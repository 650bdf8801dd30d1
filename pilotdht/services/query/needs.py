"""What questions and answers need of the rest of a node: small protocols and callables, handed in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Protocol

from pilotdht.gossip.values import MemberInfo
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import KeyPair
from pilotdht.names.peer import Peer
from pilotdht.tasks import TaskScope
from pilotdht.tracing.spans import OFF, Tracer
from pilotdht.tunnel.byte_stream import ByteStream
from pilotdht.values import dataclass
from pilotdht.wire.groups import GroupId


class OpensStreams(Protocol):
    """Opens a stream to a port of a peer; raises a :class:`pilotdht.errors.RemoteError` when it cannot."""

    def __call__(self, peer: PublicKey, port: int, *, timeout_s: float) -> Awaitable[ByteStream]:
        """Return an accepted stream."""
        ...


class Groups(Protocol):
    """The groups that this node is in."""

    def group_id(self, name: str) -> GroupId:
        """Return the id of a group; raises :class:`pilotdht.errors.NotFound` when this node is not in it."""
        ...

    def group_name(self, group_id: GroupId) -> str | None:
        """Return the name of a group, or ``None`` when this node is not in it."""
        ...

    def members(self, name: str) -> Sequence[MemberInfo]:
        """Return all that is known of a group's members, this node included."""
        ...

    def is_member(self, group_id: GroupId, public_key: PublicKey) -> bool:
        """Return whether a key is a live member of a group that this node is in; also a suspect, not a dead one."""
        ...

    def is_member_of_any(self, public_key: PublicKey) -> bool:
        """Return whether a key is a live member of any group that this node is in."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryNeeds:
    """All that is needed of the rest of a node."""

    keys: KeyPair
    """Signs answers."""
    open_stream: OpensStreams
    """Reaches peers."""
    groups: Groups
    """Knows members."""
    is_trusted: Callable[[PublicKey], bool]
    """Whether a peer may ask without a group."""
    peers_with_tag: Callable[[str], Awaitable[Sequence[Peer]]]
    """Finds peers by tag; raises a :class:`pilotdht.errors.PilotError` when it cannot."""
    hostname_of: Callable[[PublicKey], str]
    """What a peer is called as far as this node knows, or empty: for errors that people read."""
    unix_time: Callable[[], float]
    """Seconds since 1970, for signatures and expiry."""
    random: Random
    """Chance, for choosing."""
    scope: TaskScope
    """Owner of the offers that go on in the background."""
    tracer: Tracer = OFF
    """Records what takes how long."""
