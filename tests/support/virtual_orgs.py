"""Whole nodes in one org under a virtual clock, on a network in memory: days in seconds, and repeatable."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from pilotdht.config.config import Config
from pilotdht.errors import TimedOut
from pilotdht.gossip.broadcast.subscriptions import Subscription
from pilotdht.gossip.comparing import ask
from pilotdht.gossip.feed import Feed
from pilotdht.gossip.group import Group
from pilotdht.gossip.values import GroupKind, MemberChange, MemberEvent
from pilotdht.node.node import Node
from pilotdht.node.state import NodeState
from pilotdht.wire.certificates import Role
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.renewal_messages import Renew, Renewed
from simulations.engine.virtual_loop import run_virtually
from simulations.world.world import World
from tests.support.net_nodes import key_pair

ORG = "acme"
OWNER, ADMIN = 0, 1
"""Who has made the org, and who is an admin; all others are members."""

DAY_S = 86_400.0


class Person:
    """One member with all its lives; what it reads is kept for the present life."""

    def __init__(self, org: Org, number: int) -> None:
        self.number = number
        self.keys = key_pair(number + 1)
        self.state: NodeState | None = None
        self.node: Node | None = None
        self._org = org
        self._lives = 0
        self._read: list[bytes] = []
        self._told: list[MemberEvent] = []

    @property
    def group(self) -> Group:
        """The org as it sees it."""
        assert self.node is not None, "it is not running"
        return self.node.group(ORG)

    @property
    def contact(self) -> Contact:
        """Where it answers."""
        return Contact(self.keys.public_key, self._org.endpoint_of(self.number))

    @property
    def chain_links(self) -> int:
        """How many certificates lead to it."""
        chain = self.group.charter.chain
        return 0 if chain is None else len(chain.links)

    async def start(self) -> Node:
        """Begin a life, with what was saved of the one before."""
        config = replace(
            self._org.config,
            hostname=f"person-{self.number}",
            listen=self._org.endpoint_of(self.number),
            bootstrap=tuple(str(person.contact.endpoint) for person in self._org.people if person.node is not None)[:3],
        )
        doors = self._org.world.doors(self.number, life=self._lives)
        self._lives += 1
        self.node = Node(config, keys=self.keys, doors=doors, state=self.state)
        await self.node.__aenter__()
        if self.node.groups():
            self.listen(is_replayed=True)
        return self.node

    async def stop(self, *, is_crash: bool = False) -> None:
        """End the life; what a node remembers is saved."""
        if self.node is not None:
            self.state = self.node.state()
            await (self.node.abort() if is_crash else self.node.close())
            self.node = None

    def listen(self, *, is_replayed: bool = False) -> None:
        """Read messages and changes from now on, or those that came before as well."""
        self._subscription: Subscription = self.group.subscribe(is_replayed=is_replayed)
        self._feed: Feed[MemberEvent] = self.group.changes()
        self._read, self._told = [], []

    def read(self) -> list[bytes]:
        """Return the messages of this life, in the order in which they came."""
        while len(self._subscription):
            self._read.append(self._subscription.take().data)
        return self._read

    async def told(self) -> list[tuple[MemberChange, str]]:
        """Return the changes of this life."""
        while len(self._feed):
            self._told.append(await self._feed.next())
        return [(event.change, event.member.hostname) for event in self._told]

    def is_at(self, key: bytes) -> bool:
        """Return whether it is a member by a key of the group."""
        return self.node is not None and self.group.charter.group_key == key and not self.group.is_expelled


class Org:
    """An org and its people."""

    def __init__(self, count: int, *, config: Config | None = None, seed: int = 1) -> None:
        self.world = World(seed=seed, conditions="perfect")
        self.config = Config() if config is None else config
        self.people = [Person(self, number) for number in range(count)]

    @property
    def up(self) -> list[Person]:
        """Those who are running."""
        return [person for person in self.people if person.node is not None]

    @property
    def owner(self) -> Person:
        """Who has made it."""
        return self.people[OWNER]

    @staticmethod
    def endpoint_of(number: int) -> Endpoint:
        """Return where a person's node listens."""
        return Endpoint(f"10.0.{number}.1", 4000)

    async def settle(self, *, lifetime_s: float = 30 * DAY_S) -> None:
        """Start everybody, and have all know all."""
        for person in self.people:
            node = await person.start()
            if person.number == OWNER:
                await node.create_group(ORG, kind=GroupKind.ORG)
            else:
                await self.invite(person, lifetime_s=lifetime_s)
        await self.until(self.is_whole, within_s=60)
        for person in self.people:
            person.listen()

    async def invite(self, person: Person, *, lifetime_s: float = 30 * DAY_S) -> Group:
        """Have somebody join by an invitation of the owner's."""
        assert person.node is not None, "it is not running"
        is_admin = person.number == ADMIN
        text = self.owner.group.invite(
            role=Role.ADMIN if is_admin else Role.MEMBER,
            holder=person.keys.public_key if is_admin else None,
            hostname=f"host-{person.number}",
            lifetime_s=lifetime_s,
        )
        return await person.node.join_group(invitation=text)

    def is_whole(self) -> bool:
        """Return whether all who run are members, and know one another."""
        return all(person.group.info().alive == len(self.up) for person in self.up)

    async def followed(self, key: bytes, *, within_s: float = 60.0) -> float:
        """Return after how many seconds all who run are members by a key, and know one another."""
        return await self.until(
            lambda: all(person.is_at(key) for person in self.up) and self.is_whole(), within_s=within_s
        )

    async def say(self, word: str) -> list[bytes]:
        """Have each that runs publish a message; return them."""
        said = [f"{word} {person.number}".encode() for person in self.up]
        for person, data in zip(self.up, said, strict=True):
            await person.group.publish("words", data)
        return said

    async def until(self, condition: Callable[[], bool], *, within_s: float) -> float:
        """Return after how many virtual seconds a condition holds.

        Raises:
            AssertionError: it does not hold in time.
        """
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while not condition():
            assert loop.time() - begun < within_s, "the condition does not hold in time"
            await asyncio.sleep(0.1)
        return loop.time() - begun

    async def close(self) -> None:
        """Stop everybody."""
        for person in self.people:
            await person.stop()
        self.world.network.close()


def lived(count: int, story: Callable[[Org], Awaitable[None]], *, config: Config | None = None) -> None:
    """Tell a story in which an org of so many has settled."""

    async def main() -> None:
        org = Org(count, config=config)
        await org.settle()
        try:
            await story(org)
        finally:
            await org.close()

    run_virtually(main())


async def asked(of: Person, by: Person, message: Renew) -> bytes | None:
    """Return what a person answers to a request for certificates; absent: nothing."""
    assert by.node is not None
    try:
        return (await ask(by.node.rooms.socket.rpc, of.contact, message, Renewed)).chain
    except TimedOut:
        return None


def dropped(person: Person, reason: str) -> float:
    """Return how many items and requests a person did not take for a reason."""
    assert person.node is not None
    value = person.node.registry.get_sample_value("pilotdht_gossip_dropped_total", {"reason": reason})
    return 0.0 if value is None else value


def probes_of(person: Person) -> float:
    """Return how many probes a person has sent."""
    assert person.node is not None
    values = [
        person.node.registry.get_sample_value("pilotdht_gossip_probes_total", {"result": result})
        for result in ("answered", "failed")
    ]
    return sum(value or 0.0 for value in values)
