"""Groups and questions of a node without a network: what was said is remembered, what comes is put in by the test."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pilotdht.daemon.group_verbs import HandlerT
from pilotdht.errors import AlreadyExists, InvalidArgument, NotFound, PilotError, UsageError
from pilotdht.gossip.broadcast.subscriptions import Subscription
from pilotdht.gossip.broadcast.topics import Pattern, check_topic
from pilotdht.gossip.feed import Feed
from pilotdht.gossip.values import (
    Event,
    GroupInfo,
    GroupKind,
    MemberChange,
    MemberEvent,
    MemberInfo,
    MemberStatus,
)
from pilotdht.identity.address import Address
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import KeyPair
from pilotdht.services.query.circuit import CircuitState
from pilotdht.services.query.content import Content, content_of
from pilotdht.services.query.handlers import Handlers
from pilotdht.services.query.values import Answer, Explanation, Question
from pilotdht.wire.certificates import Role
from pilotdht.wire.groups import open_group_id
from pilotdht.wire.invitations import KeyedKind, invite
from pilotdht.wire.revocations import Revocation, revoke
from pilotdht.wire.rotations import Rotation, rotate
from tests.support.fake_answering import FakeAnswering

OWN = KeyPair.from_seed(b"\1" * 32)
ALPHA = KeyPair.from_seed(b"\2" * 32)
GROUP_KEYS = KeyPair.from_seed(b"\3" * 32)
NEXT_GROUP_KEYS = KeyPair.from_seed(b"\5" * 32)
"""What a group's key is replaced by."""

NOW = 1_700_000_000
QUEUED = 3
"""Values that a reader of the fake may leave waiting."""

SECRET = "s3cret"
"""The token of every token group here."""


def member(keys: KeyPair = ALPHA, hostname: str = "agent-alpha", **changes: object) -> MemberInfo:
    """Return a member."""
    facts: dict[str, object] = {
        "public_key": keys.public_key,
        "address": Address.of_public_key(keys.public_key),
        "hostname": hostname,
        "status": MemberStatus.ALIVE,
        "role": Role.MEMBER,
        "tags": ("finance",),
        "capabilities": ("citations",),
        "load": 30,
        "version": "0.1.0",
        "incarnation": NOW * 1000,
        "rtt_s": 0.038,
        "since_s": 12.0,
        "is_self": keys is OWN,
    }
    return MemberInfo(**{**facts, **changes})  # type: ignore[arg-type]  # a test names fields that exist


def event(data: bytes, topic: str = "prices.eur", *, group: str = "research", sequence: int = 1) -> Event:
    """Return a message of the other member."""
    return Event(
        group=group,
        topic=topic,
        data=data,
        sender=ALPHA.public_key,
        address=Address.of_public_key(ALPHA.public_key),
        hostname="agent-alpha",
        sequence=sequence,
        epoch_ms=NOW * 1000,
        sent_ms=NOW * 1000 + sequence,
    )


