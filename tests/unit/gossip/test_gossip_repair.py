"""Comparing: what two members lack of each other is fetched, whoever lies is left soon, and a loner is quiet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from hashlib import sha256
from random import Random

import pytest
from prometheus_client import CollectorRegistry

from pilotdht.config.gossip import GossipConfig
from pilotdht.errors import Overloaded, PilotError, TimedOut
from pilotdht.gossip.admission import OpenAdmission
from pilotdht.gossip.comparing import ask, differing
from pilotdht.gossip.hearing import Hearing
from pilotdht.gossip.members import Members
from pilotdht.gossip.metrics import GossipMetrics
from pilotdht.gossip.outbox import Outbox
from pilotdht.gossip.probing import ProbeOrder
from pilotdht.gossip.repair import LONGEST_S, REPLY_BYTES, Repair
from pilotdht.gossip.values import MemberStatus
from pilotdht.identity.ids import NodeId
from pilotdht.net.outcomes import Answer, Answered, Silent
from pilotdht.net.pending import Deliver, Pending
from pilotdht.net.rtt import Waits
from pilotdht.wire.certificates import Role
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.gossip_messages import Facts, FetchFacts, Summaries, Summarise
from pilotdht.wire.membership import FactKind
from pilotdht.wire.message import Reply, Request
from simulations.engine.virtual_loop import VirtualLoop, run_virtually
from tests.support.gossip_town import NOW_MS, TOWN, fact_of, id_of
from tests.support.net_nodes import key_pair

PEER = Contact(key_pair(2).public_key, Endpoint("10.0.0.2", 4000))


def place_of(item: bytes) -> bytes:
    """Return where a notice stands among the ids."""
    return sha256(item).digest()[:20]


class Line:
    """Asks whatever answers; each answer takes 10 ms."""

    def __init__(self, answer: Callable[[Request], Reply | None]) -> None:
        self.answer = answer
        self.asked: list[Request] = []
        self.at_once = self.most_at_once = 0
        self.is_full = False
        self.delay_s = 0.01

    def begin(
        self, contact: Contact, message: Request, deliver: Deliver, *, waits: Waits | None = None
    ) -> Pending | None:
        """Ask."""
        if self.is_full:
            raise Overloaded("full")
        self.asked.append(message)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)

        def end() -> None:
            self.at_once -= 1
            reply = self.answer(message)
            own = Endpoint("10.0.0.1", 1)
            deliver(Silent(contact) if reply is None else Answered(contact, Answer(reply, own, 0.01, contact, False)))

        asyncio.get_running_loop().call_later(self.delay_s, end)
        return None

    def abandon(self, pending: Pending) -> None:
        """Nothing to forget."""


class Knower:
    """One member's knowledge and how it is repaired."""

    def __init__(self, own: int, seeds: range, *, answer: Callable[[Request], Reply | None] | None = None) -> None:
        config = GossipConfig()
        self.metrics = GossipMetrics(CollectorRegistry())
        self.members = Members(key_pair(own).public_key, config)
        self.order = ProbeOrder(Random(1))
        self.line = Line(lambda _message: None if answer is None else answer(_message))
        self.hearing = Hearing(
            group=TOWN,
            own_key=key_pair(own).public_key,
            members=self.members,
            outbox=Outbox(limit=lambda: 8, capacity=100_000),
            order=self.order,
            config=config,
            metrics=self.metrics,
            admission=OpenAdmission(),
            unix_time=lambda: NOW_MS / 1000,
            on_change=lambda _change: None,
            on_doubted=lambda _incarnation, _doubt: None,
            on_notice=lambda _item: None,
        )
        self.hearing.take_own(fact_of(own), 0.0)
        for seed in seeds:
            self.members.merge(fact_of(seed), Role.MEMBER, 0.0)
        self.repair = Repair(
            group=TOWN,
            members=self.members,
            hearing=self.hearing,
            order=self.order,
            asker=self.line,
            config=config,
            metrics=self.metrics,
            random=Random(2),
            contact_of=lambda node_id: None if node_id == id_of(own) else PEER,
        )

    def reply(self, message: Request) -> Reply | None:
        """Answer as a member does."""
        if isinstance(message, Summarise):
            return self.repair.summarise(message)
        assert isinstance(message, FetchFacts)
        return self.repair.facts(message)

    def kill(self, seed: int) -> None:
        """Hold a member for dead."""
        self.members.accuse(id_of(seed), NOW_MS, id_of(2), 0.0)
        self.members.verdicts(1e9)

    def statuses(self) -> dict[NodeId, MemberStatus]:
        """Return what is held of all."""
        return {member.node_id: member.status for member in self.members}


