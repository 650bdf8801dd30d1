"""What the control API needs of groups and questions: :class:`pilotdht.node.Node` has it, and so has a fake."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol, Self, TypeVar

from pilotdht.gossip.broadcast.subscriptions import Subscription
from pilotdht.gossip.feed import Feed
from pilotdht.gossip.values import Event, GroupInfo, GroupKind, MemberEvent, MemberInfo
from pilotdht.identity.ids import PublicKey
from pilotdht.services.query.handlers import Handler
from pilotdht.services.query.values import Answer, Explanation
from pilotdht.wire.certificates import Role
from pilotdht.wire.revocations import Revocation
from pilotdht.wire.rotations import Rotation

HandlerT = TypeVar("HandlerT", bound=Handler)


class GroupLike(Protocol):
    """One group that the node is in."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    def info(self) -> GroupInfo:
        """Return what it looks like from here."""
        ...

    def members(self) -> list[MemberInfo]:
        """Return all that is known of its members."""
        ...

    def member(self, public_key: PublicKey) -> MemberInfo | None:
        """Return one member."""
        ...

    def find(self, hostname: str) -> MemberInfo:
        """Return the member with a hostname."""
        ...

    def changes(self) -> Feed[MemberEvent]:
        """Return the changes of membership from now on."""
        ...

    def subscribe(self, pattern: str = "**", *, is_replayed: bool = False) -> Subscription:
        """Return a reader of messages."""
        ...

    async def publish(self, topic: str, data: bytes) -> Event:
        """Send a message to all members."""
        ...

    def set_metadata(
        self,
        *,
        tags: Sequence[str] | None = None,
        capabilities: Sequence[str] | None = None,
        load: int | None = None,
    ) -> None:
        """Tell the others something else about this member."""
        ...

    def invite(
        self,
        *,
        role: Role = Role.MEMBER,
        holder: PublicKey | None = None,
        hostname: str = "",
        lifetime_s: float = 604_800.0,
        hints: Sequence[str] = (),
    ) -> str:
        """Return an invitation."""
        ...

    async def revoke(self, public_key: PublicKey, reason: str = "") -> Revocation:
        """Expel a member, or end an invitation."""
        ...

    async def rotate(self, *, grace_s: float = 604_800.0) -> Rotation:
        """Give the group another key."""
        ...


class AnsweringLike(Protocol):
    """An answer read as it comes."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def __aiter__(self) -> Self: ...

    async def __anext__(self) -> str: ...

    @property
    def answer(self) -> Answer:
        """The whole answer, once it was read to its end."""
        ...


class GroupVerbs(Protocol):
    """The verbs of a node that are about groups."""

    async def create_group(
        self,
        name: str,
        *,
        kind: GroupKind = GroupKind.OPEN,
        token: str | None = None,
        tags: Sequence[str] = (),
        capabilities: Sequence[str] = (),
    ) -> GroupLike:
        """Begin a group."""
        ...

    async def join_group(
        self,
        name: str | None = None,
        *,
        token: str | None = None,
        invitation: str | None = None,
        tags: Sequence[str] = (),
        capabilities: Sequence[str] = (),
    ) -> GroupLike:
        """Join a group."""
        ...

    async def leave_group(self, name: str) -> None:
        """Leave a group."""
        ...

    def group(self, name: str) -> GroupLike:
        """Return a group that the node is in."""
        ...

    def groups(self) -> Sequence[GroupInfo]:
        """Return all of them."""
        ...


class QueryVerbs(Protocol):
    """The verbs of a node that are about questions."""

    def on_query(self, capability: str = "", *, group: str | None = None) -> Callable[[HandlerT], HandlerT]:
        """Let the decorated function answer questions."""
        ...

    def remove_query_handler(self, capability: str = "", *, group: str | None = None) -> bool:
        """Answer such questions no more."""
        ...

    async def query(
        self,
        target: str,
        question: object,
        *,
        capability: str = "",
        group: str | None = None,
        timeout_s: float = 30.0,
    ) -> Answer:
        """Ask one peer."""
        ...

    async def query_group(
        self,
        group: str,
        question: object,
        *,
        capability: str = "",
        tags: Sequence[str] = (),
        quorum: int = 1,
        fresh: bool = False,
        explain: bool = False,
        timeout_s: float = 30.0,
    ) -> Answer:
        """Ask whichever member of a group suits best."""
        ...

    async def query_tag(
        self,
        tag: str,
        question: object,
        *,
        capability: str = "",
        quorum: int = 1,
        explain: bool = False,
        timeout_s: float = 30.0,
    ) -> Answer:
        """Ask whichever trusted peer that carries a tag suits best."""
        ...

    def ask(
        self,
        target: str,
        question: object,
        *,
        capability: str = "",
        group: str | None = None,
        timeout_s: float = 30.0,
    ) -> AnsweringLike:
        """Ask one peer and read its answer as it comes."""
        ...

    def ask_group(
        self,
        group: str,
        question: object,
        *,
        capability: str = "",
        tags: Sequence[str] = (),
        timeout_s: float = 30.0,
    ) -> AnsweringLike:
        """Ask the member of a group that suits best and read its answer as it comes."""
        ...

    def choices(self, group: str, *, capability: str = "", tags: Sequence[str] = ()) -> Sequence[Explanation]:
        """Return whom a question to a group would be put to."""
        ...
