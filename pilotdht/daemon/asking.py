"""The verbs of the control API that put questions: to a peer, to a group, to whoever carries a tag."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from functools import partial

from pilotdht.daemon.fields import Fields
from pilotdht.daemon.group_encode import Named, answer_shape, explanation_shape
from pilotdht.daemon.handlers import MAX_TAGS, Call, Handler
from pilotdht.daemon.http import Exchange
from pilotdht.daemon.lines import Lines
from pilotdht.daemon.people import person_of
from pilotdht.daemon.query_shapes import ChoicesShape, QueryAnswerShape
from pilotdht.daemon.verbs import NodeVerbs
from pilotdht.errors import InvalidArgument, TimedOut
from pilotdht.services.query.service import DEFAULT_TIMEOUT_S
from pilotdht.services.query.values import Answer

MAX_QUESTION_CHARS = 1 << 20
"""As much as any configuration lets a question have; the node judges it by its own."""

MAX_QUORUM = 256


async def query(call: Call) -> QueryAnswerShape:
    """Ask one peer; the time that finding it takes counts against the time-out."""
    fields = call.fields
    target, question, capability = fields.target(), _question(fields), fields.text("capability", "")
    group, timeout_s = fields.optional_text("group"), fields.seconds("timeout_s", DEFAULT_TIMEOUT_S)
    fields.finish()
    async with _within(timeout_s, target):
        answer = await call.node.query(target, question, capability=capability, group=group, timeout_s=timeout_s)
    return _told(call.node, answer, group or "")


async def query_group(call: Call) -> QueryAnswerShape:
    """Ask whichever member of a group suits best, or several."""
    fields = call.fields
    group, question, capability = fields.text("group"), _question(fields), fields.text("capability", "")
    tags, quorum = fields.texts("tags", (), most=MAX_TAGS), fields.integer("quorum", 1, low=1, high=MAX_QUORUM)
    fresh, explain = fields.flag("fresh", False), fields.flag("explain", False)
    timeout_s = fields.seconds("timeout_s", DEFAULT_TIMEOUT_S)
    fields.finish()
    answer = await call.node.query_group(
        group,
        question,
        capability=capability,
        tags=tags,
        quorum=quorum,
        fresh=fresh,
        explain=explain,
        timeout_s=timeout_s,
    )
    return _told(call.node, answer, group)


async def query_tag(call: Call) -> QueryAnswerShape:
    """Ask whichever trusted peer that carries a tag suits best, or several."""
    fields = call.fields
    tag, question, capability = fields.text("tag"), _question(fields), fields.text("capability", "")
    quorum, explain = fields.integer("quorum", 1, low=1, high=MAX_QUORUM), fields.flag("explain", False)
    timeout_s = fields.seconds("timeout_s", DEFAULT_TIMEOUT_S)
    fields.finish()
    answer = await call.node.query_tag(
        tag, question, capability=capability, quorum=quorum, explain=explain, timeout_s=timeout_s
    )
    return _told(call.node, answer, "")


async def choices(call: Call) -> ChoicesShape:
    """Tell whom a question to a group would be put to."""
    group, capability = call.fields.text("group"), call.fields.text("capability", "")
    tags = call.fields.texts("tags", (), most=MAX_TAGS)
    call.fields.finish()
    network = call.node.info().address.network
    chosen = call.node.choices(group, capability=capability, tags=tags)
    return {"group": group, "choices": [explanation_shape(one, network=network) for one in chosen]}


async def stream(node: NodeVerbs, exchange: Exchange, fields: Fields) -> None:
    """Ask one peer, or a group, and tell the answer line by line as it comes; the last line is the whole of it."""
    target, group = fields.optional_text("target"), fields.optional_text("group")
    question, capability = _question(fields), fields.text("capability", "")
    tags, timeout_s = fields.texts("tags", (), most=MAX_TAGS), fields.seconds("timeout_s", DEFAULT_TIMEOUT_S)
    fields.finish()
    if target is not None and not tags:
        answering = node.ask(target, question, capability=capability, group=group, timeout_s=timeout_s)
    elif target is None and group is not None:
        answering = node.ask_group(group, question, capability=capability, tags=tags, timeout_s=timeout_s)
    else:
        raise InvalidArgument("target must be given alone, or group with or without tags")
    lines = Lines(exchange)

    async def work() -> None:
        async with answering:
            async for part in answering:
                await lines.write({"part": part})
            await lines.write({"answer": _told(node, answering.answer, group or "")})

    await lines.run(work)


def _told(node: NodeVerbs, answer: Answer, group: str) -> QueryAnswerShape:
    named: Named = partial(person_of, node, group=group)
    return answer_shape(answer, named, network=node.info().address.network)


def _question(fields: Fields) -> object:
    """Return ``question``, a text, or ``question_json``, anything."""
    if fields.has("question_json"):
        if fields.has("question"):
            raise InvalidArgument("question and question_json cannot both be given")
        return fields.json_value("question_json")
    return fields.text("question", most_chars=MAX_QUESTION_CHARS)


@contextlib.asynccontextmanager
async def _within(timeout_s: float, target: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(timeout_s):
            yield
    except TimeoutError as error:
        raise TimedOut(f"no answer from {target} within {timeout_s:g} s") from error


QUERY_DOERS: Mapping[str, Handler] = {
    "/v1/query": query,
    "/v1/query/group": query_group,
    "/v1/query/tag": query_tag,
    "/v1/query/choices": choices,
}
"""``POST`` with a JSON object: ask, and wait for the answer."""
