"""The side that answers: who may ask, bounds, and what hostile askers and answerers can do."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from pilotdht.errors import (
    BadMessage,
    InvalidArgument,
    LinkClosed,
    Overloaded,
)
from pilotdht.gossip.values import MemberStatus
from pilotdht.services.query.content import Content, Form, content_of
from pilotdht.services.query.frames import read_frame
from pilotdht.services.query.signed import endorse, question_key
from pilotdht.services.query.values import Question
from pilotdht.services.query.words import Ask, End, Failed, Failure, Part
from pilotdht.wire.groups import open_group_id
from tests.support.byte_pipe import BytePipe
from tests.support.query_world import Host, QueryWorld, play_pair


def test_serve_asker_that_breaks_off_is_gone() -> None:
    """While it asks, while the answer is on its way: nothing is left behind."""

    async def main(world: QueryWorld, asker: Host, expert: Host) -> None:
        expert.service.on_query()(lambda _: "x" * 500_000)
        stream = await world.connect(asker, expert, 1003, 1.0)
        await stream.write(b"\0\0")
        stream.abort()
        await asyncio.sleep(0.1)
        stream = await world.connect(asker, expert, 1003, 1.0)
        await stream.write(Ask(group=b"", capability="", content=content_of("?"), within_ms=4000).framed())
        await stream.read_exactly(1000)
        stream.abort()
        await asyncio.sleep(0.1)
        assert 2 == expert.count("served_total", result="gone")
        assert 0 == expert.count("serving_questions")
        assert 0 == world.scope.failures

    play_pair(main)


def test_serve_stranger_that_names_a_group_is_refused() -> None:
    """Naming a group is not being in it, and whoever is held for dead is not any more."""

    async def main(world: QueryWorld, asker: Host, expert: Host) -> None:
        expert.service.on_query(group="research")(lambda _: "yes")
        stranger = world.add("stranger", group="")
        asker.status = MemberStatus.DEAD
        ask = Ask(group=open_group_id("research"), capability="", content=content_of("?"), within_ms=1000)
        for host in (stranger, asker):
            stream = await world.connect(host, expert, 1003, 1.0)
            await stream.write(ask.framed())
            assert Failed(failure=Failure.NOT_ALLOWED).framed()[4:] == await read_frame(stream)
        asker.status = MemberStatus.SUSPECT
        assert "yes" == (await asker.service.query(expert.public_key, "?", group="research")).text
        assert 2 == expert.count("served_total", result="not_allowed")

    play_pair(main)


def test_query_bounds_of_both_sides_hold() -> None:
    """Per peer, in total, and of one's own: further questions are refused, and may be asked again later."""

    async def main(world: QueryWorld, asker: Host, expert: Host) -> None:
        other = world.add("other")
        other.is_trusted_by_all = True

        @expert.service.on_query()
        async def handler(_: Question) -> str:
            await asyncio.sleep(5)
            return "done"

        async def results(hosts: list[Host]) -> list[str]:
            async def one(host: Host) -> str:
                try:
                    return (await host.service.query(expert.public_key, "?")).text
                except Overloaded:
                    return "overloaded"

            async with asyncio.TaskGroup() as tasks:
                asking = [tasks.create_task(one(host)) for host in hosts]
            return sorted(task.result() for task in asking)

        assert ["done", "done", "overloaded"] == await results([asker] * 3)
        assert ["done", "done", "done", "overloaded"] == await results([asker, asker, other, other])
        assert 2 == expert.count("served_total", result="overloaded")
        assert ["done"] == await results([asker])
        assert 2 == asker.count("questions_total", target="peer", result="overloaded") + other.count(
            "questions_total", target="peer", result="overloaded"
        )
        with pytest.raises(InvalidArgument):
            await asker.service.query(expert.public_key, "x" * 101)
        with pytest.raises(InvalidArgument):
            await asker.service.query(expert.public_key, "?", timeout_s=0)

    play_pair(main, max_serving=3, max_serving_per_peer=2, max_asking=4, max_question_bytes=100)


def test_query_own_bound_refuses_before_anything_is_sent() -> None:
    """More questions than may wait are refused here."""

    async def main(world: QueryWorld, asker: Host, expert: Host) -> None:
        async with (
            asyncio.timeout(60),
            asyncio.TaskGroup() as tasks,
        ):
            expert.is_silent = True
            waiting = tasks.create_task(asker.service.query(expert.public_key, "?"))
            await asyncio.sleep(0.1)
            with pytest.raises(Overloaded):
                await asker.service.query(expert.public_key, "?")
            assert 1 == expert.opened
            waiting.cancel()
        expert.is_silent = False
        expert.service.on_query()(lambda _: "yes")
        assert "yes" == (await asker.service.query(expert.public_key, "?")).text

    play_pair(main, max_asking=1)


