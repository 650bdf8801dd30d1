"""One group by one key: its members, its messages and its place in the DHT.

A group that never has another key is one era. While its key is replaced a member runs two of them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from pilotdht.errors import PilotError, UsageError
from pilotdht.gossip.admission import KeyedAdmission, OpenAdmission
from pilotdht.gossip.authority import Authority
from pilotdht.gossip.broadcast.broadcast import Broadcast
from pilotdht.gossip.broadcast.numbering import Numbering
from pilotdht.gossip.broadcast.readers import Readers
from pilotdht.gossip.charter import Charter, certified
from pilotdht.gossip.members import Change, Member
from pilotdht.gossip.rendezvous import Rendezvous
from pilotdht.gossip.repair import MEMBERS
from pilotdht.gossip.surroundings import Surroundings
from pilotdht.gossip.swim import Swim
from pilotdht.gossip.values import MemberChange, MemberInfo, MemberStatus
from pilotdht.gossip.voice import Description
from pilotdht.identity.address import Address
from pilotdht.identity.ids import PublicKey
from pilotdht.net.outcomes import Sender
from pilotdht.tasks import TaskScope
from pilotdht.wire.certificates import Role
from pilotdht.wire.contact import Contact
from pilotdht.wire.gossip_messages import Summaries, Summarise
from pilotdht.wire.groups import GroupId
from pilotdht.wire.membership import (
    MAX_CAPABILITIES,
    MAX_FACT_ENDPOINTS,
    MAX_FACT_INTRODUCERS,
    MAX_FACT_TAGS,
    MAX_VERSION_CHARS,
)
from pilotdht.wire.revocations import Revocation
from pilotdht.wire.rotations import Rotation

NoticeT = TypeVar("NoticeT", Revocation, Rotation, Revocation | Rotation)

CERTIFICATE_LIFETIME_S = 90 * 86_400.0
"""How long the certificates last that the holder of a group's key issues to itself; renewed at half of it."""

_logger = logging.getLogger(__name__)