def test_equal_members_find_out_with_one_question() -> None:
    """Most comparisons are of equals."""

    async def main() -> None:
        one = Knower(1, range(2, 500))
        other = Knower(2, range(1, 500))
        one.line.answer = other.reply
        assert 0 == await one.repair.with_member(PEER)
        assert [Summarise(TOWN, 0, ("",))] == one.line.asked

    run_virtually(main())


@pytest.mark.parametrize("count", [3, 9, 40, 1000])
def test_newcomer_learns_all_by_few_questions(count: int) -> None:
    """About one for each datagram of facts, eight at a time."""

    async def main() -> None:
        newcomer, old = Knower(9001, range(0)), Knower(2, range(3, 2 + count))
        newcomer.line.answer = old.reply
        await newcomer.repair.with_member(PEER)
        assert newcomer.members.alive == count + 1
        assert count == newcomer.metrics.repaired.value
        facts_each = REPLY_BYTES // (len(fact_of(2).item) + 3)
        assert len(newcomer.line.asked) <= 25 + 1.5 * count / facts_each
        assert newcomer.line.most_at_once <= 8

    run_virtually(main())


def test_members_that_know_different_halves_know_all_after_each_asked_the_other() -> None:
    """As when a partition heals."""

    async def main() -> None:
        one, other = Knower(1, range(3, 200)), Knower(2, range(150, 400))
        one.line.answer, other.line.answer = other.reply, one.reply
        await one.repair.with_member(PEER)
        await other.repair.with_member(PEER)
        assert one.statuses() == other.statuses()
        assert 0 == await one.repair.with_member(PEER)

    run_virtually(main())


def test_newer_facts_and_departures_are_fetched_and_older_ones_are_not_taken() -> None:
    """Of two facts the later counts."""

    async def main() -> None:
        one, other = Knower(1, range(2, 100)), Knower(2, range(1, 100))
        one.line.answer = other.reply
        other.members.merge(fact_of(50, NOW_MS + 1, hostname="new"), Role.MEMBER, 0.0)
        other.members.merge(fact_of(51, NOW_MS + 1, FactKind.LEFT), Role.MEMBER, 0.0)
        one.members.merge(fact_of(52, NOW_MS + 1, hostname="new"), Role.MEMBER, 0.0)
        await one.repair.with_member(PEER)
        assert 2 == one.metrics.repaired.value
        assert MemberStatus.LEFT is one.statuses()[id_of(51)]
        fetched = [message for message in one.line.asked if isinstance(message, FetchFacts)]
        assert len(fetched) <= 3

    run_virtually(main())


def test_dead_of_others_are_probed_when_they_are_known_and_dead_when_they_are_not() -> None:
    """Nobody who is known dies by hearsay."""

    async def main() -> None:
        one, other = Knower(1, range(2, 30)), Knower(2, range(1, 60))
        one.line.answer = other.reply
        other.kill(20)
        other.kill(40)
        await one.repair.with_member(PEER)
        statuses = one.statuses()
        assert (MemberStatus.ALIVE, MemberStatus.DEAD) == (statuses[id_of(20)], statuses[id_of(40)])
        assert id_of(20) == one.order.next(lambda _: True)
        third = Knower(3, range(4, 60))
        one.line.answer = third.reply
        await one.repair.with_member(PEER)
        assert MemberStatus.ALIVE is one.statuses()[id_of(40)]

    run_virtually(main())


def test_notices_are_compared_too_and_forgotten_when_they_expired() -> None:
    """Who joins later knows of revocations."""

    async def main() -> None:
        one = Knower(1, range(2, 30))
        one.repair.add_notice(b"\3 first")
        one.repair.add_notice(b"\3 second")
        facts = one.repair.facts(FetchFacts(TOWN, "", b""))
        items: list[bytes] = list(facts.items)
        while not facts.is_last:
            after = max(NodeId(key) for key in one.members.tree.ids("")[: len(items)])
            facts = one.repair.facts(FetchFacts(TOWN, "", after))
            items += facts.items
        assert {b"\3 first", b"\3 second"} < set(items)
        assert 31 == len(items) == len(set(items))
        one.repair.keep_notices([b"\3 second"])
        assert 30 == len(one.members.tree)

    run_virtually(main())


