"""One group of the daemon's node: its members and their changes, and messages to all of them.

The verbs and values are those of :class:`pilotdht.gossip.group.Group`; what asks the daemon is awaited.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator, Callable, Sequence
from types import TracebackType
from typing import Generic, Self, TypeVar, cast

from pilotdht.client.channel import ControlChannel
from pilotdht.client.group_decode import event, group_info, member_event, member_info, published
from pilotdht.daemon.group_shapes import (
    EventShape,
    ExpelledShape,
    GroupShape,
    InvitationShape,
    MemberEventShape,
    MemberShape,
    MembersShape,
    PublishedShape,
    RotatedShape,
)
from pilotdht.errors import NodeClosed, NotFound, UsageError
from pilotdht.gossip.values import Event, GroupInfo, MemberEvent, MemberInfo
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import did_of
from pilotdht.wire.certificates import Role
from pilotdht.wire.revocations import Revocation, revocation_untrusted
from pilotdht.wire.rotations import Rotation, rotation_untrusted

BROADCAST_TOPIC = "broadcast"
"""The topic of messages that have no other."""

INVITATION_LIFETIME_S = 7 * 86_400.0
"""How long an invitation lasts unless somebody says otherwise."""

GRACE_S = 7 * 86_400.0
"""How long members have to follow a new key unless somebody says otherwise."""

T = TypeVar("T")


class ClientFeed(Generic[T]):
    """What happens in a group, as it comes: ``async with`` opens and closes it, ``async for`` reads it."""

    def __init__(
        self,
        channel: ControlChannel,
        path: str,
        fields: dict[str, object],
        decode: Callable[[dict[str, object]], T],
    ) -> None:
        self.missed = 0
        """Values dropped because they were not read in time."""
        self._channel = channel
        self._path = path
        self._fields = fields
        self._decode = decode
        self._lines: AsyncGenerator[dict[str, object], None] | None = None
        self._is_closed = False

    async def __aenter__(self) -> Self:
        """Open it: what happens from now on will be read.

        Raises:
            PilotError: what the daemon says.
        """
        if self._is_closed or self._lines is not None:
            raise UsageError("this was opened before", hint="open one for each reader")
        lines = self._channel.lines(self._path, self._fields)
        try:
            await anext(lines)  # the daemon says that it stands
        except BaseException:
            await lines.aclose()
            raise
        self._lines = lines
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        await self.close()

    def __aiter__(self) -> Self:
        """Iterate over what comes, until the group is left."""
        return self

    async def __anext__(self) -> T:
        """Return the next value."""
        try:
            return await self.next()
        except NodeClosed:
            raise StopAsyncIteration from None

    async def next(self) -> T:
        """Return the oldest value, waiting for one.

        Raises:
            NodeClosed: the group was left, or the daemon stopped.
            UsageError: it is not open.
        """
        if self._lines is None:
            raise UsageError("this is not open", hint="use 'async with'")
        async for line in self._lines:
            self.missed = cast("int", line["missed"])
            return self._decode(line)
        raise NodeClosed("the daemon closed the stream")

    async def close(self) -> None:
        """Read no more; safe to call twice."""
        lines, self._lines, self._is_closed = self._lines, None, True
        if lines is not None:
            await lines.aclose()


class ClientGroup:
    """A group that the daemon's node is in; returned by the client's verbs."""

    def __init__(self, channel: ControlChannel, name: str) -> None:
        self._channel = channel
        self._name = name

    @property
    def name(self) -> str:
        """What it is called."""
        return self._name

    async def info(self) -> GroupInfo:
        """Return what the group looks like from the node.

        Raises:
            NotFound: the node is in no group of that name.
        """
        return group_info(cast("GroupShape", await self._post("info")))

    async def members(self) -> list[MemberInfo]:
        """Return all members, those that died or left lately included, in the order of their addresses."""
        listed = cast("MembersShape", await self._post("members"))
        return [member_info(shape) for shape in listed["members"]]

    async def member(self, public_key: PublicKey) -> MemberInfo | None:
        """Return one member; absent when it is not known."""
        try:
            return member_info(cast("MemberShape", await self._post("member", member=did_of(public_key))))
        except NotFound:
            await self.info()  # says so when it is the group that is not there
            return None

    async def is_member(self, public_key: PublicKey) -> bool:
        """Return whether somebody is a member that is there."""
        found = await self.member(public_key)
        return found is not None and found.status.value in ("alive", "suspect")

    async def find(self, hostname: str) -> MemberInfo:
        """Return the member with a hostname.

        Raises:
            NotFound: nobody there has it.
            Ambiguous: several do.
        """
        return member_info(cast("MemberShape", await self._post("member", member=hostname)))

    def changes(self) -> ClientFeed[MemberEvent]:
        """Return the changes of membership: ``async with group.changes() as changes: async for change in changes``."""
        return ClientFeed(
            self._channel,
            "/v1/groups/changes",
            {"group": self._name},
            lambda line: member_event(cast("MemberEventShape", line)),
        )

    def subscribe(self, pattern: str = "**", *, is_replayed: bool = False) -> ClientFeed[Event]:
        """Return a reader of messages: ``async with group.subscribe("prices.*") as events: async for event in events``.

        Args:
            pattern: ``*`` stands for one word of a topic, ``**`` at the end for any number of them.
            is_replayed: begin with the messages that are kept.
        """
        return ClientFeed(
            self._channel,
            "/v1/groups/subscribe",
            {"group": self._name, "pattern": pattern, "replay": is_replayed},
            lambda line: event(cast("EventShape", line)),
        )

    async def publish(self, topic: str, data: bytes) -> Event:
        """Send a message to all members; returns when it is on its way.

        Raises:
            InvalidArgument: the topic is malformed, or the data too long.
            Overloaded: too many messages in a short time.
        """
        encoded = base64.b64encode(data).decode("ascii")
        sent = await self._post("publish", topic=topic, data_base64=encoded)
        return published(cast("PublishedShape", sent), data)

    async def broadcast(self, data: bytes) -> Event:
        """Send a message to all members on the topic ``broadcast``.

        Raises:
            PilotError: as :meth:`publish`.
        """
        return await self.publish(BROADCAST_TOPIC, data)

    async def set_metadata(
        self,
        *,
        tags: Sequence[str] | None = None,
        capabilities: Sequence[str] | None = None,
        load: int | None = None,
    ) -> None:
        """Tell the others something else about this member; what is not given stays.

        Raises:
            InvalidArgument: a word is malformed, there are too many, or the load is out of 0..100.
        """
        await self._post(
            "metadata",
            tags=None if tags is None else list(tags),
            capabilities=None if capabilities is None else list(capabilities),
            load=load,
        )

    async def invite(
        self,
        *,
        role: Role = Role.MEMBER,
        holder: PublicKey | None = None,
        hostname: str = "",
        lifetime_s: float = INVITATION_LIFETIME_S,
        hints: Sequence[str] = (),
    ) -> str:
        """Return an invitation as one line of text; see :meth:`pilotdht.gossip.group.Group.invite`.

        Raises:
            InvalidArgument: a value is malformed.
            UsageError: the group needs no invitations, or the node may not make them.
        """
        made = await self._post(
            "invite",
            role=role.name.lower(),
            holder=None if holder is None else did_of(holder),
            hostname=hostname,
            lifetime_s=lifetime_s,
            hints=list(hints),
        )
        return cast("InvitationShape", made)["invitation"]

    async def revoke(self, public_key: PublicKey, reason: str = "") -> Revocation:
        """Expel a member, or end an invitation by the key in it, and tell the group and the DHT.

        Raises:
            InvalidArgument: it cannot be expelled, or the reason is too long.
            UsageError: the node may not expel anybody.
        """
        made = cast("ExpelledShape", await self._post("revoke", member=did_of(public_key), reason=reason))
        return revocation_untrusted(base64.b64decode(made["notice_base64"]))

    async def rotate(self, *, grace_s: float = GRACE_S) -> Rotation:
        """Give the group another key; its members follow by themselves, and programs go on.

        Whoever has not followed when the time is over needs a new invitation: old ones are void then; see
        :meth:`pilotdht.gossip.group.Group.rotate`.

        Args:
            grace_s: seconds until certificates of the old key are void.

        Raises:
            InvalidArgument: the time is too short or too long.
            UsageError: the node does not hold the group's key, or the group is moving to another key already.
        """
        made = cast("RotatedShape", await self._post("rotate", grace_s=grace_s))
        return rotation_untrusted(base64.b64decode(made["notice_base64"]))

    async def _post(self, verb: str, **fields: object) -> object:
        return await self._channel.post(f"/v1/groups/{verb}", {"group": self._name, **fields})
