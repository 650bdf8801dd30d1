"""One member's part as a whole, with a few others: when it objects, what it answers, and what ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from pilotdht.gossip.values import MemberChange, MemberStatus
from pilotdht.identity.ids import PublicKey
from pilotdht.net.outcomes import Answered
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.gossip_messages import Probe, ProbeAck
from pilotdht.wire.membership import FactKind, Suspicion, sign_suspicion
from simulations.engine.virtual_loop import run_virtually
from tests.support.gossip_town import TOWN, Citizen, Town, fact_of


def in_town(visit: Callable[[Town, list[Citizen]], Awaitable[None]], count: int = 5) -> None:
    """Visit a quiet town of so many members, and close it."""

    async def main() -> None:
        town = Town()
        try:
            members = await town.settle(count)
            await asyncio.sleep(30)
            await visit(town, members)
        finally:
            await town.close()

    run_virtually(main())


def doubt(accuser: Citizen, suspect: Citizen) -> bytes:
    """Return that one member suspects what another says now."""
    suspicion = Suspicion(
        group=TOWN,
        suspect=suspect.keys.node_id,
        incarnation=suspect.swim.own_fact.fact.incarnation,
        accuser=accuser.keys.public_key,
    )
    return sign_suspicion(accuser.keys, suspicion).item


def test_suspicion_heard_by_gossip_is_objected_to_at_once() -> None:
    """Others know of the objection within a round or two, long before the next probe."""

    async def visit(_town: Town, members: list[Citizen]) -> None:
        accuser, suspect, *others = members
        before = suspect.swim.own_fact.fact.incarnation
        accuser.tell(suspect, [doubt(accuser, suspect)])
        await asyncio.sleep(0.25)
        assert suspect.swim.own_fact.fact.incarnation > before
        known = [one.member(suspect) for one in others]
        assert all(one is not None and one.incarnation > before for one in known)
        assert (1, 1.0) == (suspect.swim.awareness.score, suspect.metrics.objections.value)

    in_town(visit)


def test_second_suspicion_within_the_pause_is_objected_to_after_it() -> None:
    """Not later than the pause ends, and nobody has to wait for a probe."""

    async def visit(_town: Town, members: list[Citizen]) -> None:
        suspect = members[1]
        for accuser in (members[0], members[2]):
            accuser.tell(suspect, [doubt(accuser, suspect)])
            await asyncio.sleep(0.05)
        first = suspect.swim.own_fact.fact.incarnation
        await asyncio.sleep(0.2)
        assert suspect.swim.own_fact.fact.incarnation > first
        assert 2.0 == suspect.metrics.objections.value

    in_town(visit)


def test_slanderer_is_answered_once_an_interval() -> None:
    """After three alarms that were false."""

    async def visit(_town: Town, members: list[Citizen]) -> None:
        liar, suspect = members[:2]
        for _ in range(10):
            liar.tell(suspect, [doubt(liar, suspect)])
            await asyncio.sleep(0.3)
        said = suspect.metrics.objections.value
        for _ in range(100):
            liar.tell(suspect, [doubt(liar, suspect)])
            await asyncio.sleep(0.1)
        assert 9 <= suspect.metrics.objections.value - said <= 11

    in_town(visit)


def test_member_that_left_says_so_to_whoever_asks_and_objects_to_nothing() -> None:
    """Until it closes."""

    async def visit(_town: Town, members: list[Citizen]) -> None:
        leaver, other = members[3], members[0]
        leaver.swim.leave()
        assert FactKind.LEFT is leaver.swim.own_fact.fact.kind
        other.tell(leaver, [doubt(other, leaver)])
        leaver.tags = ("changed",)
        leaver.swim.refresh()
        await asyncio.sleep(5)
        outcomes: list[object] = []
        other.post.begin(leaver.contact, Probe(TOWN), outcomes.append)
        await asyncio.sleep(1)
        (outcome,) = outcomes
        assert isinstance(outcome, Answered)
        assert ProbeAck((leaver.swim.own_fact.item,)) == outcome.answer.message
        assert FactKind.LEFT is leaver.swim.own_fact.fact.kind
        assert MemberStatus.LEFT is other.holds(leaver)

    in_town(visit)


def test_closed_member_answers_no_probe() -> None:
    """Also while whoever carries its messages still hands them in."""

    async def visit(_town: Town, members: list[Citizen]) -> None:
        members[1].swim.close()
        outcomes: list[object] = []
        members[0].post.begin(members[1].contact, Probe(TOWN), outcomes.append)
        await asyncio.sleep(5)
        assert not any(isinstance(outcome, Answered) for outcome in outcomes)

    in_town(visit, count=2)


def test_member_whose_description_cannot_be_signed_goes_on_probing() -> None:
    """A fault of the node's must not look like the death of all others, nor stop this member."""

    async def visit(_town: Town, members: list[Citizen]) -> None:
        faulty, other = members[:2]
        caught: list[dict[str, object]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: caught.append(context))
        faulty.tags = tuple(f"{number:0>32}" for number in range(40))
        other.tell(faulty, [doubt(other, faulty)])
        other.tell(faulty, [doubt(other, faulty)])
        await asyncio.sleep(0.5)
        probes = faulty.metrics.probes["answered"].value
        await asyncio.sleep(65)  # once a minute it looks whether it has something new to say
        assert faulty.metrics.probes["answered"].value - probes >= 50
        assert caught

    in_town(visit)


