"""Hours of a mesh in seconds: refresh, withdrawal, restarts with wrong clocks, shards, churn, repeatability."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from pilotdht.config.dht import DhtConfig
from pilotdht.dht.store import WITHDRAWAL_TTL_S
from pilotdht.wire.dht_messages import StoreCode
from pilotdht.wire.records import NameClaim, NodeRecord, Record, TagEntry, name_key, sign_record
from simulations.engine.virtual_loop import run_virtually
from simulations.world.conditions import CONDITIONS
from tests.support.loopback_mesh import MeshNode, forget_everything
from tests.support.virtual_mesh import VirtualMesh

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]


def node_builder(node: MeshNode, *, ttl_s: int = 7200) -> Callable[[int], Record]:
    """Return what makes a node's own record."""

    def build(issued_ms: int) -> Record:
        return NodeRecord(
            public_key=node.keys.public_key, issued_ms=issued_ms, ttl_s=ttl_s, endpoints=(node.contact.endpoint,)
        )

    return build


def tag_builder(node: MeshNode, tag: str) -> Callable[[int], Record]:
    """Return what makes a tag entry."""
    return lambda issued_ms: TagEntry(public_key=node.keys.public_key, issued_ms=issued_ms, ttl_s=3600, tag=tag)


def name_builder(node: MeshNode, hostname: str) -> Callable[[int], Record]:
    """Return what makes a claim."""
    return lambda issued_ms: NameClaim(
        public_key=node.keys.public_key, issued_ms=issued_ms, ttl_s=3600, hostname=hostname
    )


def test_published_record_lives_as_long_as_its_publisher() -> None:
    """Ten hours later it is there, with a higher sequence; two hours after the publisher died it is gone."""

    async def scenario() -> None:
        async with VirtualMesh(12) as mesh:
            writer, reader = mesh.nodes[0], mesh.nodes[7]
            first = await writer.dht.publish("node", node_builder(writer))
            assert first.is_kept
            key = node_builder(writer)(1).key
            begun = await reader.dht.get_record(key)
            assert begun is not None
            await asyncio.sleep(10 * 3600)
            later = await reader.dht.get_record(key)
            assert later is not None
            assert later.record.sequence > begun.record.sequence
            await writer.close()
            await asyncio.sleep(2 * 3600 + 1)
            assert await reader.dht.get_record(key) is None

    run_virtually(scenario())


def test_withdrawn_records_are_gone_and_old_copies_do_not_return() -> None:
    """After a clean stop nobody finds the node, even when somebody brings an old copy."""

    async def scenario() -> None:
        async with VirtualMesh(12) as mesh:
            writer, stranger, reader = mesh.nodes[0], mesh.nodes[3], mesh.nodes[7]
            await writer.dht.publish("node", node_builder(writer))
            await writer.dht.publish("name", name_builder(writer, "agent"))
            await writer.dht.publish("tag", tag_builder(writer, "mcp"))
            key = node_builder(writer)(1).key
            old = await reader.dht.get_record(key)
            assert old is not None
            await asyncio.sleep(60)
            await writer.dht.withdraw_all()
            assert await reader.dht.get_record(key) is None
            assert [] == await reader.dht.get_entries(name_key("agent"))
            assert [] == await reader.dht.get_tag("mcp")
            report = await stranger.dht.put(old)
            assert 0 == report.acks
            for _ in range(3):
                await asyncio.sleep(1800)
                assert await reader.dht.get_record(key) is None
            assert () == writer.dht.stats().publications

    run_virtually(scenario())


def test_withdrawn_record_can_be_published_again() -> None:
    """Who comes back is found again at once."""

    async def scenario() -> None:
        async with VirtualMesh(8) as mesh:
            writer, reader = mesh.nodes[0], mesh.nodes[5]
            await writer.dht.publish("node", node_builder(writer))
            assert await writer.dht.withdraw("node")
            assert not await writer.dht.withdraw("node")
            report = await writer.dht.publish("node", node_builder(writer))
            assert report.is_kept
            found = await reader.dht.get_record(node_builder(writer)(1).key, quorum=1)
            assert found is not None

    run_virtually(scenario())


