"""Questions to a group: who is chosen, who is asked beside or after a bad one, and what a quorum proves."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine

import pytest

from pilotdht.config.query import QueryConfig
from pilotdht.errors import (
    AnswerFailed,
    InvalidArgument,
    NoQuorum,
    NotFound,
    NotTrusted,
    Overloaded,
    TimedOut,
    Unreachable,
)
from pilotdht.gossip.values import MemberStatus
from pilotdht.services.query.values import Question
from simulations.engine.virtual_loop import run_virtually
from tests.support.byte_pipe import BytePipe
from tests.support.query_world import Host, QueryWorld

Main = Callable[[QueryWorld, Host, list[Host]], Coroutine[None, None, None]]


def play(main: Main, *, experts: int, **config: object) -> None:
    """Run ``main`` with an asker and so many experts that all answer with their own names after 0.1 s."""

    async def run() -> None:
        async with QueryWorld(dataclasses.replace(QueryConfig(), **config)) as world:  # type: ignore[arg-type]  # names of its fields
            asker = world.add("asker")
            made = [world.add(f"expert{number}", capabilities=("names",)) for number in range(experts)]
            for host in made:
                answer(host, host.name, after_s=0.1)
            await main(world, asker, made)

    run_virtually(run())


def answer(host: Host, value: object, *, after_s: float = 0.0) -> None:
    """Let a host answer every question in its group with ``value``."""
    host.service.handlers.remove(capability="", group="research")

    @host.service.on_query(group="research")
    async def handler(_: Question) -> object:
        await asyncio.sleep(after_s)
        if isinstance(value, Exception):
            raise value
        return value


def served(host: Host) -> float:
    """Return how many questions a host answered."""
    return host.count("served_total", result="answered")


def test_query_group_asks_a_capable_live_member_and_explains() -> None:
    """Whoever does not declare the capability, is dead, or is the asker itself is left out, and the answer says why."""

    async def main(world: QueryWorld, asker: Host, experts: list[Host]) -> None:
        good, other, dead = experts
        other.capabilities = ("other",)
        dead.status = MemberStatus.DEAD
        asker.capabilities = ("names",)
        found = await asker.service.query_group("research", "who?", capability="names", explain=True)
        assert ("expert0", good.public_key) == (found.text, found.author)
        reasons = {one.hostname: one.reason for one in found.explanation}
        assert {
            "expert0": "asked first",
            "expert1": "does not declare the capability",
            "expert2": "is dead",
            "asker": "is this node itself",
        } == reasons
        first = found.explanation[0]
        assert (1, True, 1.0) == (first.rank, first.is_capable, first.success)
        assert first.score == pytest.approx(1 / (world.config.rtt_guess_s + world.config.work_guess_s))
        again = asker.service.choices("research", capability="names")[0]
        assert 0.1 == pytest.approx(again.work_s or 0, abs=0.01)
        assert again.score > first.score

    play(main, experts=3)


def test_query_group_without_anybody_says_so() -> None:
    """No group, no capable member and no tag are three different mistakes."""

    async def main(world: QueryWorld, asker: Host, experts: list[Host]) -> None:
        with pytest.raises(NotFound, match="unknown"):
            await asker.service.query_group("unknown", "?")
        with pytest.raises(NotFound, match="cooking"):
            await asker.service.query_group("research", "?", capability="cooking")
        with pytest.raises(NotFound, match="research"):
            await asker.service.query_group("research", "?", tags=("red",))
        with pytest.raises(InvalidArgument):
            await asker.service.query_group("research", "?", quorum=0)
        with pytest.raises(InvalidArgument):
            await asker.service.query_group("research", "?", capability="Not A Tag")
        assert 3 == asker.count("questions_total", target="group", result="not_found")

    play(main, experts=1)


def test_query_group_equal_members_share_the_questions() -> None:
    """Nobody is asked by everybody: chance decides between equals."""

    async def main(world: QueryWorld, asker: Host, experts: list[Host]) -> None:
        askers = [asker, *(world.add(f"asker{number}") for number in range(19))]
        found = [await host.service.query_group("research", "?", capability="names") for host in askers]
        authors = Counter(answer.text for answer in found)
        assert 4 <= len(authors)
        assert 10 >= max(authors.values())

    play(main, experts=8)


def test_query_group_of_many_compares_a_bounded_number() -> None:
    """Of more members than are compared some are drawn by chance, anew for each question."""

    async def main(world: QueryWorld, asker: Host, experts: list[Host]) -> None:
        experts[0].capabilities = ()
        first = asker.service.choices("research", capability="names")
        second = asker.service.choices("research", capability="names")
        for explained in (first, second):
            assert 32 == sum(one.rank is not None for one in explained)
            assert {"expert0", "asker"} == {one.hostname for one in explained if one.rank is None}
        assert {one.hostname for one in first} != {one.hostname for one in second}

    play(main, experts=60, max_candidates=32)


def test_query_group_failing_members_are_passed_over_and_then_left_alone() -> None:
    """A failure leads to the next member at once; who fails too often is not asked for a while, then tried again."""

    async def main(world: QueryWorld, asker: Host, experts: list[Host]) -> None:
        bad, good = experts
        bad.rtt_s, good.rtt_s = 0.001, 1.0
        bad.is_away = True
        for _ in range(12):
            assert "expert1" == (await asker.service.query_group("research", "?", fresh=True)).text
        assert 2 <= bad.opened <= 5
        chosen = {one.hostname: one for one in asker.service.choices("research")}
        assert chosen["expert0"].success < chosen["expert1"].success
        good.is_away = True
        for _ in range(8):
            with pytest.raises((Unreachable, AnswerFailed)):
                await asker.service.query_group("research", "?", fresh=True)
        with pytest.raises(AnswerFailed, match="too often"):
            await asker.service.query_group("research", "?", fresh=True)
        assert 2 == asker.count("open_circuits")
        bad.is_away = False
        await asyncio.sleep(3)
        assert "expert0" == (await asker.service.query_group("research", "?", fresh=True)).text
        assert 0 < asker.count("circuits_opened_total")

    play(main, experts=2, circuit_failures=5)


def test_query_group_all_failing_ends_with_the_first_error_after_few_attempts() -> None:
    """An overloaded group is asked a bounded number of times."""

    async def main(world: QueryWorld, asker: Host, experts: list[Host]) -> None:
        for host in experts:
            answer(host, Overloaded("busy"))
        with pytest.raises(Overloaded, match="so did 3 more"):
            await asker.service.query_group("research", "?", fresh=True)
        assert 4 == sum(host.opened for host in experts)

    play(main, experts=8, max_attempts=4)


def test_query_group_slow_member_is_hedged_and_the_loser_cancelled() -> None:
    """A second member is asked after the expected time; the first to finish wins, the other stops working."""

    async def main(world: QueryWorld, asker: Host, experts: list[Host]) -> None:
        slow, quick = experts
        slow.rtt_s, quick.rtt_s = 0.001, 1.0
        answer(slow, "late", after_s=100)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        assert "expert1" == (await asker.service.query_group("research", "?")).text
        assert world.config.hedge_guess_s + 0.1 == pytest.approx(loop.time() - begun, abs=0.05)
        assert 1 == asker.count("hedges_total", result="started") == asker.count("hedges_total", result="won")
        await asyncio.sleep(0.1)
        assert 1 == slow.count("served_total", result="gone")
        assert "expert1" == (await asker.service.query_group("research", "?")).text  # it is known to be slow now
        assert 1 == asker.count("hedges_total", result="started")

    play(main, experts=2)


def test_query_group_member_spared_by_the_budget_is_asked_when_the_first_fails() -> None:
    """Who could not be asked beside the slow one is still there to follow it."""

    async def main(world: QueryWorld, asker: Host, experts: list[Host]) -> None:
        slow, good = experts
        slow.rtt_s, good.rtt_s = 0.001, 1.0
        answer(slow, ValueError(), after_s=3.0)
        assert "expert1" == (await asker.service.query_group("research", "?", fresh=True)).text
        assert 1 == asker.count("hedges_total", result="no_budget")

    play(main, experts=2, hedge_burst=0.0, hedge_share=0.0)


def test_query_group_questions_under_way_count_against_a_member() -> None:
    """What a member is working on for us is known at once, and forgotten when it ends, however it ends."""

    async def main(world: QueryWorld, asker: Host, experts: list[Host]) -> None:
        for host, value in zip(experts, ("late", ValueError()), strict=True):
            answer(host, value, after_s=2.0)

        def outstanding() -> list[int]:
            chosen = asker.service.choices("research", capability="names")
            return sorted(one.outstanding for one in chosen if one.rank is not None)

        async with asyncio.TaskGroup() as tasks:
            asking = tasks.create_task(asker.service.query_group("research", "?", quorum=2, fresh=True))
            await asyncio.sleep(1)
            assert [1, 1] == outstanding()
            asking.cancel()
        await asyncio.sleep(0.1)
        assert [0, 0] == outstanding()
        with pytest.raises(NoQuorum):
            await asker.service.query_group("research", "?", quorum=2, fresh=True)
        assert [0, 0] == outstanding()

    play(main, experts=2, hedge_guess_s=5.0)


def test_query_quorum_slow_members_are_replaced_before_they_fail() -> None:
    """Three that hang are replaced after the expected time, not after the time for opening a stream."""

    async def main(world: QueryWorld, asker: Host, experts: list[Host]) -> None:
        for number, host in enumerate(experts):
            answer(host, "same", after_s=0.1)
            host.rtt_s = 0.001 if number < 3 else 1.0
            host.is_silent = number < 3
        loop = asyncio.get_running_loop()
        begun = loop.time()
        assert 3 == len((await asker.service.query_group("research", "?", quorum=3, fresh=True)).signers)
        assert world.config.hedge_guess_s + 0.1 == pytest.approx(loop.time() - begun, abs=0.05)

    play(main, experts=6)


def test_query_group_several_hedges_follow_one_another() -> None:
    """As many members are asked beside slow ones as is set, each after its time."""

    async def main(world: QueryWorld, asker: Host, experts: list[Host]) -> None:
        for number, host in enumerate(experts):
            host.rtt_s = 10.0**number
            answer(host, host.name, after_s=0.1 if number == 2 else 100)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        assert "expert2" == (await asker.service.query_group("research", "?", fresh=True)).text
        assert 2 * world.config.hedge_guess_s + 0.1 == pytest.approx(loop.time() - begun, abs=0.05)
        assert 2 == asker.count("hedges_total", result="started")

    play(main, experts=3, max_hedges=2)


def test_query_group_without_time_left_is_a_time_out() -> None:
    """When looking for a shared answer took all the time nobody is asked any more."""

    async def main(world: QueryWorld, asker: Host, experts: list[Host]) -> None:
        for host in experts:
            host.is_silent = True
        for quorum in (1, 3):
            with pytest.raises(TimedOut):
                await asker.service.query_group("research", "?", quorum=quorum, timeout_s=0.5)
        assert 0 == asker.count("attempts_total")
        assert 2 == asker.count("questions_total", target="group", result="timeout")

    play(main, experts=4)


def test_query_group_member_that_began_is_not_hedged() -> None:
    """Who has begun to answer gets its time."""

    async def main(world: QueryWorld, asker: Host, experts: list[Host]) -> None:
        first, _ = experts
        first.service.handlers.remove(capability="", group="research")
        experts[1].rtt_s = 5.0
        first.rtt_s = 0.001

        @first.service.on_query(group="research")
        async def handler(_: Question) -> AsyncIterator[str]:
            for _number in range(5):
                yield "still "
                await asyncio.sleep(1)

        assert "still " * 5 == (await asker.service.query_group("research", "?")).text
        assert 0 == asker.count("hedges_total", result="started")

    play(main, experts=2)


def test_query_group_hedges_have_a_budget() -> None:
    """When all are slow at most a tenth of the questions is asked twice, besides what was saved up."""

    async def main(world: QueryWorld, asker: Host, experts: list[Host]) -> None:
        for host in experts:
            answer(host, "slow", after_s=3)
        for _ in range(40):
            await asker.service.query_group("research", "?", fresh=True)
        started = asker.count("hedges_total", result="started")
        assert 3 <= started <= 3 + 0.1 * 40
        assert 0 < asker.count("hedges_total", result="no_budget")
        assert 40 + started == asker.count("attempts_total")

    # the wait is held at one second, so that slowness is not learnt
    play(main, experts=4, hedge_high_s=1.0)


def test_query_group_silent_member_falls_to_the_next_without_a_hedge() -> None:
    """Without a budget a member that cannot be reached costs the time for opening, no more."""

    async def main(world: QueryWorld, asker: Host, experts: list[Host]) -> None:
        silent, good = experts
        silent.is_silent = True
        silent.rtt_s, good.rtt_s = 0.001, 1.0
        loop = asyncio.get_running_loop()
        begun = loop.time()
        assert "expert1" == (await asker.service.query_group("research", "?")).text
        assert 5.1 == pytest.approx(loop.time() - begun, abs=0.1)
        silent.is_silent = good.is_silent = True
        with pytest.raises(TimedOut):
            await asker.service.query_group("research", "?", timeout_s=2.0)

    play(main, experts=2, max_hedges=0)


def test_ask_group_streams_and_passes_over_who_fails_before_it_begins() -> None:
    """A streamed answer comes from the first member that begins; later failures are the caller's to see."""

    async def main(world: QueryWorld, asker: Host, experts: list[Host]) -> None:
        away, breaking = experts
        away.is_away = True
        away.rtt_s, breaking.rtt_s = 0.001, 1.0
        breaking.service.handlers.remove(capability="", group="research")

        @breaking.service.on_query(group="research")
        async def handler(_: Question) -> AsyncIterator[str]:
            yield "one "
            raise ValueError("broken")

        heard = []
        async with asker.service.ask_group("research", "?", capability="names") as answering:
            heard.append(await anext(answering))
            with pytest.raises(AnswerFailed):
                await anext(answering)
        assert ["one "] == heard
        answer(breaking, "whole")
        async with asker.service.ask_group("research", "?") as answering:
            assert "whole" == (await answering.rest()).text
        breaking.is_away = True
        with pytest.raises(Unreachable):
            async with asker.service.ask_group("research", "?"):
                pass
        with pytest.raises(NotFound):
            async with asker.service.ask_group("research", "?", capability="cooking"):
                pass

    play(main, experts=2)


