"""A whole group under a virtual clock: everybody gets every message once and in order, whatever happens to some."""

from __future__ import annotations

import asyncio
from hashlib import sha256

import pytest

from pilotdht.config.broadcast import BroadcastConfig
from pilotdht.errors import NotFound, Unreachable
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import KeyPair
from pilotdht.wire.events import EventId
from pilotdht.wire.groups import GroupId
from simulations.engine.virtual_loop import run_virtually
from tests.simulation.broadcast_bus import Flock, Member

pytestmark = pytest.mark.simulation

SETTLE_S = 30.0
WARM_UP = 6


async def _settled(flock: Flock) -> None:
    """Let members find neighbours, and a few messages grow the tree."""
    await asyncio.sleep(SETTLE_S)
    for _ in range(WARM_UP):
        flock.bus.random.choice(flock.members).broadcast.publish("warm.up", b"")
        await asyncio.sleep(3)
    for member in flock.members:
        assert len(member.events()) == WARM_UP


def _share(members: list[Member], expected: list[bytes]) -> float:
    """Return the share of members that read exactly what is expected, in order."""
    return sum(member.read() == expected for member in members) / len(members)


def test_flock_without_failures_delivers_everything_with_no_redundancy() -> None:
    """In steady state each member gets each message once over the wire, within a few hops."""

    async def main() -> None:
        async with Flock(150) as flock:
            await _settled(flock)
            duplicates, pushes = flock.total("duplicates"), flock.total("pushes")
            contents = [str(number).encode() for number in range(10)]
            for content in contents:
                flock.bus.random.choice(flock.members).broadcast.publish("news", content)
                await asyncio.sleep(1)
            assert _share(flock.members, contents) == 1.0
            assert flock.total("duplicates") == duplicates
            assert flock.total("pushes") - pushes == 10 * 149
            assert sum(len(member.broadcast.eager) for member in flock.members) == 2 * 149
            assert all(4 <= len(member.broadcast.neighbours) <= 5 for member in flock.members)

    run_virtually(main())


@pytest.mark.parametrize("has_full_membership", [True, False])
def test_flock_with_a_third_killed_during_a_broadcast_reaches_every_survivor(has_full_membership: bool) -> None:
    """Members die while a message is on its way: the others still get it, and the next one too."""

    async def main() -> None:
        async with Flock(150, has_full_membership=has_full_membership, seed=3) as flock:
            await _settled(flock)
            doomed = flock.bus.random.sample(flock.members[1:], 45)
            flock.members[0].broadcast.publish("news", b"one")
            for number in range(45):
                await asyncio.sleep(0.004)
                flock.kill([doomed[number]])
            await asyncio.sleep(25)
            flock.members[0].broadcast.publish("news", b"two")
            await asyncio.sleep(10)
            assert _share(flock.alive, [b"one", b"two"]) == 1.0

    run_virtually(main())


@pytest.mark.parametrize("has_full_membership", [True, False])
def test_flock_with_nearly_all_killed_at_once_reaches_nine_of_ten_survivors(has_full_membership: bool) -> None:
    """95 % die at once, and nobody has noticed when a message is published."""

    async def main() -> None:
        async with Flock(400, has_full_membership=has_full_membership, seed=1) as flock:
            await _settled(flock)
            flock.kill(flock.bus.random.sample(flock.members[1:], 380))
            flock.members[0].broadcast.publish("news", b"still here")
            await asyncio.sleep(30)
            assert _share(flock.alive, [b"still here"]) >= 0.9

    run_virtually(main())


def test_flock_on_a_lossy_network_keeps_order_and_loses_nothing() -> None:
    """A tenth of all datagrams is lost; encoded sizes are checked on the way."""

    async def main() -> None:
        async with Flock(40, loss=0.1, is_encoded=True, seed=2) as flock:
            await asyncio.sleep(SETTLE_S)
            contents = [b"%d" % number + b"x" * 700 for number in range(60)]
            for content in contents:
                flock.members[7].broadcast.publish("news", content)
                await asyncio.sleep(0.1)
            await asyncio.sleep(60)
            assert _share(flock.members, contents) == 1.0
            assert flock.total("skipped") == 0

    run_virtually(main())


def test_flock_newcomer_gets_the_history_in_order() -> None:
    """Who joins later reads what is kept, then what comes; expired events are not there any more."""

    async def main() -> None:
        config = BroadcastConfig(retention_s=300.0)
        async with Flock(20, config=config, is_encoded=True) as flock:
            await asyncio.sleep(SETTLE_S)
            for number in range(5):
                flock.members[3].broadcast.publish("news", b"old %d" % number)
            await asyncio.sleep(250)
            for number in range(80):
                flock.members[3].broadcast.publish("news", b"new %d" % number)
            await asyncio.sleep(100)
            newcomer = flock.join()
            await asyncio.sleep(15)
            flock.members[3].broadcast.publish("news", b"last")
            await asyncio.sleep(5)
            assert newcomer.read() == [*(b"new %d" % number for number in range(80)), b"last"]
            assert newcomer.broadcast.kept == 81

    run_virtually(main())


