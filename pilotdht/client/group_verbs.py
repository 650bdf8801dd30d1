"""The verbs of a client that are about groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from pilotdht.client.channel import ControlChannel
from pilotdht.client.group import ClientGroup
from pilotdht.client.group_decode import group_info
from pilotdht.daemon.group_shapes import GroupShape, GroupsShape
from pilotdht.gossip.values import GroupInfo, GroupKind


class GroupVerbs:
    """Create, join, leave and look up groups; mixed into :class:`pilotdht.client.client.Client`."""

    _channel: ControlChannel

    async def create_group(
        self,
        name: str,
        *,
        kind: GroupKind = GroupKind.OPEN,
        token: str | None = None,
        tags: Sequence[str] = (),
        capabilities: Sequence[str] = (),
    ) -> ClientGroup:
        """Begin a group; an open or token group that exists is joined.

        Args:
            name: 1..63 lower-case letters, digits and inner hyphens.
            kind: who may join; of a group by invitation or an org the daemon's node holds the key.
            token: the shared secret of a token group.
            tags: that this member carries in the group, besides those of the node.
            capabilities: what it can answer.

        Raises:
            InvalidArgument: the name is malformed, or a token is missing or given for nothing.
            AlreadyExists: the node is in a group of that name.
            Overloaded: it is in as many as it may be.
        """
        fields = {"name": name, "kind": kind.name.lower(), "token": token}
        return await self._enter("create", fields, tags, capabilities)

    async def join_group(
        self,
        name: str | None = None,
        *,
        token: str | None = None,
        invitation: str | None = None,
        tags: Sequence[str] = (),
        capabilities: Sequence[str] = (),
    ) -> ClientGroup:
        """Join a group: an open one by its name, a token group by name and token, any other by an invitation.

        An invitation to a group that the node is in already renews its membership.

        Args:
            name: what it is called; may be left out with an invitation.
            token: the shared secret.
            invitation: the line of text that somebody in the group made.
            tags: as in :meth:`create_group`.
            capabilities: as in :meth:`create_group`.

        Raises:
            InvalidArgument: name, token or invitation are malformed, do not fit together, or expired; or an invitation
                gives less than the node has.
            AlreadyExists: the node is in a group of that name, and no invitation to that one was given.
            Overloaded: it is in as many as it may be.
        """
        fields = {"name": name, "token": token, "invitation": invitation}
        return await self._enter("join", fields, tags, capabilities)

    async def leave_group(self, name: str) -> None:
        """Leave a group: its members are told, and nothing of it is kept.

        Raises:
            NotFound: the node is in no group of that name.
        """
        await self._channel.post("/v1/groups/leave", {"group": name})

    def group(self, name: str) -> ClientGroup:
        """Return a group of the node; whether it is in one of that name shows at the first verb."""
        return ClientGroup(self._channel, name)

    async def groups(self) -> list[GroupInfo]:
        """Return all groups that the node is in, in the order of their names."""
        listed = cast("GroupsShape", await self._channel.get("/v1/groups"))
        return [group_info(shape) for shape in listed["groups"]]

    async def _enter(
        self, verb: str, fields: dict[str, str | None], tags: Sequence[str], capabilities: Sequence[str]
    ) -> ClientGroup:
        words = {"tags": list(tags), "capabilities": list(capabilities)}
        shape = cast("GroupShape", await self._channel.post(f"/v1/groups/{verb}", {**fields, **words}))
        return ClientGroup(self._channel, shape["name"])
