"""Members under a virtual clock: who comes, dies, leaves, returns, stands still; wrong clocks, loss and cuts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

import pytest

from pilotdht.config.gossip import GossipConfig
from pilotdht.gossip.values import MemberChange, MemberStatus
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.membership import FactKind
from simulations.engine.virtual_loop import OWNER, run_virtually
from simulations.world.conditions import CONDITIONS
from tests.support.gossip_town import Citizen, Town

pytestmark = pytest.mark.simulation

UNIFORM = CONDITIONS["uniform"]
SMALL = GossipConfig(fact_lifetime_s=300.0)


def in_town(visit: Callable[[Town], Awaitable[None]], *, loss: float = 0.0, config: GossipConfig | None = None) -> None:
    """Visit a town in virtual time, and close it."""

    async def main() -> None:
        town = Town(conditions=replace(UNIFORM, loss=loss), config=config)
        try:
            await visit(town)
        finally:
            await town.close()

    run_virtually(main())


def false_deaths(town: Town, *dead: Citizen) -> int:
    """Return how often somebody was held for dead who was not."""
    return sum(
        kind is MemberChange.FAILED and node_id not in [one.keys.node_id for one in dead]
        for citizen in town.citizens
        for _, kind, node_id in citizen.changes
    )


def _all_hold(town: Town, other: Citizen, status: MemberStatus) -> bool:
    return all(one.holds(other) is status for one in town.up)


def test_members_find_each_other_and_keep_quiet() -> None:
    """Who joins through one knows all, soon; nobody is suspected afterwards, and nothing piles up."""

    async def visit(town: Town) -> None:
        members = await town.settle(30)
        await asyncio.sleep(120)
        assert all(member.swim.alive_count() == 30 for member in members)
        assert (0, 0.0) == (false_deaths(town), sum(member.metrics.suspicions.value for member in members))
        assert 0 == sum(member.swim.news for member in members)
        assert all(member.swim.repair.is_settled for member in members)
        before = town.world.network.wire_bytes
        await asyncio.sleep(60)
        assert (town.world.network.wire_bytes - before) / 60 / 30 < 800

    in_town(visit)


def test_member_that_crashes_is_dead_everywhere_in_time_and_nobody_else_is() -> None:
    """Within the formula's time at the first, and a few seconds later at all."""

    async def visit(town: Town) -> None:
        members = await town.settle(30)
        victim = members[7]
        await victim.crash()
        took_s = await town.until(lambda: all(one.holds(victim) is MemberStatus.DEAD for one in town.up), within_s=40)
        assert 4.0 < took_s < 20.0
        await asyncio.sleep(30)
        assert (0, [1] * 29) == (
            false_deaths(town, victim),
            [one.count(MemberChange.FAILED, victim) for one in town.up],
        )

    in_town(visit)


@pytest.mark.parametrize("count", [2, 3, 10])
def test_member_that_departs_has_left_everywhere_and_is_never_suspected(count: int) -> None:
    """Also where one datagram in five is lost, also in a group of two."""

    async def visit(town: Town) -> None:
        members = await town.settle(count)
        for number in (count - 1,) * 5:
            leaver = next(one for one in town.up if one.keys.node_id == members[number].keys.node_id)
            town.world.network.conditions = replace(UNIFORM, loss=0.2)
            await leaver.swim.depart()
            await leaver.crash()
            await town.until(partial(_all_hold, town, leaver, MemberStatus.LEFT), within_s=3)
            town.world.network.conditions = UNIFORM
            again = town.make(number)
            await again.start([members[0].contact])
            await town.until(partial(_all_hold, town, again, MemberStatus.ALIVE), within_s=30)
        assert 0 == sum(one.count(MemberChange.FAILED) for one in members)

    in_town(visit)


def test_member_that_left_objects_to_nothing_any_more() -> None:
    """Who probes one that lingers is told that it left."""

    async def visit(town: Town) -> None:
        members = await town.settle(5)
        leaver = members[3]
        leaver.swim.leave()
        leaver.swim.leave()
        leaver.swim.refresh()
        await asyncio.sleep(60)
        assert all(one.holds(leaver) is MemberStatus.LEFT for one in members if one is not leaver)
        assert FactKind.LEFT is leaver.swim.own_fact.fact.kind
        assert 0 == false_deaths(town)

    in_town(visit)


