"""An org whose key is replaced, and people who wish it ill: the expelled, thieves of the key, and strangers."""

from __future__ import annotations

import asyncio

import pytest

from pilotdht.errors import UsageError
from pilotdht.wire.certificates import Role, chain_untrusted, issue
from pilotdht.wire.gossip_messages import Gossip
from pilotdht.wire.renewal_messages import Renew
from pilotdht.wire.rotations import rotate
from tests.support.net_nodes import key_pair
from tests.support.virtual_orgs import ADMIN, DAY_S, OWNER, Org, Person, asked, dropped, lived


def test_rotation_keeps_out_whom_the_group_expelled() -> None:
    """Before it, by the owner or an admin, and while it goes on; also when they come back later."""

    async def story(org: Org) -> None:
        by_owner, by_admin, later = org.people[3:6]
        admin = org.people[ADMIN].group
        await org.owner.group.revoke(by_owner.keys.public_key, "left the company")
        await admin.revoke(by_admin.keys.public_key, "so did this one")
        await org.until(lambda: by_owner.group.is_expelled and by_admin.group.is_expelled, within_s=30)
        await later.stop()
        rotation = await org.owner.group.rotate(grace_s=DAY_S)
        good = [org.people[number] for number in (OWNER, ADMIN, 2)]
        await org.until(lambda: all(person.is_at(rotation.successor) for person in good), within_s=30)
        await admin.revoke(later.keys.public_key, "and this one")
        await asyncio.sleep(5)
        await by_owner.stop()
        await by_owner.start()
        await later.start()
        await asyncio.sleep(300)
        for person in (by_owner, by_admin, later):
            assert person.group.is_expelled
            assert person.group.charter.group_key != rotation.successor
            with pytest.raises(UsageError, match="expelled"):
                await person.group.publish("words", b"let me in")
            for member in good:
                assert not member.group.is_member(person.keys.public_key)
        assert all(3 == person.group.info().alive for person in good)

    lived(6, story)


@pytest.mark.parametrize("is_owner_there", [True, False])
def test_rotation_keeps_out_whom_a_new_admin_expelled(is_owner_there: bool) -> None:
    """One who has no say in the old group: the owner says it there, and without the owner nobody renews."""

    async def story(org: Org) -> None:
        late = org.people[2]
        await late.stop()
        rotation = await org.owner.group.rotate(grace_s=DAY_S)
        await org.followed(rotation.successor)
        newcomer = Person(org, 9)
        node = await newcomer.start()
        try:
            text = org.owner.group.invite(role=Role.ADMIN, holder=newcomer.keys.public_key)
            group = await node.join_group(invitation=text)
            await org.until(lambda: org.people[ADMIN].group.is_member(newcomer.keys.public_key), within_s=30)
            if not is_owner_there:
                await org.owner.stop()
            await group.revoke(late.keys.public_key, "while it was away")
            await asyncio.sleep(5)
            await late.start()
            await asyncio.sleep(300)
            assert late.group.charter.group_key != rotation.successor
            assert is_owner_there == late.group.is_expelled, "only the owner is heard by both keys"
            assert not org.up[0].group.is_member(late.keys.public_key)
        finally:
            await newcomer.stop()

    lived(3, story)


