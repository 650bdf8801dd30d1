"""Each defect known of the stock Kademlia library, named, and shown not to be ours.

Those of sockets and requests are shown where sockets and requests are tested.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import pkgutil
import warnings
from dataclasses import replace

import pytest

import pilotdht.dht
from pilotdht.config.dht import DhtConfig
from pilotdht.dht.dht import Dht
from pilotdht.dht.lookup import Ending
from pilotdht.errors import NodeClosed
from pilotdht.identity.ids import NodeId, PublicKey
from pilotdht.identity.keys import KeyPair
from pilotdht.net.outcomes import Sender
from pilotdht.wire.codec import encode
from pilotdht.wire.contact import Contact
from pilotdht.wire.dht_messages import (
    FindNode,
    FindRecord,
    FoundEntries,
    FoundRecord,
    Nodes,
    Ping,
    Store,
    StoreCode,
    Stored,
)
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.message import Reply, Request
from pilotdht.wire.records import RecordKey, node_key
from simulations.engine.virtual_loop import run_virtually
from simulations.world.world import virtual_doors
from tests.support.hostile_node import AnswerWith, HostileNode
from tests.support.virtual_mesh import VirtualMesh

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]


async def hostile_in(mesh: VirtualMesh, number: int, answer: AnswerWith | None = None) -> HostileNode:
    """Open a hostile node beside a mesh."""
    node = HostileNode(
        KeyPair.from_seed(mesh.random.randbytes(32)),
        virtual_doors(mesh.memory, seed=99, node=number),
        listen=Endpoint(f"10.9.0.{number}", 4000),
        answer=answer,
    )
    await node.socket.__aenter__()
    return node


def test_bad_replies_do_not_make_a_read_raise() -> None:
    """Whatever a holder sends for a record, the reader gets an answer."""
    key_pair = KeyPair.from_seed(b"\x07" * 32)

    async def scenario() -> None:
        async with VirtualMesh(4) as mesh:
            reader = mesh.nodes[0]
            key = node_key(key_pair.address)
            junk = (b"", b"\xc1", b"\xff" * 700, encode([b"", b""]), encode([encode([]), bytes(64)]), encode([1, 2]))
            for number, wire in enumerate(junk):

                def answer(_request: Request, _sender: Sender, wire: bytes = wire) -> Reply:
                    if isinstance(_request, FindNode):
                        return Nodes((), b"")
                    return (
                        FoundRecord(wire, (), b"") if isinstance(_request, FindRecord) else FoundEntries((wire,), 9, ())
                    )

                hostile = await hostile_in(mesh, number + 1, answer)
                await reader.dht.bootstrap([hostile.contact])
                assert await reader.dht.get_record(key, quorum=3) is None
                assert [] == await reader.dht.get_entries(key)
                await hostile.socket.close()
            assert 0 == reader.scope.failures

    run_virtually(scenario())


def test_senders_do_not_enter_the_table_unverified() -> None:
    """Hundreds of one-way requests change nothing in the table: only answers to our requests do."""

    async def scenario() -> None:
        async with VirtualMesh(3) as mesh:
            victim = mesh.nodes[0]
            await asyncio.sleep(60)  # the three have found each other by then
            known = {one.id for one in victim.dht.contacts()}
            assert len(known) == 2
            fakers = [await hostile_in(mesh, number + 1) for number in range(60)]
            for faker in fakers:
                faker.socket.rpc.serve(Ping, lambda _request, _sender: None)
                for _ in range(3):
                    await faker.socket.rpc.request(victim.contact, FindRecord(RecordKey(bytes(20))))
            await asyncio.sleep(60)
            for faker in fakers:
                await faker.socket.close()
            assert known == {one.id for one in victim.dht.contacts()}
            assert victim.dht.stats().candidates <= mesh.dht_config.candidate_queue

    run_virtually(scenario())


def test_nearest_is_exact_over_a_living_table() -> None:
    """What a node tells others are the nearest it knows, all of them."""

    async def scenario() -> None:
        async with VirtualMesh(60, dht=DhtConfig(bucket_size=4)) as mesh:
            for node in mesh.nodes[:20]:
                for _ in range(20):
                    target = mesh.random.randbytes(20)
                    point = int.from_bytes(target, "big")
                    everything = sorted((one.contact for one in node.dht.contacts()), key=lambda one: one.point ^ point)
                    assert everything[:8] == node.dht.table.nearest(target, 8)

    run_virtually(scenario())


def test_find_node_returns_the_target_itself() -> None:
    """A peer can be looked up by its id."""

    async def scenario() -> None:
        async with VirtualMesh(30) as mesh:
            target = mesh.nodes[11]
            found = await mesh.nodes[2].dht.find_node(target.keys.node_id)
            assert target.contact == found.contacts[0]

    run_virtually(scenario())


def test_put_with_every_candidate_dead_reports_instead_of_raising() -> None:
    """Writing into a dead mesh is a report with no acknowledgement but our own, and upkeep lives on."""

    async def scenario() -> None:
        async with VirtualMesh(6) as mesh:
            alone = mesh.nodes[0]
            for node in mesh.nodes[1:]:
                await node.close()
            report = await alone.dht.put(alone.signed())
            assert report.acks <= 1
            found = await alone.dht.find_node(NodeId(bytes(20)))
            assert () == found.contacts
            await asyncio.sleep(7200)
            assert 0 == alone.scope.failures

    run_virtually(scenario())


def test_one_lost_datagram_does_not_isolate_a_joining_node() -> None:
    """At five percent loss and one contact each, everybody joins."""

    async def scenario() -> None:
        async with VirtualMesh(30, seeds_per_join=1) as mesh:
            mesh.memory.conditions = replace(mesh.memory.conditions, loss=0.05)
            for _ in range(10):
                await mesh.add()
            assert all(node.dht.contact_count >= 3 for node in mesh.nodes)

    run_virtually(scenario())


def test_unsigned_or_foreign_values_are_neither_stored_nor_returned() -> None:
    """A stranger cannot write another key's record, whatever it sends, and a majority of liars changes nothing."""

    async def scenario() -> None:
        async with VirtualMesh(5) as mesh:
            owner, holder, reader = mesh.nodes[:3]
            genuine = owner.signed(hostname="genuine")
            assert (await owner.dht.put(genuine)).is_kept
            forged = bytearray(genuine.wire)
            forged[-1] ^= 1
            key = genuine.record.key

            def answer(request: Request, _sender: Sender) -> Reply:
                return Nodes((), b"") if isinstance(request, FindNode) else FoundRecord(bytes(forged), (), b"")

            liars = [await hostile_in(mesh, number + 1, answer) for number in range(6)]
            for liar in liars:
                token = await _store_token(liar, holder.contact, key)
                reply = await liar.socket.rpc.request(holder.contact, Store(key, token, bytes(forged)))
                assert Stored(StoreCode.INVALID) == reply.message
                await reader.dht.bootstrap([liar.contact])
            assert genuine == await reader.dht.get_record(key, signer=owner.keys.public_key)
            for liar in liars:
                await liar.socket.close()

    run_virtually(scenario())


