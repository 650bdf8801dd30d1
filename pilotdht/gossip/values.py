"""What a group tells about itself and its members: values for programs, tables and JSON. Pure."""

from __future__ import annotations

from enum import Enum

from pilotdht.identity.address import Address
from pilotdht.identity.ids import PublicKey
from pilotdht.values import dataclass
from pilotdht.wire.certificates import Role
from pilotdht.wire.groups import GroupId


class GroupKind(Enum):
    """Who may join a group."""

    OPEN = "open"
    """Everybody who knows its name."""
    TOKEN = "token"  # noqa: S105 - a kind of group, no secret
    """Everybody who knows its shared secret."""
    INVITE = "invite"
    """Whoever holds a certificate of the group key."""
    ORG = "org"
    """As by invitation; members also trust one another, and its name ends their hostnames."""


class MemberStatus(Enum):
    """What this node holds of a member."""

    ALIVE = "alive"
    """It answers, or nobody doubts it."""
    SUSPECT = "suspect"
    """It did not answer somebody, and has some time left to object."""
    DEAD = "dead"
    """It did not object in time."""
    LEFT = "left"
    """It said goodbye."""


class MemberChange(Enum):
    """What happened to a member."""

    JOINED = "joined"
    """It is there, for the first time or again."""
    LEFT = "left"
    """It said goodbye."""
    FAILED = "failed"
    """It is held for dead."""
    UPDATED = "updated"
    """It changed what it says about itself."""
    EXPELLED = "expelled"
    """Its certificate was revoked or expired."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberInfo:
    """One member of a group, as this node sees it."""

    public_key: PublicKey
    """Who it is."""
    address: Address
    """Its virtual address."""
    hostname: str
    """What it calls itself, or empty; in an org the name its certificate gives it."""
    status: MemberStatus
    """Alive, suspect, dead or left."""
    role: Role
    """What its certificate says; in groups without certificates everybody is a member."""
    tags: tuple[str, ...]
    """Tags it carries."""
    capabilities: tuple[str, ...]
    """What it says it can answer."""
    load: int | None
    """How busy it says it is, 0..100 percent; absent when it does not say."""
    version: str
    """Version of its software."""
    incarnation: int
    """Unix time in milliseconds at which it signed what is known of it."""
    rtt_s: float | None
    """Smoothed round-trip time; absent before it answered this node."""
    since_s: float
    """Seconds since it has this status."""
    is_self: bool = False
    """It is this node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberEvent:
    """A change of membership."""

    group: str
    """Name of the group."""
    change: MemberChange
    """What happened."""
    member: MemberInfo
    """To whom, as it is afterwards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupInfo:
    """One group that this node is in."""

    name: str
    """What it is called."""
    group_id: GroupId
    """20 bytes; two groups of one name differ in it."""
    kind: GroupKind
    """Who may join."""
    role: Role
    """What this node is in it."""
    alive: int
    """Members that are alive or only suspected, this node included."""
    suspect: int
    """Members that are suspected."""
    dead: int
    """Members held for dead and not yet forgotten."""
    health: int
    """Doubts of this node about itself: 0 (healthy) to 8."""
    topics: tuple[str, ...]
    """Patterns that programs on this node subscribed to."""
    events: int
    """Messages kept for those who come later."""
    expires_s: float | None
    """Unix time at which this node's certificate expires; absent where none is needed."""
    is_expelled: bool = False
    """This node was expelled, or its certificate expired: it is listed until it leaves, or has a new certificate."""
    moves_until_s: float | None = None
    """Unix time until which the members move to another key of the group; absent when they do not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A message to a group, proven to be its sender's by signature."""

    group: str
    """Name of the group."""
    topic: str
    """What it is about: words joined by dots."""
    data: bytes
    """Its content."""
    sender: PublicKey
    """Who said it."""
    address: Address
    """The sender's virtual address."""
    hostname: str
    """The sender's hostname as known here, or empty."""
    sequence: int
    """Position among the sender's messages since ``epoch_ms``; from 1."""
    epoch_ms: int
    """Unix time in milliseconds at which the sender began to count."""
    sent_ms: int
    """Unix time in milliseconds at which the sender signed it."""