def test_flock_healed_partition_gets_what_each_half_missed() -> None:
    """Both halves go on for a minute; after the cut has healed everybody has everything, once."""

    async def main() -> None:
        async with Flock(40, seed=5) as flock:
            await _settled(flock)
            half = {member.keys.public_key for member in flock.members[::2]}
            flock.bus.is_cut = lambda one, other: (one in half) != (other in half)
            for number in range(20):
                flock.members[0].broadcast.publish("left", b"left %d" % number)
                flock.members[1].broadcast.publish("right", b"right %d" % number)
                await asyncio.sleep(3)
            flock.bus.is_cut = lambda _one, _other: False
            await asyncio.sleep(60)
            for member in flock.members:
                contents = member.read()
                assert len(contents) == 40
                assert [one for one in contents if one[:1] == b"l"] == [b"left %d" % number for number in range(20)]
                assert [one for one in contents if one[:1] == b"r"] == [b"right %d" % number for number in range(20)]

    run_virtually(main())


def test_flock_restarted_sender_begins_a_new_epoch() -> None:
    """A sender that forgot its numbers is heard again; one whose clock went back finds out and is heard as well."""

    async def main() -> None:
        async with Flock(12, is_encoded=True) as flock:
            await asyncio.sleep(SETTLE_S)
            first = flock.members[2]
            first.broadcast.publish("news", b"one")
            first.broadcast.publish("news", b"two")
            await asyncio.sleep(5)
            first.broadcast.close()
            await asyncio.sleep(1)
            again = flock.join(first.keys, unix_ahead_s=-40.0)
            await asyncio.sleep(10)
            assert again.read() == [b"one", b"two"]
            again.broadcast.publish("news", b"three")
            await asyncio.sleep(5)
            flock.members.remove(first)
            for member in flock.members:
                assert member.read()[-1] == b"three"

    run_virtually(main())


class _Shelf:
    """Contents by member; stands for tunnels."""

    def __init__(self) -> None:
        self.members: dict[PublicKey, Member] = {}
        self.broken: set[PublicKey] = set()
        self.fetches = 0

    def of(self, own: PublicKey) -> _ShelfDoor:
        """Return the way of one member to all others."""
        return _ShelfDoor(self, own)


class _ShelfDoor:
    def __init__(self, shelf: _Shelf, own: PublicKey) -> None:
        self._shelf = shelf
        self._own = own

    async def fetch(self, peer: PublicKey, group: GroupId, event_id: EventId, size_bytes: int) -> bytes:
        """Return a content."""
        self._shelf.fetches += 1
        await asyncio.sleep(0.1)
        if peer in self._shelf.broken:
            raise Unreachable("no road")
        body = self._shelf.members[peer].broadcast.body_for(self._own, event_id)
        if body is None:
            raise NotFound("not here")
        return body


def test_flock_long_contents_are_fetched_and_keep_their_place() -> None:
    """Long and short messages of one sender arrive in order; a member that hands out nothing is passed by."""

    async def main() -> None:
        shelf = _Shelf()
        async with Flock(0) as flock:
            for number in range(20):
                keys = KeyPair.from_seed(bytes([number + 1]) * 32)
                member = flock.join(keys, bodies=shelf.of(keys.public_key))
                shelf.members[keys.public_key] = member
                await asyncio.sleep(0.2)
            await asyncio.sleep(SETTLE_S)
            shelf.broken.add(flock.members[4].keys.public_key)
            long = bytes(range(256)) * 2000
            sender = flock.members[0].broadcast
            contents = [b"before", long, b"after", long[:5000], b"end"]
            for content in contents:
                sender.publish("news", content)
            await asyncio.sleep(60)
            for member in flock.members:
                assert [sha256(one).digest() for one in member.read()] == [sha256(one).digest() for one in contents]

    run_virtually(main())


def test_flock_same_seed_gives_the_same_run() -> None:
    """Nothing depends on the order of sets or on the machine."""

    async def main() -> tuple[dict[str, int], list[int]]:
        async with Flock(30, loss=0.05, seed=9) as flock:
            await asyncio.sleep(20)
            flock.members[0].broadcast.publish("news", b"x")
            await asyncio.sleep(20)
            return dict(flock.bus.sent), [len(member.broadcast.neighbours) for member in flock.members]

    assert run_virtually(main()) == run_virtually(main())


@pytest.mark.parametrize("has_full_membership", [True, False])
def test_flock_without_messages_replaces_dead_neighbours(has_full_membership: bool) -> None:
    """Neighbours are asked whether they still are some; links stay mutual."""

    async def main() -> None:
        async with Flock(60, has_full_membership=has_full_membership, seed=4) as flock:
            await asyncio.sleep(SETTLE_S)
            flock.kill(flock.bus.random.sample(flock.members, 20))
            await asyncio.sleep(90)
            living = {member.keys.public_key: member for member in flock.alive}
            for key, member in living.items():
                assert 4 <= len(member.broadcast.neighbours) <= 5
                for neighbour in member.broadcast.neighbours:
                    assert key in living[neighbour].broadcast.neighbours

    run_virtually(main())
