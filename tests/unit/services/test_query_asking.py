"""Questions to one peer: texts, JSON, streams, errors, deadlines, bounds, and what a hostile side can do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from pilotdht.errors import (
    AlreadyExists,
    AnswerFailed,
    InvalidArgument,
    LinkClosed,
    NotTrusted,
    Overloaded,
    PilotError,
    Refused,
    TimedOut,
    Unreachable,
    UsageError,
)
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import did_of
from pilotdht.services.query.content import Form
from pilotdht.services.query.values import Question, Reply
from tests.support.query_world import Host, QueryWorld, play_pair


def test_query_text_and_json_come_back_as_they_are() -> None:
    """A text is answered by a text, JSON by JSON; the author is who was asked."""

    async def main(world: QueryWorld, asker: Host, expert: Host) -> None:
        @expert.service.on_query()
        async def handler(question: Question) -> object:
            assert asker.public_key == question.asker
            if question.content.form is Form.JSON:
                return {"doubled": [2 * item for item in question.json["items"]]}  # type: ignore[index,call-overload,operator,union-attr]  # a dict of lists
            return question.text.upper()

        answer = await asker.service.query(expert.public_key, "grüße")
        assert "GRÜSSE" == answer.text
        assert (expert.public_key, (expert.public_key,), False) == (answer.author, answer.signers, answer.is_shared)
        answer = await asker.service.query(expert.public_key, {"items": [1, 2.5]})
        assert {"doubled": [2, 5.0]} == answer.json
        with pytest.raises(InvalidArgument):
            _ = (await asker.service.query(expert.public_key, "text")).json
        await asyncio.sleep(0.1)
        assert 3 == expert.count("served_total", result="answered")
        assert 3 == asker.count("questions_total", target="peer", result="answered")

    play_pair(main)


async def _async_parts(_: Question) -> AsyncIterator[str]:
    for part in ("one ", "", "two ", "three"):
        await asyncio.sleep(1)
        yield part


def _sync_parts(_: Question) -> Iterator[str]:
    yield from ("one ", "two ", "three")


def _nested_parts(question: Question) -> Iterator[object]:
    yield _async_parts(question)


@pytest.mark.parametrize(
    "handler",
    [
        _async_parts,
        _sync_parts,
        _nested_parts,
        lambda question: Reply(_async_parts(question)),
        lambda _: "one two three",
    ],
    ids=["async", "sync", "nested", "reply", "whole"],
)
def test_query_handler_of_each_kind_is_understood(handler: Callable[[Question], object]) -> None:
    """Handlers may return texts, generators of either kind, generators of generators, and replies around them."""

    async def main(world: QueryWorld, asker: Host, expert: Host) -> None:
        expert.service.on_query()(handler)
        assert "one two three" == (await asker.service.query(expert.public_key, "?")).text

    play_pair(main)


def test_query_answer_without_any_text_is_an_empty_text() -> None:
    """Nothing said is an answer too."""

    async def main(world: QueryWorld, asker: Host, expert: Host) -> None:
        expert.service.on_query()(lambda _: iter(()))
        assert "" == (await asker.service.query(expert.public_key, "?")).text
        async with asker.service.ask(expert.public_key, "?") as answering:
            assert [] == [text async for text in answering]
            assert answering.answer == await answering.rest()
        with pytest.raises(UsageError):
            await anext(asker.service.ask(expert.public_key, "?"))

    play_pair(main)


def test_ask_peer_that_is_not_found_in_time_is_a_time_out() -> None:
    """Finding the peer counts as well."""

    async def main(world: QueryWorld, asker: Host, expert: Host) -> None:
        async def resolve() -> PublicKey:
            await asyncio.sleep(1000)
            return expert.public_key

        with pytest.raises(TimedOut, match="found"):
            async with asker.service.ask(resolve, "?", timeout_s=1.0):
                pass
        assert 1 == asker.count("questions_total", target="peer", result="timeout")

    play_pair(main)


def test_ask_texts_come_while_the_handler_still_works() -> None:
    """Each part is there when it was said, and the whole answer is verified at the end."""

    async def main(world: QueryWorld, asker: Host, expert: Host) -> None:
        expert.service.on_query()(_async_parts)
        loop = asyncio.get_running_loop()
        begun, heard = loop.time(), []

        async def resolve() -> PublicKey:
            return expert.public_key

        async with asker.service.ask(resolve, "?") as answering:
            async for text in answering:
                heard.append((text, round(loop.time() - begun)))
                if len(heard) == 1:
                    with pytest.raises(UsageError):
                        _ = answering.answer
        assert [("one ", 1), ("two ", 3), ("three", 4)] == heard
        assert "one two three" == answering.answer.text

    play_pair(main)


def test_ask_leaving_early_cancels_the_handler() -> None:
    """Whoever closes the stream takes the question back: the handler's clean-up runs at once."""

    async def main(world: QueryWorld, asker: Host, expert: Host) -> None:
        ended = asyncio.Event()

        @expert.service.on_query()
        async def handler(_: Question) -> AsyncIterator[str]:
            try:
                while True:
                    yield "more "
                    await asyncio.sleep(1)
            finally:
                ended.set()

        async with asker.service.ask(expert.public_key, "?") as answering:
            async for _ in answering:
                break
        async with asyncio.timeout(0.5):
            await ended.wait()
        await asyncio.sleep(0.1)
        assert 1 == expert.count("served_total", result="gone")
        assert 0 == expert.count("serving_questions")
        assert 1 == asker.count("questions_total", target="peer", result="abandoned")

    play_pair(main)


