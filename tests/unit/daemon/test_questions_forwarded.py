"""Questions reach the program that answers, its answers come back in parts, and nobody waits for one that is gone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import cast

import pytest

from pilotdht.client.channel import ControlChannel, ControlPipe
from pilotdht.config.daemon import DaemonConfig
from pilotdht.daemon import query_shapes
from pilotdht.daemon.envelope import error_envelope
from pilotdht.daemon.frames import control_frame, data_frame
from pilotdht.errors import (
    AlreadyExists,
    AnswerFailed,
    BadMessage,
    InvalidArgument,
    LinkClosed,
    NotFound,
    Overloaded,
)
from pilotdht.services.query.values import Question, Reply
from tests.support.fake_daemon import FakeDaemon, fake_daemon
from tests.support.fake_groups import FakeGroup, question
from tests.support.fake_node import ALPHA, ALPHA_DID

SERVE = "/v1/query/serve?capability=citations&group=research"
HEAD = control_frame({"event": "reply", "form": "text", "ttl_s": 60})
END = control_frame({"event": "end"})


class World:
    """A daemon in ``research`` with a program that answers questions on citations."""

    def __init__(self, daemon: FakeDaemon, channel: ControlChannel, lines: AsyncGenerator[dict[str, object]]) -> None:
        self.daemon = daemon
        self.channel = channel
        self.lines = lines

    async def ask(self, asked: Question | None = None) -> object:
        """Have the node ask its handler, as it does when a peer asks; return the whole answer."""
        handler = self.daemon.node.handlers.find(capability="citations", group="research")
        assert handler is not None
        reply = await cast("asyncio.Future[Reply]", handler(question() if asked is None else asked))
        if isinstance(reply.value, AsyncIterator):
            return [text async for text in reply.value], reply.ttl_s
        return reply.value, reply.ttl_s

    async def claim(self) -> ControlPipe:
        """Take the next question, as the program does."""
        name = (await anext(self.lines))["question"]
        return await self.channel.pipe(f"/v1/query/answers/{name}")


@asynccontextmanager
async def serving(directory: Path, path: str = SERVE, config: DaemonConfig | None = None) -> AsyncIterator[World]:
    """Yield a daemon with a program that was registered."""
    async with fake_daemon(directory, config=config) as daemon, ControlChannel(daemon.socket) as channel:
        daemon.node.joined["research"] = FakeGroup("research")
        async with aclosing(channel.held(path)) as lines:
            first = await anext(lines)
            assert {"capability": "citations", "group": "research"}.items() <= first.items()
            yield World(daemon, channel, lines)


async def said(pipe: ControlPipe, *frames: bytes) -> bytes:
    """Send frames, and return what comes when all is over."""
    for frame in frames:
        await pipe.write(frame)
    return await pipe.read()


@pytest.mark.asyncio
async def test_question_is_told_with_who_asks(tmp_path: Path) -> None:
    """All declared keys; the asker's name is the one it has in the group."""
    async with serving(tmp_path) as world, asyncio.TaskGroup() as group:
        asking = group.create_task(world.ask(question("wer?")))
        told = await anext(world.lines)
        asking.cancel()

    assert set(query_shapes.QuestionShape.__annotations__) == set(told)
    expected = {"did": ALPHA_DID, "address": str(ALPHA.address), "hostname": "agent-alpha", "content": "wer?"}
    assert expected.items() <= told.items()


@pytest.mark.asyncio
async def test_answer_comes_in_the_parts_in_which_it_was_sent(tmp_path: Path) -> None:
    """A character that is cut in two between parts arrives whole; the program is told when all was taken."""
    async with serving(tmp_path) as world, asyncio.TaskGroup() as group:
        asking = group.create_task(world.ask())
        pipe = await world.claim()
        data = "eins ä".encode()
        end = await said(pipe, HEAD, data_frame(b"null "), data_frame(data[:-1]), data_frame(data[-1:]), END)
        answer = await asking
        await pipe.close()

    assert b"" == end
    assert (["null ", "eins ", "ä"], 60) == answer


@pytest.mark.asyncio
async def test_answer_that_is_json_is_a_value(tmp_path: Path) -> None:
    """The node gets the value, not its source."""
    async with serving(tmp_path) as world, asyncio.TaskGroup() as group:
        asking = group.create_task(world.ask())
        pipe = await world.claim()
        head = control_frame({"event": "reply", "form": "json", "ttl_s": 0})
        await said(pipe, head, data_frame(b'{"a":'), data_frame(b" [1]}"), END)
        answer = await asking
        pipe.abort()

    assert ({"a": [1]}, 0) == answer


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("frames", "failure"),
    [
        ([control_frame(dict(error_envelope(AnswerFailed("no idea"))))], AnswerFailed),
        ([HEAD, data_frame(b"x"), control_frame(dict(error_envelope(Overloaded("busy"))))], Overloaded),
        ([data_frame(b"x")], BadMessage),
        ([control_frame({"event": "reply", "form": "image"})], BadMessage),
        ([control_frame({"event": "reply", "ttl_s": "long"})], BadMessage),
        ([control_frame({"event": "reply", "ttl_s": -1})], InvalidArgument),
        ([HEAD, control_frame({"event": "pause"})], BadMessage),
        ([HEAD, data_frame(b"\xff"), END], InvalidArgument),
        ([HEAD, data_frame(b"\xc3"), END], InvalidArgument),
        ([control_frame({"event": "reply", "form": "json"}), data_frame(b"{"), END], InvalidArgument),
        ([(1 << 30).to_bytes(4, "big")], BadMessage),
    ],
)
async def test_answer_that_is_none_fails(tmp_path: Path, frames: list[bytes], failure: type[Exception]) -> None:
    """What the program says, or does wrong, is the answer's failure; others are not harmed."""
    async with serving(tmp_path) as world, asyncio.TaskGroup() as group:
        asking = group.create_task(_failure_of(world))
        pipe = await world.claim()
        with contextlib.suppress(LinkClosed, BadMessage):
            await said(pipe, *frames)
        pipe.abort()

        assert failure is type(await asking)
        assert await world.channel.get("/v1/info")