def test_rotation_by_a_thief_leads_nobody_away() -> None:
    """Who follows one successor of a key stays with it, and counts the other; the owner follows its own alone."""

    async def story(org: Org) -> None:
        owner, member = org.owner, org.people[2]
        old, keys = owner.group.group_id, owner.group.charter.group_keys
        assert keys is not None
        now_ms = int(1000 * org.world.unix_time_of(0)())
        theft = rotate(keys, successor=key_pair(99).public_key, issued_ms=now_ms - 1000, until_s=now_ms // 1000 + 3600)
        rotation = await owner.group.rotate(grace_s=DAY_S)
        await org.followed(rotation.successor)
        assert member.node is not None
        assert owner.node is not None
        owner.node.rooms.socket.rpc.tell(member.contact, Gossip(old, (theft.wire,)))
        await asyncio.sleep(5)
        assert 1 == dropped(member, "other_successor")
        for person in org.people:
            assert person.is_at(rotation.successor)
            assert person.group.charter.rotation == rotation

    lived(3, story)


def test_rotation_by_a_thief_does_not_lead_the_owner_away() -> None:
    """Even when it is quicker: the owner is warned, replaces the key itself, and those who were not reached follow."""

    async def story(org: Org) -> None:
        owner, member = org.owner, org.people[2]
        keys = owner.group.charter.group_keys
        assert keys is not None
        now_ms = int(1000 * org.world.unix_time_of(0)())
        theft = rotate(keys, successor=key_pair(99).public_key, issued_ms=now_ms, until_s=now_ms // 1000 + 3600)
        for person in org.people[1:]:
            await person.stop()
        stranger = Person(org, 9)
        await stranger.start()
        try:
            assert stranger.node is not None
            stranger.node.rooms.socket.rpc.tell(owner.contact, Gossip(owner.group.group_id, (theft.wire,)))
            await asyncio.sleep(5)
            assert owner.group.charter.rotation is None
            assert 1 == dropped(owner, "other_successor")
        finally:
            await stranger.stop()
        rotation = await owner.group.rotate(grace_s=DAY_S)
        for person in org.people[1:]:
            await person.start()
        await org.followed(rotation.successor)
        assert member.is_at(rotation.successor)

    lived(3, story)


def test_renewal_is_given_to_members_in_good_standing_alone() -> None:
    """Not to strangers, not for another's certificates, not to the expelled, and not without end."""

    async def story(org: Org) -> None:
        owner, member, expelled = org.owner, org.people[2], org.people[3]
        old, old_keys = owner.group.group_id, owner.group.charter.group_keys
        chains = {person.number: person.group.charter.chain for person in org.people}
        assert old_keys is not None
        assert member.node is not None
        await owner.group.revoke(expelled.keys.public_key, "out")
        await asyncio.sleep(2)
        rotation = await owner.group.rotate(grace_s=300.0)
        good, out, own = chains[2], chains[3], chains[OWNER]
        assert good is not None
        assert out is not None
        assert own is not None
        await org.until(lambda: all(org.people[n].is_at(rotation.successor) for n in (1, 2)), within_s=30)
        await asyncio.sleep(60)

        renewed = await asked(owner, member, Renew(old, good.wire))
        assert renewed
        chain = chain_untrusted(renewed, rotation.successor)
        assert (good.role, good.hostname, good.expires_s) == (chain.role, chain.hostname, chain.expires_s)

        assert await asked(owner, expelled, Renew(old, out.wire)) is None
        stranger = Person(org, 9)
        await stranger.start()
        try:
            forged = issue(
                key_pair(77), None, holder=stranger.keys.public_key, role=Role.ADMIN, issued_s=1, expires_s=2**40
            )
            now_s = int(org.world.unix_time_of(0)())
            expired = issue(
                old_keys, None, holder=stranger.keys.public_key, role=Role.MEMBER, issued_s=1, expires_s=now_s - 1
            )
            for wire in (good.wire, forged, expired, b"", b"\xc1" * 400):
                assert await asked(owner, stranger, Renew(old, wire)) is None
                await asyncio.sleep(20)
        finally:
            await stranger.stop()

        assert b"" == await asked(org.people[ADMIN], owner, Renew(old, own.wire)), "no admin makes admins"
        answers = [await asked(owner, member, Renew(old, good.wire)) for _ in range(8)]
        assert answers.count(None) >= 3, "it is slow with those who ask again and again"
        assert dropped(owner, "rate") >= 3
        await asyncio.sleep(300)
        assert await asked(owner, member, Renew(old, good.wire)) is None, "it is over"

    lived(4, story)