def test_query_tag_asks_trusted_peers() -> None:
    """Peers found by a tag are asked without a group: those that are trusted."""

    async def main(world: QueryWorld, asker: Host, experts: list[Host]) -> None:
        for host in experts:
            host.tags = ("finance",)
            host.service.on_query("prices")(lambda _: {"eur": 1.1})
        with pytest.raises(NotTrusted, match="2 peers"):
            await asker.service.query_tag("finance", "?", capability="prices")
        with pytest.raises(NotFound):
            await asker.service.query_tag("sports", "?")
        asker.is_trusted_by_all = experts[1].is_trusted_by_all = True
        found = await asker.service.query_tag("finance", "?", capability="prices", explain=True)
        assert ({"eur": 1.1}, experts[1].public_key) == (found.json, found.author)
        assert {"asked first", "is not trusted"} == {one.reason for one in found.explanation}
        with pytest.raises(NoQuorum):
            await asker.service.query_tag("finance", "?", quorum=2)

    play(main, experts=2)


def test_query_quorum_returns_what_enough_members_signed() -> None:
    """Of four asked one may lie: the other three agree, however they write their JSON."""

    async def main(world: QueryWorld, asker: Host, experts: list[Host]) -> None:
        honest = [{"a": 1, "b": [2.0]}, {"b": [2], "a": 1.0}, {"a": 1, "b": [2]}, {"a": 2, "b": [2]}]
        for host, value in zip(experts, honest, strict=True):
            answer(host, value)
        found = await asker.service.query_group("research", "?", quorum=3)
        assert {"a": 1, "b": [2]} == found.json
        assert {host.public_key for host in experts[:3]} == set(found.signers)
        assert found.author == found.signers[0]

    play(main, experts=4)