class FakeGroup:
    """A group of this node and ``agent-alpha``, and of whoever a test adds."""

    def __init__(self, name: str, kind: GroupKind = GroupKind.OPEN) -> None:
        self.name = name
        self.kind = kind
        self.is_expelled = False
        self.others = [member()]
        self.told: list[tuple[Sequence[str] | None, Sequence[str] | None, int | None]] = []
        """What was said with ``set_metadata``."""
        self.published: list[tuple[str, bytes]] = []
        self.kept: list[Event] = []
        """What a replay begins with."""
        self.subscriptions: list[Subscription] = []
        self.feeds: list[Feed[MemberEvent]] = []
        self.revoked: list[tuple[PublicKey, str]] = []
        self.rotated: list[float] = []
        """Seconds that members were given to follow, each time."""

    def info(self) -> GroupInfo:
        """Return fixed facts."""
        has_key = self.kind in (GroupKind.INVITE, GroupKind.ORG)
        return GroupInfo(
            name=self.name,
            group_id=open_group_id(self.name),
            kind=self.kind,
            role=Role.OWNER if has_key else Role.MEMBER,
            alive=1 + len(self.others),
            suspect=0,
            dead=0,
            health=0,
            topics=tuple(one.pattern.text for one in self.subscriptions),
            events=len(self.kept),
            expires_s=float(NOW + 86_400) if has_key else None,
            is_expelled=self.is_expelled,
            moves_until_s=float(NOW + 60) if has_key else None,
        )

    def members(self) -> list[MemberInfo]:
        """Return this node and the others."""
        return [member(OWN, "agent-own", rtt_s=None, load=None), *self.others]

    def member(self, public_key: PublicKey) -> MemberInfo | None:
        """Return one of them."""
        return next((one for one in self.members() if one.public_key == public_key), None)

    def find(self, hostname: str) -> MemberInfo:
        """Return one by name."""
        found = [one for one in self.members() if one.hostname == hostname]
        if not found:
            raise NotFound(f"no member of {self.name!r} is called {hostname!r}")
        return found[0]

    def changes(self) -> Feed[MemberEvent]:
        """Return a feed that the test fills with :meth:`change`."""
        feed: Feed[MemberEvent] = Feed(most=QUEUED, on_close=self.feeds.remove)
        self.feeds.append(feed)
        return feed

    def change(self, change: MemberChange, who: MemberInfo) -> None:
        """Have something happen to a member."""
        for feed in self.feeds:
            feed.put(MemberEvent(group=self.name, change=change, member=who))

    def subscribe(self, pattern: str = "**", *, is_replayed: bool = False) -> Subscription:
        """Return a reader that the test fills with :meth:`arrive`."""
        reader = Subscription(
            Pattern(pattern),
            most_events=QUEUED,
            most_bytes=1 << 20,
            on_missed=lambda: None,
            on_close=self.subscriptions.remove,
        )
        self.subscriptions.append(reader)
        for one in self.kept if is_replayed else ():
            reader.put(one)
        return reader

    def arrive(self, one: Event) -> None:
        """Have a message come."""
        for reader in self.subscriptions:
            if reader.pattern.matches(one.topic):
                reader.put(one)

    async def publish(self, topic: str, data: bytes) -> Event:
        """Remember the message."""
        self.published.append((check_topic(topic), data))
        sent = event(data, topic, group=self.name)
        return Event(
            group=sent.group,
            topic=sent.topic,
            data=data,
            sender=OWN.public_key,
            address=Address.of_public_key(OWN.public_key),
            hostname="agent-own",
            sequence=len(self.published),
            epoch_ms=sent.epoch_ms,
            sent_ms=sent.sent_ms,
        )

    def set_metadata(
        self,
        *,
        tags: Sequence[str] | None = None,
        capabilities: Sequence[str] | None = None,
        load: int | None = None,
    ) -> None:
        """Remember what was said."""
        self.told.append((tags, capabilities, load))

    def invite(
        self,
        *,
        role: Role = Role.MEMBER,
        holder: PublicKey | None = None,
        hostname: str = "",
        lifetime_s: float = 604_800.0,
        hints: Sequence[str] = (),
    ) -> str:
        """Return an invitation that is one."""
        return invite(
            GROUP_KEYS,
            None,
            name=self.name,
            kind=KeyedKind.ORG if self.kind is GroupKind.ORG else KeyedKind.INVITE,
            role=role,
            holder=holder,
            seed=b"" if holder is not None else b"\4" * 32,
            issued_s=NOW,
            expires_s=NOW + int(lifetime_s),
            hostname=hostname,
            hints=tuple(hints),
        ).text()

    async def revoke(self, public_key: PublicKey, reason: str = "") -> Revocation:
        """Return a revocation that is one."""
        self.revoked.append((public_key, reason))
        return revoke(GROUP_KEYS, None, holder=public_key, issued_ms=NOW * 1000, until_s=NOW + 86_400, reason=reason)

    async def rotate(self, *, grace_s: float = 604_800.0) -> Rotation:
        """Return a rotation that is one; a group that anybody can join has no key to replace."""
        if self.kind not in (GroupKind.INVITE, GroupKind.ORG):
            raise UsageError(f"{self.name!r} cannot have another key")
        self.rotated.append(grace_s)
        successor = NEXT_GROUP_KEYS.public_key
        return rotate(GROUP_KEYS, successor=successor, issued_ms=NOW * 1000, until_s=NOW + int(grace_s))

    def close(self) -> None:
        """Be left: readers end."""
        for reader in list(self.subscriptions):
            reader.close()
        for feed in list(self.feeds):
            feed.close()


