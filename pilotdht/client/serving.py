"""A program that answers questions: takes them from the daemon one by one, and sends its answers back as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from typing import cast
from urllib.parse import urlencode

from pilotdht.client.channel import ControlChannel, ControlPipe
from pilotdht.daemon.envelope import error_envelope
from pilotdht.daemon.frames import MAX_FRAME_BYTES, control_frame, data_frame
from pilotdht.daemon.query_shapes import QuestionShape, ServingShape
from pilotdht.errors import AnswerFailed, NoDaemon, PilotError
from pilotdht.values import dataclass

DEFAULT_MOST = 8
"""Questions answered at one time unless the program says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """An answer on its way to the daemon."""

    parts: AsyncIterator[bytes]
    """UTF-8, in pieces that may be cut anywhere."""
    form: str = "text"
    """``text``, or ``json`` for one JSON value."""
    ttl_s: float = 0
    """Seconds for which it may be shared; 0: it is for the asker alone."""


Answers = Callable[[QuestionShape], AbstractAsyncContextManager[Said]]
"""Begins the answer to a question; its block is left when the answer was sent, or nobody wants it any more."""

Ended = Callable[[QuestionShape, PilotError | None], None]
"""Told how each question ended: with an answer, or why there was none."""


async def serve_questions(
    channel: ControlChannel,
    answers: Answers,
    *,
    capability: str = "",
    group: str | None = None,
    most: int = DEFAULT_MOST,
    ready: Callable[[ServingShape], None] | None = None,
    ended: Ended | None = None,
) -> None:
    """Answer questions until cancelled: then whatever is under way is given up.

    Args:
        channel: to the daemon.
        answers: begins each answer.
        capability: for which one; empty: for any.
        group: whose members may ask; ``"*"``: those of every group; ``None``: trusted peers that name no group.
        most: questions at one time; further askers are told to ask somebody else.
        ready: called when questions come from now on.
        ended: called as each question ends.

    Raises:
        AlreadyExists: another program answers such questions.
        NotFound: the node is not in the group.
        NoDaemon: the daemon stopped.
        LinkClosed: it went away without a word.
        PilotError: what else the daemon says.
    """
    fields: dict[str, object] = {"capability": capability, "most": most}
    if group is not None:
        fields["group"] = group
    path = f"/v1/query/serve?{urlencode(fields)}"
    try:
        async with aclosing(channel.held(path)) as lines, asyncio.TaskGroup() as tasks:
            first = cast("ServingShape", await anext(lines))
            if ready is not None:
                ready(first)
            async for line in lines:
                tasks.create_task(_answer(channel, cast("QuestionShape", line), answers, ended))
            raise NoDaemon("the daemon stopped")
    except BaseExceptionGroup as errors:
        raise _pilot_error(errors) from None


async def _answer(channel: ControlChannel, question: QuestionShape, answers: Answers, ended: Ended | None) -> None:
    """Answer one question; what goes wrong with it does not end the others."""
    error: PilotError | None = None
    try:
        error = await _exchange(channel, question, answers)
    except PilotError as failure:
        error = failure
    except BaseExceptionGroup as failures:
        error = _pilot_error(failures)
    if ended is not None:
        ended(question, error)


async def _exchange(channel: ControlChannel, question: QuestionShape, answers: Answers) -> PilotError | None:
    """Send the answer while watching whether it is still wanted; return why the program gave none."""
    failures: list[PilotError] = []
    pipe = await channel.pipe(f"/v1/query/answers/{question['question']}")
    try:
        async with asyncio.TaskGroup() as tasks:
            saying = tasks.create_task(_say(pipe, question, answers, failures))
            await pipe.read()  # ends when the answer was taken; raises when nobody wants it any more
            saying.cancel()
    except BaseExceptionGroup:
        if not failures:
            raise
    finally:
        pipe.abort()
    return failures[0] if failures else None


async def _say(pipe: ControlPipe, question: QuestionShape, answers: Answers, failures: list[PilotError]) -> None:
    """Send what the program says; why it says nothing more is added to ``failures``."""
    end = control_frame({"event": "end"})
    try:
        async with answers(question) as said:
            await pipe.write(control_frame({"event": "reply", "form": said.form, "ttl_s": said.ttl_s}))
            async for part in said.parts:
                for start in range(0, len(part), MAX_FRAME_BYTES):
                    await pipe.write(data_frame(part[start : start + MAX_FRAME_BYTES]))
    except PilotError as error:
        failures.append(error)
        end = control_frame(dict(error_envelope(error)))
    await pipe.write(end)
    await pipe.write_eof()


def _pilot_error(errors: BaseExceptionGroup[BaseException]) -> PilotError:
    """Return the error of ours in a group; others are raised on."""
    ours, others = errors.split(PilotError)
    if others is not None:
        raise others
    error: BaseException | None = ours
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error if isinstance(error, PilotError) else AnswerFailed("the answer failed")