def test_facts_of_one_reply_fit_and_a_long_one_is_never_left_out() -> None:
    """Pages go on behind the last id."""

    async def main() -> None:
        one = Knower(1, range(2, 100))
        after, seen = b"", list[bytes]()
        while True:
            facts = one.repair.facts(FetchFacts(TOWN, "", after))
            assert sum(len(item) + 3 for item in facts.items) <= REPLY_BYTES
            assert facts.items
            seen += facts.items
            after = one.members.tree.ids("")[len(seen) - 1]
            if facts.is_last:
                break
        assert 99 == len(set(seen)) == len(seen)

    run_virtually(main())


# Those who do not answer, and those who lie.


def test_member_that_does_not_answer_is_an_error_and_nothing_is_left_waiting() -> None:
    """As is a full table of requests."""

    async def main() -> None:
        one = Knower(1, range(2, 30))
        with pytest.raises(TimedOut):
            await one.repair.with_member(PEER)
        one.line.is_full = True
        with pytest.raises(Overloaded):
            await one.repair.with_member(PEER)
        with pytest.raises(Overloaded):
            await ask(one.line, PEER, Summarise(TOWN, 0, ("",)), Summaries)

    run_virtually(main())


def test_member_that_falls_silent_in_the_middle_ends_the_comparison() -> None:
    """With what was fetched so far."""

    async def main() -> None:
        newcomer, old = Knower(9001, range(0)), Knower(2, range(3, 300))
        left = 30

        def answer(message: Request) -> Reply | None:
            nonlocal left
            left -= 1
            return old.reply(message) if left > 0 else None

        newcomer.line.answer = answer
        with pytest.raises(PilotError):
            await newcomer.repair.with_member(PEER)
        assert newcomer.metrics.repaired.value > 0
        await asyncio.sleep(1)
        assert 0 == newcomer.line.at_once

    run_virtually(main())


def test_reply_of_another_type_is_no_answer() -> None:
    """A lie about what was asked."""

    async def main() -> None:
        one = Knower(1, range(2, 30))
        one.line.answer = lambda _message: Facts(())
        with pytest.raises(TimedOut):
            await one.repair.with_member(PEER)

    run_virtually(main())


def test_member_that_always_has_more_is_left_after_a_minute() -> None:
    """Others get their turn."""

    async def main() -> None:
        one = Knower(1, range(2, 30))
        one.line.delay_s = 1.0
        loop = asyncio.get_running_loop()
        endless = sorted((b"\3" + number.to_bytes(4, "big") for number in range(4000)), key=place_of)

        def answer(message: Request) -> Reply:
            if isinstance(message, Summarise):
                return Summaries(tuple(b"\7" * 96 for _ in message.prefixes))
            assert isinstance(message, FetchFacts)
            return Facts((next(item for item in endless if place_of(item) > message.after),), is_last=False)

        one.line.answer = answer
        begun = loop.time()
        with pytest.raises(TimedOut):
            await one.repair.with_member(PEER)
        assert loop.time() - begun == pytest.approx(LONGEST_S, abs=0.1)

    run_virtually(main())


@pytest.mark.parametrize("hashes", [(), (b"\0" * 6,), (b"\7" * 6,), (b"\7" * 96,)])
def test_summaries_that_are_fewer_or_none_end_the_comparison(hashes: tuple[bytes, ...]) -> None:
    """Whatever is answered to the first question, and the same to all others."""

    async def main() -> None:
        one = Knower(1, range(2, 300))
        line = Line(lambda _message: Summaries(hashes))
        parts = await differing(line, PEER, TOWN, 0, one.members.tree, limit=100)
        assert len(parts) <= 100
        assert len(line.asked) <= 10 * 300

    run_virtually(main())


# When.


def test_loner_wakes_seldom_and_asks_nobody() -> None:
    """A group of one."""

    async def main() -> None:
        one = Knower(1, range(0))
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(600):
                await one.repair.run()
        assert [] == one.line.asked
        assert loop.callbacks < 600 * 6

    run_virtually(main())


def test_comparisons_come_soon_while_members_differ_and_seldom_afterwards() -> None:
    """Two seconds, then thirty; a member that was silent does not make it settled."""

    async def main() -> None:
        one, other = Knower(1, range(2, 20)), Knower(2, range(1, 20))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await one.repair.run()
        assert (True, False) == (20 <= len(one.line.asked) <= 60, one.repair.is_settled)
        one.line.answer, one.line.asked = other.reply, []
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(600):
                await one.repair.run()
        assert (True, True) == (13 <= len(one.line.asked) <= 41, one.repair.is_settled)
        one.line.asked = []
        one.repair.hasten()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await one.repair.run()
        assert 1 == len(one.line.asked)

    run_virtually(main())
