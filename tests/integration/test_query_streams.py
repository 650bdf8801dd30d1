"""Questions over real tunnels: answers in parts, and taking a question back, as links carry them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from pilotdht.errors import AnswerFailed, NotTrusted, Refused
from pilotdht.node.node import Node
from pilotdht.services.query.values import Question
from tests.support.nodes import befriend, mesh

pytestmark = pytest.mark.integration


def served(node: Node, result: str) -> float:
    """Return how many questions of others ended so."""
    return node.registry.get_sample_value("pilotdht_query_served_total", {"result": result}) or 0.0


@pytest.mark.asyncio
async def test_query_over_tunnels_carries_long_answers_of_both_forms() -> None:
    """Most of a megabyte of text, JSON and an error come over one link, several at once."""
    async with mesh("alpha", "beta", "gamma") as (alpha, beta, gamma):
        await befriend(alpha, beta)
        text = "grüße " * 120_000

        @beta.on_query()
        async def handler(question: Question) -> object:
            if question.text == "fail":
                raise ValueError("inside")
            return {"n": question.json} if question.text.isdigit() else text

        answer = await alpha.query("beta", "long")
        assert (text, beta.public_key) == (answer.text, answer.author)
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(alpha.query("beta", number)) for number in range(6)]
        assert [{"n": number} for number in range(6)] == [task.result().json for task in asked]
        with pytest.raises(AnswerFailed, match="ValueError"):
            await alpha.query("beta", "fail")
        with pytest.raises(Refused):
            await beta.query("alpha", "nobody answers here")
        with pytest.raises(NotTrusted):
            await gamma.query("beta", "long")


@pytest.mark.asyncio
async def test_ask_over_tunnels_streams_and_leaving_cancels() -> None:
    """Parts arrive while the handler waits, and leaving the block cancels it on the other host."""
    async with mesh("alpha", "beta") as (alpha, beta):
        await befriend(alpha, beta)
        ended, may_go_on = asyncio.Event(), asyncio.Event()

        @beta.on_query()
        async def handler(_: Question) -> AsyncIterator[str]:
            try:
                yield "first"
                await may_go_on.wait()
                yield "second"
                await asyncio.Event().wait()
            finally:
                ended.set()

        async with asyncio.timeout(20), alpha.ask("beta", "?") as answering:
            assert "first" == await anext(answering)
            may_go_on.set()
            assert "second" == await anext(answering)
            assert not ended.is_set()
        async with asyncio.timeout(20):
            await ended.wait()
        assert 0 == served(beta, "answered")
