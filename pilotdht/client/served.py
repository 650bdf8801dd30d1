"""A function of a client's program that answers questions, kept registered with the daemon."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterator

from pilotdht.client.channel import ControlChannel
from pilotdht.client.group_decode import question
from pilotdht.client.serving import Said, serve_questions
from pilotdht.daemon.query_shapes import QuestionShape
from pilotdht.errors import AnswerFailed, InvalidArgument, PilotError
from pilotdht.services.query.content import content_of
from pilotdht.services.query.handlers import Handler
from pilotdht.services.query.values import Reply
from pilotdht.tasks import TaskScope

FIRST_PAUSE_S = 0.2
"""Pause before a handler is registered again with a daemon that went away; doubled each time it is not there."""

LONGEST_PAUSE_S = 30.0

_logger = logging.getLogger(__name__)


class Served:
    """One handler, registered with the daemon again whenever that goes away."""

    def __init__(self, channel: ControlChannel, handler: Handler, *, capability: str, group: str | None) -> None:
        """Make it; :meth:`start` begins.

        Args:
            channel: to the daemon.
            handler: the function that answers.
            capability: for which questions; empty: for any.
            group: whose members may ask; as in ``on_query``.
        """
        self._channel = channel
        self._handler = handler
        self._capability = capability
        self._group = group
        self._task: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()
        self._failure: PilotError | None = None

    def start(self, scope: TaskScope) -> None:
        """Begin."""
        self._task = scope.start(self._run(), name=f"answer {self._capability or 'any question'}")

    def stop(self) -> None:
        """End; whatever is under way is given up."""
        if self._task is not None:
            self._task.cancel()

    async def until_ready(self) -> None:
        """Wait until questions come.

        Raises:
            PilotError: they do not, as the daemon says; it is tried again.
        """
        await self._settled.wait()
        if self._failure is not None:
            raise self._failure

    async def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            self._settled.clear()
            try:
                await serve_questions(
                    self._channel,
                    lambda shape: _said(self._handler, shape),
                    capability=self._capability,
                    group=self._group,
                    ready=lambda _: self._settle(None),
                )
            except PilotError as error:
                if self._settled.is_set():
                    pause_s = FIRST_PAUSE_S  # it worked until now
                self._settle(error)
                _logger.warning("questions are not handed on", extra={"reason": error.code})
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _settle(self, failure: PilotError | None) -> None:
        self._failure = failure
        self._settled.set()


@contextlib.asynccontextmanager
async def _said(handler: Handler, shape: QuestionShape) -> AsyncIterator[Said]:
    """Run a handler; its errors become ours, as a node would tell them to the asker."""
    try:
        made: object = handler(question(shape))
        if inspect.isawaitable(made):
            made = await made
    except PilotError:
        raise
    except Exception as error:
        raise _failed(error) from error
    reply = made if isinstance(made, Reply) else Reply(made)
    if isinstance(reply.value, AsyncIterator | Iterator):
        async with contextlib.aclosing(_parts(reply.value)) as parts:
            yield Said(parts=parts, ttl_s=reply.ttl_s)
        return
    if reply.value is None:
        raise InvalidArgument("the handler returned nothing")
    content = content_of(reply.value)
    async with contextlib.aclosing(_parts(iter([content.text]))) as parts:
        yield Said(parts=parts, form=content.form.name.lower(), ttl_s=reply.ttl_s)


async def _parts(texts: AsyncIterator[object] | Iterator[object]) -> AsyncGenerator[bytes, None]:
    """Yield the texts of an iterator as bytes."""
    try:
        if isinstance(texts, AsyncIterator):
            async for text in texts:
                yield _encoded(text)
        else:
            for text in texts:
                yield _encoded(text)
                await asyncio.sleep(0)  # others work in between, and cancelling gets through
    except PilotError:
        raise
    except Exception as error:
        raise _failed(error) from error
    finally:
        close = getattr(texts, "aclose", None)
        if close is not None:
            await close()


def _encoded(text: object) -> bytes:
    if not isinstance(text, str):
        raise InvalidArgument(f"a streamed answer consists of texts, not {type(text).__name__}")
    return text.encode("utf-8")


def _failed(error: Exception) -> AnswerFailed:
    _logger.error("a handler of questions failed", exc_info=error)
    return AnswerFailed(f"its program failed with {type(error).__name__}")
