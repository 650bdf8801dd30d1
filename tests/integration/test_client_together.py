"""Programs that use groups through their daemons: the same verbs as a node inside the process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from pilotdht import AnswerFailed, Client, GroupKind, MemberChange, NotTrusted, Question, Reply
from pilotdht.client.group import ClientGroup
from tests.support.daemon_processes import agents

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def sockets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """Return the control sockets of two agents that do not trust each other."""
    with agents(tmp_path_factory.mktemp("together"), 2) as (alpha, beta):
        first = alpha.start("--hostname", "alpha")
        second = beta.start("--hostname", "beta", "--bootstrap", first["endpoints"][0])
        yield Path(first["socket"]), Path(second["socket"])


@pytest.mark.asyncio
async def test_programs_meet_in_an_org(sockets: tuple[Path, Path]) -> None:
    """They see each other come, trust each other, hear each other, and are expelled."""
    async with Client(sockets[0]) as alpha, Client(sockets[1]) as beta, asyncio.timeout(40):
        acme = await alpha.create_group("acme", kind=GroupKind.ORG)
        with pytest.raises(NotTrusted):
            await beta.ping("alpha")
        async with acme.changes() as changes:
            there = await beta.join_group("acme", invitation=await acme.invite(hostname="bob"), capabilities=("x",))
            joined = await changes.next()
        assert (MemberChange.JOINED, "bob") == (joined.change, joined.member.hostname)
        assert 0 < await beta.ping("alpha.acme") < 5
        assert joined.member.public_key == (await alpha.find("bob.acme")).public_key

        async with there.subscribe("prices.*") as events:
            sent = await acme.publish("prices.eur", bytes(range(256)))
            await acme.broadcast(b"not on that topic")
            last = await acme.publish("prices.usd", b"\xff" * 100_000)
            read = [await events.next(), await events.next()]
        assert [(sent.data, sent.sequence), (last.data, last.sequence)] == [(one.data, one.sequence) for one in read]

        await acme.revoke(joined.member.public_key, "bye")
        while not (await there.info()).is_expelled:
            pass  # each look is a round trip to the daemon
        with pytest.raises(NotTrusted):
            await beta.ping("alpha")


async def until_declared(group: ClientGroup, *capabilities: str) -> None:
    """Wait until the members of a group say that they can answer just this."""
    async with group.changes() as changes:
        while {word for one in await group.members() for word in one.capabilities} != set(capabilities):
            await changes.next()


@pytest.mark.asyncio
async def test_programs_ask_each_other(sockets: tuple[Path, Path]) -> None:
    """A function of one program answers another program, in parts, as JSON, or with a failure."""
    async with Client(sockets[0]) as alpha, Client(sockets[1]) as beta, asyncio.timeout(40):
        await alpha.create_group("research")
        group = await beta.join_group("research")

        @alpha.on_query("words", group="research")
        async def words(question: Question) -> AsyncIterator[str]:
            for word in question.text.split():
                yield f"{word.upper()} "

        @alpha.on_query("facts", group="research")
        def facts(question: Question) -> Reply:
            if question.json == {"year": None}:
                raise ValueError("secret details")
            return Reply({"asked": question.json}, ttl_s=60)

        for capability in ("words", "facts"):
            await alpha.until_serving(capability, group="research")
        await until_declared(group, "words", "facts")

        async with beta.ask("alpha", "one two", capability="words", group="research") as answering:
            parts = [part async for part in answering]
        author = (await alpha.info()).did
        answer = await beta.query_group("research", {"year": 1948}, capability="facts", explain=True)
        again = await beta.query_group("research", {"year": 1948}, capability="facts")
        choices = await beta.choices("research", capability="facts")
        with pytest.raises(AnswerFailed) as caught:
            await beta.query("alpha", {"year": None}, capability="facts", group="research")

        assert "ONE TWO " == "".join(parts) == answering.answer.text
        assert {"asked": {"year": 1948}} == answer.json == again.json
        assert (False, True) == (answer.is_shared, again.is_shared)
        assert [1, None] == [one.rank for one in choices] == [one.rank for one in answer.explanation]
        assert "secret" not in caught.value.message
        assert author == (await beta.find("alpha")).did

        assert alpha.remove_query_handler("words", group="research")
        await until_declared(group, "facts")
