"""Answering: hear a question, check who asks, run the handler, send what it says, sign it.

A handler can do no harm but to its own answer: its errors are logged and become a refusal, its time ends with the
asker's, and it is cancelled when the asker goes away.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from pilotdht.config.query import QueryConfig
from pilotdht.errors import BadMessage, PilotError
from pilotdht.identity.ids import PublicKey
from pilotdht.services.query.frames import read_frame
from pilotdht.services.query.handlers import Handler, Handlers
from pilotdht.services.query.metrics import QueryMetrics
from pilotdht.services.query.needs import QueryNeeds
from pilotdht.services.query.places import Places
from pilotdht.services.query.values import Question
from pilotdht.services.query.words import (
    MAX_FRAME_BYTES,
    QUESTION_EXTRA_BYTES,
    Ask,
    Failed,
    Failure,
    Kept,
    Look,
    Offer,
    Shared,
    opening_untrusted,
)
from pilotdht.services.query.work import Ended, Work
from pilotdht.tunnel.byte_stream import ByteStream
from pilotdht.wire.groups import GroupId

_logger = logging.getLogger(__name__)

_SERVED = {
    Failure.HANDLER: "failed",
    Failure.UNSERVED: "unserved",
    Failure.NOT_ALLOWED: "not_allowed",
    Failure.OVERLOADED: "overloaded",
    Failure.TOO_LATE: "too_late",
    Failure.MALFORMED: "malformed",
    Failure.TOO_LARGE: "too_large",
}

Looked = Callable[[Look, PublicKey], Shared]
"""Answers whoever looks for a shared answer."""
Offered = Callable[[Offer, PublicKey], Kept]
"""Answers whoever offers one."""


class Serving:
    """The service behind port 1003."""

    def __init__(
        self,
        *,
        needs: QueryNeeds,
        handlers: Handlers,
        config: QueryConfig,
        metrics: QueryMetrics,
        looked: Looked,
        offered: Offered,
    ) -> None:
        """Make it.

        Args:
            needs: keys, groups, clock.
            handlers: the programs that answer.
            config: times and bounds.
            metrics: counters.
            looked: answers whoever looks for a shared answer.
            offered: answers whoever offers one.
        """
        self._needs = needs
        self._handlers = handlers
        self._config = config
        self._metrics = metrics
        self._looked = looked
        self._offered = offered
        self._places = Places(most=config.max_serving, most_per_peer=config.max_serving_per_peer)
        metrics.serving.set_function(lambda: float(self._places.count))

    async def serve(self, stream: ByteStream) -> None:
        """Serve one stream until its answer is sent; whoever handed it in closes it afterwards."""
        peer = stream.peer
        if not self._places.take(peer):
            await self._refuse(stream, Failed(failure=Failure.OVERLOADED))
            return
        try:
            await self._serve(stream)
        finally:
            self._places.give_back(peer)

    async def _serve(self, stream: ByteStream) -> None:
        config = self._config
        try:
            async with asyncio.timeout(config.question_timeout_s):
                most = max(config.max_question_bytes + QUESTION_EXTRA_BYTES, MAX_FRAME_BYTES)
                word = opening_untrusted(
                    await read_frame(stream, most_bytes=most),
                    max_question_bytes=config.max_question_bytes,
                    max_shared_bytes=config.max_shared_bytes,
                )
        except BadMessage:
            await self._refuse(stream, Failed(failure=Failure.MALFORMED))
            return
        except TimeoutError:
            self._metrics.served["malformed"].inc()
            stream.abort()
            return
        except PilotError:
            self._metrics.served["gone"].inc()
            stream.abort()
            return
        if isinstance(word, Ask):
            await self._answer(stream, word)
        else:
            reply = self._looked(word, stream.peer) if isinstance(word, Look) else self._offered(word, stream.peer)
            await self._send_last(stream, reply.framed())

    async def _answer(self, stream: ByteStream, ask: Ask) -> None:
        handler, question = self._handler_of(ask, stream.peer)
        if isinstance(handler, Failed):
            await self._refuse(stream, handler)
            return
        within_s = min(question.within_s, self._config.max_serving_s)
        work = Work(self._needs, self._config, handler, question, ask, stream)
        async with asyncio.TaskGroup() as tasks:
            working = tasks.create_task(work.run())
            asker = tasks.create_task(_until_gone(stream))
            await asyncio.wait((working, asker), timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
            is_gone = asker.done()
            working.cancel()
            asker.cancel()
        ended: Ended | Failed
        if work.is_sent:  # an asker that has all it wanted goes at once
            ended = Ended.ANSWERED
        elif not working.cancelled():
            ended = working.result()
        else:
            ended = Ended.GONE if is_gone else Failed(failure=Failure.TOO_LATE)
        if isinstance(ended, Failed):
            await self._refuse(stream, ended)
            return
        self._metrics.served[ended.value].inc()
        if ended is Ended.GONE:
            stream.abort()

    def _handler_of(self, ask: Ask, peer: PublicKey) -> tuple[Handler | Failed, Question]:
        needs = self._needs
        group: str | None = None
        if ask.group:
            group = needs.groups.group_name(GroupId(ask.group))
            is_allowed = group is not None and needs.groups.is_member(GroupId(ask.group), peer)
        else:
            is_allowed = needs.is_trusted(peer)
        question = Question(
            asker=peer,
            group=group or "",
            capability=ask.capability,
            content=ask.content,
            within_s=ask.within_ms / 1000,
        )
        if not is_allowed:
            return Failed(failure=Failure.NOT_ALLOWED), question
        handler = self._handlers.find(capability=ask.capability, group=group)
        return (Failed(failure=Failure.UNSERVED) if handler is None else handler), question

    async def _refuse(self, stream: ByteStream, failed: Failed) -> None:
        self._metrics.served[_SERVED[failed.failure]].inc()
        await self._send_last(stream, failed.framed())

    async def _send_last(self, stream: ByteStream, framed: bytes) -> None:
        try:
            async with asyncio.timeout(self._config.farewell_s):
                await stream.write(framed)
                await stream.write_eof()
        except (TimeoutError, PilotError):
            stream.abort()


async def _until_gone(stream: ByteStream) -> None:
    """Return when the asker ended or aborted its direction, or said more than a question."""
    with contextlib.suppress(PilotError):
        await stream.read(1)