async def _failure_of(world: World, asked: Question | None = None) -> Exception | None:
    try:
        await world.ask(asked)
    except Exception as error:  # noqa: BLE001 - whatever it is, the test looks at it
        return error
    return None


@pytest.mark.asyncio
@pytest.mark.parametrize("frames", [[], [HEAD], [HEAD, data_frame(b"half")]])
@pytest.mark.parametrize("is_clean", [True, False])
async def test_program_that_goes_away_fails_its_answer(tmp_path: Path, frames: list[bytes], is_clean: bool) -> None:
    """Half an answer is none, whether the program ended its words or vanished."""
    async with serving(tmp_path) as world, asyncio.TaskGroup() as group:
        asking = group.create_task(_failure_of(world))
        pipe = await world.claim()
        for frame in frames:
            await pipe.write(frame)
        if is_clean:
            await pipe.write_eof()
        else:
            pipe.abort()

        assert LinkClosed is type(await asking)
        pipe.abort()


@pytest.mark.asyncio
async def test_program_is_told_when_nobody_waits_any_more(tmp_path: Path) -> None:
    """The asker went away, or its time is up."""
    async with serving(tmp_path) as world:
        asking = asyncio.get_running_loop().create_task(world.ask())
        pipe = await world.claim()
        await pipe.write(HEAD + data_frame(b"one"))
        asking.cancel()
        with pytest.raises(LinkClosed, match="nobody waits"):
            await pipe.read()
        pipe.abort()


@pytest.mark.asyncio
async def test_question_that_is_not_claimed_is_overloaded(tmp_path: Path) -> None:
    """A program that hangs does not hold askers; a claim that comes too late is told so."""
    config = DaemonConfig(claim_timeout_s=0.1)
    async with serving(tmp_path, config=config) as world:
        assert Overloaded is type(await _failure_of(world))
        with pytest.raises(NotFound):
            await world.claim()


@pytest.mark.asyncio
async def test_no_more_questions_than_the_program_takes(tmp_path: Path) -> None:
    """One above is refused at once; the next has room again."""
    async with serving(tmp_path, f"{SERVE}&most=1") as world, asyncio.TaskGroup() as group:
        asking = group.create_task(world.ask())
        pipe = await world.claim()
        assert Overloaded is type(await _failure_of(world))

        await said(pipe, HEAD, END)
        pipe.abort()
        await asking
        asking = group.create_task(world.ask())
        pipe = await world.claim()
        await said(pipe, HEAD, END)
        pipe.abort()

        assert ([], 60) == await asking


@pytest.mark.asyncio
async def test_handler_is_gone_with_its_program(tmp_path: Path) -> None:
    """Ending the request takes the handler away; what nobody had claimed fails."""
    async with serving(tmp_path) as world, asyncio.TaskGroup() as group:
        asking = group.create_task(_failure_of(world))
        await anext(world.lines)
        await world.lines.aclose()

        assert world.daemon.node.handlers.find(capability="citations", group="research") is None
        assert LinkClosed is type(await asking)


@pytest.mark.asyncio
async def test_answer_under_way_survives_the_end_of_its_stream(tmp_path: Path) -> None:
    """No further questions come, and this one is answered."""
    async with serving(tmp_path) as world, asyncio.TaskGroup() as group:
        asking = group.create_task(world.ask())
        pipe = await world.claim()
        await world.lines.aclose()
        await said(pipe, HEAD, data_frame(b"done"), END)
        pipe.abort()

        assert (["done"], 60) == await asking


@pytest.mark.asyncio
async def test_second_program_for_the_same_is_refused(tmp_path: Path) -> None:
    """And the first goes on answering."""
    async with serving(tmp_path) as world:
        with pytest.raises(AlreadyExists):
            async for _ in world.channel.held(SERVE):
                pass
        assert world.daemon.node.handlers.find(capability="citations", group="research")


@pytest.mark.asyncio
async def test_malformed_capability_is_refused(tmp_path: Path) -> None:
    """Before anything is registered."""
    async with serving(tmp_path) as world:
        with pytest.raises(InvalidArgument, match="tag"):
            async for _ in world.channel.held("/v1/query/serve?capability=Bad%20Word"):
                pass


@pytest.mark.asyncio
async def test_stopping_fails_what_waits(tmp_path: Path) -> None:
    """A daemon that stops leaves no asker waiting."""
    async with asyncio.TaskGroup() as group:
        async with serving(tmp_path) as world:
            asking = group.create_task(_failure_of(world))
            await anext(world.lines)

        assert LinkClosed is type(await asking)


@pytest.mark.asyncio
async def test_what_is_no_answer_pipe_is_told(tmp_path: Path) -> None:
    """Of a name that was never given, or claimed already."""
    async with serving(tmp_path) as world:
        with pytest.raises(NotFound):
            await world.channel.pipe("/v1/query/answers/0123")