def test_query_quorum_split_answers_are_shown() -> None:
    """When too few agree nobody's answer is returned, and the error shows how they split."""

    async def main(world: QueryWorld, asker: Host, experts: list[Host]) -> None:
        for host, value in zip(experts, ["yes", " yes\r\n", "no", ValueError()], strict=True):
            answer(host, value)
        with pytest.raises(NoQuorum, match="2 of 'yes', 1 of 'no'; 1 did not answer") as caught:
            await asker.service.query_group("research", "?", quorum=3)
        assert (("yes", 2), ("no", 1)) == caught.value.split
        assert caught.value.hint
        with pytest.raises(NoQuorum, match="4 members can be asked"):
            await asker.service.query_group("research", "?", quorum=5)
        assert 2 == asker.count("questions_total", target="group", result="no_quorum")

    play(main, experts=4)


def test_query_quorum_asks_no_more_than_needed_and_replaces_the_silent() -> None:
    """As many as q + f members are asked; whoever fails or is slow is replaced, and a late answer still counts."""

    async def main(world: QueryWorld, asker: Host, experts: list[Host]) -> None:
        for host in experts:
            answer(host, "same", after_s=0.1)
        await asker.service.query_group("research", "?", quorum=3, fresh=True)
        assert 4 == sum(host.opened for host in experts)
        for number, host in enumerate(experts):
            host.rtt_s = 0.001 if number < 2 else 1.0
        experts[0].is_away = True
        experts[1].is_silent = True
        loop = asyncio.get_running_loop()
        begun = loop.time()
        found = await asker.service.query_group("research", "again", quorum=3, fresh=True)
        assert 3 == len(found.signers)
        assert loop.time() - begun < 0.5

    play(main, experts=8)


