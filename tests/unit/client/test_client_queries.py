"""A client asks as a node asks, and answers the questions that its daemon hands on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import cast

import pytest

from pilotdht.client.client import Client
from pilotdht.errors import (
    AlreadyExists,
    AnswerFailed,
    InvalidArgument,
    LinkClosed,
    NoDaemon,
    NotFound,
    Overloaded,
    TimedOut,
    UsageError,
)
from pilotdht.services.query.content import content_of
from pilotdht.services.query.values import Question, Reply
from tests.support.fake_daemon import FakeDaemon, fake_daemon
from tests.support.fake_groups import FakeGroup, question
from tests.support.fake_node import ALPHA

HOST = "agent-alpha"


@pytest.mark.asyncio
@pytest.mark.parametrize("answer", ["Shannon 1948", {"a": [1, None]}])
async def test_answers_are_those_of_the_node(tmp_path: Path, answer: object) -> None:
    """Text and JSON come back as they were given, with who gave them."""
    async with fake_daemon(tmp_path) as daemon, Client(daemon.socket) as client:
        daemon.node.joined["research"] = FakeGroup("research")
        daemon.node.answer = answer
        node = daemon.node

        assert await node.query(HOST, "who?") == await client.query(HOST, "who?")
        assert await node.query_tag("x", {"q": 1}, explain=True) == await client.query_tag("x", {"q": 1}, explain=True)
        found = await client.query_group("research", "who?", capability="y", tags=("a",), quorum=3, fresh=True)
        assert content_of(answer) == found.content
        assert (ALPHA.public_key,) * 3 == found.signers
        assert node.choices("research") == await client.choices("research")
        assert node.asked[2] == node.asked[3]
        expected = {"group": "research", "question": "who?", "capability": "y", "tags": ("a",), "quorum": 3}
        assert ("query_group", {**expected, "fresh": True}) == node.asked[4]


@pytest.mark.asyncio
async def test_answer_is_read_part_by_part(tmp_path: Path) -> None:
    """The whole is there at the end, not before."""
    async with fake_daemon(tmp_path) as daemon, Client(daemon.socket) as client:
        async with client.ask(HOST, "who?", capability="x", group="g") as answering:
            with pytest.raises(UsageError):
                _ = answering.answer
            parts = [part async for part in answering]
            again = [part async for part in answering]
        daemon.node.joined["research"] = FakeGroup("research")
        async with client.ask_group("research", {"q": 1}, tags=("a",)) as other:
            whole = await other.rest()

        assert ["Shannon", " 1948"] == parts
        assert [] == again
        assert "Shannon 1948" == answering.answer.text == whole.text
        expected = {"target": HOST, "question": "who?", "capability": "x", "group": "g"}
        assert ("ask", expected) == daemon.node.asked[0]


@pytest.mark.asyncio
async def test_question_that_fails_raises_what_the_node_raised(tmp_path: Path) -> None:
    """Asked for at once or part by part."""
    async with fake_daemon(tmp_path) as daemon, Client(daemon.socket) as client:
        daemon.node.failure = AnswerFailed("no idea")
        with pytest.raises(AnswerFailed, match="no idea"):
            await client.query(HOST, "who?")
        with pytest.raises(AnswerFailed, match="no idea"):
            async with client.ask(HOST, "who?"):
                pass
        with pytest.raises(InvalidArgument):
            await client.query(HOST, b"bytes")
        with pytest.raises(UsageError):
            await anext(client.ask(HOST, "who?"))


@pytest.mark.asyncio
async def test_finding_the_peer_counts_against_the_time_out(tmp_path: Path) -> None:
    """A question does not wait longer than it says."""
    async with fake_daemon(tmp_path) as daemon, Client(daemon.socket) as client:
        daemon.node.is_stuck = True
        with pytest.raises(TimedOut):
            await client.query(HOST, "who?", timeout_s=0.05)


async def asked(daemon: FakeDaemon, about: Question) -> tuple[object, float]:
    """Have the node ask its handler, as it does when a peer asks; return the whole answer and its time to live."""
    handler = daemon.node.handlers.find(capability=about.capability, group=about.group)
    assert handler is not None
    reply = await cast("asyncio.Future[Reply]", handler(about))
    if isinstance(reply.value, AsyncIterator):
        return "".join([text async for text in reply.value]), reply.ttl_s
    return reply.value, reply.ttl_s


async def words(texts: tuple[str, ...]) -> AsyncIterator[str]:
    """Yield texts."""
    for text in texts:
        yield text


async def later(value: object) -> object:
    """Return a value after others have worked."""
    await asyncio.sleep(0)
    return value


def lazily(texts: tuple[str, ...]) -> Iterator[str]:
    """Yield texts."""
    yield from texts


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("text", ("Shannon", 0)),
        ("awaited", ("Shannon", 0)),
        ("json", ({"year": 1948}, 0)),
        ("shared", ("Shannon", 60)),
        ("async parts", ("Shannon 1948", 0)),
        ("parts", ("Shannon 1948", 0)),
        ("shared parts", ("Shannon 1948", 60)),
    ],
)
async def test_handler_answers_in_every_form_that_a_node_takes(
    tmp_path: Path, kind: str, expected: tuple[object, float]
) -> None:
    """Texts, JSON, replies that may be shared, parts; and it sees the question as the node does."""
    values: dict[str, object] = {
        "text": "Shannon",
        "awaited": later("Shannon"),
        "json": {"year": 1948},
        "shared": Reply("Shannon", ttl_s=60),
        "async parts": words(("Shannon", " 1948")),
        "parts": lazily(("Shannon", " 1948")),
        "shared parts": Reply(words(("Shannon", " 1948")), ttl_s=60),
    }
    seen: list[Question] = []
    async with fake_daemon(tmp_path) as daemon, Client(daemon.socket) as client:
        daemon.node.joined["research"] = FakeGroup("research")

        @client.on_query("citations", group="research")
        def answer(one: Question) -> object:
            seen.append(one)
            return values[kind]

        await client.until_serving("citations", group="research")

        assert expected == await asked(daemon, question({"q": "wer?"}))
        assert [question({"q": "wer?"})] == seen
    for value in (values["awaited"],):
        if asyncio.iscoroutine(value):
            value.close()


def refuse(one: Question) -> object:
    """Refuse a question."""
    raise Overloaded("busy")


def break_down(one: Question) -> object:
    """Have a bug."""
    raise ValueError("secret details")


async def stop_in_the_middle(one: Question) -> AsyncIterator[object]:
    """Have a bug in the middle."""
    yield "half"
    raise ValueError("secret details")


async def no_texts(one: Question) -> AsyncIterator[object]:
    """Yield what is no text."""
    yield 7


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("handler", "failure"),
    [
        (refuse, Overloaded),
        (break_down, AnswerFailed),
        (stop_in_the_middle, AnswerFailed),
        (no_texts, InvalidArgument),
        (lambda one: None, InvalidArgument),
        (lambda one: b"bytes", InvalidArgument),
    ],
)
async def test_handler_that_fails_gives_no_answer(
    tmp_path: Path, handler: object, failure: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    """Its bugs are logged here and not told to the asker; the next question is answered all the same."""
    async with fake_daemon(tmp_path) as daemon, Client(daemon.socket) as client:
        daemon.node.joined["research"] = FakeGroup("research")
        client.on_query("citations", group="research")(handler)  # type: ignore[type-var]  # each is a handler
        await client.until_serving("citations", group="research")
        for _ in range(2):
            with pytest.raises(failure) as caught:
                await asked(daemon, question())
            assert "secret" not in str(caught.value)


@pytest.mark.asyncio
async def test_handler_is_cancelled_when_nobody_waits(tmp_path: Path) -> None:
    """Work for an asker that went away is given up."""
    begun, ended = asyncio.Event(), asyncio.Event()
    async with fake_daemon(tmp_path) as daemon, Client(daemon.socket) as client:
        daemon.node.joined["research"] = FakeGroup("research")

        @client.on_query("citations", group="research")
        async def answer(one: Question) -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        await client.until_serving("citations", group="research")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await asked(daemon, question())
        assert begun.is_set()
        async with asyncio.timeout(5):
            await ended.wait()


@pytest.mark.asyncio
async def test_many_questions_are_answered_at_once(tmp_path: Path) -> None:
    """As many as the program takes; none waits for another one."""
    everybody = asyncio.Barrier(8)
    async with fake_daemon(tmp_path) as daemon, Client(daemon.socket) as client:
        daemon.node.joined["research"] = FakeGroup("research")

        @client.on_query("citations", group="research")
        async def answer(one: Question) -> str:
            await everybody.wait()
            return one.text.upper()

        await client.until_serving("citations", group="research")
        async with asyncio.TaskGroup() as group:
            asking = [group.create_task(asked(daemon, question(f"q{number}"))) for number in range(8)]

        assert [(f"Q{number}", 0) for number in range(8)] == [one.result() for one in asking]


@pytest.mark.asyncio
async def test_handlers_registered_before_the_client_opens_begin_with_it(tmp_path: Path) -> None:
    """As with a node."""
    async with fake_daemon(tmp_path) as daemon:
        client = Client(daemon.socket)
        client.on_query()(lambda one: "any")
        with pytest.raises(AlreadyExists):
            client.on_query()(lambda one: "other")
        with pytest.raises(UsageError):
            await client.until_serving()
        async with client:
            await client.until_serving()
            assert daemon.node.handlers.find(capability="", group=None)


@pytest.mark.asyncio
async def test_handler_that_the_daemon_refuses_is_told(tmp_path: Path) -> None:
    """Another program answers already, or the node is in no such group."""
    async with fake_daemon(tmp_path) as daemon, Client(daemon.socket) as one, Client(daemon.socket) as other:
        one.on_query("x")(lambda about: "one")
        await one.until_serving("x")
        other.on_query("x")(lambda about: "other")
        other.on_query("y", group="nothing")(lambda about: "other")
        with pytest.raises(AlreadyExists):
            await other.until_serving("x")
        with pytest.raises(NotFound):
            await other.until_serving("y", group="nothing")
        with pytest.raises(NotFound):
            await other.until_serving("z")


@pytest.mark.asyncio
async def test_handler_that_was_removed_answers_no_more(tmp_path: Path) -> None:
    """The place is free for another one."""
    async with fake_daemon(tmp_path) as daemon, Client(daemon.socket) as client:
        client.on_query("x")(lambda one: "one")
        await client.until_serving("x")

        assert [True, False] == [client.remove_query_handler("x"), client.remove_query_handler("x")]
        async with Client(daemon.socket) as other, asyncio.timeout(5):
            other.on_query("x")(lambda one: "other")
            while not await serves(other, "x"):
                await other.info()  # the daemon has not noticed yet


async def serves(client: Client, capability: str) -> bool:
    """Return whether questions come, as far as it is known at present."""
    try:
        await client.until_serving(capability)
    except (AlreadyExists, NoDaemon, LinkClosed):
        return False
    return True


@pytest.mark.asyncio
async def test_handler_comes_back_with_the_daemon(tmp_path: Path) -> None:
    """A restart of the daemon does not end a program that answers."""
    async with AsyncExitStack() as stack:
        async with fake_daemon(tmp_path) as daemon:
            client = await stack.enter_async_context(Client(daemon.socket))
            client.on_query("x")(lambda one: "one")
            await client.until_serving("x")
        async with fake_daemon(tmp_path) as daemon, asyncio.timeout(5):
            while daemon.node.handlers.find(capability="x", group=None) is None:
                await client.info()
            assert await serves(client, "x")