async def _store_token(asker: HostileNode, holder: Contact, key: bytes) -> bytes:
    answer = await asker.socket.rpc.request(holder, FindNode(NodeId(key)))
    assert isinstance(answer.message, Nodes)
    return answer.message.store_token


def test_holders_neither_republish_nor_extend_a_record() -> None:
    """Without its publisher a record ends at its own expiry, on every holder."""

    async def scenario() -> None:
        async with VirtualMesh(12) as mesh:
            writer = mesh.nodes[0]
            signed = writer.signed(ttl_s=1800)
            await writer.dht.put(signed)
            await writer.close()
            reader = mesh.nodes[5]
            await asyncio.sleep(1700)
            assert signed == await reader.dht.get_record(signed.record.key)
            await asyncio.sleep(200)
            assert await reader.dht.get_record(signed.record.key) is None

    run_virtually(scenario())


def test_an_older_value_does_not_overwrite_a_newer_one() -> None:
    """A stale copy that comes late is refused, by each holder."""

    async def scenario() -> None:
        async with VirtualMesh(8) as mesh:
            writer, stranger = mesh.nodes[0], mesh.nodes[3]
            old = writer.signed(hostname="v1")
            new = writer.signed(hostname="v2", issued_ms=old.record.issued_ms + 5)
            await writer.dht.put(new)
            report = await stranger.dht.put(old)
            assert 0 == report.acks
            assert report.is_outdated
            assert new == await mesh.nodes[6].dht.get_record(new.record.key, quorum=8)

    run_virtually(scenario())