class Era:
    """This node's membership by one key of a group."""

    def __init__(
        self,
        charter: Charter,
        around: Surroundings,
        *,
        readers: Readers,
        numbering: Numbering,
        on_change: Callable[[Era, Change], None],
        on_notice: Callable[[Era], None],
    ) -> None:
        """Make it; :meth:`start` begins.

        Args:
            charter: what makes this node a member; the one before, if any, is not this era's.
            around: the node.
            readers: to whom messages go.
            numbering: the count of this node's messages.
            on_change: told of each change of its members but this one.
            on_notice: told that a revocation or rotation was heard, or made.
        """
        self.charter = replace(charter, former=None)
        """What makes this node a member."""
        self.load: int | None = None
        """How busy this node says it is, 0..100 percent."""
        self.is_running = False
        """It takes part: it was started, and neither closed nor left."""
        self.admission: KeyedAdmission | None = None
        """Who may be a member; absent in an open group."""
        self._around = around
        self._readers = readers
        self._on_change = on_change
        self._on_notice = on_notice
        unix_time = around.doors.unix_time
        if charter.group_key is not None:
            self.admission = KeyedAdmission(
                charter.group_key, unix_time=unix_time, holds_key=charter.group_keys is not None
            )
            for item in charter.notices:
                self.admission.remember(item)
            if charter.rotation is not None and charter.is_replaced:
                self.admission.follow(charter.rotation, is_own=True)
        self._scope = TaskScope(f"group {charter.name}")
        self.authority = Authority(around, lambda: self.charter)
        """What this node signs for the group."""
        self.swim = Swim(
            group=charter.group,
            keys=around.keys,
            post=around.post,
            config=around.config,
            metrics=around.metrics,
            random=around.doors.random,
            unix_time=unix_time,
            admission=OpenAdmission() if self.admission is None else self.admission,
            describe=self._description,
            on_change=self._changed,
            on_notice=self._noticed,
        )
        """Who is there."""
        self.messages = Broadcast(
            charter.group,
            charter.name,
            around.keys,
            post=around.post,
            membership=self.swim,
            bodies=around.bodies,
            config=around.broadcast,
            metrics=around.broadcast_metrics,
            scope=self._scope,
            random=around.doors.random,
            unix_time=unix_time,
            hostname_of=self._hostname_of,
            network=charter.network,
            readers=readers,
            numbering=numbering,
        )
        """What is said."""
        self.rendezvous = Rendezvous(
            charter=lambda: self.charter,
            own_key=around.keys.public_key,
            swim=self.swim,
            entries=around.entries,
            locate=around.locate,
            config=around.config,
            random=around.doors.random,
            entry_ttl_s=around.entry_ttl_s,
            on_notice=self.take_notice,
            is_sought=self._is_sought,
        )
        """Where members meet."""

    # Life.

    async def start(self) -> None:
        """Begin to be a member; finding the others goes on in the background."""
        self.is_running = True
        await self._scope.__aenter__()
        self.swim.start(self._scope)
        self._around.post.serve(self.group, Summarise, self._summarise)
        if self.admission is not None:
            for item in self.admission.notices():
                self.swim.repair.add_notice(item)
            if self.admission.succession.rotation is not None:
                self.swim.repair.add_notice(self.admission.succession.rotation.wire)
        self.messages.start()
        self._scope.start(self.rendezvous.run(), name="meet")

    async def close(self, *, is_leaving: bool) -> None:
        """Stop being a member: for good, or until the node starts again; safe to call twice."""
        if is_leaving and self.is_running:
            await self.swim.depart()
        self.is_running = False
        self.messages.close()
        self.swim.close()
        self._around.post.close(self.group)
        await self._scope.close()

    async def withdraw(self) -> None:
        """Take this member's entry out of the DHT; one whose holders cannot be told expires by itself."""
        try:
            await self.rendezvous.withdraw()
        except PilotError as error:
            _logger.info(
                "the group's entry was not withdrawn", extra={"group": self.charter.name, "reason": error.code}
            )

    def join_through(self, contact: Contact) -> None:
        """Introduce this member to one that is there, in the background."""

        async def join() -> None:
            try:
                await self.swim.join(contact)
            except PilotError as error:  # the entries name others
                _logger.info("a member did not answer", extra={"group": self.charter.name, "reason": error.code})

        if self.is_running:
            self._scope.start(join(), name="join")

    def certify(self) -> bool:
        """Renew this member's certificates where it holds the group's key; return whether that was done."""
        if self.charter.is_replaced:
            return False
        charter = certified(
            self.charter,
            self._around.keys.public_key,
            unix_time=self._unix_time(),
            lifetime_s=CERTIFICATE_LIFETIME_S,
        )
        is_new = charter != self.charter
        self.charter = charter
        return is_new

    def forget_ended(self) -> bool:
        """Forget revocations that ended; return whether there were any."""
        if self.admission is None or not self.admission.revocations.expire(self._unix_time()):
            return False
        rotation = self.admission.succession.rotation
        self.charter = replace(self.charter, notices=self.admission.notices())
        self.swim.repair.keep_notices([*self.charter.notices, *([] if rotation is None else [rotation.wire])])
        return True

    # What it is.

    @property
    def group(self) -> GroupId:
        """20 bytes."""
        return self.charter.group

    @property
    def is_good(self) -> bool:
        """This node is a member by its certificates now; in an open group always."""
        if self.admission is None:
            return True
        chain = self.charter.chain
        return chain is not None and self.admission.admits(chain, self._unix_time())

    @property
    def is_over(self) -> bool:
        """The key was replaced, and its certificates are void."""
        return self.admission is not None and self.admission.succession.is_over(self._unix_time())

    @property
    def rotation(self) -> Rotation | None:
        """What follows this era's key; absent: nothing."""
        return None if self.admission is None else self.admission.succession.rotation

    def is_there(self, public_key: PublicKey) -> bool:
        """Return whether somebody is a member that is there."""
        return self.is_running and self.swim.is_member(public_key)

    def why_out(self) -> UsageError:
        """Return why this node is no member any more."""
        name, chain, now = self.charter.name, self.charter.chain, self._unix_time()
        hint = "ask an admin of the group for a new invitation, and join with it"
        if self.is_over:
            return UsageError(f"{name!r} has another key, and this node did not follow in time", hint=hint)
        if chain is None or self.admission is None or not chain.is_live(now):
            return UsageError(f"this node's certificate for {name!r} is not in force", hint=hint)
        revocation = self.admission.revocations.find(chain, now)
        reason = f": {revocation.reason}" if revocation is not None and revocation.reason else ""
        return UsageError(f"this node was expelled from {name!r}{reason}", hint="ask an admin of the group")

    def info_of(self, member: Member, now: float) -> MemberInfo:
        """Return what is known of a member."""
        fact = member.signed.fact
        return MemberInfo(
            public_key=fact.public_key,
            address=Address.of_public_key(fact.public_key, network=self.charter.network),
            hostname=self.granted_to(fact.public_key) or fact.hostname,
            status=member.status,
            role=member.role,
            tags=fact.tags,
            capabilities=fact.capabilities,
            load=fact.load,
            version=fact.version,
            incarnation=fact.incarnation,
            rtt_s=self.swim.rtt_of(member),
            since_s=now - member.since,
            is_self=fact.public_key == self._around.keys.public_key,
        )

    def own_info(self, status: MemberStatus) -> MemberInfo:
        """Return what this node says of itself, or would say."""
        described, key = self._description(), self._around.keys.public_key
        return MemberInfo(
            public_key=key,
            address=Address.of_public_key(key, network=self.charter.network),
            hostname=described.hostname,
            status=status,
            role=Role.MEMBER if self.charter.chain is None else self.charter.chain.role,
            tags=described.tags,
            capabilities=described.capabilities,
            load=described.load,
            version=described.version,
            incarnation=int(self._unix_time() * 1000),
            rtt_s=None,
            since_s=0.0,
            is_self=True,
        )

    def granted_to(self, public_key: PublicKey) -> str:
        """Return the hostname that certificates give a member, or an empty text."""
        member = self.swim.members.of_key(public_key)
        if member is None or self.admission is None:
            return ""
        chain = self.admission.chain_of(member.signed.fact)
        return "" if chain is None else chain.hostname

    # Revocations and rotations.

    def revocations(self) -> list[Revocation]:
        """Return the expulsions that count now."""
        return [] if self.admission is None else self.admission.revocations.in_force(self._unix_time())

    def replace_key(self, rotation: Rotation) -> None:
        """Take in that this era's key has a successor, without telling anybody yet."""
        if self.admission is not None and self.admission.follow(rotation, is_own=True):
            self.charter = replace(self.charter, rotation=rotation)

    def take_notice(self, notice: Revocation | Rotation) -> bool:
        """Take in what is verified, and pass it on when it is new; return whether it is."""
        return bool(self.take_notices([notice]))

    def take_notices(self, notices: Sequence[NoticeT]) -> list[NoticeT]:
        """Take in what is verified, and pass on what is new; return that."""
        new: list[NoticeT] = []
        for notice in notices:
            if self._is_news(notice):
                new.append(notice)
                if self.is_running:
                    self.swim.pass_on(notice.wire)
        if new and not self.is_running:
            self._noticed()
        return new

    # Inside.

    def _is_news(self, notice: Revocation | Rotation) -> bool:
        if self.admission is None or notice.group_key != self.charter.group_key:
            return False
        return self.admission.add(notice) if isinstance(notice, Revocation) else self.admission.follow(notice)

    def _description(self) -> Description:
        around, charter = self._around, self.charter
        granted = "" if charter.chain is None else charter.chain.hostname
        tags = dict.fromkeys((*around.tags(), *charter.tags))
        capabilities = dict.fromkeys((*charter.capabilities, *around.capabilities(charter.name)))
        return Description(
            endpoints=around.endpoints()[:MAX_FACT_ENDPOINTS],
            introducers=tuple(around.introducers())[:MAX_FACT_INTRODUCERS],
            hostname=granted or around.hostname(),
            tags=tuple(tags)[:MAX_FACT_TAGS],
            capabilities=tuple(capabilities)[:MAX_CAPABILITIES],
            load=self.load,
            version=around.version[:MAX_VERSION_CHARS],
            chain=b"" if charter.chain is None else charter.chain.wire,
        )

    def _changed(self, change: Change) -> None:
        member = change.member
        public_key = member.signed.fact.public_key
        if change.kind is None or public_key == self._around.keys.public_key:
            return
        if change.kind is MemberChange.JOINED:
            contact = self.swim.contact_of(public_key)
            if contact is not None:
                self.messages.on_member(contact)
        elif not member.is_there:
            self.messages.on_member_gone(public_key, is_expelled=change.kind is MemberChange.EXPELLED)
        self._on_change(self, change)

    def _noticed(self) -> None:
        if self.admission is not None:
            rotation = self.admission.succession.rotation or self.charter.rotation
            self.charter = replace(self.charter, notices=self.admission.notices(), rotation=rotation)
            self._on_notice(self)

    def _summarise(self, message: Summarise, sender: Sender) -> Summaries | None:
        if message.subject == MEMBERS:
            return self.swim.summarise(message, sender)
        return self.messages.summarise(message, sender)

    def _is_sought(self) -> bool:
        """Members of the key before look for whoever can renew their certificates."""
        charter = self.charter
        is_new = charter.rotation is not None and not charter.is_replaced
        can_renew = charter.chain is not None and charter.chain.role is Role.ADMIN
        return is_new and can_renew and charter.rotation is not None and self._unix_time() < charter.rotation.until_s

    def _hostname_of(self, public_key: PublicKey) -> str:
        member = self.swim.members.of_key(public_key)
        return "" if member is None else self.granted_to(public_key) or member.signed.fact.hostname

    def _unix_time(self) -> float:
        return self._around.doors.unix_time()