def test_query_quorum_all_silent_ends_in_time() -> None:
    """Silence is no answer: the error says how many were silent."""

    async def main(world: QueryWorld, asker: Host, experts: list[Host]) -> None:
        for host in experts:
            answer(host, "late", after_s=1000)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        with pytest.raises(NoQuorum, match="did not answer"):
            await asker.service.query_group("research", "?", quorum=3, timeout_s=4.0)
        assert 4.0 == pytest.approx(loop.time() - begun, abs=0.2)
        await asyncio.sleep(0.1)
        assert 0 == sum(host.count("serving_questions") for host in experts)

    play(main, experts=6)


def test_query_quorum_member_with_two_voices_counts_once() -> None:
    """One member that speaks under one key cannot make a quorum, whatever it signs."""

    async def main(world: QueryWorld, asker: Host, experts: list[Host]) -> None:
        answer(experts[0], "lie")
        answer(experts[1], "lie")
        answer(experts[2], "truth")

        async def replay(stream: BytePipe) -> None:
            """Pass another member's signed answer off as one's own."""
            inner = await experts[3].world.connect(asker, experts[0], 1003, 1.0)
            await inner.write(await stream.read())
            await stream.write(await inner.read())
            await stream.write(await inner.read())

        experts[3].serve = replay
        with pytest.raises(NoQuorum):
            await asker.service.query_group("research", "?", quorum=3)

    play(main, experts=4)