def test_hand_over_gives_a_newcomer_the_right_keys() -> None:
    """A newcomer that is closest to a key gets the record without its publisher, under its own key."""

    async def scenario() -> None:
        async with VirtualMesh(10) as mesh:
            writer = mesh.nodes[0]
            signed = writer.signed()
            await writer.dht.put(signed)
            await writer.close()
            point = int.from_bytes(signed.record.key, "big")
            nearest = min(node.contact.point ^ point for node in mesh.nodes)
            keys = next(
                pair
                for pair in (KeyPair.from_seed(number.to_bytes(32, "big")) for number in range(10_000))
                if int.from_bytes(pair.node_id, "big") ^ point < nearest
            )
            newcomer = await mesh.add(keys)
            await asyncio.sleep(30)
            assert newcomer.dht.store.holds(signed.record.key, signed.wire)

    run_virtually(scenario())


def test_store_is_bounded_for_one_sender() -> None:
    """Three thousand writes of one signer's entries end at its quota."""

    async def scenario() -> None:
        async with VirtualMesh(2, dht=DhtConfig(entries_per_signer=5)) as mesh:
            victim, sender = mesh.nodes
            for number in range(20):
                entry = sender.tag_entry(f"tag-{number}")
                await sender.dht.put(entry)
            assert len(victim.dht.store) <= 5
            assert victim.dht.store.refused[StoreCode.FULL] >= 15

    run_virtually(scenario())


def test_a_lookup_led_on_for_ever_ends() -> None:
    """A node that always names closer contacts costs a bounded number of requests and bounded time."""

    async def scenario() -> None:
        async with VirtualMesh(3) as mesh:
            victim = mesh.nodes[0]
            target = NodeId(bytes(20))

            def answer(_request: Request, _sender: Sender) -> Reply:
                made_up = (PublicKey(mesh.random.randbytes(32)) for _ in range(200))
                contacts = sorted(
                    (Contact(key, hostile.contact.endpoint) for key in made_up), key=lambda one: one.point
                )
                return Nodes(tuple(contacts[:20]), b"")

            hostile = await hostile_in(mesh, 1, answer)
            await victim.dht.bootstrap([hostile.contact])
            found = await victim.dht.find_node(target)
            assert found.requests <= mesh.dht_config.max_requests
            assert found.duration_s <= mesh.dht_config.lookup_timeout_s + 0.01
            assert isinstance(found.ending, Ending)
            await hostile.socket.close()

    run_virtually(scenario())


def test_saved_state_is_plain_data_and_holds_what_matters() -> None:
    """State is msgpack-able lists, not code; contacts, records and numbers survive a restart."""

    async def scenario() -> None:
        async with VirtualMesh(6) as mesh:
            node = mesh.nodes[2]
            await mesh.nodes[1].dht.put(mesh.nodes[1].signed())
            node.dht.sequence.next_ms(node.doors.unix_time())
            saved = node.dht.snapshot()
            assert isinstance(encode(saved), bytes)
            await node.close()
            again = mesh.new_node(node.keys)
            contacts = again.dht.restore(saved)
            assert contacts
            assert 0 == len(again.dht.table)
            await again.open()
            mesh.nodes.append(again)
            assert await again.dht.bootstrap(contacts) > 0
            await asyncio.sleep(1)
            assert len(again.dht.store) == len(node.dht.store)
            assert again.dht.sequence.next_ms(0.0) > node.dht.sequence.last_ms

    run_virtually(scenario())


