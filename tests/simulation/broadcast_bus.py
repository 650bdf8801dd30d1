"""Members of one group on a bus in memory, under a virtual clock: messages without sockets, sealing or membership.

Requests behave as those of the node do: sent again after a while, given up after another. Every message is encoded and
decoded once in a while, as asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container, Iterable
from random import Random
from typing import cast

from prometheus_client import CollectorRegistry

from pilotdht.config.broadcast import BroadcastConfig
from pilotdht.gossip.broadcast.bodies import Bodies
from pilotdht.gossip.broadcast.broadcast import Broadcast
from pilotdht.gossip.broadcast.metrics import BroadcastMetrics
from pilotdht.gossip.broadcast.subscriptions import Subscription
from pilotdht.gossip.values import Event
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import KeyPair
from pilotdht.net.outcomes import Answer, Answered, Deferred, Sender, Silent, Slow
from pilotdht.net.pending import Deliver, Pending
from pilotdht.net.rtt import Waits
from pilotdht.tasks import TaskScope
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.envelope import REPLY_OF, Envelope, envelope_untrusted
from pilotdht.wire.gossip_messages import GroupRequest, Summarise
from pilotdht.wire.groups import GroupId, open_group_id
from pilotdht.wire.message import Message, Reply, Request
from simulations.engine.virtual_loop import MICROSECONDS, VirtualLoop

GROUP = open_group_id("birds")
UNIX_S = 1_800_000_000.0
MAX_PLAINTEXT_BYTES = 1_139


class Bus:
    """Carries messages between members, and loses some."""

    def __init__(self, *, seed: int = 1, loss: float = 0.0, is_encoded: bool = False) -> None:
        self.random = Random(seed)
        self.loss = loss
        self.is_encoded = is_encoded
        self.posts: dict[PublicKey, BusPost] = {}
        self.dead: set[PublicKey] = set()
        self.is_cut: Callable[[PublicKey, PublicKey], bool] = lambda _one, _other: False
        self.sent: dict[str, int] = {}
        self._loop = cast("VirtualLoop", asyncio.get_running_loop())
        self._delays: dict[PublicKey, float] = {}

    def delay_s(self, one: PublicKey, other: PublicKey) -> float:
        """Return the time from one member to another: each lives somewhere between 2 and 30 ms from the middle."""
        for key in (one, other):
            if key not in self._delays:
                self._delays[key] = self.random.uniform(0.002, 0.03)
        return self._delays[one] + self._delays[other]

    def carry(self, source: PublicKey, target: PublicKey, message: Message, arrive: Callable[[Message], None]) -> None:
        """Bring a message from one member to another, unless it is lost."""
        name = type(message).__name__
        self.sent[name] = self.sent.get(name, 0) + 1
        if self.loss and self.random.random() < self.loss:
            return
        if self.is_encoded:
            observed = Endpoint("2001:db8::1", 4433) if isinstance(message, Reply) else None
            plaintext = Envelope(message, bytes(8), token=bytes(8), observed=observed).encoded()
            assert len(plaintext) <= MAX_PLAINTEXT_BYTES, f"{name} has {len(plaintext)} bytes"
            message = envelope_untrusted(plaintext).message

        def arrives() -> None:
            if source not in self.dead and target not in self.dead and not self.is_cut(source, target):
                arrive(message)

        self._loop.deliver_at(self._loop.ticks + int(self.delay_s(source, target) * MICROSECONDS), arrives, ())


class BusPost:
    """One member's way to the others."""

    def __init__(self, bus: Bus, contact: Contact) -> None:
        self.contact = contact
        self._bus = bus
        self._loop = cast("VirtualLoop", asyncio.get_running_loop())
        self._handlers: dict[type[Request], Callable[[GroupRequest, Sender], Reply | Deferred | None]] = {}
        self._rtts: dict[PublicKey, float] = {}
        bus.posts[contact.public_key] = self

    def serve(self, group: GroupId, kind: type[GroupRequest], handler: Callable[..., Reply | Deferred | None]) -> None:
        """Answer requests of a type."""
        assert group == GROUP
        self._handlers[kind] = handler

    def begin(
        self, contact: Contact, message: Request, deliver: Deliver, *, waits: Waits | None = None
    ) -> Pending | None:
        """Send a request."""
        pending = Pending(contact, message, REPLY_OF[type(message)] or Reply, deliver, waits=waits)
        rtt = self._rtts.get(contact.public_key)
        waits = waits or (Waits(0.3, 1.0) if rtt is None else Waits(1.5 * rtt + 0.02, 3 * rtt + 0.2))
        begun_at = self._loop.time()

        def answered(reply: Message) -> None:
            if not pending.is_done:
                pending.is_done = True
                taken_s = self._loop.time() - begun_at
                self._rtts[contact.public_key] = taken_s
                assert isinstance(reply, pending.expected)
                deliver(Answered(contact, Answer(reply, self.contact.endpoint, taken_s, contact, False)))

        def asked(request: Message) -> None:
            reply = self._bus.posts[contact.public_key].handle(request, self.contact)
            if isinstance(reply, Reply):
                self._bus.carry(contact.public_key, self.contact.public_key, reply, answered)

        def slow() -> None:
            if not pending.is_done and self.contact.public_key not in self._bus.dead:
                deliver(Slow(contact))
                self._bus.carry(self.contact.public_key, contact.public_key, message, asked)

        def silent() -> None:
            if not pending.is_done and self.contact.public_key not in self._bus.dead:
                pending.is_done = True
                deliver(Silent(contact))

        self._bus.carry(self.contact.public_key, contact.public_key, message, asked)
        ticks = self._loop.ticks
        self._loop.deliver_at(ticks + int(waits.slow_s * MICROSECONDS), slow, ())
        self._loop.deliver_at(ticks + int(waits.silent_s * MICROSECONDS), silent, ())
        return pending

    def abandon(self, pending: Pending) -> None:
        """Forget a request."""
        pending.is_done = True

    def tell(self, contact: Contact, message: Request) -> bool:
        """Send what nobody answers."""

        def told(request: Message) -> None:
            self._bus.posts[contact.public_key].handle(request, self.contact)

        self._bus.carry(self.contact.public_key, contact.public_key, message, told)
        return True

    def rtt_of(self, contact: Contact) -> float | None:
        """Return the last round trip to somebody."""
        return self._rtts.get(contact.public_key)

    def handle(self, request: Message, source: Contact) -> Reply | Deferred | None:
        """Answer a request."""
        assert isinstance(request, GroupRequest)
        handler = self._handlers.get(type(request))
        return None if handler is None else handler(request, Sender(source, True, False))


