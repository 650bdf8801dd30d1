"""Shared answers: who finds them, who keeps them, and what a lying holder cannot do."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Coroutine

import pytest

from pilotdht.config.query import QueryConfig
from pilotdht.gossip.values import MemberStatus
from pilotdht.identity.ids import PublicKey
from pilotdht.services.answers.homes import homes
from pilotdht.services.query.content import Content, content_of
from pilotdht.services.query.frames import read_frame
from pilotdht.services.query.signed import Endorsement, QuestionKey, SharedAnswer, endorse, question_key
from pilotdht.services.query.values import Question, Reply
from pilotdht.services.query.words import Kept, Look, Offer, Shared
from pilotdht.wire.groups import open_group_id
from simulations.engine.virtual_loop import run_virtually
from tests.support.byte_pipe import BytePipe
from tests.support.query_world import Host, QueryWorld

RESEARCH = open_group_id("research")
CITES = "citations"
Main = Callable[[QueryWorld, Host, list[Host]], Coroutine[None, None, None]]


def play(main: Main, *, others: int = 6, **config: object) -> None:
    """Run ``main`` with one expert, whose answers may be shared for ten minutes, and other members."""

    async def run() -> None:
        async with QueryWorld(dataclasses.replace(QueryConfig(), **config)) as world:  # type: ignore[arg-type]  # names of its fields
            expert = world.add("expert", capabilities=(CITES,))

            @expert.service.on_query(CITES, group="research")
            async def handler(question: Question) -> Reply:
                return Reply(f"  about {question.text}\r\n", ttl_s=600)

            await main(world, expert, [world.add(f"member{number}") for number in range(others)])

    run_virtually(run())


def key_of(text: str) -> QuestionKey:
    """Return the key of a question for citations."""
    return question_key(content_of(text), capability=CITES, group=RESEARCH)


def homes_of(world: QueryWorld, text: str) -> list[Host]:
    """Return the homes of a question, nearest first."""
    keys = homes(key_of(text), [host.public_key for host in world.groups["research"]], count=3)
    return [world.host_of(key) for key in keys]


def shared_by(
    world: QueryWorld,
    authors: list[Host],
    content: Content,
    *,
    text: str = "cats",
    ttl_s: int = 600,
    issued_s: float = 0.0,
    group: bytes = RESEARCH,
) -> SharedAnswer:
    """Return an answer that these authors signed so many seconds from now."""
    key = question_key(content_of(text), capability=CITES, group=group)
    issued_ms = int((world.unix_time() + issued_s) * 1000)
    signed = [endorse(one.keys, content, key=key, group=group, issued_ms=issued_ms, ttl_s=ttl_s) for one in authors]
    return SharedAnswer(key=key_of(text), group=RESEARCH, content=content, endorsements=tuple(signed))


async def offer(world: QueryWorld, by: Host, to: Host, answer: SharedAnswer) -> bool:
    """Offer an answer as a member would; return whether it was kept."""
    stream = await world.connect(by, to, 1003, 1.0)
    await stream.write(Offer(answer=answer).framed())
    return await read_frame(stream) == Kept(is_kept=True).framed()[4:]


async def ask(host: Host, text: str = "cats", **options: object) -> tuple[str, bool]:
    """Ask the group for citations; return the answer and whether it was shared."""
    answer = await host.service.query_group("research", text, capability=CITES, **options)  # type: ignore[arg-type]  # its own
    return answer.text, answer.is_shared


def test_shared_answer_is_found_by_the_next_asker() -> None:
    """The first asker's answer is kept by itself and the homes; nobody asks the expert again until it expires."""

    async def main(world: QueryWorld, expert: Host, others: list[Host]) -> None:
        first, second = [host for host in others if host not in homes_of(world, "cats")][:2]
        answer = await first.service.query_group("research", "cats", capability=CITES)
        assert ("  about cats\r\n", False, expert.public_key) == (answer.text, answer.is_shared, answer.author)
        assert answer.expires_s == pytest.approx(world.unix_time() + 600, abs=1)
        await asyncio.sleep(10)
        answer = await first.service.query_group("research", " cats\r\n", capability=CITES)
        assert ("about cats", True, expert.public_key) == (answer.text, answer.is_shared, answer.author)
        assert 10 == pytest.approx(answer.age_s, abs=0.1)
        assert 1 == first.count("shared_lookups_total", result="own")
        answer = await second.service.query_group("research", "cats", capability=CITES)
        assert ("about cats", True, (expert.public_key,)) == (answer.text, answer.is_shared, answer.signers)
        assert answer.expires_s == pytest.approx(world.unix_time() + 590, abs=1)
        assert 1 == second.count("shared_lookups_total", result="home")
        assert 1 == expert.count("served_total", result="answered")
        assert ("  about cats\r\n", False) == await ask(second, fresh=True)
        assert ("  about dogs\r\n", False) == await ask(second, "dogs")
        await asyncio.sleep(700)
        assert ("  about cats\r\n", False) == await ask(second)

    play(main)