def test_member_without_endpoints_is_a_member_but_nobody_sends_to_it() -> None:
    """It can hear answers only."""

    async def visit(town: Town, members: list[Citizen]) -> None:
        silent = town.make(30)
        silent.endpoints = ()
        await silent.start([members[0].contact])
        await asyncio.sleep(30)
        assert all(one.swim.is_member(silent.keys.public_key) for one in members)
        assert members[0].swim.contact_of(silent.keys.public_key) is None
        contacts = members[0].swim.sample(10, members[0].doors.random)
        assert silent.keys.public_key not in [contact.public_key for contact in contacts]
        assert 4 == len(contacts)

    in_town(visit)


def test_what_others_in_the_node_ask_of_it() -> None:
    """Who is a member, where, how many, and a few at random."""

    async def visit(_town: Town, members: list[Citizen]) -> None:
        one, other, *rest = members
        assert (5, True) == (one.swim.alive_count(), one.swim.is_member(other.keys.public_key))
        assert other.contact == one.swim.contact_of(other.keys.public_key)
        stranger = PublicKey(fact_of(77).fact.public_key)
        assert (False, None) == (one.swim.is_member(stranger), one.swim.contact_of(stranger))
        without = {member.keys.public_key for member in rest}
        assert [other.contact] == one.swim.sample(3, one.doors.random, without=without)
        member = one.member(other)
        assert member is not None
        assert one.swim.rtt_of(member) == pytest.approx(0.02, abs=0.01)

    in_town(visit)


def test_change_of_metadata_reaches_everybody_as_an_update() -> None:
    """Once; a new endpoint is no update for programs, and is followed."""

    async def visit(town: Town, members: list[Citizen]) -> None:
        teller, *others = members
        teller.tags = ("finance",)
        teller.swim.refresh()
        teller.swim.refresh()
        await asyncio.sleep(2)
        assert [1] * 4 == [one.count(MemberChange.UPDATED, teller) for one in others]
        teller.endpoints = (Endpoint("10.0.77.1", 4000), *teller.socket.local_endpoints)
        teller.swim.refresh()
        await asyncio.sleep(2)
        assert [1] * 4 == [one.count(MemberChange.UPDATED, teller) for one in others]
        await asyncio.sleep(60)
        assert 0 == sum(one.count(MemberChange.FAILED) for one in members)
        assert town.up == members

    in_town(visit)