@pytest.mark.parametrize("pause_s", [0.0, 3.0, 60.0])
def test_member_that_returns_with_its_key_is_there_again(pause_s: float) -> None:
    """Before anybody noticed, while it is suspected, and after it was held for dead."""

    async def visit(town: Town) -> None:
        members = await town.settle(10)
        await members[4].crash()
        await asyncio.sleep(pause_s)
        again = town.make(4)
        await again.start([members[0].contact])
        await town.until(lambda: all(one.swim.alive_count() == 10 for one in town.up), within_s=10)
        await asyncio.sleep(60)
        assert all(one.holds(again) is MemberStatus.ALIVE for one in town.up)
        assert 0 == false_deaths(town, again)

    in_town(visit)


def test_member_that_returns_with_an_earlier_clock_and_no_memory_is_heard() -> None:
    """It learns what it said before, and exceeds it."""

    async def visit(town: Town) -> None:
        members = await town.settle(8)
        leaver = members[4]
        await leaver.swim.depart()
        await leaver.crash()
        await asyncio.sleep(5)
        again = town.make(4, skew_s=-300.0)
        await again.start([members[0].contact])
        await town.until(lambda: all(one.holds(again) is MemberStatus.ALIVE for one in town.up), within_s=15)
        assert again.swim.own_fact.fact.incarnation > leaver.swim.own_fact.fact.incarnation

    in_town(visit)


@pytest.mark.parametrize("skew_s", [-300.0, 300.0])
def test_member_whose_clock_is_five_minutes_off_is_a_member_like_others(skew_s: float) -> None:
    """It holds nobody for dead and is held for dead by nobody; a suspicion of it is refuted."""

    async def visit(town: Town) -> None:
        members = await town.settle(9)
        wrong = town.make(9, skew_s=skew_s)
        await wrong.start([members[0].contact])
        await asyncio.sleep(30)
        assert all(one.swim.alive_count() == 10 for one in town.up)
        town.world.network.unplug("10.0.0.10")
        await town.until(lambda: members[0].swim.members.suspected > 0, within_s=20)
        town.world.network.plug("10.0.0.10")
        await town.until(lambda: all(one.swim.members.suspected == 0 for one in town.up), within_s=20)
        await asyncio.sleep(60)
        assert 0 == false_deaths(town)
        assert all(one.swim.alive_count() == 10 for one in town.up)

    in_town(visit)


def test_nobody_dies_where_one_datagram_in_five_is_lost() -> None:
    """A hundred seconds with thirty members; what gossip missed is repaired."""

    async def visit(town: Town) -> None:
        members = await town.settle(30)
        await asyncio.sleep(100)
        assert 0 == false_deaths(town)
        assert all(one.swim.alive_count() == 30 for one in members)

    in_town(visit, loss=0.2)


def test_cut_group_becomes_two_and_is_one_again_soon_after_it_heals() -> None:
    """Each half holds the other for dead; after the cut nobody stays dead."""

    async def visit(town: Town) -> None:
        members = await town.settle(20)
        town.world.network.cut(lambda host: int(host.rpartition(".")[2]) % 2)
        await town.until(lambda: all(one.swim.alive_count() == 10 for one in members), within_s=90)
        town.world.network.heal()
        took_s = await town.until(lambda: all(one.swim.alive_count() == 20 for one in members), within_s=30)
        assert took_s < 20
        await asyncio.sleep(60)
        assert all(one.swim.alive_count() == 20 for one in members)

    in_town(visit)