def test_withdrawal_outlives_a_holder_that_missed_it() -> None:
    """A reader that hears the withdrawal from one holder does not believe an older record of another, and mends it."""

    async def scenario() -> None:
        async with VirtualMesh(8) as mesh:
            writer, reader = mesh.nodes[0], mesh.nodes[5]
            await writer.dht.publish("node", node_builder(writer))
            key = node_builder(writer)(1).key
            late = next(node for node in mesh.nodes[1:] if node is not reader and len(node.dht.store))
            old = next(iter(late.dht.store)).wire
            signed = await reader.dht.get_record(key)
            assert signed is not None
            await writer.dht.withdraw("node")
            forget_everything(late)
            late.dht.store.put(signed, unix_time=late.doors.unix_time())
            assert await reader.dht.get_record(key, quorum=7) is None
            await asyncio.sleep(5)
            assert not late.dht.store.holds(key, old)

    run_virtually(scenario())


def test_publisher_with_lost_state_and_a_slow_clock_overtakes_its_old_record() -> None:
    """Holders refuse what is older; the publisher learns its last number from them and goes on from there."""

    async def scenario() -> None:
        async with VirtualMesh(8) as mesh:
            writer, reader = mesh.nodes[0], mesh.nodes[5]
            ahead = writer.signed(issued_ms=int((writer.doors.unix_time() + 300) * 1000))
            await writer.dht.put(ahead)
            report = await writer.dht.publish("node", node_builder(writer))
            assert report.is_kept
            found = await reader.dht.get_record(ahead.record.key)
            assert found is not None
            assert found.record.sequence > ahead.record.sequence

    run_virtually(scenario())


def test_sequence_numbers_do_not_go_back_over_a_restart_with_a_clock_set_back() -> None:
    """The saved number counts, not the clock."""

    async def scenario() -> None:
        async with VirtualMesh(8) as mesh:
            writer = mesh.nodes[0]
            await writer.dht.publish("node", node_builder(writer))
            saved, last = writer.dht.snapshot(), writer.dht.sequence.last_ms
            await writer.close()
            again = mesh.new_node(writer.keys)
            again.doors = replace(again.doors, unix_time=lambda: 1_800_000_000.0 - 300.0)
            contacts = again.dht.restore(saved)
            await again.open()
            mesh.nodes.append(again)
            await again.dht.bootstrap(contacts)
            report = await again.dht.publish("node", node_builder(again))
            assert report.is_kept
            assert again.dht.sequence.last_ms > last

    run_virtually(scenario())


def test_failed_publication_is_tried_again() -> None:
    """A record published while nobody could be reached is there once somebody can."""

    async def scenario() -> None:
        async with VirtualMesh(6) as mesh:
            writer, reader = mesh.nodes[0], mesh.nodes[5]
            writer.socket.rpc.is_client = True
            mesh.memory.allows = lambda source, target: writer.contact.endpoint not in (source, target)
            report = await writer.dht.publish("node", node_builder(writer))
            assert not report.is_kept
            mesh.memory.allows = None
            await asyncio.sleep(60)
            assert await reader.dht.get_record(node_builder(writer)(1).key) is not None

    run_virtually(scenario())


def test_publication_that_was_cut_short_is_tried_again() -> None:
    """Whoever waits for a first publication may give up waiting; the publication goes on."""

    async def scenario() -> None:
        async with VirtualMesh(6) as mesh:
            writer, reader = mesh.nodes[0], mesh.nodes[5]
            await asyncio.sleep(30)  # the background work has begun and found nothing to do
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await writer.dht.publish("node", node_builder(writer))
            await asyncio.sleep(60)
            assert await reader.dht.get_record(node_builder(writer)(1).key) is not None

    run_virtually(scenario())


def test_mesh_that_was_cut_for_an_hour_becomes_one_again() -> None:
    """Each side has given the other up by then; half a minute after the healing all records are found by all."""

    async def scenario() -> None:
        async with VirtualMesh(24) as mesh:
            side = {node.contact.endpoint: number % 2 for number, node in enumerate(mesh.nodes)}
            for node in mesh.nodes:
                await node.dht.publish("node", node_builder(node))
            mesh.memory.allows = lambda source, target: side[source] == side[target]
            await asyncio.sleep(3600)
            for number, node in enumerate(mesh.nodes):
                others = {known.contact.endpoint for known in node.dht.contacts()}
                assert {number % 2} == {side[endpoint] for endpoint in others}
            mesh.memory.allows = None
            await asyncio.sleep(30)
            for asker, owner in zip(mesh.nodes, [*mesh.nodes[1:], mesh.nodes[0]], strict=True):
                found = await asker.dht.get_record(node_builder(owner)(1).key)
                assert found is not None
                last = owner.dht.published("node")
                assert last is not None
                assert last.record.issued_ms == found.record.issued_ms

    run_virtually(scenario())


