"""Attackers of our kind, asked one by one: each does what its description says, and honest readers see through it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from pilotdht.config.config import Config
from pilotdht.errors import BadMessage, InvalidArgument, TimedOut
from pilotdht.identity.ids import NodeId
from pilotdht.names.own import NODE_PUBLICATION, own_records
from pilotdht.net.prefixes import prefix_of
from pilotdht.node.node import Node
from pilotdht.wire.contact import Contact
from pilotdht.wire.dht_messages import (
    FindEntries,
    FindNode,
    FindRecord,
    FoundRecord,
    Nodes,
    Ping,
    Pong,
    Store,
    StoreCode,
    Stored,
)
from pilotdht.wire.message import Reply, Request
from pilotdht.wire.records import RecordKey, SignedRecord, node_key, signed_record_untrusted
from simulations.adversaries.behaviours import BEHAVIOURS, Conspiracy, corrupt
from simulations.engine.virtual_loop import run_virtually
from simulations.population.keys import SimulatedKeyPair
from simulations.population.member import Identity
from simulations.world.places import endpoint_of
from simulations.world.world import World

pytestmark = pytest.mark.simulation


def identity_of(number: int) -> Identity:
    """Return a participant; each lives in a network of its own."""
    return Identity(number=number, seed=number.to_bytes(32, "big"), endpoint=endpoint_of(number))


@contextlib.asynccontextmanager
async def mesh(count: int) -> AsyncIterator[list[Node]]:
    """Run honest nodes that know each other."""
    world = World(seed=3, conditions="wan")
    async with contextlib.AsyncExitStack() as stack:
        nodes: list[Node] = []
        for number in range(count):
            identity = identity_of(number)
            config = Config(
                hostname=identity.name,
                listen=identity.endpoint,
                bootstrap=(str(endpoint_of(0)),) if number else (),
            )
            keys = SimulatedKeyPair.from_seed(identity.seed)
            nodes.append(await stack.enter_async_context(Node(config, keys=keys, doors=world.doors(number))))
            await asyncio.sleep(2)
        await asyncio.sleep(30)
        yield nodes


def turn(nodes: list[Node], numbers: list[int], behaviour: str) -> Conspiracy:
    """Make some of the nodes attackers."""
    conspiracy = Conspiracy(seed=3)
    for number in numbers:
        corrupt(nodes[number], identity_of(number), behaviour, conspiracy)
    return conspiracy


async def ask(asker: Node, other: Node, request: Request) -> Reply | None:
    """Return what one node answers another; absent when it does not."""
    contact = Contact(other.public_key, other.config.listen)
    try:
        return (await asker.rooms.socket.rpc.request(contact, request)).message
    except TimedOut:
        return None


async def publish(node: Node) -> SignedRecord:
    """Publish a node's record anew."""
    rooms = node.rooms
    await rooms.dht.publish(NODE_PUBLICATION, own_records(rooms.profile())[NODE_PUBLICATION])
    published = rooms.dht.published(NODE_PUBLICATION)
    assert published is not None
    await asyncio.sleep(5)
    return published


async def write(asker: Node, other: Node, signed: SignedRecord) -> Reply | None:
    """Have a node store a record, with the token that it gives."""
    key = signed.record.key
    nodes = await ask(asker, other, FindNode(NodeId(key)))
    assert isinstance(nodes, Nodes)
    return await ask(asker, other, Store(key, nodes.store_token, signed.wire))


def key_of(node: Node) -> RecordKey:
    """Return where a node's record lies."""
    return node_key(node.address)


def test_selective_dropper_draws_writes_in_and_loses_them() -> None:
    """With an even number it answers pings and lookups of nodes, acknowledges a write, and swallows reads."""

    async def main() -> None:
        async with mesh(5) as nodes:
            signed = await publish(nodes[0])
            turn(nodes, [4], "dropper")
            assert isinstance(await ask(nodes[0], nodes[4], Ping()), Pong)
            answer = await ask(nodes[0], nodes[4], FindNode(NodeId(key_of(nodes[0]))))
            assert isinstance(answer, Nodes)
            assert answer.contacts
            assert answer.store_token
            assert {one.public_key for one in answer.contacts} <= {node.public_key for node in nodes[1:4]}
            assert await write(nodes[0], nodes[4], signed) == Stored(StoreCode.STORED)
            assert await ask(nodes[0], nodes[4], FindRecord(key_of(nodes[0]))) is None
            assert await ask(nodes[0], nodes[4], FindEntries(key_of(nodes[0]))) is None
            assert len(nodes[4].rooms.dht.store) == 0

    run_virtually(main())


def test_plain_dropper_answers_pings_alone() -> None:
    """With an odd number it swallows every lookup and stays in tables all the same."""

    async def main() -> None:
        async with mesh(4) as nodes:
            turn(nodes, [3], "dropper")
            assert isinstance(await ask(nodes[0], nodes[3], Ping()), Pong)
            assert await ask(nodes[0], nodes[3], FindNode(NodeId(key_of(nodes[0])))) is None
            assert await ask(nodes[0], nodes[3], FindRecord(key_of(nodes[0]))) is None

    run_virtually(main())