def test_member_that_stands_still_for_a_while_suspects_itself_more_than_others() -> None:
    """It kills nobody, and is alive again for all when it moves."""

    async def visit(town: Town) -> None:
        members = await town.settle(19)
        context_owner = OWNER.set(19)
        still = town.make(19)
        await still.start([members[0].contact])
        OWNER.reset(context_owner)
        await asyncio.sleep(5)
        for _ in range(6):
            town.world.stall(19, 3.0, host=still.contact.endpoint.host)
            await asyncio.sleep(5)
        await asyncio.sleep(30)
        assert all(one.swim.alive_count() == 20 for one in town.up)
        assert 0 == false_deaths(town)
        assert sum(one.metrics.objections.value for one in members) <= 3

    in_town(visit)


def test_newcomer_holds_nobody_for_alive_who_died_before_it_came() -> None:
    """It need not suspect them one after the other."""

    async def visit(town: Town) -> None:
        members = await town.settle(20)
        for member in members[10:]:
            await member.crash()
        await town.until(lambda: all(one.swim.alive_count() == 10 for one in town.up), within_s=90)
        newcomer = town.make(50)
        await newcomer.start([members[0].contact])
        assert (11, 10) == (newcomer.swim.alive_count(), newcomer.swim.members.dead)
        await asyncio.sleep(60)
        assert (11, 0) == (newcomer.swim.alive_count(), newcomer.count(MemberChange.FAILED))

    in_town(visit)


def test_member_with_an_endpoint_that_nobody_reaches_is_held_for_alive() -> None:
    """Its second endpoint works; nobody goes on suspecting it."""

    async def visit(town: Town) -> None:
        members = await town.settle(9)
        two_homes = town.make(9)
        two_homes.endpoints = (Endpoint("10.250.0.1", 4000), Endpoint("10.0.0.10", 4000))
        await two_homes.start([members[0].contact])
        await asyncio.sleep(120)
        assert all(one.holds(two_homes) is MemberStatus.ALIVE for one in town.up)
        assert 0 == false_deaths(town)
        assert two_homes.metrics.objections.value <= 2

    in_town(visit)


def test_what_is_known_of_the_gone_is_forgotten_when_it_is_void() -> None:
    """Tables do not grow with everybody who ever came."""

    async def visit(town: Town) -> None:
        members = await town.settle(5)
        for number in range(100, 112):
            guest = town.make(number)
            await guest.start([members[0].contact])
            await asyncio.sleep(10)
            await (guest.crash() if number % 2 else guest.swim.depart())
            await guest.crash()
        assert all(len(one.swim.members) > 12 for one in members)
        await asyncio.sleep(500)
        assert [(5, 5, 5)] * 5 == [
            (one.swim.alive_count(), len(one.swim.members), len(one.swim.members.tree)) for one in members
        ]

    in_town(visit, config=SMALL)


def test_group_of_one_is_quiet() -> None:
    """It sends nothing, and wakes seldom."""

    async def visit(town: Town) -> None:
        (alone,) = await town.settle(1)
        sent, callbacks = town.world.network.sent, town.world.network.loop.callbacks
        await asyncio.sleep(600)
        assert (sent, 1, 0) == (town.world.network.sent, alone.swim.alive_count(), alone.swim.awareness.score)
        assert town.world.network.loop.callbacks - callbacks < 600 * 6

    in_town(visit)


def test_joining_through_somebody_who_is_not_there_ends() -> None:
    """And the next contact is tried."""

    async def visit(town: Town) -> None:
        (first,) = await town.settle(1)
        nobody = Contact(town.make(70).keys.public_key, Endpoint("10.0.7.7", 4000))
        joined = town.make(1)
        await joined.start([nobody, first.contact])
        assert (2, 2) == (joined.swim.alive_count(), first.swim.alive_count())

    in_town(visit)


def test_closed_membership_answers_nothing_and_does_nothing() -> None:
    """Closing twice is fine; its timers are gone, and others find out."""

    async def visit(town: Town) -> None:
        members = await town.settle(4)
        members[3].swim.close()
        members[3].swim.close()
        members[3].swim.leave()
        members[3].swim.refresh()
        sent = town.world.network.sent_by(members[3].contact.endpoint.host)
        await asyncio.sleep(40)
        assert all(one.holds(members[3]) is MemberStatus.DEAD for one in members[:3])
        assert town.world.network.sent_by(members[3].contact.endpoint.host) - sent < 10

    in_town(visit)