class FakeGroups:
    """The verbs of a node about groups and questions; ``agent-alpha`` answers whatever it is asked."""

    failure: PilotError | None

    def __init__(self) -> None:
        self.joined: dict[str, FakeGroup] = {}
        self.asked: list[tuple[str, dict[str, object]]] = []
        """Verbs and arguments of the questions put."""
        self.answer: object = "Shannon 1948"
        """What is answered."""
        self.is_shared = False
        """Whether answers come from the group's memory."""
        self.invitations: list[str] = []
        self.handlers = Handlers()

    async def create_group(
        self,
        name: str,
        *,
        kind: GroupKind = GroupKind.OPEN,
        token: str | None = None,
        tags: Sequence[str] = (),
        capabilities: Sequence[str] = (),
    ) -> FakeGroup:
        """Be in a group."""
        if (kind is GroupKind.TOKEN) != (token is not None):
            raise InvalidArgument("a token group needs a token, and no other kind has one")
        if token not in (None, SECRET):
            raise InvalidArgument(f"the token here is {SECRET!r}")
        if name in self.joined:
            raise AlreadyExists(f"this node is in a group called {name!r} already")
        self.joined[name] = group = FakeGroup(name, kind)
        group.set_metadata(tags=tags, capabilities=capabilities)
        return group

    async def join_group(
        self,
        name: str | None = None,
        *,
        token: str | None = None,
        invitation: str | None = None,
        tags: Sequence[str] = (),
        capabilities: Sequence[str] = (),
    ) -> FakeGroup:
        """Be in a group; an invitation is to ``acme``."""
        kind = GroupKind.OPEN if token is None else GroupKind.TOKEN
        if invitation is not None:
            self.invitations.append(invitation)
            if name not in (None, "acme"):
                raise InvalidArgument(f"the invitation is to 'acme', not to {name!r}")
            name, kind = "acme", GroupKind.ORG
        if name is None:
            raise InvalidArgument("which group?")
        return await self.create_group(name, kind=kind, token=token, tags=tags, capabilities=capabilities)

    async def leave_group(self, name: str) -> None:
        """Be in it no more."""
        self.group(name).close()
        del self.joined[name]

    def group(self, name: str) -> FakeGroup:
        """Return a group."""
        if name not in self.joined:
            raise NotFound(f"this node is in no group called {name!r}")
        return self.joined[name]

    def groups(self) -> list[GroupInfo]:
        """Return all of them."""
        return [self.joined[name].info() for name in sorted(self.joined)]

    def on_query(self, capability: str = "", *, group: str | None = None) -> Callable[[HandlerT], HandlerT]:
        """Remember a handler."""

        def register(handler: HandlerT) -> HandlerT:
            self.handlers.add(handler, capability=capability, group=group)
            return handler

        return register

    def remove_query_handler(self, capability: str = "", *, group: str | None = None) -> bool:
        """Forget a handler."""
        return self.handlers.remove(capability=capability, group=group)

    async def query(
        self,
        target: str,
        question: object,
        *,
        capability: str = "",
        group: str | None = None,
        timeout_s: float = 30.0,
    ) -> Answer:
        """Answer."""
        await self._ask(target)
        return self._answered("query", target=target, question=question, capability=capability, group=group)

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
        """Answer."""
        self.group(group)
        await self._ask("agent-alpha")
        return self._answered(
            "query_group",
            explain=explain,
            group=group,
            question=question,
            capability=capability,
            tags=tuple(tags),
            quorum=quorum,
            fresh=fresh,
        )

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
        """Answer."""
        await self._ask("agent-alpha")
        return self._answered(
            "query_tag", explain=explain, tag=tag, question=question, capability=capability, quorum=quorum
        )

    def ask(
        self,
        target: str,
        question: object,
        *,
        capability: str = "",
        group: str | None = None,
        timeout_s: float = 30.0,
    ) -> FakeAnswering:
        """Answer word by word."""
        return FakeAnswering(
            self._answered("ask", target=target, question=question, capability=capability, group=group), self.failure
        )

    def ask_group(
        self,
        group: str,
        question: object,
        *,
        capability: str = "",
        tags: Sequence[str] = (),
        timeout_s: float = 30.0,
    ) -> FakeAnswering:
        """Answer word by word."""
        self.group(group)
        return FakeAnswering(
            self._answered("ask_group", group=group, question=question, capability=capability, tags=tuple(tags)),
            self.failure,
        )

    def choices(self, group: str, *, capability: str = "", tags: Sequence[str] = ()) -> tuple[Explanation, ...]:
        """Return the other member, and this one."""
        self.group(group)
        return EXPLANATION

    async def _ask(self, target: str) -> None:
        raise NotImplementedError

    def _answered(self, verb: str, *, explain: bool = False, **arguments: object) -> Answer:
        self.asked.append((verb, arguments))
        content = self.answer if isinstance(self.answer, Content) else content_of(self.answer)
        quorum = arguments.get("quorum", 1)
        return Answer(
            content=content,
            author=ALPHA.public_key,
            signers=(ALPHA.public_key,) * (quorum if isinstance(quorum, int) else 1),
            is_shared=self.is_shared,
            age_s=180.0 if self.is_shared else 0.0,
            expires_s=None,
            duration_s=0.42,
            explanation=EXPLANATION if explain else (),
        )


EXPLANATION = (
    Explanation(
        public_key=ALPHA.public_key,
        hostname="agent-alpha",
        is_capable=True,
        rtt_s=0.038,
        load=30,
        work_s=None,
        success=1.0,
        outstanding=0,
        circuit=CircuitState.CLOSED,
        score=0.95,
        rank=1,
        reason="asked first",
    ),
    Explanation(
        public_key=OWN.public_key,
        hostname="agent-own",
        is_capable=False,
        rtt_s=None,
        load=None,
        work_s=None,
        success=1.0,
        outstanding=0,
        circuit=CircuitState.HALF_OPEN,
        score=0.0,
        rank=None,
        reason="is this node itself",
    ),
)
"""Why the other member was asked."""


def question(text: object = "who?", *, group: str = "research", capability: str = "citations") -> Question:
    """Return a question of the other member."""
    return Question(asker=ALPHA.public_key, group=group, capability=capability, content=content_of(text), within_s=30.0)