def test_shared_answer_looks_at_the_next_home_when_the_nearest_is_silent() -> None:
    """A dead home costs a few round trips; when all are dead the expert is asked after a second."""

    async def main(world: QueryWorld, expert: Host, others: list[Host]) -> None:
        at_home = homes_of(world, "cats")
        first, second, third = [host for host in others if host not in at_home][:3]
        await ask(first)
        await asyncio.sleep(1)
        for rtt_s, host in zip((0.01, 0.02, 0.03), at_home, strict=True):
            host.rtt_s = rtt_s
        at_home[0].is_silent = True
        loop = asyncio.get_running_loop()
        begun = loop.time()
        assert ("about cats", True) == await ask(second)
        assert world.config.hedge_low_s == pytest.approx(loop.time() - begun, abs=0.01)
        for host in at_home:
            if host is not expert:
                host.is_silent = True
        if expert not in at_home:
            begun = loop.time()
            assert ("  about cats\r\n", False) == await ask(third)
            assert 1.0 == pytest.approx(loop.time() - begun, abs=0.1)

    play(main, others=8)


def test_shared_answer_not_allowed_or_too_long_is_not_kept() -> None:
    """A handler decides; a long answer is the asker's alone."""

    async def main(world: QueryWorld, expert: Host, others: list[Host]) -> None:
        expert.service.handlers.remove(capability=CITES, group="research")
        expert.service.on_query(CITES, group="research")(
            lambda question: "not shared" if question.text == "secret" else Reply("x" * 300, ttl_s=60)
        )
        for text in ("secret", "long"):
            answer = await others[0].service.query_group("research", text, capability=CITES)
            assert answer.expires_s is None
            assert not (await ask(others[0], text))[1]
        assert 0 == others[0].count("cached_answers")
        assert 0 == sum(host.count("offers_total", result="kept") for host in others)

    play(main, max_shared_bytes=100)


def test_offer_is_kept_only_when_it_is_what_it_says() -> None:
    """Author, membership, signature, time and form of an offered answer are checked by whoever keeps it."""

    async def main(world: QueryWorld, expert: Host, others: list[Host]) -> None:
        home, member = others[:2]
        outsider = world.add("outsider", group="")
        content = content_of("about cats")
        good = shared_by(world, [expert], content)
        forged = dataclasses.replace(good, content=content_of("about dogs"))
        stolen = dataclasses.replace(
            good, endorsements=(dataclasses.replace(good.endorsements[0], author=member.public_key),)
        )
        assert not await offer(world, outsider, home, good)
        for wrong in (
            forged,
            stolen,
            shared_by(world, [outsider], content),
            dataclasses.replace(good, key=key_of("dogs")),
            shared_by(world, [expert], content, group=open_group_id("other")),
            shared_by(world, [expert], content, ttl_s=0),
            shared_by(world, [expert], content, ttl_s=86_401),
            shared_by(world, [expert], content, issued_s=-601),
            shared_by(world, [expert], content, issued_s=61),
        ):
            assert not await offer(world, member, home, wrong)
        assert 9 == home.count("offers_total", result="rejected")
        assert 1 == home.count("offers_total", result="not_allowed")
        for malformed in (
            dataclasses.replace(good, content=content_of(" about cats")),
            dataclasses.replace(good, endorsements=()),
            dataclasses.replace(good, endorsements=good.endorsements * 2),
            shared_by(world, [expert], content_of("x" * 40_000)),
        ):
            assert not await offer(world, member, home, malformed)
        assert 4 == home.count("served_total", result="malformed")
        assert 0 == home.count("cached_answers")
        assert await offer(world, member, home, good)
        assert 1 == home.count("cached_answers")
        stream = await world.connect(outsider, home, 1003, 1.0)
        await stream.write(Look(group=RESEARCH, key=good.key).framed())
        assert Shared(fields=None).framed()[4:] == await read_frame(stream)

    play(main)