def test_record_is_written_anew_when_the_mesh_has_doubled() -> None:
    """Newcomers that stand nearer to its key have it, without waiting for half of its lifetime."""

    async def scenario() -> None:
        async with VirtualMesh(4) as mesh:
            owner = mesh.nodes[0]
            await owner.dht.publish("node", node_builder(owner))
            first = owner.dht.published("node")
            for _ in range(12):
                await mesh.add()
            await asyncio.sleep(60)
            second = owner.dht.published("node")
            assert first is not None
            assert second is not None
            assert first.record.issued_ms < second.record.issued_ms

    run_virtually(scenario())


def test_popular_tag_is_spread_over_shards_and_read_from_all() -> None:
    """When holders are full the next shard takes over, and readers look there too."""

    async def scenario() -> None:
        async with VirtualMesh(20, dht=DhtConfig(entries_per_key=8, max_spills=0)) as mesh:
            for node in mesh.nodes:
                assert (await node.dht.publish("tag", tag_builder(node, "mcp"))).is_kept
            found = await mesh.nodes[3].dht.get_tag("mcp")
            shards = {one.record.shard for one in found if isinstance(one.record, TagEntry)}
            assert {0, 1, 2} <= shards
            assert {node.keys.public_key for node in mesh.nodes} == {one.record.public_key for one in found}

    run_virtually(scenario())