def test_query_cancelled_asker_cancels_the_handler() -> None:
    """Cancelling the asking task ends the work on the other side."""

    async def main(world: QueryWorld, asker: Host, expert: Host) -> None:
        cancelled = asyncio.Event()

        @expert.service.on_query()
        async def handler(_: Question) -> str:
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                cancelled.set()
                raise
            return "never"

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await asker.service.query(expert.public_key, "?")
        async with asyncio.timeout(0.5):
            await cancelled.wait()
        assert 1 == asker.count("questions_total", target="peer", result="abandoned")

    play_pair(main)


def test_query_deadline_travels_with_the_question() -> None:
    """The handler knows how long the asker waits, is cancelled then, and the asker is told in time."""

    async def main(world: QueryWorld, asker: Host, expert: Host) -> None:
        seen: list[float] = []

        @expert.service.on_query()
        async def handler(question: Question) -> str:
            seen.append(question.within_s)
            await asyncio.sleep(1000)
            return "never"

        loop = asyncio.get_running_loop()
        begun = loop.time()
        with pytest.raises(TimedOut):
            await asker.service.query(expert.public_key, "?", timeout_s=3.0)
        assert 3.0 == pytest.approx(loop.time() - begun, abs=0.1)
        assert [3.0] == pytest.approx(seen, abs=0.01)
        await asyncio.sleep(0.1)
        assert 0 == expert.count("serving_questions")

    play_pair(main)


def _raises(error: Exception) -> Callable[[Question], object]:
    def handler(_: Question) -> object:
        raise error

    return handler


async def _numbers(_: Question) -> AsyncIterator[object]:
    yield 1


async def _fails_midway(_: Question) -> AsyncIterator[str]:
    yield "so far so good"
    raise ValueError("secret of the host")


@pytest.mark.parametrize(
    ("handler", "error", "text"),
    [
        (_raises(ValueError("secret of the host")), AnswerFailed, "ValueError"),
        (_raises(InvalidArgument("ask about cats")), AnswerFailed, "ask about cats"),
        (_raises(LinkClosed("of its own\nquestion")), AnswerFailed, "of its own question"),
        (_raises(TimeoutError()), AnswerFailed, "TimeoutError"),
        (_raises(Overloaded("all models are busy")), Overloaded, "all models are busy"),
        (_fails_midway, AnswerFailed, "ValueError"),
        (lambda _: None, AnswerFailed, "returned nothing"),
        (lambda _: {1, 2}, AnswerFailed, "set"),
        (lambda _: b"bytes", AnswerFailed, "bytes"),
        (lambda _: float("nan"), AnswerFailed, "float"),
        (lambda _: iter([1]), AnswerFailed, "int"),
        (_numbers, AnswerFailed, "int"),
        (lambda _: "\ud800", AnswerFailed, "str"),
        (lambda _: iter(["\ud800"]), AnswerFailed, "UnicodeEncodeError"),
        (lambda _: Reply("x", ttl_s=-1), AnswerFailed, "ttl_s"),
        (lambda _: "x" * 2000, Refused, "too long"),
        (lambda _: iter(["x" * 600] * 3), Refused, "too long"),
    ],
)
def test_query_failing_handler_becomes_an_error_answer(
    handler: Callable[[Question], object], error: type[PilotError], text: str
) -> None:
    """Whatever a handler does wrong is told without secrets, and the service lives on."""

    async def main(world: QueryWorld, asker: Host, expert: Host) -> None:
        expert.service.on_query()(handler)
        with pytest.raises(error, match=text) as caught:
            await asker.service.query(expert.public_key, "?")
        assert "secret" not in caught.value.message
        expert.service.on_query("fine")(lambda _: "fine")
        assert "fine" == (await asker.service.query(expert.public_key, "?", capability="fine")).text
        assert 0 == world.scope.failures

    play_pair(main, max_answer_bytes=1000)