def _end(host: Host, content: Content, question: Content) -> End:
    key = question_key(question, capability="", group=b"")
    signed = endorse(host.keys, content, key=key, group=b"", issued_ms=1, ttl_s=0)
    return End(issued_ms=1, ttl_s=0, signature=signed.signature)


def test_query_forged_or_malformed_answers_are_refused() -> None:
    """An answer counts only with its author's signature over this answer to this question."""
    question, content = content_of("?"), content_of("yes")
    part = Part(form=Form.TEXT, data=b"yes").framed()

    async def main(world: QueryWorld, asker: Host, expert: Host) -> None:
        other = world.add("other")
        good = _end(expert, content, question)
        hostile = {
            "query_signature": [
                part + _end(other, content, question).framed(),
                part + _end(expert, content_of("no"), question).framed(),
                part + _end(expert, content, content_of("another question")).framed(),
                part + dataclasses.replace(good, ttl_s=60).framed(),
            ],
            "query_fields": [good.framed()],
            "query_length": [b"\0\0\0\0", b"\xff\xff\xff\xff"],
            "query_version": [b"\0\0\0\x03\x92\x02\x10"],
            "query_kind": [Ask(group=b"", capability="", content=content, within_ms=1).framed()],
            "query_utf8": [Part(form=Form.TEXT, data=b"\xff").framed()],
            "query_json": [Part(form=Form.JSON, data=b"{").framed() + good.framed()],
            "query_form": [part + Part(form=Form.JSON, data=b"1").framed()],
            "query_answer_length": [Part(form=Form.TEXT, data=b"x" * 60_000).framed() * 2],
        }
        for reason, answers in hostile.items():
            for answer in answers:

                async def serve(stream: BytePipe, answer: bytes = answer) -> None:
                    await stream.write(answer)
                    await stream.read_exactly(10_000)

                expert.serve = serve
                with pytest.raises(BadMessage) as caught:
                    await asker.service.query(expert.public_key, "?")
                assert reason == caught.value.reason

        async def honest(stream: BytePipe) -> None:
            await stream.write(part + good.framed())

        expert.serve = honest
        assert "yes" == (await asker.service.query(expert.public_key, "?")).text

        async def cut(stream: BytePipe) -> None:
            await stream.write(part)

        expert.serve = cut
        with pytest.raises(LinkClosed):
            await asker.service.query(expert.public_key, "?")

    play_pair(main, max_answer_bytes=100_000)


def test_serve_malformed_questions_are_refused_and_slow_ones_dropped() -> None:
    """Whatever stands where a question should be holds a place for a bounded time, and does no harm."""

    async def main(world: QueryWorld, asker: Host, expert: Host) -> None:
        expert.service.on_query()(lambda _: "yes")
        good = Ask(group=b"", capability="", content=content_of("?"), within_ms=1000).framed()
        for wrong in (b"\0\0\0\0", b"\0\0\0\x01\xc0", good[:4] + b"\x91" + good[5:], b"\0\xff\xff\xff"):
            stream = await world.connect(asker, expert, 1003, 1.0)
            await stream.write(wrong)
            failed = await read_frame(stream)
            assert Failed(failure=Failure.MALFORMED).framed()[4:] == failed
        loop = asyncio.get_running_loop()
        begun = loop.time()
        stream = await world.connect(asker, expert, 1003, 1.0)
        await stream.write(good[:7])
        with pytest.raises(LinkClosed):
            await stream.read_exactly(1)
        assert 10.0 == pytest.approx(loop.time() - begun, abs=0.1)
        stream = await world.connect(asker, expert, 1003, 1.0)
        await stream.write(good + good)  # a second question on one stream: the first is taken back
        await asyncio.sleep(0.1)
        assert 1 == expert.count("served_total", result="gone") + expert.count("served_total", result="answered")
        assert 0 == expert.count("serving_questions")

    play_pair(main)


def test_serve_asker_that_reads_nothing_is_given_up() -> None:
    """A long answer waits for its asker until the deadline, then the place is free."""

    async def main(world: QueryWorld, asker: Host, expert: Host) -> None:
        expert.service.on_query()(lambda _: "x" * 500_000)
        stream = await world.connect(asker, expert, 1003, 1.0)
        await stream.write(Ask(group=b"", capability="", content=content_of("?"), within_ms=4000).framed())
        await asyncio.sleep(1)
        assert 1 == expert.count("serving_questions")
        await asyncio.sleep(4 + world.config.farewell_s)
        assert 0 == expert.count("serving_questions")
        assert 1 == expert.count("served_total", result="too_late")

    play_pair(main)
