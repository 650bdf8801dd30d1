"""All groups that a node is in: creating, joining, leaving, and what is kept of them over a restart."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from pilotdht.errors import AlreadyExists, BadMessage, InvalidArgument, NotFound, Overloaded
from pilotdht.gossip.charter import Charter, charter_untrusted, founded, invited, labelled
from pilotdht.gossip.group import Group
from pilotdht.gossip.surroundings import Surroundings
from pilotdht.gossip.values import GroupInfo, GroupKind, MemberInfo
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import KeyPair
from pilotdht.identity.names import check_group_name
from pilotdht.wire.group_tokens import token_group_keys
from pilotdht.wire.groups import GroupId
from pilotdht.wire.invitations import Invitation, parse_invitation

_SEED_BYTES = 32

_logger = logging.getLogger(__name__)


class Groups:
    """The groups of one node, by name."""

    def __init__(self, around: Surroundings, *, changed: Callable[[], None]) -> None:
        """Make it, without groups.

        Args:
            around: the node.
            changed: called when what is to be kept has changed.
        """
        self._around = around
        self._on_change = changed
        self._is_closed = False
        self._groups: dict[str, Group] = {}
        self._starting: dict[str, None] = {}
        metrics = around.metrics
        metrics.groups.set_function(lambda: float(len(self._groups)))
        metrics.members.set_function(lambda: float(sum(group.info().alive for group in self)))
        metrics.suspects.set_function(lambda: float(sum(group.info().suspect for group in self)))
        metrics.health.set_function(lambda: float(max((group.info().health for group in self), default=0)))

    def __iter__(self) -> Iterator[Group]:
        """Iterate over the groups in the order in which they were joined."""
        return iter(list(self._groups.values()))

    # Joining and leaving.

    async def create(
        self,
        name: str,
        *,
        kind: GroupKind = GroupKind.OPEN,
        token: str | None = None,
        tags: Sequence[str] = (),
        capabilities: Sequence[str] = (),
    ) -> Group:
        """Begin a group, or join the open or token group of that name and token if there is one.

        Raises:
            InvalidArgument: the name is malformed, or a token is missing or given for nothing.
            AlreadyExists: this node is in a group of that name.
            Overloaded: it is in as many as it may be.
        """
        check_group_name(name)
        network = self._around.network
        if (kind is GroupKind.TOKEN) != (token is not None):
            raise InvalidArgument(
                "a token group needs a token" if token is None else f"a group of kind {kind.value} has no token",
                hint="give --token with --kind token, and with no other kind",
            )
        if token is not None:
            charter = founded(name, kind, await _token_keys(name, token, network), network=network)
        elif kind is GroupKind.OPEN:
            charter = Charter(name=name, kind=kind, network=network)
        else:
            keys = KeyPair.from_seed(self._around.doors.token_bytes(_SEED_BYTES))
            charter = founded(name, kind, keys, network=network)
        return await self._enter(charter, tags, capabilities)

    async def join(
        self,
        name: str | None = None,
        *,
        token: str | None = None,
        invitation: str | None = None,
        tags: Sequence[str] = (),
        capabilities: Sequence[str] = (),
    ) -> Group:
        """Join a group: an open one by its name, a token group by name and token, any other by an invitation.

        An invitation to a group that this node is in already renews its certificates.

        Args:
            name: what it is called; with an invitation it may be left out, and is checked when given.
            token: the shared secret.
            invitation: as somebody made it with :meth:`pilotdht.gossip.group.Group.invite`.
            tags: that this member carries in the group.
            capabilities: what it can answer.

        Raises:
            InvalidArgument: name, token or invitation are malformed, do not fit together, or expired.
            AlreadyExists: this node is in a group of that name, and the invitation is to another one.
            Overloaded: it is in as many as it may be.
        """
        if invitation is not None:
            charter = self._invited(parse_invitation(invitation), name)
            group = self._groups.get(charter.name)
            if group is None:
                return await self._enter(charter, tags, capabilities)
            return await self._renew(group, charter, tags, capabilities)
        if name is None:
            raise InvalidArgument("which group?", hint="give its name, or an invitation")
        kind = GroupKind.OPEN if token is None else GroupKind.TOKEN
        return await self.create(name, kind=kind, token=token, tags=tags, capabilities=capabilities)

    async def leave(self, name: str) -> None:
        """Leave a group: members are told, the entry in the DHT ends, and nothing is kept.

        Raises:
            NotFound: this node is in no group of that name.
        """
        group = self.find(name)
        del self._groups[name]
        self._changed()
        try:
            await group.withdraw()
        finally:
            await group.close(is_leaving=True)

    # Asking.

    def find(self, name: str) -> Group:
        """Return a group.

        Raises:
            NotFound: this node is in no group of that name.
        """
        group = self._groups.get(name)
        if group is None:
            raise NotFound(
                f"this node is in no group called {name[:80]!r}", hint=f"join it with 'pilotdht group join {name[:40]}'"
            )
        return group

    def of_id(self, group_id: GroupId) -> Group | None:
        """Return the group with an id, or with one that its present id replaces; absent when this node is not in it."""
        return next((group for group in self._groups.values() if group_id in group.group_ids), None)

    def group_id(self, name: str) -> GroupId:
        """Return the id of a group.

        Raises:
            NotFound: this node is in no group of that name.
        """
        return self.find(name).group_id

    def group_name(self, group_id: GroupId) -> str | None:
        """Return the name of the group with an id; absent when this node is not in it."""
        group = self.of_id(group_id)
        return None if group is None else group.name

    def members(self, name: str) -> list[MemberInfo]:
        """Return all that is known of a group's members.

        Raises:
            NotFound: this node is in no group of that name.
        """
        return self.find(name).members()

    def is_member(self, group_id: GroupId, public_key: PublicKey) -> bool:
        """Return whether somebody is a member, that is there, of a group that this node is in."""
        group = self.of_id(group_id)
        return group is not None and group.is_member(public_key)

    def is_member_of_any(self, public_key: PublicKey) -> bool:
        """Return whether somebody is a member, that is there, of any group that this node is in."""
        return any(group.is_member(public_key) for group in self._groups.values())

    def infos(self) -> list[GroupInfo]:
        """Return all groups, in the order of their names."""
        return [self._groups[name].info() for name in sorted(self._groups)]

    def is_org_member(self, public_key: PublicKey) -> bool:
        """Return whether somebody is a member of an org that this node is in: those trust one another."""
        return any(
            group.kind is GroupKind.ORG and group.is_member(public_key) and not group.is_expelled
            for group in self._groups.values()
        )

    def find_member(self, name: str) -> MemberInfo | None:
        """Return the member that ``host.org`` means; absent when the end of the name is no org of this node.

        Raises:
            NotFound: nobody in the org has that name.
            Ambiguous: several do.
        """
        hostname, _, org = name.rpartition(".")
        group = self._groups.get(org)
        return group.find(hostname) if hostname and group is not None and group.kind is GroupKind.ORG else None

    # Life.

    async def restore(self, values: Iterable[object]) -> None:
        """Be in the groups again that were kept; what is damaged is left out, and logged."""
        for value in values:
            try:
                charter = charter_untrusted(value, self._around.keys.public_key)
                if charter.name not in self._groups:
                    await self._start(charter)
            except BadMessage as error:
                _logger.warning("a group that was kept cannot be read", extra={"reason": error.reason})

    def kept(self) -> list[object]:
        """Return what is to be kept over a restart; it holds secrets."""
        return [group.charter.packed() for group in self._groups.values()]

    def refresh(self) -> None:
        """Tell all groups when this node's name, tags or endpoints have changed."""
        for group in self._groups.values():
            group.refresh()

    async def close(self, *, is_leaving: bool = True) -> None:
        """Stop: members are told that this node is gone, unless it crashes; what is kept stays."""
        if is_leaving and self._groups:
            self._changed()
        self._is_closed = True
        groups, self._groups = list(self._groups.values()), {}
        async with asyncio.TaskGroup() as closing:
            for group in groups:
                closing.create_task(group.close(is_leaving=is_leaving))

    # Inside.

    def _changed(self) -> None:
        """Have it kept, but not what is left when everything closes: the groups are to be there after a restart."""
        if not self._is_closed:
            self._on_change()

    def _invited(self, invitation: Invitation, name: str | None) -> Charter:
        if name is not None and name != invitation.name:
            raise InvalidArgument(
                f"the invitation is to {invitation.name!r}, not to {name[:80]!r}",
                hint="leave the name out, or ask for another invitation",
            )
        if invitation.network != self._around.network:
            raise InvalidArgument(
                f"the invitation is for mesh {invitation.network}, and this node is in mesh {self._around.network}",
                hint="start the node with the network of the invitation",
            )
        return invited(invitation, self._around.keys, self._around.doors.unix_time())

    async def _enter(self, charter: Charter, tags: Sequence[str], capabilities: Sequence[str]) -> Group:
        if charter.name in self._groups or charter.name in self._starting:
            raise AlreadyExists(
                f"this node is in a group called {charter.name!r} already",
                hint=f"leave it first with 'pilotdht group leave {charter.name}'",
            )
        if len(self._groups) + len(self._starting) >= self._around.config.max_groups:
            raise Overloaded(
                f"a node is in at most {self._around.config.max_groups} groups", hint="leave one, or raise max_groups"
            )
        charter = labelled(charter, tags, capabilities)
        self._starting[charter.name] = None
        try:
            group = await self._start(charter)
        finally:
            del self._starting[charter.name]
        self._changed()
        await group.joined()
        return group

    async def _renew(self, group: Group, charter: Charter, tags: Sequence[str], capabilities: Sequence[str]) -> Group:
        if not group.knows_key(charter.group_key):
            raise AlreadyExists(
                f"this node is in another group called {charter.name!r}, with another key",
                hint=f"if it is to be replaced, leave it first with 'pilotdht group leave {charter.name}'",
            )
        await group.renew(charter)
        if tags or capabilities:
            group.set_metadata(tags=tags or None, capabilities=capabilities or None)
        return group

    async def _start(self, charter: Charter) -> Group:
        group = Group(replace(charter, network=self._around.network), self._around, changed=self._changed)
        await group.start()
        self._groups[charter.name] = group
        return group


async def _token_keys(name: str, token: str, network: int) -> KeyPair:
    """Derive a token group's keys beside the loop: it takes a tenth of a second on purpose."""
    return await asyncio.to_thread(partial(token_group_keys, name, token, network=network))
