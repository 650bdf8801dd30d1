"""What a node does with groups: create, join, leave, look them up."""

from __future__ import annotations

from collections.abc import Sequence

from pilotdht.gossip.group import Group
from pilotdht.gossip.values import GroupInfo, GroupKind
from pilotdht.node.rooms import Rooms


class GroupVerbs:
    """The verbs of :class:`pilotdht.node.node.Node` that are about groups."""

    @property
    def rooms(self) -> Rooms:
        """The running node."""
        raise NotImplementedError

    async def create_group(
        self,
        name: str,
        *,
        kind: GroupKind = GroupKind.OPEN,
        token: str | None = None,
        tags: Sequence[str] = (),
        capabilities: Sequence[str] = (),
    ) -> Group:
        """Begin a group; an open or token group that exists is joined.

        Args:
            name: 1..63 lower-case letters, digits and inner hyphens.
            kind: who may join; of a group by invitation or an org this node holds the key.
            token: the shared secret of a token group.
            tags: that this member carries in the group, besides those of the node.
            capabilities: what it can answer.

        Raises:
            InvalidArgument: the name is malformed, or a token is missing or given for nothing.
            AlreadyExists: this node is in a group of that name.
            Overloaded: it is in as many as it may be.
        """
        return await self.rooms.groups.create(name, kind=kind, token=token, tags=tags, capabilities=capabilities)

    async def join_group(
        self,
        name: str | None = None,
        *,
        token: str | None = None,
        invitation: str | None = None,
        tags: Sequence[str] = (),
        capabilities: Sequence[str] = (),
    ) -> Group:
        """Join a group: an open one by its name, a token group by name and token, any other by an invitation.

        Returns when members were found, or nobody answers yet; finding goes on in the background.

        An invitation to a group that this node is in already renews its membership: before its certificates end, after
        they did, or when it did not follow the group to another key in time.

        Args:
            name: what it is called; may be left out with an invitation.
            token: the shared secret.
            invitation: the line of text that somebody in the group made.
            tags: as in :meth:`create_group`.
            capabilities: as in :meth:`create_group`.

        Raises:
            InvalidArgument: name, token or invitation are malformed, do not fit together, or expired; or an invitation
                gives less than this node has.
            AlreadyExists: this node is in a group of that name, and no invitation to that one was given.
            Overloaded: it is in as many as it may be.
        """
        return await self.rooms.groups.join(
            name, token=token, invitation=invitation, tags=tags, capabilities=capabilities
        )

    async def leave_group(self, name: str) -> None:
        """Leave a group: its members are told, and nothing of it is kept.

        Raises:
            NotFound: this node is in no group of that name.
        """
        group_id = self.rooms.groups.find(name).group_id
        await self.rooms.groups.leave(name)
        self.rooms.queries.shared.cache.forget_group(group_id)

    def group(self, name: str) -> Group:
        """Return a group that this node is in.

        Raises:
            NotFound: it is in none of that name.
        """
        return self.rooms.groups.find(name)

    def groups(self) -> list[GroupInfo]:
        """Return all groups that this node is in, in the order of their names."""
        return self.rooms.groups.infos()
