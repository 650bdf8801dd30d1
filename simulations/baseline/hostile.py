"""Participants of the stock network that lie: the package's own protocol with other answers.

They behave as those of :mod:`simulations.adversaries` do towards our node, as far as a protocol without signatures and
tokens needs it. They join like everybody, publish a value of their own, and go on asking honestly; only what they are
asked is answered falsely. What would break a stock server outright (a contact with an impossible port closes its socket
for good) is left out: such a comparison would end at once.
"""

from __future__ import annotations

import heapq
from collections.abc import Awaitable, Callable, Iterator, Sequence
from hashlib import sha1
from random import Random
from typing import Any

from kademlia.node import Node

from pilotdht.wire.endpoint import Endpoint
from simulations.baseline.observed import ObservedProtocol
from simulations.baseline.records import ID_BYTES, forgery, version_in
from simulations.engine.streams import stream
from simulations.world.places import endpoint_of

HONEST = "honest"

CONTACTS_PER_REPLY = 20
"""As many as an honest reply names."""

KNOCK_INTERVAL_S = 5.0
"""Attackers that come in numbers ping somebody this often: whoever pings enters a stock table, unverified."""

INVENTED_PLACES = 2_000_000
"""Number of the first invented contact's place: nobody listens there."""

INVENTED_BITS = 11
"""Leading bits that invented ids share with the key asked for: what the 40 nearest of 65,536 random ids share."""

Triple = tuple[bytes, str, int]
"""Id, address and port: a contact as replies name it."""


class Conspiracy:
    """What the attackers of one population share: they are taken to be one owner's, who talks to all for nothing."""

    def __init__(self, *, seed: int) -> None:
        """Make it, without anybody in it.

        Args:
            seed: of the run.
        """
        self.seed = seed
        """Of the run."""
        self._fellows: dict[str, dict[Endpoint, int]] = {}
        self._met: dict[Endpoint, None] = {}
        self._met_list: list[Triple] = []
        self._oldest: dict[bytes, object] = {}
        self._newest: dict[bytes, object] = {}

    def join(self, behaviour: str, place: Endpoint, node_id: bytes) -> None:
        """Make one an attacker that the others know of, whether it is up or not."""
        self._fellows.setdefault(behaviour, {})[place] = int.from_bytes(node_id, "big")

    def is_fellow(self, place: Endpoint) -> bool:
        """Return whether an attacker listens there."""
        return any(place in those for those in self._fellows.values())

    def nearest(self, behaviour: str, target: bytes, limit: int, *, but: Endpoint) -> list[Triple]:
        """Return up to ``limit`` attackers that behave alike, closest to a 20-byte target first, ``but`` left out."""
        point = int.from_bytes(target, "big")
        those = self._fellows.get(behaviour, {}).items()
        near = heapq.nsmallest(limit + 1, those, key=lambda one: one[1] ^ point)
        named = [(other.to_bytes(ID_BYTES, "big"), *place) for place, other in near if place != but]
        return named[:limit]

    def meet(self, place: Endpoint, node_id: bytes) -> None:
        """Tell the others of somebody who is no attacker."""
        if place not in self._met and not self.is_fellow(place):
            self._met[place] = None
            self._met_list.append((node_id, *place))

    def someone(self, random: Random) -> Triple | None:
        """Return somebody whom any attacker met; absent when nobody was."""
        return random.choice(self._met_list) if self._met_list else None

    def keep(self, key: bytes, value: object) -> None:
        """Remember the oldest and the newest value that anybody was told to store under a key."""
        version = version_in(value) if isinstance(value, str) else None
        if version is None:
            return
        for kept, is_better in ((self._oldest, int.__lt__), (self._newest, int.__gt__)):
            known = kept.get(key)
            if not isinstance(known, str) or is_better(version, version_in(known) or 0):
                kept[key] = value

    def outdated(self, key: bytes) -> object | None:
        """Return an old value; absent when no older one than the newest was seen."""
        oldest = self._oldest.get(key)
        return None if oldest == self._newest.get(key) else oldest

    def newest(self, key: bytes) -> object | None:
        """Return the newest value that was seen."""
        return self._newest.get(key)


class HostileProtocol(ObservedProtocol):
    """A protocol that knows whose it is; this base answers honestly."""

    behaviour = ""
    """The name it goes by."""

    def __init__(self, source_node: Node, storage: object, ksize: int, **role: Any) -> None:  # noqa: ANN401 - see below
        """Make it.

        Args:
            source_node: as the package's own class.
            storage: as the package's own class.
            ksize: as the package's own class.
            role: ``number``, ``place`` and ``conspiracy`` of the attacker.
        """
        super().__init__(source_node, storage, ksize)
        self.number: int = role["number"]
        self.place: Endpoint = role["place"]
        self.conspiracy: Conspiracy = role["conspiracy"]
        self.conspiracy.join(self.behaviour, self.place, source_node.id)

    def door(self, _random: Random) -> Triple | None:
        """Return whom to ping next, to be in more tables; absent: nobody."""
        return None

    def fellows_near(self, target: bytes, limit: int = CONTACTS_PER_REPLY) -> list[Triple]:
        """Return attackers that behave alike, nearest first."""
        return self.conspiracy.nearest(self.behaviour, target, limit, but=self.place)