def test_mesh_under_churn_and_loss_keeps_its_records() -> None:
    """Three hours with a mean uptime of two, at two percent loss: published records are found."""

    async def scenario() -> None:
        async with VirtualMesh(30, conditions=replace(CONDITIONS["uniform"], loss=0.02)) as mesh:
            publishers = mesh.nodes[:8]
            rounds = 6
            for node in publishers:
                await node.dht.publish("node", node_builder(node))
            asked = found = 0
            for _ in range(rounds):
                await asyncio.sleep(1800)
                mortal = [node for node in mesh.live() if node not in publishers]
                for node in mesh.random.sample(mortal, len(mortal) // 4):
                    await node.close()
                    await mesh.add()
                for node in publishers:
                    reader = mesh.random.choice(mesh.live())
                    asked += 1
                    found += await reader.dht.get_record(node_builder(node)(1).key, quorum=1) is not None
            assert asked == 8 * rounds
            assert found == asked

    run_virtually(scenario())


def test_tables_fill_without_traffic_of_users_and_without_lookups() -> None:
    """Whoever is known in a thin part of the table names others there; only an empty part has to be looked up."""
    config = DhtConfig(bucket_size=4, candidate_queue=0, join_refreshes=0, self_lookup_s=86_400.0)

    async def scenario() -> None:
        async with VirtualMesh(60, dht=config) as mesh:
            assert mesh.dht_metrics is not None
            before = sum(len(node.dht.table) for node in mesh.nodes)
            lookups = mesh.dht_metrics.operations["refresh", "done"].value
            await asyncio.sleep(2 * 3600)
            after = sum(len(node.dht.table) for node in mesh.nodes)
            assert after > 1.2 * before
            looked_up = mesh.dht_metrics.operations["refresh", "done"].value - lookups
            assert looked_up < 0.2 * sum(len(node.dht.table.buckets) for node in mesh.nodes)

    run_virtually(scenario())


def test_dead_contacts_leave_all_tables_without_traffic_of_users() -> None:
    """Upkeep alone finds out who has died."""

    async def scenario() -> None:
        async with VirtualMesh(20) as mesh:
            dead = {node.contact.point for node in await mesh.kill(0.3)}
            await asyncio.sleep(2 * 3600)
            for node in mesh.live():
                assert not dead & {one.id for one in node.dht.contacts()}

    run_virtually(scenario())


def test_isolated_node_keeps_its_contacts_and_comes_back() -> None:
    """An hour without network empties no table."""

    async def scenario() -> None:
        async with VirtualMesh(15) as mesh:
            node = mesh.nodes[4]
            known = len(node.dht.table)
            mesh.memory.allows = lambda source, target: node.contact.endpoint not in (source, target)
            await asyncio.sleep(3600)
            assert known == len(node.dht.table)
            assert 0 == node.dht.contact_count
            mesh.memory.allows = None
            await asyncio.sleep(1200)
            assert node.dht.contact_count > 5

    run_virtually(scenario())


def test_clients_are_in_nobodys_table() -> None:
    """A node that calls itself a client reads and writes, and is not asked anything."""

    async def scenario() -> None:
        async with VirtualMesh(10) as mesh:
            mesh.dht_config = DhtConfig(mode="client")
            client = await mesh.add()
            assert (await client.dht.put(client.signed())).is_kept
            await asyncio.sleep(3600)
            assert client.dht.contact_count > 0
            assert 0 == len(client.dht.store)
            for node in mesh.nodes[:10]:
                assert client.contact.point not in {one.id for one in node.dht.contacts()}

    run_virtually(scenario())


def test_server_that_becomes_a_client_leaves_all_tables() -> None:
    """Once it says so, nobody asks it any more, and nothing is written to it."""
    config = DhtConfig(mode="server")

    async def scenario() -> None:
        async with VirtualMesh(10, dht=config) as mesh:
            server = mesh.nodes.pop(4)
            assert any(server.contact.point in {one.id for one in node.dht.contacts()} for node in mesh.nodes)
            listen = server.contact.endpoint
            await server.close()
            turned = MeshNode(
                server.keys, server.doors, dht=DhtConfig(mode="client"), net=mesh.net_config, listen=listen
            )
            await turned.open()
            await asyncio.sleep(3600)
            for node in mesh.nodes:
                assert turned.contact.point not in {one.id for one in node.dht.contacts()}
            for node in mesh.nodes:
                await node.dht.put(node.signed())
            assert 0 == len(turned.dht.store)
            await turned.close()

    run_virtually(scenario())


def test_expired_records_free_their_place() -> None:
    """Memory goes back when records end."""

    async def scenario() -> None:
        async with VirtualMesh(6) as mesh:
            for node in mesh.nodes:
                await node.dht.put(node.signed(ttl_s=7200))
            await asyncio.sleep(7300)
            assert all(0 == node.dht.store.size_bytes for node in mesh.nodes)

    run_virtually(scenario())


def test_withdrawal_says_nothing_but_that_its_signer_has_gone() -> None:
    """It has no endpoints, and is void after a second."""

    async def scenario() -> None:
        async with VirtualMesh(4) as mesh:
            writer = mesh.nodes[0]
            await writer.dht.publish("node", node_builder(writer))
            await writer.dht.withdraw("node")
            await asyncio.sleep(1)
            held = next(iter(mesh.nodes[2].dht.store))
            assert held.is_withdrawal
            assert WITHDRAWAL_TTL_S == 1
            revived = sign_record(writer.keys, node_builder(writer)(held.version[0] - 5))
            assert StoreCode.OLDER is mesh.nodes[2].dht.store.put(revived, unix_time=writer.doors.unix_time())

    run_virtually(scenario())


async def _busy_hour() -> tuple[str, int, list[tuple[int, ...]]]:
    """Run a mesh with churn, loss and writes; return the trace of all datagrams, their number, and all tables."""
    async with VirtualMesh(25, seed=5, conditions=replace(CONDITIONS["uniform"], loss=0.05)) as mesh:
        for node in mesh.nodes[:10]:
            await node.dht.publish("node", node_builder(node))
            await node.dht.publish("tag", tag_builder(node, "mcp"))
        await mesh.kill(0.2)
        await asyncio.sleep(3600)
        for node in mesh.live()[:5]:
            await node.dht.get_tag("mcp")
        tables = [tuple(one.id for one in node.dht.contacts()) for node in mesh.live()]
        return mesh.memory.trace_digest(), mesh.memory.sent, tables


def test_two_runs_with_one_seed_are_the_same() -> None:
    """Every datagram at the same time, of the same size, between the same nodes; and the same tables."""
    one, other = run_virtually(_busy_hour()), run_virtually(_busy_hour())
    assert one == other
    assert one[1] > 1000
