"""An org whose key is replaced, with whole nodes under a virtual clock: who follows, who does not, what is heard."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pilotdht.config.broadcast import BroadcastConfig
from pilotdht.config.config import Config
from pilotdht.errors import AlreadyExists, InvalidArgument, UsageError
from pilotdht.gossip.values import GroupKind, MemberChange
from pilotdht.wire.certificates import Role
from tests.support.net_nodes import key_pair
from tests.support.nodes import node_of
from tests.support.virtual_orgs import ADMIN, DAY_S, ORG, OWNER, Org, Person, lived, probes_of


def test_rotation_moves_everybody_and_loses_nothing() -> None:
    """An owner, an admin, two members, and one who was away: all follow; nobody is told of anything but of that one."""

    async def story(org: Org) -> None:
        late = org.people[4]
        said = await org.say("before")
        await asyncio.sleep(2)
        await late.stop()
        rotation = await org.owner.group.rotate()
        assert rotation.successor == org.owner.group.charter.group_key
        for step in range(20):
            said += await org.say(f"during {step}")
            await asyncio.sleep(0.1)
        assert await org.followed(rotation.successor) < 10
        said += await org.say("after")
        await asyncio.sleep(3)
        await late.start()
        await org.followed(rotation.successor)
        said += await org.say("together")
        await asyncio.sleep(20)
        for person in org.people[:4]:
            assert sorted(said) == sorted(person.read()), person.number
            for other in org.people:
                own = [data for data in person.read() if data.endswith(b" %d" % other.number)]
                assert own == [data for data in said if data.endswith(b" %d" % other.number)], "a sender's order"
            assert [(MemberChange.LEFT, "host-4"), (MemberChange.JOINED, "host-4")] == [
                change for change in await person.told() if change[0] is not MemberChange.UPDATED
            ]
        heard = [data for data in said if data != b"before 4"]  # its own, which it read in its life before
        assert sorted(heard) == sorted(late.read()), "what was said while it was away is kept for a while"
        roles = {info.hostname: info.role for info in late.group.members()}
        assert {"host-1": Role.ADMIN, "host-2": Role.MEMBER, "host-3": Role.MEMBER, "host-4": Role.MEMBER} == {
            name: role for name, role in roles.items() if name.startswith("host")
        }

    lived(5, story)


def test_rotation_ends_the_old_era_when_all_have_followed() -> None:
    """After as long as messages are kept; who comes later finds the way by the DHT alone, for as long as it may."""

    async def story(org: Org) -> None:
        late = org.people[3]
        await late.stop()
        old = org.owner.group.group_id
        rotation = await org.owner.group.rotate(grace_s=DAY_S)
        await org.followed(rotation.successor)
        assert all(old in person.group.group_ids for person in org.up)
        await asyncio.sleep(100)
        assert all(old in person.group.group_ids for person in org.up), "not before messages are forgotten"
        await org.until(lambda: all(old not in person.group.group_ids for person in org.up), within_s=60)
        await late.start()
        assert not late.is_at(rotation.successor)
        await late.group.publish("words", b"I am back")  # nobody is there who could hear it
        await org.followed(rotation.successor)
        said = [b"I am back", *await org.say("again")]
        await asyncio.sleep(5)
        assert all(sorted(said) == sorted(person.read()) for person in org.up)

    lived(4, story, config=Config(broadcast=BroadcastConfig(retention_s=120.0)))


def test_rotation_that_somebody_missed_is_said_clearly() -> None:
    """Who comes back after the grace is out, is told so once, and comes in by a new invitation as the same group."""

    async def story(org: Org) -> None:
        late = org.people[2]
        await late.stop()
        rotation = await org.owner.group.rotate(grace_s=120.0)
        await org.followed(rotation.successor)
        await asyncio.sleep(180)
        assert org.owner.group.info().moves_until_s is None
        await late.start()
        await org.until(lambda: late.group.is_expelled, within_s=30)
        await asyncio.sleep(1)
        assert [(MemberChange.EXPELLED, "host-2")] == await late.told()
        assert late.group.info().is_expelled
        with pytest.raises(UsageError, match="has another key"):
            await late.group.publish("words", b"is anybody there?")
        group = late.group
        assert group is await org.invite(late)
        await org.followed(rotation.successor)
        said = await org.say("again")
        await asyncio.sleep(3)
        assert all(set(said) <= set(person.read()) for person in org.up)

    lived(3, story)


def test_rotation_puts_out_who_does_not_follow_in_time() -> None:
    """Somebody who is there but reaches no admin is expelled at the date, once, and nobody else is."""

    async def story(org: Org) -> None:
        mute = org.people[3]
        hosts = [org.endpoint_of(number).host for number in (OWNER, ADMIN, 3)]
        org.world.network.block(
            lambda one, other: hosts[2] in (one, other) and (one in hosts[:2] or other in hosts[:2])
        )
        rotation = await org.owner.group.rotate(grace_s=90.0)
        await org.until(lambda: all(person.is_at(rotation.successor) for person in org.people[:3]), within_s=30)
        await asyncio.sleep(30)
        assert not mute.group.info().is_expelled
        said = [*await org.say("still together")]
        await asyncio.sleep(5)
        assert all(set(said) == set(person.read()) for person in org.people)
        await asyncio.sleep(120)
        assert mute.group.is_expelled
        for person in org.people[:3]:
            assert [(MemberChange.EXPELLED, "host-3")] == await person.told()
            assert 3 == person.group.info().alive
        assert [(MemberChange.EXPELLED, "host-3")] == await mute.told()

    lived(4, story)


def test_rotation_goes_on_over_restarts() -> None:
    """Of the owner, an admin and a member, in the middle of it, by a crash or in order."""

    async def story(org: Org) -> None:
        late, member = org.people[4], org.people[2]
        await late.stop()
        rotation = await org.owner.group.rotate(grace_s=DAY_S)
        await org.owner.stop(is_crash=True)  # before anybody has heard of it
        await asyncio.sleep(5)
        assert member.group.charter.rotation is None
        await org.owner.start()
        await org.until(lambda: member.group.charter.rotation is not None, within_s=60)
        await member.stop(is_crash=True)
        await asyncio.sleep(5)
        await member.start()
        await org.followed(rotation.successor)
        for person in (org.people[ADMIN], org.owner):
            await person.stop()
            await person.start()
        await late.start()
        await org.followed(rotation.successor)
        for person in org.people:
            person.listen()
        said = await org.say("again")
        await asyncio.sleep(3)
        assert all(sorted(said) == sorted(person.read()) for person in org.people)
        assert all(Role.OWNER is not person.group.info().role for person in org.people[1:])
        assert Role.OWNER is org.owner.group.info().role
        assert org.owner.group.invite(), "it still has the key, the new one"

    lived(5, story)


def test_rotation_goes_on_without_the_owner() -> None:
    """An admin that has followed renews the others, with certificates below its own."""

    async def story(org: Org) -> None:
        others = org.people[2:]
        for person in others:
            await person.stop()
        rotation = await org.owner.group.rotate(grace_s=DAY_S)
        await org.followed(rotation.successor)
        await org.owner.stop()
        for person in others:
            await person.start()
        await org.followed(rotation.successor)
        assert [2, 2] == [person.chain_links for person in others]
        assert {"host-1", "host-2", "host-3"} <= {info.hostname for info in others[0].group.members()}
        said = await org.say("without")
        await asyncio.sleep(3)
        assert all(set(said) <= set(person.read()) for person in org.up)

    lived(4, story)


def test_rotation_is_refused_when_it_cannot_be() -> None:
    """By a member, in too short a time, or while one goes on; afterwards another one may begin."""

    async def story(org: Org) -> None:
        owner = org.owner.group
        with pytest.raises(UsageError, match="does not hold the key"):
            await org.people[ADMIN].group.rotate()
        with pytest.raises(InvalidArgument, match="follow"):
            await owner.rotate(grace_s=59)
        first = await owner.rotate(grace_s=120)
        with pytest.raises(UsageError, match="already"):
            await owner.rotate()
        await org.followed(first.successor)
        await asyncio.sleep(150)
        second = await owner.rotate()
        await org.followed(second.successor)

    lived(3, story)


def test_rotation_is_on_disk_before_it_is_told(tmp_path: Path) -> None:
    """A crash at once costs nobody the new key; groups are kept when the node closes, too."""

    async def story() -> None:
        keys = key_pair(1)
        async with node_of("alpha", data_dir=tmp_path, keys=keys) as node:
            group = await node.create_group(ORG, kind=GroupKind.ORG)
            rotation = await group.rotate()
            await node.abort()
        for _ in range(2):
            async with node_of("alpha", data_dir=tmp_path, keys=keys) as node:
                info, charter = node.group(ORG).info(), node.group(ORG).charter
                assert (Role.OWNER, float(rotation.until_s)) == (info.role, info.moves_until_s)
                assert charter.group_keys is not None
                assert rotation.successor == charter.group_keys.public_key
                assert charter.former is not None
                assert charter.former.rotation == rotation

    asyncio.run(story())


def test_rotation_of_groups_whose_key_is_no_secret_is_refused() -> None:
    """That of an open group, and of one with a token; nobody can be expelled from the latter either."""

    async def story() -> None:
        async with node_of("alpha") as node:
            for kind, token in ((GroupKind.OPEN, None), (GroupKind.TOKEN, "four random words")):
                group = await node.create_group(kind.value, kind=kind, token=token)
                with pytest.raises(UsageError, match="cannot have another key"):
                    await group.rotate()
                with pytest.raises(UsageError, match="nobody can be expelled"):
                    await group.revoke(key_pair(1).public_key)

    asyncio.run(story())


def test_certificates_that_expire_are_told_and_renewed() -> None:
    """A member without certificates is silent, says so, and is the same member again with new ones."""

    async def story(org: Org) -> None:
        member, other = org.people[2], org.people[3]
        assert member.node is not None
        await org.invite(other, lifetime_s=DAY_S)  # before they expire: nobody notices
        await asyncio.sleep(2)
        assert other.group.charter.chain is not None
        assert other.group.charter.chain.expires_s > org.world.unix_time_of(0)() + DAY_S / 2
        text = org.owner.group.invite(hostname="host-2", lifetime_s=120.0)
        await member.node.join_group(invitation=text)
        await asyncio.sleep(130)
        assert member.group.info().is_expelled
        assert [(MemberChange.EXPELLED, "host-2")] == [
            change for change in await member.told() if change[0] is not MemberChange.UPDATED
        ]
        with pytest.raises(UsageError, match="not in force"):
            await member.group.publish("words", b"hello")
        probes = probes_of(member)
        assert probes > 0
        await asyncio.sleep(300)
        assert probes == probes_of(member), "it costs nothing"
        await org.invite(member)
        await org.until(org.is_whole, within_s=60)
        said = await org.say("again")
        await asyncio.sleep(3)
        assert all(set(said) <= set(person.read()) for person in org.people)

    lived(4, story)


def test_invitation_to_another_group_of_the_name_is_refused() -> None:
    """Two orgs of one name are two orgs; and an admin does not become a member by accident."""

    async def story(org: Org) -> None:
        stranger = Person(org, 9)
        await stranger.start()
        try:
            assert stranger.node is not None
            assert org.people[1].node is not None
            twin = await stranger.node.create_group(ORG, kind=GroupKind.ORG)
            with pytest.raises(AlreadyExists, match="another group"):
                await org.people[1].node.join_group(invitation=twin.invite())
            with pytest.raises(InvalidArgument, match="makes a member"):
                await org.people[1].node.join_group(invitation=org.owner.group.invite())
        finally:
            await stranger.stop()

    lived(2, story)