def test_polluter_tells_every_kind_of_lie() -> None:
    """Asked again and again it gives an old version, damaged bytes and a stranger's record, never the newest one."""

    async def main() -> None:
        async with mesh(6) as nodes:
            old = await publish(nodes[0])
            turn(nodes, [4, 5], "polluter")
            await write(nodes[0], nodes[4], old)
            new = await publish(nodes[0])
            await write(nodes[0], nodes[4], new)
            told: list[bytes] = []
            for _ in range(6):
                reply = await ask(nodes[1], nodes[4], FindRecord(key_of(nodes[0]), nodes[0].public_key))
                assert isinstance(reply, FoundRecord)
                if reply.record is not None:
                    told.append(reply.record)
            assert new.wire not in told
            kinds = set()
            for wire in told:
                try:
                    signed = signed_record_untrusted(wire)
                except BadMessage as error:
                    kinds.add(error.reason)
                else:
                    is_own = signed.record.public_key == nodes[0].public_key
                    kinds.add("old" if is_own and signed.record.issued_ms < new.record.issued_ms else "foreign")
            assert kinds == {"old", "record_signature", "foreign"}

    run_virtually(main())


def test_polluter_names_fellows_and_inventions_of_many_networks() -> None:
    """No honest node is among the contacts it gives, and no two inventions share a prefix."""

    async def main() -> None:
        async with mesh(6) as nodes:
            turn(nodes, [4, 5], "polluter")
            reply = await ask(nodes[1], nodes[4], FindNode(NodeId(key_of(nodes[0]))))
            assert isinstance(reply, Nodes)
            honest = {node.public_key for node in nodes[:4]}
            assert not honest & {one.public_key for one in reply.contacts}
            assert nodes[5].public_key in {one.public_key for one in reply.contacts}
            assert len(reply.contacts) == 20
            assert len({prefix_of(one.endpoint.host) for one in reply.contacts}) == 20

    run_virtually(main())


def test_no_false_or_old_record_is_accepted_while_an_honest_holder_is_asked() -> None:
    """Of nine nodes, all of which are holders, three lie: every reader gets every record as it was published last."""

    async def main() -> None:
        async with mesh(9) as nodes:
            turn(nodes, [2, 5, 8], "polluter")
            honest = [node for number, node in enumerate(nodes) if number not in (2, 5, 8)]
            for owner in honest:
                await publish(owner)
                newest = await publish(owner)
                for reader in honest:
                    found = await reader.rooms.dht.find_record(key_of(owner), signer=owner.public_key)
                    assert found.signed is not None
                    assert found.signed.wire == newest.wire

    run_virtually(main())


@pytest.mark.parametrize("behaviour", ["sybil", "eclipse"])
def test_besieger_denies_what_it_acknowledged_and_names_fellows_alone(behaviour: str) -> None:
    """A write is acknowledged and gone; every way it tells leads to a fellow."""

    async def main() -> None:
        async with mesh(6) as nodes:
            signed = await publish(nodes[0])
            turn(nodes, [3, 4, 5], behaviour)
            assert await write(nodes[0], nodes[3], signed) == Stored(StoreCode.STORED)
            reply = await ask(nodes[1], nodes[3], FindRecord(key_of(nodes[0]), nodes[0].public_key))
            assert isinstance(reply, FoundRecord)
            assert reply.record is None
            assert {one.public_key for one in reply.contacts} == {nodes[4].public_key, nodes[5].public_key}

    run_virtually(main())


@pytest.mark.parametrize("behaviour", ["sybil", "eclipse"])
def test_besieger_knocks_at_honest_doors_at_a_bounded_rate(behaviour: str) -> None:
    """Within a minute an attacker has pinged honest nodes some times, and no more than twice every 2.5 seconds."""

    async def main() -> None:
        async with mesh(4) as nodes:
            knocks: list[Node] = []
            for node in nodes[:3]:

                def pinged(_request: Ping, _sender: object, heard: Node = node) -> Pong:
                    knocks.append(heard)
                    return Pong()

                node.rooms.socket.rpc.serve(Ping, pinged)
            turn(nodes, [3], behaviour)
            await asyncio.sleep(60)
            assert 8 <= len(knocks) <= 48

    run_virtually(main())


def test_stopped_attacker_knocks_no_more() -> None:
    """Its timers end with it: nothing is left that could raise."""

    async def main() -> None:
        async with mesh(3) as nodes:
            turn(nodes, [2], "sybil")
            await nodes[2].abort()
            await asyncio.sleep(30)
            with pytest.raises(TimedOut):
                await nodes[0].rooms.socket.rpc.request(Contact(nodes[2].public_key, endpoint_of(2)), Ping())

    run_virtually(main())


def test_unknown_behaviour_is_refused() -> None:
    """The error names those that exist."""

    async def main() -> None:
        async with mesh(1) as nodes:
            with pytest.raises(InvalidArgument) as raised:
                corrupt(nodes[0], identity_of(0), "kindness", Conspiracy(seed=1))
            assert all(name in raised.value.hint for name in BEHAVIOURS)

    run_virtually(main())