def test_poisoned_home_can_only_withhold() -> None:
    """Whatever a home sends that does not prove itself is not taken; the next home, or the expert, answers."""

    async def main(world: QueryWorld, expert: Host, others: list[Host]) -> None:
        expelled = world.add("expelled", capabilities=(CITES,))
        question = next(text for text in map(str, range(50)) if not {expert, expelled} & set(homes_of(world, text)))
        at_home = homes_of(world, question)
        liar = at_home[0]
        asker = next(host for host in others if host not in at_home)
        expelled.status = MemberStatus.DEAD
        content = content_of("lies")
        good = shared_by(world, [expert], content_of("about cats"), text=question)
        lies: list[bytes] = [
            Shared(fields=dataclasses.replace(good, content=content).fields()).framed(),
            Shared(
                fields=shared_by(world, [liar], content, text=question).fields()
            ).framed(),  # does not declare the capability
            Shared(fields=shared_by(world, [expelled], content, text=question).fields()).framed(),
            Shared(fields=shared_by(world, [expert], content, text="dogs").fields()).framed(),
            Shared(fields=shared_by(world, [expert], content, text=question, issued_s=-1000).fields()).framed(),
            Shared(fields=[]).framed(),
            Shared(fields=None).framed(),
            b"\xff\xff\xff\xff",
            b"",
        ]
        for lie in lies:

            async def serve(stream: BytePipe, lie: bytes = lie) -> None:
                await stream.write(lie)

            for host in at_home:
                host.serve = serve
            assert (f"  about {question}\r\n", False) == await ask(asker, question)
            asker.service.shared.cache.forget_group(RESEARCH)
        assert 5 * 3 == asker.count("shared_lookups_total", result="rejected")
        assert 8 == asker.count("shared_lookups_total", result="failed")
        assert 1 == asker.count("shared_lookups_total", result="none")

    play(main)


def test_quorum_takes_a_shared_answer_only_with_enough_signatures() -> None:
    """A shared answer of one member does not stand for three; one that three signed does."""

    async def main(world: QueryWorld, expert: Host, others: list[Host]) -> None:
        experts = [expert, *(world.add(f"expert{number}", capabilities=(CITES,)) for number in range(3))]
        for host in experts:
            host.service.handlers.remove(capability=CITES, group="research")
            host.service.on_query(CITES, group="research")(lambda _: Reply({"n": 1}, ttl_s=600))
        first, second = others[:2]
        await ask(first)
        await asyncio.sleep(1)
        assert not (await first.service.query_group("research", "cats", capability=CITES, quorum=3)).is_shared
        await asyncio.sleep(1)
        answer = await second.service.query_group("research", "cats", capability=CITES, quorum=3)
        assert (True, 3) == (answer.is_shared, len(set(answer.signers)))
        assert set(answer.signers) <= {host.public_key for host in experts}
        assert not (await second.service.query_group("research", "cats", capability=CITES, quorum=4)).is_shared

    play(main)


def test_shared_answer_of_several_counts_those_that_still_hold() -> None:
    """Of three signers one has left and one has expired: the third still stands for the answer, not for a quorum."""

    async def main(world: QueryWorld, expert: Host, others: list[Host]) -> None:
        home, asker = others[:2]
        content = content_of("about cats")
        left = world.add("left", capabilities=(CITES,))
        brief = world.add("brief", capabilities=(CITES,))
        answer = shared_by(world, [left, expert], content)
        soon = shared_by(world, [brief], content, ttl_s=5)
        both = dataclasses.replace(answer, endorsements=(*answer.endorsements, *soon.endorsements))
        assert await offer(world, home, asker, both)
        assert 3 == len((await asker.service.query_group("research", "cats", capability=CITES)).signers)
        await asyncio.sleep(6)
        left.status = MemberStatus.LEFT
        found = await asker.service.query_group("research", "cats", capability=CITES)
        assert (True, (expert.public_key,)) == (found.is_shared, found.signers)

    play(main)


def test_offers_are_bounded_and_a_closing_node_makes_none() -> None:
    """Offers to members that are silent do not pile up, and no answer is lost when they cannot be made."""

    async def main(world: QueryWorld, expert: Host, others: list[Host]) -> None:
        asker = others[0]
        for host in others[1:]:
            host.is_silent = True
        for number in range(6):
            await ask(asker, f"question {number}")
        assert 0 < asker.count("offers_total", result="dropped")
        await asyncio.sleep(10)
        assert 0 < asker.count("offers_total", result="failed") <= 6
        before = asker.count("offers_total", result="dropped")
        await world.scope.close()
        key = key_of("x")
        signed: list[Endorsement] = list(shared_by(world, [expert], content_of("a"), text="x").endorsements)
        members = [host.member(is_self=host is asker) for host in world.groups["research"]]
        asker.service.shared.keep(content_of("a"), signed, key=key, group=RESEARCH, members=members)
        assert before + 2 <= asker.count("offers_total", result="dropped")

    play(main, max_offers=2)


def test_homes_move_little_when_members_come_and_go() -> None:
    """Everybody computes the same homes in any order; a member that leaves is the only one replaced."""
    members = [PublicKey(bytes([number]) * 32) for number in range(1, 101)]
    counts = dict.fromkeys(members, 0)
    for number in range(300):
        key = key_of(str(number))
        chosen = homes(key, members, count=3)
        assert chosen == homes(key, reversed(members), count=3)
        assert 3 == len(set(chosen))
        gone = chosen[1]
        without = homes(key, [member for member in members if member != gone], count=3)
        assert [chosen[0], chosen[2]] == without[:2]
        for member in chosen:
            counts[member] += 1
    assert 25 > max(counts.values())
    assert members[:2] == sorted(homes(key_of("x"), members[:2], count=3))