class Everybody:
    """Membership that knows all members, the dead included: nobody has noticed yet."""

    def __init__(self, own_key: PublicKey, contacts: dict[PublicKey, Contact]) -> None:
        self._own_key = own_key
        self._contacts = contacts

    def is_member(self, public_key: PublicKey) -> bool:
        """Return whether somebody is in the group."""
        return public_key in self._contacts

    def contact_of(self, public_key: PublicKey) -> Contact | None:
        """Return where to reach a member."""
        return self._contacts.get(public_key)

    def sample(self, count: int, random: Random, *, without: Container[PublicKey] = ()) -> list[Contact]:
        """Return some members."""
        keys = list(self._contacts)
        drawn = random.sample(keys, min(len(keys), 2 * count + 8))
        return [self._contacts[key] for key in drawn if key != self._own_key and key not in without][:count]


class Nobody(Everybody):
    """Membership that admits all members and names none: partial views alone carry the group."""

    def contact_of(self, public_key: PublicKey) -> Contact | None:
        """Return nothing."""
        return None

    def sample(self, count: int, random: Random, *, without: Container[PublicKey] = ()) -> list[Contact]:
        """Return nobody."""
        return []


class Member:
    """One member with a reader of everything."""

    def __init__(
        self,
        bus: Bus,
        keys: KeyPair,
        contact: Contact,
        membership: Everybody,
        *,
        scope: TaskScope,
        config: BroadcastConfig,
        bodies: Bodies | None = None,
        unix_ahead_s: float = 0.0,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.keys = keys
        self.contact = contact
        self.metrics = BroadcastMetrics(CollectorRegistry())
        self.post = BusPost(bus, contact)
        self.broadcast = Broadcast(
            GROUP,
            "birds",
            keys,
            post=self.post,
            membership=membership,
            bodies=bodies,
            config=config,
            metrics=self.metrics,
            scope=scope,
            random=Random(bus.random.random()),
            unix_time=lambda: UNIX_S + loop.time() + unix_ahead_s,
            hostname_of=lambda _key: "",
        )
        self.post.serve(GROUP, Summarise, self.broadcast.summarise)
        self.reader: Subscription = self.broadcast.subscribe("**")
        self.heard: list[tuple[float, Event]] = []

    def read(self) -> list[bytes]:
        """Return the contents that came since the last time."""
        return [event.data for event in self.events()]

    def events(self) -> list[Event]:
        """Return the events that came since the last time."""
        return [self.reader.take() for _ in range(len(self.reader))]


class Flock:
    """A group on a bus; ``async with`` opens it."""

    def __init__(
        self,
        count: int,
        *,
        seed: int = 1,
        loss: float = 0.0,
        is_encoded: bool = False,
        config: BroadcastConfig | None = None,
        has_full_membership: bool = True,
    ) -> None:
        self._count = count
        self.config = config or BroadcastConfig()
        self._membership = Everybody if has_full_membership else Nobody
        self.bus = Bus(seed=seed, loss=loss, is_encoded=is_encoded)
        self.scope = TaskScope("flock")
        self.contacts: dict[PublicKey, Contact] = {}
        self.members: list[Member] = []

    async def __aenter__(self) -> Flock:
        """Make all members and let them join, 20 a second and more the larger the group is."""
        await self.scope.__aenter__()
        for _ in range(self._count):
            self.join()
            await asyncio.sleep(5.0 / self._count)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close all members."""
        for member in self.members:
            member.broadcast.close()
        await self.scope.close()
        assert self.scope.failures == 0

    def join(self, keys: KeyPair | None = None, *, bodies: Bodies | None = None, unix_ahead_s: float = 0.0) -> Member:
        """Add a member that knows one other."""
        keys = keys or KeyPair.from_seed(self.bus.random.randbytes(32))
        number = len(self.contacts) + 1
        contact = Contact(keys.public_key, Endpoint(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 4433))
        seeds = [self.bus.random.choice(self.alive).contact] if self.alive else []
        self.contacts[keys.public_key] = contact
        membership = self._membership(keys.public_key, self.contacts)
        member = Member(
            self.bus,
            keys,
            contact,
            membership,
            scope=self.scope,
            config=self.config,
            bodies=bodies,
            unix_ahead_s=unix_ahead_s,
        )
        self.members.append(member)
        member.broadcast.start(seeds)
        return member

    def kill(self, members: Iterable[Member]) -> None:
        """Stop members without a word."""
        self.bus.dead.update(member.keys.public_key for member in members)

    @property
    def alive(self) -> list[Member]:
        """Members that were not killed."""
        return [member for member in self.members if member.keys.public_key not in self.bus.dead]

    def total(self, name: str) -> float:
        """Return a counter, summed over all members."""
        return float(sum(getattr(member.metrics, name).value for member in self.members))
