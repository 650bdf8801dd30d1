"""A client has the verbs of a node about groups, and its values are those that a node gives."""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path

import pytest

from pilotdht.client.client import Client
from pilotdht.client.group import ClientGroup
from pilotdht.errors import AlreadyExists, NodeClosed, NotFound, UsageError
from pilotdht.gossip.group import Group
from pilotdht.gossip.values import GroupKind, MemberChange
from pilotdht.identity.keys import KeyPair
from pilotdht.wire.certificates import Role
from pilotdht.wire.invitations import parse_invitation
from tests.support.fake_daemon import fake_daemon
from tests.support.fake_groups import NEXT_GROUP_KEYS, QUEUED, event, member
from tests.support.fake_node import ALPHA

BOB = KeyPair.from_seed(b"\7" * 32)


@pytest.mark.asyncio
async def test_groups_are_those_of_the_node(tmp_path: Path) -> None:
    """What the node says of them and their members comes back equal."""
    async with fake_daemon(tmp_path) as daemon, Client(daemon.socket) as client:
        open_group = await client.create_group("research", tags=("a",), capabilities=("citations",))
        secret = await client.join_group("finance", token="s3cret")
        org = await client.join_group(invitation="pdht1x")
        group = daemon.node.group("research")

        assert ["research", "finance", "acme"] == [one.name for one in (open_group, secret, org)]
        assert daemon.node.groups() == await client.groups()
        assert group.info() == await open_group.info()
        assert group.members() == await client.group("research").members()
        assert group.find("agent-alpha") == await open_group.find("agent-alpha")
        assert group.member(ALPHA.public_key) == await open_group.member(ALPHA.public_key)
        assert await open_group.member(BOB.public_key) is None
        assert [True, False] == [await open_group.is_member(keys.public_key) for keys in (ALPHA, BOB)]
        assert [(("a",), ("citations",), None)] == group.told
        with pytest.raises(AlreadyExists):
            await client.create_group("research")
        await client.leave_group("research")
        with pytest.raises(NotFound):
            await open_group.member(BOB.public_key)


@pytest.mark.asyncio
async def test_kinds_of_groups_arrive(tmp_path: Path) -> None:
    """Each of them."""
    async with fake_daemon(tmp_path) as daemon, Client(daemon.socket) as client:
        for kind in GroupKind:
            await client.create_group(kind.value, kind=kind, token="s3cret" if kind is GroupKind.TOKEN else None)

        assert {kind.value: kind for kind in GroupKind} == {
            group.name: group.kind for group in daemon.node.joined.values()
        }


@pytest.mark.asyncio
async def test_metadata_that_is_not_given_stays(tmp_path: Path) -> None:
    """Nothing and nothing at all are two things."""
    async with fake_daemon(tmp_path) as daemon, Client(daemon.socket) as client:
        group = await client.create_group("research")
        await group.set_metadata(load=30)
        await group.set_metadata(tags=(), capabilities=("x",))

        assert [(None, None, 30), ((), ("x",), None)] == daemon.node.group("research").told[1:]


@pytest.mark.asyncio
async def test_invitations_and_expulsions_are_made_by_the_node(tmp_path: Path) -> None:
    """They come back as the values that a node gives."""
    async with fake_daemon(tmp_path) as daemon, Client(daemon.socket) as client:
        group = await client.create_group("acme", kind=GroupKind.ORG)
        bearer = parse_invitation(await group.invite(hostname="bob"))
        admin = parse_invitation(
            await group.invite(role=Role.ADMIN, holder=BOB.public_key, lifetime_s=60, hints=("127.0.0.1:4433",))
        )
        revocation = await group.revoke(BOB.public_key, "bye")
        here = daemon.node.group("acme")

        assert (True, "bob") == (bearer.is_bearer, bearer.chain.hostname)
        assert (BOB.public_key, Role.ADMIN, ("127.0.0.1:4433",)) == (admin.holder, admin.role, admin.hints)
        assert await here.revoke(BOB.public_key, "bye") == revocation


