"""Members that lie, under a virtual clock: what they cost is bounded, and nobody dies of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from pilotdht.gossip.values import MemberChange, MemberStatus
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.gossip_messages import ProbeFor, Summaries, Summarise
from pilotdht.wire.membership import MemberFact, Suspicion, sign_fact, sign_suspicion
from simulations.engine.virtual_loop import run_virtually
from tests.support.gossip_town import NOW_MS, TOWN, Citizen, Town

pytestmark = pytest.mark.simulation

COUNT = 15
VICTIM = "10.99.0.1"


def in_town(visit: Callable[[Town, Citizen, list[Citizen]], Awaitable[None]]) -> None:
    """Visit a town with a liar, who is its last member, and close it."""

    async def main() -> None:
        town = Town(conditions="uniform")
        try:
            members = await town.settle(COUNT)
            await visit(town, members[-1], members[:-1])
        finally:
            await town.close()

    run_virtually(main())


def deaths(members: list[Citizen], liar: Citizen) -> int:
    """Return how often somebody but the liar was held for dead."""
    return sum(one.count(MemberChange.FAILED) - one.count(MemberChange.FAILED, liar) for one in members)


def accusation(liar: Citizen, suspect: Citizen, incarnation: int) -> bytes:
    """Return that the liar suspects somebody."""
    suspicion = Suspicion(
        group=TOWN, suspect=suspect.keys.node_id, incarnation=incarnation, accuser=liar.keys.public_key
    )
    return sign_suspicion(liar.keys, suspicion).item


def is_bounded(town: Town) -> bool:
    """Return whether nothing piled up at anybody."""
    return all(one.swim.news < 100 and len(one.socket.rpc) < 50 for one in town.up)


def test_liar_who_accuses_everybody_without_end_kills_nobody_and_makes_nobody_sick() -> None:
    """Ten accusations a second to each member, half a minute long, always of the present incarnation."""

    async def visit(town: Town, liar: Citizen, honest: list[Citizen]) -> None:
        signed = sum(one.metrics.objections.value for one in honest)
        sent = town.world.network.sent
        for step in range(300):
            suspect = honest[step % len(honest)]
            item = accusation(liar, suspect, suspect.swim.own_fact.fact.incarnation)
            for one in honest:
                liar.tell(one, [item])
            await asyncio.sleep(0.1)
        assert is_bounded(town)
        assert 0 == deaths(honest, liar)
        assert all(one.swim.alive_count() == COUNT for one in honest)
        assert sum(one.metrics.objections.value for one in honest) - signed <= 30 * len(honest)
        assert 0 < sum(one.metrics.dropped["unreliable"].value for one in honest)
        assert town.world.network.sent - sent - 300 * len(honest) < 30 * COUNT * 40
        await asyncio.sleep(30)
        assert max(one.swim.awareness.score for one in honest) <= 2

    in_town(visit)


def test_liar_who_accuses_one_member_to_itself_keeps_only_that_member_busy() -> None:
    """It objects at most once an interval, and the others pass on few of its objections."""

    async def visit(town: Town, liar: Citizen, honest: list[Citizen]) -> None:
        victim = honest[3]
        for _ in range(600):
            liar.tell(victim, [accusation(liar, victim, victim.swim.own_fact.fact.incarnation)])
            await asyncio.sleep(0.1)
        assert victim.metrics.objections.value <= 70
        assert 0 == deaths(honest, liar)
        assert victim.swim.awareness.score <= 3
        assert is_bounded(town)

    in_town(visit)


def test_liar_who_accuses_of_the_future_moves_no_incarnation() -> None:
    """What nobody signed is not exceeded: others would refuse the answer as from the future."""

    async def visit(town: Town, liar: Citizen, honest: list[Citizen]) -> None:
        loop = asyncio.get_running_loop()
        for step in range(200):
            for one in honest:
                liar.tell(one, [accusation(liar, one, NOW_MS + int(loop.time() * 1000) + 599_000 + step)])
            await asyncio.sleep(0.05)
        latest = NOW_MS + loop.time() * 1000
        assert all(one.swim.own_fact.fact.incarnation <= latest for one in honest)
        crashed = honest[5]
        await crashed.crash()
        await town.until(
            lambda: all(one.holds(crashed) is MemberStatus.DEAD for one in honest if one.is_open), within_s=40
        )

    in_town(visit)


def test_replayer_of_old_facts_and_suspicions_changes_nothing() -> None:
    """The dead stay dead, and the living what they are."""

    async def visit(town: Town, liar: Citizen, honest: list[Citizen]) -> None:
        gone = honest[2]
        old = [member.signed.item for member in liar.swim.members]
        old += [accusation(liar, one, one.swim.own_fact.fact.incarnation) for one in honest]
        await gone.crash()
        rest = [one for one in honest if one.is_open]
        await town.until(lambda: all(one.holds(gone) is MemberStatus.DEAD for one in rest), within_s=40)
        for one in rest:
            one.swim.refresh()
            one.changes.clear()
        for step in range(300):
            for one in rest:
                liar.tell(one, old[step % len(old) :][:4])
            await asyncio.sleep(0.1)
        await asyncio.sleep(30)
        assert all(one.holds(gone) is MemberStatus.DEAD for one in rest)
        assert [] == [change for one in rest for change in one.changes]

    in_town(visit)


def test_flooder_of_new_facts_about_itself_is_heard_but_does_not_keep_the_group_talking() -> None:
    """A hundred a second, each newer and each well signed."""

    async def visit(town: Town, liar: Citizen, honest: list[Citizen]) -> None:
        liar.swim.close()
        loop = asyncio.get_running_loop()
        sent = sum(town.world.network.sent_by(one.contact.endpoint.host) for one in honest)
        for step in range(2000):
            fact = MemberFact(
                group=TOWN,
                public_key=liar.keys.public_key,
                incarnation=NOW_MS + int(loop.time() * 1000) + 10,
                endpoints=(liar.contact.endpoint,),
                tags=(f"t{step}",),
            )
            liar.tell(honest[step % len(honest)], [sign_fact(liar.keys, fact).item])
            await asyncio.sleep(0.01)
        own = sum(town.world.network.sent_by(one.contact.endpoint.host) for one in honest) - sent
        assert own < 20 * len(honest) * 40
        assert is_bounded(town)
        assert 0 == deaths(honest, liar)

    in_town(visit)


def test_member_that_names_the_endpoint_of_somebody_else_aims_nobody_at_it() -> None:
    """A victim outside of the group gets a probe now and then, and no news."""

    async def visit(town: Town, liar: Citizen, honest: list[Citizen]) -> None:
        hits: list[int] = []
        await town.world.network.open(
            Endpoint(VICTIM, 4000), lambda batch: hits.extend(len(datagram) for datagram, _ in batch)
        )
        liar.endpoints = (Endpoint(VICTIM, 4000),)
        liar.swim.refresh()
        for step in range(60):
            honest[step % len(honest)].swim.pass_on(b"\3" + bytes([step]) * 100)  # there is always news
            await asyncio.sleep(1)
        assert len(hits) <= 60 * 2
        assert 0 == deaths(honest, liar)

    in_town(visit)


def test_helpers_cannot_be_used_to_flood_a_member() -> None:
    """Requests to probe somebody are answered by few probes."""

    async def visit(town: Town, liar: Citizen, honest: list[Citizen]) -> None:
        helper, victim = honest[0], honest[1]
        await victim.crash()
        sent = town.world.network.sent_by(helper.contact.endpoint.host)
        waiting = 0
        for _ in range(200):
            liar.post.begin(helper.contact, ProbeFor(TOWN, victim.keys.node_id, 0), lambda _outcome: None)
            await asyncio.sleep(0.01)
            waiting = max(waiting, len(helper.socket.rpc))
        assert waiting < 10
        assert town.world.network.sent_by(helper.contact.endpoint.host) - sent < 200 * 2 + 100

    in_town(visit)


def test_member_that_always_differs_and_always_has_more_keeps_nobody_from_comparing_with_others() -> None:
    """Sixteen wrong hashes at every question, and never the last fact."""

    async def visit(town: Town, liar: Citizen, honest: list[Citizen]) -> None:
        asked = 0

        def lie(message: Summarise, _sender: object) -> Summaries:
            nonlocal asked
            asked += 1
            return Summaries(tuple(liar.doors.token_bytes(96) for _ in message.prefixes))

        liar.post.serve(TOWN, Summarise, lie)
        for _ in range(3):
            await honest[0].swim.repair.with_member(liar.contact)
        assert asked < 3 * 40
        await asyncio.sleep(60)
        assert is_bounded(town)
        assert all(one.swim.alive_count() == COUNT for one in honest)

    in_town(visit)


def test_stranger_is_not_answered_and_changes_little() -> None:
    """Who did not introduce itself is no member."""

    async def visit(town: Town, liar: Citizen, honest: list[Citizen]) -> None:
        stranger = town.make(90)
        await stranger.socket.__aenter__()
        try:
            rpc = stranger.socket.rpc
            outcomes: list[object] = []
            rpc.begin(honest[0].contact, Summarise(TOWN, 0, ("",)), outcomes.append)
            rpc.begin(honest[0].contact, ProbeFor(TOWN, honest[1].keys.node_id, 100), outcomes.append)
            await asyncio.sleep(5)
            assert ["Silent", "Silent", "Slow", "Slow"] == sorted(type(one).__name__ for one in outcomes)
            assert 0 < honest[0].metrics.dropped["not_member"].value
        finally:
            await stranger.socket.close()

    in_town(visit)
