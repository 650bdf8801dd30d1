"""Fifty nodes with real sockets: join, look up, write, read, and live on when many die."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from pilotdht.dht.lookup import Ending
from pilotdht.identity.ids import NodeId
from pilotdht.wire.records import NameClaim, TagEntry, name_key, node_key, sign_record, tag_key
from tests.support.loopback_mesh import LoopbackMesh, MeshNode, forget_everything

pytestmark = [pytest.mark.integration, pytest.mark.asyncio, pytest.mark.timeout(60)]


def closest(nodes: list[MeshNode], key: bytes, count: int) -> list[MeshNode]:
    """Return the nodes closest to a key, by sorting them all."""
    point = int.from_bytes(key, "big")
    return sorted(nodes, key=lambda node: node.contact.point ^ point)[:count]


async def until(is_so: Callable[[], bool]) -> None:
    """Let others work until something is so; five seconds at most."""
    async with asyncio.timeout(5):
        while not is_so():  # noqa: ASYNC110 - what is waited for is in other nodes, which raise no event
            await asyncio.sleep(0)


async def test_mesh_of_fifty_finds_the_closest_nodes() -> None:
    """From anywhere the true eight closest are found, and a node by its own id."""
    async with LoopbackMesh(50) as mesh:
        asker = mesh.nodes[7]
        others = [node for node in mesh.nodes if node is not asker]
        for target in (NodeId(mesh.random.randbytes(20)), mesh.nodes[30].keys.node_id):
            found = await asker.dht.find_node(target)
            assert [node.contact for node in closest(others, target, 8)] == list(found.contacts)
            assert Ending.CLOSEST_ANSWERED is found.ending


async def test_mesh_keeps_records_over_the_death_of_a_third() -> None:
    """What was written before a third dies silently is read by everybody afterwards."""
    async with LoopbackMesh(50) as mesh:
        written = [node.signed() for node in mesh.nodes[:10]]
        for node, signed in zip(mesh.nodes, written, strict=False):
            assert (await node.dht.put(signed)).is_kept
        await mesh.kill(0.3)
        readers = mesh.live()
        for reader, signed in zip(readers, written * 3, strict=False):
            found = await reader.dht.get_record(
                node_key(signed.record.address), signer=signed.record.public_key, quorum=1
            )
            assert signed == found


async def test_mesh_survives_the_death_of_the_first_node() -> None:
    """The node that everybody joined through is not needed any more; a new one joins through any other."""
    async with LoopbackMesh(12, seeds_per_join=1) as mesh:
        first, writer = mesh.nodes[0], mesh.nodes[5]
        await first.close()
        assert (await writer.dht.put(writer.signed())).is_kept
        joined = await mesh.add()
        found = await joined.dht.get_record(node_key(writer.keys.address))
        assert found is not None
        assert writer.keys.public_key == found.record.public_key


async def test_put_reaches_the_true_holders() -> None:
    """The eight closest nodes hold the record."""
    async with LoopbackMesh(40) as mesh:
        writer = mesh.nodes[3]
        signed = writer.signed()
        report = await writer.dht.put(signed)
        assert report.is_kept
        expected = closest(mesh.nodes, signed.record.key, 8)
        await until(lambda: all(node.dht.store.holds(signed.record.key, signed.wire) for node in expected))


async def test_get_of_a_quorum_repairs_a_holder_that_missed_the_update() -> None:
    """A reader that compares holders brings the newest record to those behind."""
    async with LoopbackMesh(12) as mesh:
        writer, reader = mesh.nodes[0], mesh.nodes[1]
        old = writer.signed(hostname="old")
        new = writer.signed(hostname="new", issued_ms=old.record.issued_ms + 1000)
        await writer.dht.put(new)
        key = new.record.key
        late = next(node for node in closest(mesh.nodes, key, 3) if node not in (writer, reader))
        await until(lambda: late.dht.store.holds(key, new.wire))
        forget_everything(late)
        late.dht.store.put(old, unix_time=late.doors.unix_time())
        found = await reader.dht.get_record(key, signer=writer.keys.public_key, quorum=8)
        assert new == found
        await until(lambda: late.dht.store.holds(key, new.wire))


async def test_get_of_an_unknown_key_is_absent() -> None:
    """Nobody has it: that is an answer, not an error."""
    async with LoopbackMesh(10) as mesh:
        assert await mesh.nodes[2].dht.get_record(name_key("nobody")) is None
        assert [] == await mesh.nodes[2].dht.get_entries(name_key("nobody"))


async def test_entries_of_many_signers_are_read_over_pages() -> None:
    """Thirty carriers of one tag fit in no datagram, and are all found."""
    async with LoopbackMesh(30) as mesh:
        for node in mesh.nodes:
            issued_ms = int(node.doors.unix_time() * 1000)
            entry = TagEntry(public_key=node.keys.public_key, issued_ms=issued_ms, ttl_s=3600, tag="mcp")
            assert (await node.dht.put(sign_record(node.keys, entry))).is_kept
        found = await mesh.nodes[4].dht.get_tag("mcp")
        assert {node.keys.public_key for node in mesh.nodes} == {one.record.public_key for one in found}
        few = await mesh.nodes[5].dht.get_entries(tag_key("mcp"), limit=3)
        assert 3 == len(few)


async def test_names_claimed_by_two_are_both_found() -> None:
    """A name is no proof: everybody who claims it is returned."""
    async with LoopbackMesh(10) as mesh:
        for node in mesh.nodes[:2]:
            issued_ms = int(node.doors.unix_time() * 1000)
            claim = NameClaim(public_key=node.keys.public_key, issued_ms=issued_ms, ttl_s=3600, hostname="agent")
            await node.dht.put(sign_record(node.keys, claim))
        found = await mesh.nodes[6].dht.get_entries(name_key("agent"))
        assert {node.keys.public_key for node in mesh.nodes[:2]} == {one.record.public_key for one in found}


async def test_gets_of_the_same_key_at_once_share_one_walk() -> None:
    """A hundred callers cost one lookup; one that gives up does not take the others with it."""
    async with LoopbackMesh(20) as mesh:
        writer, reader = mesh.nodes[0], mesh.nodes[9]
        await writer.dht.put(writer.signed())
        key = node_key(writer.keys.address)
        before = mesh.net_metrics.datagrams_out if mesh.net_metrics else 0
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(reader.dht.get_record(key, quorum=3)) for _ in range(100)]
            await asyncio.sleep(0)
            tasks[0].cancel()
        found = [task.result() for task in tasks[1:]]
        assert 99 == len(found)
        assert len({one.wire for one in found if one is not None}) == 1
        after = mesh.net_metrics.datagrams_out if mesh.net_metrics else 0
        assert after - before < 200


async def test_single_node_keeps_and_finds_its_own_record() -> None:
    """A mesh of one works: the first node of every mesh is alone."""
    async with LoopbackMesh(1) as mesh:
        (node,) = mesh.nodes
        report = await node.dht.put(node.signed())
        assert report.is_kept
        found = await node.dht.get_record(node_key(node.keys.address))
        assert found is not None


async def test_mesh_with_full_stores_spills_to_the_next_closest() -> None:
    """Holders without room withhold their token, and the record lies a little farther away."""
    async with LoopbackMesh(30) as mesh:
        writer = mesh.nodes[0]
        signed = writer.signed()
        full = [node for node in closest(mesh.nodes, signed.record.key, 6) if node is not writer]
        for node in full:
            node.dht.store.size_bytes = mesh.dht_config.store_bytes
        report = await writer.dht.put(signed)
        assert report.is_kept
        assert not any(node.dht.store.holds(signed.record.key, signed.wire) for node in full)
        found = await mesh.nodes[20].dht.get_record(signed.record.key, signer=signed.record.public_key)
        assert signed == found