@pytest.mark.asyncio
async def test_another_key_is_given_by_the_node(tmp_path: Path) -> None:
    """The rotation comes back as the node signed it; refusals come back as they are; the time has a default."""
    async with fake_daemon(tmp_path) as daemon, Client(daemon.socket) as client:
        group = await client.create_group("acme", kind=GroupKind.ORG)
        rotation = await group.rotate(grace_s=120.0)
        await group.rotate()
        here = daemon.node.group("acme")
        with pytest.raises(UsageError, match="another key"):
            await (await client.create_group("research")).rotate()

        assert [120.0, 7 * 86_400.0] == here.rotated
        assert await here.rotate(grace_s=120.0) == rotation
        assert NEXT_GROUP_KEYS.public_key == rotation.successor


@pytest.mark.asyncio
async def test_messages_are_published_and_read(tmp_path: Path) -> None:
    """Any bytes, in the order in which they came; the reader stands when its block is entered."""
    data = bytes(range(256))
    async with fake_daemon(tmp_path) as daemon, Client(daemon.socket) as client:
        group = await client.create_group("research")
        here = daemon.node.group("research")
        sent = await group.publish("prices.eur", data)
        await group.broadcast(b"all")
        here.kept.append(event(b"kept"))
        async with group.subscribe("prices.*", is_replayed=True) as events:
            here.arrive(event(data, sequence=2))
            read = [await anext(events), await events.next()]

        assert [("prices.eur", data), ("broadcast", b"all")] == here.published
        assert (data, 1, "agent-own") == (sent.data, sent.sequence, sent.hostname)
        assert [event(b"kept"), event(data, sequence=2)] == read
        assert 0 == events.missed


@pytest.mark.asyncio
async def test_reader_sees_what_it_missed(tmp_path: Path) -> None:
    """The count is that of the node."""
    async with fake_daemon(tmp_path) as daemon, Client(daemon.socket) as client:
        group = await client.create_group("research")
        async with group.subscribe() as events:
            for number in range(1, QUEUED + 3):
                daemon.node.group("research").arrive(event(b"x", sequence=number))
            for _ in range(QUEUED):
                await events.next()

        assert 2 == events.missed


@pytest.mark.asyncio
async def test_changes_are_read_until_the_group_is_left(tmp_path: Path) -> None:
    """Then iterating ends, and asking for more says why there is none."""
    async with fake_daemon(tmp_path) as daemon, Client(daemon.socket) as client:
        group = await client.create_group("research")
        async with group.changes() as changes:
            daemon.node.group("research").change(MemberChange.UPDATED, member(load=80))
            first = await changes.next()
            await client.leave_group("research")
            rest = [change async for change in changes]
            with pytest.raises(NodeClosed):
                await changes.next()

        assert (MemberChange.UPDATED, member(load=80), "research") == (first.change, first.member, first.group)
        assert [] == rest


@pytest.mark.asyncio
async def test_reader_is_used_once_and_inside_its_block(tmp_path: Path) -> None:
    """Anything else is told as a mistake of the caller."""
    async with fake_daemon(tmp_path) as daemon, Client(daemon.socket) as client:
        group = await client.create_group("research")
        reader = group.subscribe()
        with pytest.raises(UsageError):
            await reader.next()
        async with reader:
            pass
        await reader.close()
        with pytest.raises(UsageError):
            await reader.__aenter__()
        with pytest.raises(NotFound):
            async with client.group("nothing").subscribe():
                pass


@pytest.mark.asyncio
async def test_cancelled_reader_closes_its_subscription(tmp_path: Path) -> None:
    """The node keeps no queue for a program that does not read any more."""
    async with fake_daemon(tmp_path) as daemon, Client(daemon.socket) as client:
        group = await client.create_group("research")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1), group.subscribe() as events:
                await events.next()
        await client.info()
    assert [] == daemon.node.group("research").subscriptions


NOT_OVER_HTTP = {"start", "joined", "close", "withdraw", "contact_of", "refresh", "knows_key", "renew"}
"""What only the node itself does with a group, and its keys."""


def public_verbs(kind: type) -> dict[str, list[str]]:
    """Return the public methods of a class with their parameters."""
    return {
        name: list(inspect.signature(method).parameters)
        for name, method in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_")
    }


def test_group_of_a_client_has_the_verbs_of_a_group() -> None:
    """Whoever can use a group in its own process can use one through a daemon."""
    ours = public_verbs(ClientGroup)
    missing = [
        name
        for name, parameters in public_verbs(Group).items()
        if name not in NOT_OVER_HTTP and parameters != ours.get(name)
    ]
    assert [] == missing
