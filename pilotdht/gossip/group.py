"""One group that this node is in: its members and their changes, and messages to all of them.

A group stays the same for programs while its key is replaced: then two eras of it run side by side
(:mod:`pilotdht.gossip.era`), whose members are counted once, and whose messages are read once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from pilotdht.errors import Ambiguous, InvalidArgument, NotFound
from pilotdht.gossip.authority import GRACE_S, INVITATION_LIFETIME_S
from pilotdht.gossip.broadcast.bodies import BodyKeeper
from pilotdht.gossip.broadcast.subscriptions import Subscription
from pilotdht.gossip.charter import Charter, labelled
from pilotdht.gossip.eras import Eras
from pilotdht.gossip.feed import Feed
from pilotdht.gossip.surroundings import Surroundings
from pilotdht.gossip.values import Event, GroupInfo, GroupKind, MemberEvent, MemberInfo
from pilotdht.identity.ids import PublicKey
from pilotdht.wire.certificates import Role
from pilotdht.wire.contact import Contact
from pilotdht.wire.groups import GroupId
from pilotdht.wire.revocations import Revocation
from pilotdht.wire.rotations import Rotation

BROADCAST_TOPIC = "broadcast"
"""The topic of messages that have no other."""


class Group:
    """This node's membership in one group; made by ``Node.create_group`` and ``Node.join_group``."""

    def __init__(self, charter: Charter, around: Surroundings, *, changed: Callable[[], None]) -> None:
        """Make it; :meth:`start` begins.

        Args:
            charter: what makes this node a member.
            around: the node.
            changed: called when the charter has changed and should be kept.
        """
        self._around = around
        self._kept = changed
        self._loop = asyncio.get_running_loop()
        self._feeds: dict[Feed[MemberEvent], None] = {}
        self._eras = Eras(charter, around, changed=changed, on_event=self._tell)

    # Life.

    async def start(self) -> None:
        """Begin to be a member; finding the others goes on in the background."""
        await self._eras.start()

    async def joined(self) -> None:
        """Wait until somebody was found, or nobody is there to be found; at most as long as the configuration says."""
        try:
            async with asyncio.timeout(self._around.config.join_timeout_s):
                await self._eras.current.rendezvous.joined()
        except TimeoutError:
            pass

    async def renew(self, charter: Charter) -> None:
        """Replace this member's certificates by those of an invitation, before or after they have expired.

        Raises:
            InvalidArgument: they give less than the present ones, or the key in them was expelled.
        """
        await self._eras.renew(charter)

    async def close(self, *, is_leaving: bool) -> None:
        """Stop being a member: for good, or until the node starts again; safe to call twice."""
        await self._eras.close(is_leaving=is_leaving)
        for feed in list(self._feeds):
            feed.close()

    async def withdraw(self) -> None:
        """Take this member's entries out of the DHT; what cannot be told expires by itself."""
        await self._eras.withdraw()

    # What it is.

    @property
    def charter(self) -> Charter:
        """What makes this node a member: to be kept over a restart; it holds secrets."""
        return self._eras.charter

    @property
    def name(self) -> str:
        """What it is called."""
        return self._eras.current.charter.name

    @property
    def group_id(self) -> GroupId:
        """20 bytes; two groups of one name differ in it. Another one follows when the group's key is replaced."""
        return self._eras.current.group

    @property
    def group_ids(self) -> tuple[GroupId, ...]:
        """By what members may name it now, the present id first: several while its key is replaced."""
        return self._eras.group_ids

    def knows_key(self, group_key: PublicKey | None) -> bool:
        """Return whether a key is the group's, or the one that follows it."""
        return self._eras.knows_key(group_key)

    @property
    def kind(self) -> GroupKind:
        """Who may join."""
        return self._eras.current.charter.kind

    @property
    def is_expelled(self) -> bool:
        """This node was expelled, or its certificates are void: nobody hears it any more."""
        return not self._eras.current.is_good

    def info(self) -> GroupInfo:
        """Return what the group looks like from here."""
        era, eras = self._eras.current, self._eras
        chain = era.charter.chain
        return GroupInfo(
            name=self.name,
            group_id=self.group_id,
            kind=self.kind,
            role=era.charter.role,
            alive=eras.alive_count(),
            suspect=era.swim.members.suspected,
            dead=era.swim.members.dead,
            health=era.swim.awareness.score,
            topics=eras.readers.patterns,
            events=era.messages.kept,
            expires_s=None if chain is None else float(chain.expires_s),
            is_expelled=self.is_expelled,
            moves_until_s=eras.moves_until_s,
        )

    def members(self) -> list[MemberInfo]:
        """Return all members, those that died or left lately included, in the order of their addresses."""
        now = self._loop.time()
        infos = [era.info_of(member, now) for era, member in self._eras.members()]
        return sorted(infos, key=lambda info: info.address.packed)

    def member(self, public_key: PublicKey) -> MemberInfo | None:
        """Return one member; absent when it is not known."""
        found = [(era, member) for era in self._eras.all() if (member := era.swim.members.of_key(public_key))]
        if not found:
            return None
        era, member = next((one for one in found if one[1].is_there), found[0])
        return era.info_of(member, self._loop.time())

    def is_member(self, public_key: PublicKey) -> bool:
        """Return whether somebody is a member that is there."""
        return any(era.is_there(public_key) for era in self._eras.all())

    def contact_of(self, public_key: PublicKey) -> Contact | None:
        """Return where a member is reached; absent when it is not known."""
        contacts = [era.swim.contact_of(public_key) for era in self._eras.all()]
        return next((contact for contact in contacts if contact is not None), None)

    def changes(self) -> Feed[MemberEvent]:
        """Return the changes of membership from now on: ``async with group.changes() as changes: async for …``.

        That this node was expelled, or its certificates expired, is told once, as a change of itself.
        """
        feed: Feed[MemberEvent] = Feed(
            most=self._around.config.max_changes_queued, on_close=lambda feed: self._feeds.pop(feed, None)
        )
        self._feeds[feed] = None
        return feed

    # Messages.

    async def publish(self, topic: str, data: bytes) -> Event:
        """Send a message to all members; returns when it is on its way.

        Args:
            topic: words joined by dots.
            data: up to 1 MiB.

        Raises:
            InvalidArgument: the topic is malformed, or the data too long.
            Overloaded: too many messages in a short time.
            NodeClosed: the group was left.
            UsageError: this node was expelled, or its certificates expired.
        """
        if self.is_expelled:
            raise self._eras.current.why_out()
        event = self._eras.current.messages.publish(topic, data)
        if self._eras.former is not None:
            self._eras.former.messages.repeat(event)
        return event

    async def broadcast(self, data: bytes) -> Event:
        """Send a message to all members on the topic ``broadcast``.

        Raises:
            PilotError: as :meth:`publish`.
        """
        return await self.publish(BROADCAST_TOPIC, data)

    def subscribe(self, pattern: str = "**", *, is_replayed: bool = False) -> Subscription:
        """Return a reader of messages: ``async with group.subscribe("prices.*") as events: async for event in events``.

        Args:
            pattern: ``*`` stands for one word of a topic, ``**`` at the end for any number of them.
            is_replayed: begin with the messages that are kept.

        Raises:
            InvalidArgument: the pattern is malformed.
            Overloaded: too many readers.
            NodeClosed: the group was left.
        """
        subscription = self._eras.readers.subscribe(pattern)
        if is_replayed:
            for event in self._eras.replay(subscription.pattern):
                subscription.put(event)
        return subscription

    @property
    def messages(self) -> BodyKeeper:
        """The contents of its messages, for members that fetch them."""
        return self._eras

    # What this member says of itself.

    def set_metadata(
        self,
        *,
        tags: Sequence[str] | None = None,
        capabilities: Sequence[str] | None = None,
        load: int | None = None,
    ) -> None:
        """Tell the others something else about this member; what is not given stays.

        Args:
            tags: besides those of the node.
            capabilities: what it can answer.
            load: how busy it is, 0..100 percent.

        Raises:
            InvalidArgument: a word is malformed, there are too many, or the load is out of range.
        """
        charter = labelled(self._eras.current.charter, tags, capabilities)
        if load is not None and not 0 <= load <= 100:
            raise InvalidArgument(f"the load is a percentage from 0 to 100, not {load}")
        is_new = charter != self._eras.current.charter
        for era in self._eras.all():
            era.charter = replace(era.charter, tags=charter.tags, capabilities=charter.capabilities)
            era.load = era.load if load is None else load
        if is_new:
            self._kept()
        self.refresh()

    def refresh(self) -> None:
        """Tell the others when this node's name, tags or endpoints have changed."""
        for era in self._eras.all():
            if era.is_running:
                era.swim.refresh()

    # Certificates.

    def invite(
        self,
        *,
        role: Role = Role.MEMBER,
        holder: PublicKey | None = None,
        hostname: str = "",
        lifetime_s: float = INVITATION_LIFETIME_S,
        hints: Sequence[str] = (),
    ) -> str:
        """Return an invitation as one line of text.

        Args:
            role: what it makes of whoever accepts it; admins are only made for a certain key.
            holder: for this key alone; absent: for whoever has the text.
            hostname: the name that it grants in the group.
            lifetime_s: seconds until it, and every membership by it, ends.
            hints: up to 3 ``host:port`` of nodes to begin with; absent: this node's own endpoints.

        Raises:
            InvalidArgument: a value is malformed.
            UsageError: the group needs no invitations, or this node may not make them.
        """
        return self._eras.current.authority.invitation(role, holder, hostname, lifetime_s, tuple(hints))

    async def revoke(self, public_key: PublicKey, reason: str = "") -> Revocation:
        """Expel a member, or end an invitation by the key in it, and tell the group and the DHT.

        Raises:
            InvalidArgument: it cannot be expelled, or the reason is too long.
            UsageError: this node may not expel anybody.
        """
        return await self._eras.revoke(public_key, reason)

    async def rotate(self, *, grace_s: float = GRACE_S) -> Rotation:
        """Give the group another key; its members follow by themselves, and programs go on.

        Each has its certificates made anew by this node, or by an admin that has followed already. Until the time is
        over the group runs by both keys; whoever has not followed then needs a new invitation. Whoever was expelled
        stays expelled.

        Args:
            grace_s: seconds until certificates of the old key are void.

        Raises:
            InvalidArgument: the time is too short or too long.
            UsageError: this node does not hold the group's key, or the group is moving to another key already.
        """
        return await self._eras.rotate(grace_s)

    def find(self, hostname: str) -> MemberInfo:
        """Return the member with a hostname: whom certificates give it, else the only one that claims it.

        Raises:
            NotFound: nobody there has it.
            Ambiguous: several do.
        """
        there = [
            (era, member)
            for era, member in self._eras.members()
            if member.is_there and era.info_of(member, 0.0).hostname == hostname
        ]
        granted = [(era, member) for era, member in there if era.granted_to(member.signed.fact.public_key) == hostname]
        now = self._loop.time()
        found = [era.info_of(member, now) for era, member in granted or there]
        if not found:
            raise NotFound(
                f"no member of {self.name!r} is called {hostname!r}",
                hint=f"'pilotdht group members {self.name}' lists them",
            )
        if len(found) > 1:
            claims = tuple(str(info.address) for info in found)
            raise Ambiguous(f"{len(found)} members of {self.name!r} are called {hostname!r}", claims=claims)
        return found[0]

    # Inside.

    def _tell(self, event: MemberEvent) -> None:
        for feed in list(self._feeds):
            feed.put(event)