def test_one_silence_does_not_evict_and_the_oldest_is_proved_before_it_is_replaced() -> None:
    """Contacts have a last success and a count of failures, and a full bucket's head is pinged before it goes."""

    async def scenario() -> None:
        config = DhtConfig(bucket_size=2, split_bits=1, repin_after_s=5.0, stale_contact_s=80_000.0)
        async with VirtualMesh(14, dht=config) as mesh:
            node = mesh.nodes[0]
            full = next(b for b in node.dht.table.buckets if len(b.nodes) == 2 and b.replacement_nodes)
            oldest = next(iter(full.nodes.values()))
            node.dht.table.failed(oldest.contact.node_id, asyncio.get_running_loop().time())
            assert oldest.id in full.nodes
            await asyncio.sleep(20)
            spare = next(iter(full.replacement_nodes.values())).contact
            await node.dht.verify([spare])
            await asyncio.sleep(5)
            assert oldest.id in full.nodes
            assert 0 == oldest.failures
            dead = next(one for one in mesh.nodes if one.contact == next(iter(full.nodes.values())).contact)
            await dead.close()
            await asyncio.sleep(20)
            await node.dht.verify([spare])
            await asyncio.sleep(20)
            assert dead.contact.point not in full.nodes

    run_virtually(scenario())


def test_ids_at_the_edges_of_the_key_space_have_a_bucket() -> None:
    """The range is 0..2^160 - 1, closed, so the greatest id is somebody's."""

    async def scenario() -> None:
        table = VirtualMesh(0).new_node().dht.table
        assert table.bucket_of(0) is table.bucket_of(2**160 - 1)
        assert (0, 2**160 - 1) == table.buckets[0].range

    run_virtually(scenario())


def test_nothing_is_formatted_or_logged_for_a_request(caplog: pytest.LogCaptureFixture) -> None:
    """A lookup with dead contacts writes no line of log."""

    async def scenario() -> None:
        async with VirtualMesh(10) as mesh:
            for node in mesh.nodes[5:]:
                await node.close()
            await mesh.nodes[0].dht.find_node(NodeId(bytes(20)))

    with caplog.at_level(logging.INFO):
        run_virtually(scenario())
    assert [] == [record for record in caplog.records if record.name.startswith("pilotdht.dht")]


def test_modules_use_nothing_deprecated() -> None:
    """No deprecation warning on import, and no call that later Pythons warn of."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for module in pkgutil.iter_modules(pilotdht.dht.__path__, "pilotdht.dht."):
            source = inspect.getsource(__import__(module.name, fromlist=["_"]))
            assert "iscoroutinefunction" not in source
            assert "get_event_loop(" not in source


def test_ids_are_bound_to_keys_and_writes_to_addresses() -> None:
    """An id follows from a key that must answer; a token is worth nothing to another sender."""

    async def scenario() -> None:
        async with VirtualMesh(3) as mesh:
            holder = mesh.nodes[0]
            one = await hostile_in(mesh, 1)
            other = await hostile_in(mesh, 2)
            signed = mesh.nodes[1].signed()
            token = await _store_token(one, holder.contact, signed.record.key)
            stolen = await other.socket.rpc.request(holder.contact, Store(signed.record.key, token, signed.wire))
            assert Stored(StoreCode.BAD_TOKEN) == stolen.message
            own = await one.socket.rpc.request(holder.contact, Store(signed.record.key, token, signed.wire))
            assert Stored(StoreCode.STORED) == own.message
            for node in (one, other):
                await node.socket.close()

    run_virtually(scenario())


def test_a_message_never_triggers_a_store_to_its_sender() -> None:
    """Two nodes that hold each other's keys in full buckets exchange no endless writes."""

    async def scenario() -> None:
        config = DhtConfig(bucket_size=2, split_bits=1)
        async with VirtualMesh(40, dht=config) as mesh:
            for node in mesh.nodes:
                await node.dht.put(node.signed())
            await asyncio.sleep(30)
            assert mesh.dht_metrics is not None
            written = mesh.dht_metrics.served["store"]
            for node in mesh.nodes[:10]:
                for other in mesh.nodes[10:]:
                    await node.dht.verify([other.contact])
            await asyncio.sleep(30)
            assert mesh.dht_metrics.served["store"] - written <= 40

    run_virtually(scenario())


def test_after_closing_calls_fail_with_a_plain_error() -> None:
    """A closed node says so."""

    async def scenario() -> type[BaseException] | None:
        async with VirtualMesh(3) as mesh:
            node = mesh.nodes[0]
            assert isinstance(node.dht, Dht)
            await node.close()
            try:
                await node.dht.get_record(node_key(mesh.nodes[1].keys.address))
            except NodeClosed as error:
                return type(error)
            return None

    assert run_virtually(scenario()) is NodeClosed