def test_query_that_fails_names_the_peer_by_its_hostname() -> None:
    """Where one is known; the key of a peer without a name is all there is to say."""

    async def main(world: QueryWorld, asker: Host, expert: Host) -> None:
        outsider = world.add("outsider", group="")
        for host, failure in ((asker, Refused), (outsider, NotTrusted)):
            with pytest.raises(failure, match=r"^expert did not answer: "):
                await host.service.query(expert.public_key, "?")
        expert.is_silent = True
        with pytest.raises(TimedOut, match=r"^no stream to expert within "):
            await asker.service.query(expert.public_key, "?")
        expert.is_silent = False
        world.nameless.add(expert.public_key)
        with pytest.raises(Refused, match=rf"^{did_of(expert.public_key)} did not answer: "):
            await asker.service.query(expert.public_key, "?")

    play_pair(main)


def test_query_group_handler_answers_members_of_that_group_alone() -> None:
    """Trust, membership and the group of the handler are checked for each question."""

    async def main(world: QueryWorld, asker: Host, expert: Host) -> None:
        outsider = world.add("outsider", group="")
        world.groups["other"] = [asker, expert]
        world.groups["mine"] = [asker]
        serve = expert.service.on_query
        serve("direct")(lambda _: "direct")
        serve("in", group="research")(lambda question: question.group)
        serve("all", group="*")(lambda question: question.group)

        async def ask(host: Host, capability: str, group: str | None) -> str:
            try:
                return (await host.service.query(expert.public_key, "?", capability=capability, group=group)).text
            except PilotError as error:
                return error.code

        assert "direct" == await ask(asker, "direct", None)
        assert "refused" == await ask(asker, "direct", "research")
        assert "research" == await ask(asker, "in", "research")
        assert "refused" == await ask(asker, "in", None)
        assert "refused" == await ask(asker, "in", "other")
        assert "other" == await ask(asker, "all", "other")
        assert "not_trusted" == await ask(asker, "all", "mine")  # the expert is not in it
        assert "not_trusted" == await ask(outsider, "direct", None)
        assert "not_found" == await ask(outsider, "in", "research")
        asker.is_trusted_by_all = False
        assert "not_trusted" == await ask(asker, "direct", None)  # a member, but not trusted
        assert "research" == await ask(asker, "in", "research")
        assert expert.service.may_open(asker.public_key)
        assert not expert.service.may_open(outsider.public_key)

    play_pair(main)


def test_query_handlers_for_the_same_clash_and_can_be_removed() -> None:
    """One handler a capability and group; a special one goes before the default."""

    async def main(world: QueryWorld, asker: Host, expert: Host) -> None:
        handlers = expert.service.handlers
        expert.service.on_query()(lambda _: "default")
        expert.service.on_query("cats")(lambda _: "cats")
        with pytest.raises(AlreadyExists):
            expert.service.on_query("cats")(lambda _: "more cats")
        with pytest.raises(InvalidArgument):
            expert.service.on_query("No Cats")(lambda _: "")
        assert ("cats",) == handlers.capabilities(None)
        assert "cats" == (await asker.service.query(expert.public_key, "?", capability="cats")).text
        assert handlers.remove(capability="cats", group=None)
        assert not handlers.remove(capability="cats", group=None)
        assert "default" == (await asker.service.query(expert.public_key, "?", capability="cats")).text

    play_pair(main)


def test_query_unreachable_peer_is_told_as_such() -> None:
    """Errors of the link come through as they are, and silence ends with the time for opening."""

    async def main(world: QueryWorld, asker: Host, expert: Host) -> None:
        expert.is_away = True
        with pytest.raises(Unreachable):
            await asker.service.query(expert.public_key, "?")
        with pytest.raises(Unreachable):
            async with asker.service.ask(expert.public_key, "?"):
                pass
        expert.is_away, expert.is_silent = False, True
        loop = asyncio.get_running_loop()
        begun = loop.time()
        with pytest.raises(TimedOut):
            await asker.service.query(expert.public_key, "?")
        assert world.config.open_timeout_s == pytest.approx(loop.time() - begun, abs=0.01)
        assert 2 == asker.count("questions_total", target="peer", result="failed")

    play_pair(main)