class Dropper(HostileProtocol):
    """Answers pings, which keeps it in tables, and swallows reads; every second one draws writes in to lose them.

    Those with an odd number swallow lookups and writes of every kind: each costs a walk five seconds. Those with an
    even number answer lookups of nodes honestly, acknowledge what is written, forget it, and swallow reads.
    """

    behaviour = "dropper"

    async def _accept_request(self, msg_id: bytes, data: list[Any], address: Endpoint) -> None:
        swallowed = ("find_value", "find_node", "store") if self.number % 2 else ("find_value",)
        if data[0] not in swallowed:
            await super()._accept_request(msg_id, data, address)

    def rpc_store(self, sender: Endpoint, nodeid: bytes, _key: bytes, _value: object) -> bool:
        """Acknowledge, and forget."""
        self.rpc_ping(sender, nodeid)
        return True


class Polluter(HostileProtocol):
    """Acknowledges writes, answers every read with a false or an old value, and names contacts that do not exist."""

    behaviour = "polluter"

    def __init__(self, source_node: Node, storage: object, ksize: int, **role: Any) -> None:  # noqa: ANN401 - as its base
        """Make it; see :class:`HostileProtocol`."""
        super().__init__(source_node, storage, ksize, **role)
        self._turn = self.number

    def rpc_store(self, sender: Endpoint, nodeid: bytes, key: bytes, value: object) -> bool:
        """Acknowledge, and remember what to lie about."""
        self.rpc_ping(sender, nodeid)
        self.conspiracy.keep(key, value)
        return True

    def rpc_find_value(self, sender: Endpoint, nodeid: bytes, key: bytes) -> dict[str, object]:
        """Return a lie: in turn an old value, where one is known, and a forged one."""
        self.rpc_ping(sender, nodeid)
        self._turn += 1
        lie = self.conspiracy.outdated(key) if self._turn % 2 else None
        return {"value": forgery(self.conspiracy.newest(key), self.place, key) if lie is None else lie}

    def rpc_find_node(self, sender: Endpoint, nodeid: bytes, key: bytes) -> Sequence[Triple]:
        """Name fellows and inventions, half and half."""
        self.rpc_ping(sender, nodeid)
        fellows = self.fellows_near(key, CONTACTS_PER_REPLY // 2)
        return fellows + list(_invented(key, CONTACTS_PER_REPLY - len(fellows), self.number))


class Besieger(HostileProtocol):
    """Accepts writes and forgets them, has nothing, names its fellows alone, and knocks at honest nodes' doors."""

    def rpc_ping(self, sender: Endpoint, nodeid: bytes) -> object:
        """Answer, and tell the others who asked."""
        self.conspiracy.meet(sender, nodeid)
        return super().rpc_ping(sender, nodeid)

    def rpc_store(self, sender: Endpoint, nodeid: bytes, _key: bytes, _value: object) -> bool:
        """Acknowledge, and forget."""
        self.rpc_ping(sender, nodeid)
        return True

    def rpc_find_value(self, sender: Endpoint, nodeid: bytes, key: bytes) -> Sequence[Triple]:
        """Deny that there is a value, and name fellows."""
        return self.rpc_find_node(sender, nodeid, key)

    def rpc_find_node(self, sender: Endpoint, nodeid: bytes, key: bytes) -> Sequence[Triple]:
        """Name fellows."""
        self.rpc_ping(sender, nodeid)
        return self.fellows_near(key)


class Sybil(Besieger):
    """One of many ids of one owner: it gets into as many tables as it can, and is to be found everywhere."""

    behaviour = "sybil"

    def door(self, random: Random) -> Triple | None:
        """Return anybody whom any of them met."""
        return self.conspiracy.someone(random)


class Eclipser(Besieger):
    """Its id lies next to a key, see :func:`simulations.baseline.records.seeds_near`: it is asked for it first."""

    behaviour = "eclipse"

    def door(self, random: Random) -> Triple | None:
        """Return one of the honest nodes next to its id, and so to the besieged key."""
        near = [tuple(one) for one in self.router.find_neighbors(self.source_node)]
        honest = [
            (node_id, host, port) for node_id, host, port in near if not self.conspiracy.is_fellow(Endpoint(host, port))
        ]
        return random.choice(honest) if honest else None


BEHAVIOURS: dict[str, type[HostileProtocol]] = {one.behaviour: one for one in (Dropper, Polluter, Sybil, Eclipser)}
"""Ways to misbehave, by name."""


async def knock(protocol: HostileProtocol, *, seed: int, life: int, sleep: Callable[[float], Awaitable[None]]) -> None:
    """Ping honest nodes for ever.

    Args:
        protocol: the attacker's.
        seed: of the run.
        life: which life of the attacker it is.
        sleep: waits for seconds.
    """
    random = stream(seed, "stock knocks", protocol.number, life)
    while True:
        await sleep(KNOCK_INTERVAL_S * random.uniform(0.5, 1.5))
        door = protocol.door(random)
        if door is not None:
            await protocol.call_ping(Node(*door))


def _invented(key: bytes, count: int, number: int) -> Iterator[Triple]:
    """Yield contacts near a key that do not exist; there are four sets, and an attacker always names the same one."""
    point = int.from_bytes(key, "big")
    free_bits = 8 * ID_BYTES - INVENTED_BITS
    for turn in range(number % 4, 4 * count, 4):
        drawn = sha1(key + turn.to_bytes(2, "big")).digest()  # noqa: S324 - a draw, no secret
        low = int.from_bytes(drawn, "big") & (1 << free_bits) - 1
        place = endpoint_of(INVENTED_PLACES + (low & 0xFFFF))
        yield ((point >> free_bits << free_bits | low).to_bytes(ID_BYTES, "big"), place.host, place.port)
