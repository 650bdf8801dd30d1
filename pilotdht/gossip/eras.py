"""A group over its keys: the era that counts, and the one before as long as it is of use.

The old era ends when its certificates are void, or when all who are there in it have long been in the new one as well:
as long as a message is kept, so that whoever was away finds in one of them all that was said. Until then every message
goes to both, under one number. What is kept of the old era afterwards lets an admin renew certificates until the date,
and tell whoever comes later that the group has another key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace

from pilotdht.errors import InvalidArgument
from pilotdht.gossip.broadcast.numbering import Numbering
from pilotdht.gossip.broadcast.readers import Readers
from pilotdht.gossip.broadcast.topics import Pattern
from pilotdht.gossip.charter import Charter, moved, succeeded
from pilotdht.gossip.era import Era
from pilotdht.gossip.members import Change, Member
from pilotdht.gossip.moving import Mover
from pilotdht.gossip.notices import Notices
from pilotdht.gossip.renewals import Renewals, issuer_of
from pilotdht.gossip.roll import alive_count, have_all_moved, is_seen, members, replay
from pilotdht.gossip.surroundings import Surroundings
from pilotdht.gossip.values import Event, MemberChange, MemberEvent, MemberStatus
from pilotdht.identity.ids import PublicKey
from pilotdht.net.outcomes import Sender
from pilotdht.tasks import TaskScope
from pilotdht.wire.certificates import Chain
from pilotdht.wire.contact import Contact
from pilotdht.wire.events import EventId
from pilotdht.wire.groups import GroupId, keyed_group_id
from pilotdht.wire.renewal_messages import Renew, Renewed
from pilotdht.wire.revocations import Revocation
from pilotdht.wire.rotations import Rotation

LOOK_INTERVAL_S = 3600.0
"""How often a member looks whether certificates have to be renewed, at least."""

MOVING_LOOK_S = 10.0
"""How often it looks whether the old era has ended, while there is one."""


class Eras:
    """One group's eras on this node."""

    def __init__(
        self,
        charter: Charter,
        around: Surroundings,
        *,
        changed: Callable[[], None],
        on_event: Callable[[MemberEvent], None],
    ) -> None:
        """Make it; :meth:`start` begins.

        Args:
            charter: what makes this node a member.
            around: the node.
            changed: called when the charter has changed and should be kept.
            on_event: told of each change of membership.
        """
        self.readers = Readers(around.broadcast, on_missed=around.broadcast_metrics.missed.inc)
        """To whom messages go."""
        self._around = around
        self._changed = changed
        self._on_event = on_event
        self._loop = asyncio.get_running_loop()
        self._numbering = Numbering(int(around.doors.unix_time() * 1000))
        self._scope = TaskScope(f"group {charter.name}")
        self._notices = Notices(around, self._scope)
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self._is_moving = False
        self._is_carrying = False
        self._is_unkept = False
        self._is_told = False
        self._alone_since: float | None = None
        self._watched_until: float | None = None
        self._is_closed = False
        self.current = self._era(charter)
        """The one that counts."""
        self._former = None if charter.former is None else self._era(charter.former)
        self._tie()

    # What there is.

    @property
    def former(self) -> Era | None:
        """The one before, while it runs; absent otherwise."""
        return self._former if self._former is not None and self._former.is_running else None

    @property
    def charter(self) -> Charter:
        """All of it, to be kept."""
        return replace(self.current.charter, former=None if self._former is None else self._former.charter)

    @property
    def group_ids(self) -> tuple[GroupId, ...]:
        """The ids by which members may name the group now, the one that counts first."""
        ids = [era.group for era in self.all()]
        if self.current.rotation is not None and not self.current.is_over:
            ids.append(keyed_group_id(self.current.rotation.successor, network=self.current.charter.network))
        return tuple(ids)

    @property
    def moves_until_s(self) -> float | None:
        """Unix time until which members move to another key; absent when they do not."""
        rotation = self.current.charter.rotation
        return float(rotation.until_s) if rotation is not None and self._unix_time() < rotation.until_s else None

    def all(self) -> tuple[Era, ...]:
        """Return the eras that are of use to members now, the one that counts first."""
        former = self.former
        return (self.current,) if former is None else (self.current, former)

    def members(self) -> Iterator[tuple[Era, Member]]:
        """Go through all members, each once, with the era in which it counts."""
        return members(self.current, self.former)

    def alive_count(self) -> int:
        """Return how many members are there, this one included."""
        return alive_count(self.current, self.former)

    def replay(self, pattern: Pattern) -> list[Event]:
        """Return the messages that are kept and match a pattern, in the order in which they came, each once."""
        return replay(self.all(), pattern)

    def body_for(self, peer: PublicKey, event_id: EventId) -> bytes | None:
        """Return the content of an event for a member that asks; absent: not kept, or no member."""
        bodies = (era.messages.body_for(peer, event_id) for era in self.all())
        return next((body for body in bodies if body is not None), None)

    # Life.

    async def start(self) -> None:
        """Begin to be a member, if this node still is one."""
        self._is_unkept = self.current.certify()
        await self._scope.__aenter__()
        if self.current.is_good:
            await self.current.start()
        else:
            self._is_told = True  # it was told before
        former = self._former
        if former is not None:
            self.readers.watch(())
            if former.is_good:
                await former.start()
            else:
                self._watched_until = self._loop.time() + self._around.broadcast.retention_s
        self._serve_renewals()
        if former is not None:
            self._notices.publish_rotation(former)
        self._wake.set()
        self._scope.start(self._run(), name="look after certificates")

    async def close(self, *, is_leaving: bool) -> None:
        """End all eras and subscriptions; safe to call twice."""
        self._is_closed = True
        await self._scope.close()
        for era in (self.current, self._former):
            if era is not None:
                await era.close(is_leaving=is_leaving)
        self.readers.close()

    async def withdraw(self) -> None:
        """Take this member's entries out of the DHT, and what it says there of the group's key."""
        for era in (self.current, self._former):
            if era is not None:
                await era.withdraw()
        if self._former is not None:
            await self._notices.withdraw_rotation(self._former)

    # Verbs.

    async def revoke(self, public_key: PublicKey, reason: str) -> Revocation:
        """Expel a member by all keys that count: see :meth:`pilotdht.gossip.group.Group.revoke`."""
        era = self.current
        revocation = era.authority.revocation(public_key, reason)
        is_new, former = era.take_notice(revocation), self._former
        if former is not None:  # who was away looks there
            said = self._notices.carry_over(former, [revocation])
            self._notices.publish_expulsions_later(former, said)
        if is_new:
            await self._notices.publish_expulsion(era, revocation)
        return revocation

    async def rotate(self, grace_s: float) -> Rotation:
        """Give the group another key: see :meth:`pilotdht.gossip.group.Group.rotate`."""
        async with self._lock:
            keys, rotation = self.current.authority.rotation(grace_s)
            if not self.current.is_good:
                raise self.current.why_out()
            await self._retire()
            own_key = self._around.keys.public_key
            former = self.current
            charter = succeeded(former.charter, keys, own_key, rotation, self._unix_time())
            former.replace_key(rotation)
            await self._enter(charter)  # which keeps it before it is announced: a key that was lost leads nobody on
            former.swim.pass_on(rotation.wire)
            return rotation

    async def renew(self, charter: Charter) -> None:
        """Take other certificates: see :meth:`pilotdht.gossip.group.Group.renew`."""
        async with self._lock:
            era, chain = self.current, charter.chain
            rotation = era.rotation
            if chain is None or era.admission is None or era.charter.group_keys is not None:
                raise InvalidArgument(f"this node holds the key of {charter.name!r}: it needs no invitation")
            held = era.charter.chain
            if era.is_good and held is not None and chain.role < held.role:
                raise InvalidArgument(
                    f"the invitation makes a {chain.role.name.lower()} of this node, which is an "
                    f"{held.role.name.lower()} of {charter.name!r}",
                    hint="ask for an invitation with the same role, or leave the group first",
                )
            if rotation is not None and charter.group_key == rotation.successor:
                await self._enter(moved(era.charter, chain, rotation))
                return
            if charter.group_key != era.charter.group_key:
                raise InvalidArgument(f"the invitation is to another group called {charter.name!r}")
            if not era.admission.admits(chain, self._unix_time()):
                raise InvalidArgument(
                    f"the invitation to {charter.name!r} does not count: this node, or whoever made it, was expelled, "
                    "or the group has another key",
                    hint="ask an admin of the group",
                )
            era.charter = replace(era.charter, chain=chain)
            self._changed()
            if era.is_running:
                era.swim.refresh()
            else:
                await self._reopen()
            self._wake.set()

    def knows_key(self, group_key: PublicKey | None) -> bool:
        """Return whether a key is the group's, or the one that follows it."""
        rotation = self.current.rotation
        return group_key == self.current.charter.group_key or (rotation is not None and group_key == rotation.successor)

    # Moving.

    async def _move(self, chain: Chain, contact: Contact) -> None:
        async with self._lock:
            rotation = self.current.rotation
            if self._is_closed or rotation is None or chain.group_key != rotation.successor:
                return
            await self._enter(moved(self.current.charter, chain, rotation))
            self.current.join_through(contact)

    async def _enter(self, charter: Charter) -> None:
        """Let another era count; the present one becomes the former."""
        era, former = self._era(charter), self.current
        era.load = former.load
        self.readers.watch(former.messages.delivered())
        self._alone_since = None
        self._watched_until = None if former.is_running else self._loop.time() + self._around.broadcast.retention_s
        is_owner, own_key = era.charter.group_keys is not None, self._around.keys.public_key
        self._notices.carry_over(era, [one for one in former.revocations() if is_owner or one.issuer_key == own_key])
        await era.start()
        self.current, self._former = era, former
        self._tie()
        if former.swim.alive_count() <= 1:
            self._say_again(former)
        self._is_told = False
        self._serve_renewals()
        self._changed()
        self._notices.publish_rotation(former)
        self._wake.set()

    def _tie(self) -> None:
        """Whoever is out by the key that counts is out by the one before."""
        former = self._former
        if former is not None and former.admission is not None and self.current.admission is not None:
            former.admission.by_successor = self.current.admission.revocations

    def _say_again(self, former: Era) -> None:
        """Say by the new key what this node said when it was alone: nobody would ever hear it."""
        own_key = self._around.keys.public_key
        own = [event for _, event in former.messages.replay(Pattern("**")) if event.sender == own_key]
        for event in own[-self._around.broadcast.publish_burst :]:
            self.current.messages.repeat(event)

    async def _retire(self) -> None:
        """Forget the former era altogether."""
        if self._former is not None:
            await self._notices.withdraw_rotation(self._former)
            former, self._former = self._former, None
            await former.close(is_leaving=False)

    async def _end_former(self, former: Era) -> None:
        """Stop the old era; whoever did not follow is out when its certificates are void."""
        if former.is_over:
            former.swim.expel_unadmitted()
        await former.close(is_leaving=False)
        self._serve_renewals()
        self._watched_until = self._loop.time() + self._around.broadcast.retention_s
        await former.withdraw()

    def _serve_renewals(self) -> None:
        former = self._former
        if former is None:
            self._around.post.serve(self.current.group, Renew, self._on_early_renew)
            return
        renewals = Renewals(self._around, former, self.current)
        self._around.post.serve(former.group, Renew, renewals.answer)

    def _on_early_renew(self, message: Renew, sender: Sender) -> Renewed | None:
        """Say that this member has not followed itself."""
        return Renewed(b"") if self.current.is_there(sender.contact.public_key) else None

    # Looking after it.

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._pause_s()):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            await self._look()

    def _pause_s(self) -> float:
        """Return how long nothing can be due."""
        now, ends = self._unix_time(), [LOOK_INTERVAL_S]
        is_following = self.current.rotation is not None and self.current.is_running
        if is_following or self.former is not None or self._watched_until is not None:
            ends.append(min(MOVING_LOOK_S, self._around.broadcast.retention_s))
        dates = [era.charter.chain.expires_s for era in self.all() if era.charter.chain is not None]
        if self.current.charter.rotation is not None:
            dates.append(self.current.charter.rotation.until_s)
        ends += [date - now for date in dates if date > now]
        return max(0.01, min(ends))

    async def _look(self) -> None:
        """Do what is due."""
        is_changed, self._is_unkept = self.current.certify() or self._is_unkept, False
        for era in self.all():
            is_changed |= era.forget_ended()
            if era.is_running:
                era.swim.refresh()
        if is_changed:
            self._changed()
        if self.current.is_good and not self.current.is_running:
            await self._reopen()
        elif not self.current.is_good and not self._is_told:
            await self._leave_silently()
        rotation = self.current.rotation
        is_follower = self.current.charter.group_keys is None and self.current.is_running
        if rotation is not None and is_follower and not self._is_moving:
            self._is_moving = True
            self._scope.start(self._follow(rotation), name="follow the group's key")
        await self._look_at_former()

    async def _look_at_former(self) -> None:
        now, former = self._loop.time(), self._former
        if former is not None and former.is_running:
            if not have_all_moved(self.current, former):
                self._alone_since = None
            elif self._alone_since is None:
                self._alone_since = now
            is_settled = self._alone_since is not None and now - self._alone_since >= self._around.broadcast.retention_s
            if former.is_over or is_settled:
                await self._end_former(former)
        elif former is not None and former.is_over and not self._is_of_use(former):
            await self._retire()
            self._changed()
        if self._watched_until is not None and now >= self._watched_until:
            self._watched_until = None
            self.readers.unwatch()

    def _is_of_use(self, former: Era) -> bool:
        """Return whether this node can still tell others of the new key."""
        chain = former.charter.chain
        is_issuer = issuer_of(former, self._around.keys) is not None
        return is_issuer and chain is not None and chain.is_live(self._unix_time())

    async def _follow(self, rotation: Rotation) -> None:
        try:
            await Mover(self.current, rotation, self._around, self._move).run()
        finally:
            self._is_moving = False

    async def _leave_silently(self) -> None:
        """Stop: nobody hears this node any more."""
        self._is_told = True
        era = self.current
        info = era.own_info(MemberStatus.LEFT)
        for one in self.all():
            await one.close(is_leaving=False)
        self._on_event(MemberEvent(group=era.charter.name, change=MemberChange.EXPELLED, member=info))
        await era.withdraw()
        if self._former is not None:
            await self._former.withdraw()

    async def _reopen(self) -> None:
        """Be a member again after having been none."""
        old = self.current
        await old.close(is_leaving=False)
        self.current = self._era(old.charter)
        self._tie()
        self.current.load = old.load
        self._is_told = False
        await self.current.start()
        self._serve_renewals()

    # What eras tell.

    def _era(self, charter: Charter) -> Era:
        return Era(
            charter,
            self._around,
            readers=self.readers,
            numbering=self._numbering,
            on_change=self._on_change,
            on_notice=self._on_notice,
        )

    def _on_change(self, era: Era, change: Change) -> None:
        """Tell of a change, unless the member is there in the other era as well: it only moved."""
        other = self.former if era is self.current else self.current
        if change.kind is not None and is_seen(change, era, self.current, other):
            info = era.info_of(change.member, self._loop.time())
            self._on_event(MemberEvent(group=era.charter.name, change=change.kind, member=info))

    def _on_notice(self, era: Era) -> None:
        """Keep what was heard; the owner says by either key whom others expelled by the other one."""
        if self._is_carrying or era not in (self.current, self._former):  # whoever makes it say so sees to the rest
            return
        former = self._former
        if former is not None and self.current.charter.group_keys is not None:
            self._is_carrying = True
            try:
                said = self._notices.carry_over(self.current if era is former else former, era.revocations())
            finally:
                self._is_carrying = False
            if era is not former:
                self._notices.publish_expulsions_later(former, said)
        if era is self.current and self.former is not None:
            self.former.swim.expel_unadmitted()
        self._is_unkept = True  # a newcomer hears a thousand at once, and writes them once
        self._wake.set()

    def _unix_time(self) -> float:
        return self._around.doors.unix_time()
