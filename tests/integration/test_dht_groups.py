"""Groups in a mesh of real nodes: who is in one is found, over shards and until it leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from pilotdht.config.dht import DhtConfig
from pilotdht.identity.keys import KeyPair
from pilotdht.wire.certificates import Role, chain_untrusted, issue
from pilotdht.wire.group_records import GroupEntry, GroupNotice, group_notice_key
from pilotdht.wire.groups import keyed_group_id, open_group_id
from pilotdht.wire.records import Record
from pilotdht.wire.revocations import revoke
from simulations.engine.virtual_loop import run_virtually
from tests.support.loopback_mesh import MeshNode
from tests.support.virtual_mesh import VirtualMesh

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

GROUP = KeyPair.from_seed(bytes(32))
GROUP_ID = keyed_group_id(GROUP.public_key)
OPEN_ID = open_group_id("research")


def open_builder(node: MeshNode) -> Callable[[int], Record]:
    """Return what says that a node is in an open group."""
    return lambda issued_ms: GroupEntry(public_key=node.keys.public_key, issued_ms=issued_ms, ttl_s=3600, group=OPEN_ID)


def keyed_builder(node: MeshNode, *, lasts_s: int = 24 * 3600, role: Role = Role.MEMBER) -> Callable[[int], Record]:
    """Return what says that a node is in a keyed group."""
    now = int(node.doors.unix_time())
    wire = issue(GROUP, None, holder=node.keys.public_key, role=role, issued_s=now, expires_s=now + lasts_s)
    chain = chain_untrusted(wire, GROUP.public_key)
    return lambda issued_ms: GroupEntry(
        public_key=node.keys.public_key, issued_ms=issued_ms, ttl_s=3600, group=GROUP_ID, chain=chain
    )


def test_large_group_is_spread_over_shards_and_read_from_all() -> None:
    """When holders are full the next shard takes over, and readers look there too; who leaves is gone at once."""

    async def scenario() -> None:
        async with VirtualMesh(20, dht=DhtConfig(entries_per_key=8, max_spills=0)) as mesh:
            for node in mesh.nodes:
                assert (await node.dht.publish("group", open_builder(node))).is_kept
            found = await mesh.nodes[3].dht.get_group(OPEN_ID, is_keyed=False)
            shards = {one.record.shard for one in found if isinstance(one.record, GroupEntry)}
            assert {0, 1, 2} <= shards
            assert {node.keys.public_key for node in mesh.nodes} == {one.record.public_key for one in found}
            assert 5 == len(await mesh.nodes[4].dht.get_group(OPEN_ID, is_keyed=False, limit=5))
            assert [] == await mesh.nodes[5].dht.get_group(OPEN_ID, is_keyed=True)
            assert await mesh.nodes[0].dht.withdraw("group")
            left = await mesh.nodes[3].dht.get_group(OPEN_ID, is_keyed=False)
            assert {node.keys.public_key for node in mesh.nodes[1:]} == {one.record.public_key for one in left}

    run_virtually(scenario())


def test_keyed_group_is_found_while_certificates_last() -> None:
    """Refreshed by its members for as long as they are members, and no longer."""

    async def scenario() -> None:
        async with VirtualMesh(12) as mesh:
            short, long, reader = mesh.nodes[:3]
            await short.dht.publish("group", keyed_builder(short, lasts_s=2 * 3600))
            await long.dht.publish("group", keyed_builder(long, lasts_s=24 * 3600))
            expected = {short.keys.public_key, long.keys.public_key}
            for hours, members in ((0, expected), (1.5, expected), (0.6, {long.keys.public_key})):
                await asyncio.sleep(hours * 3600)
                found = await reader.dht.get_group(GROUP_ID, is_keyed=True)
                assert members == {one.record.public_key for one in found}

    run_virtually(scenario())


def test_notice_is_found_by_whoever_asks_about_its_subject() -> None:
    """Also by somebody who is in no group."""

    async def scenario() -> None:
        async with VirtualMesh(12) as mesh:
            admin, expelled, reader = mesh.nodes[:3]
            now = int(admin.doors.unix_time())
            record = keyed_builder(admin, role=Role.ADMIN)(1)
            assert isinstance(record, GroupEntry)
            revocation = revoke(
                admin.keys,
                record.chain,
                holder=expelled.keys.public_key,
                issued_ms=1000 * now,
                until_s=now + 3600,
                reason="left us",
            )
            report = await admin.dht.publish(
                "notice",
                lambda issued_ms: GroupNotice(
                    public_key=admin.keys.public_key, issued_ms=issued_ms, ttl_s=3600, notice=revocation
                ),
            )
            assert report.is_kept
            found = await reader.dht.get_entries(group_notice_key(GROUP_ID, expelled.keys.public_key))
            assert [revocation] == [one.record.notice for one in found if isinstance(one.record, GroupNotice)]
            assert [] == await reader.dht.get_entries(group_notice_key(GROUP_ID, reader.keys.public_key))

    run_virtually(scenario())
