"""One handler at work on one question: what it says goes out in parts as it comes, and is signed at the end.

A handler can do no harm but to its own answer: its errors are logged and become a refusal.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from enum import Enum
from typing import cast

from pilotdht.config.query import QueryConfig
from pilotdht.errors import InvalidArgument, Overloaded, PilotError
from pilotdht.services.query.content import Content, Form, content_of, content_untrusted
from pilotdht.services.query.handlers import Handler
from pilotdht.services.query.needs import QueryNeeds
from pilotdht.services.query.signed import endorse, question_key
from pilotdht.services.query.values import Question, Reply
from pilotdht.services.query.words import Ask, End, Failed, Failure, Part, printable
from pilotdht.tunnel.byte_stream import ByteStream

_logger = logging.getLogger(__name__)


class Ended(Enum):
    """How work on a question ended, when not by a refusal."""

    ANSWERED = "answered"
    """The whole answer was sent."""
    GONE = "gone"
    """The asker does not want it any more."""


class _Gone(Exception):
    """The asker does not want the answer any more."""


class _TooLong(Exception):
    """The handler says more than an answer may hold."""


class Work:
    """One handler at work on one question."""

    def __init__(
        self, needs: QueryNeeds, config: QueryConfig, handler: Handler, question: Question, ask: Ask, stream: ByteStream
    ) -> None:
        """Make it.

        Args:
            needs: key and clock.
            config: bounds.
            handler: the program that answers.
            question: what it is asked.
            ask: the same as it came.
            stream: where the answer goes.
        """
        self._needs = needs
        self._config = config
        self._handler = handler
        self._question = question
        self._ask = ask
        self._stream = stream
        self._data = bytearray()
        self.is_sent = False
        """Whether the whole answer was sent."""

    async def run(self) -> Ended | Failed:
        """Run the handler and send what it says, signed at the end; return how it ended, or why there is no answer."""
        try:
            made: object = self._handler(self._question)
            if inspect.isawaitable(made):
                made = await made
            reply = made if isinstance(made, Reply) else Reply(made)
            content = await self._said(reply.value)
        except _Gone:
            return Ended.GONE
        except _TooLong:
            _logger.warning("a handler's answer is too long", extra={"operation": self._ask.capability})
            return Failed(failure=Failure.TOO_LARGE)
        except Overloaded as error:
            return Failed(failure=Failure.OVERLOADED, text=printable(error.message))
        except PilotError as error:
            _logger.info(
                "a handler refused a question", extra={"operation": self._ask.capability, "reason": error.code}
            )
            return Failed(failure=Failure.HANDLER, text=printable(error.message))
        except Exception as error:
            _logger.exception("a handler of questions failed", extra={"operation": self._ask.capability})
            return Failed(failure=Failure.HANDLER, text=printable(f"its program failed with {type(error).__name__}"))
        try:
            await self._stream.write(self._end(content, reply).framed())
        except PilotError:
            return Ended.GONE
        self.is_sent = True
        return Ended.ANSWERED

    async def _said(self, value: object) -> Content:
        if not isinstance(value, AsyncIterator | Iterator):
            if value is None:
                raise InvalidArgument("the handler returned nothing")
            content = content_of(value)
            await self._send(content.form, content.data)
            return content
        async with contextlib.aclosing(_texts(value)) as texts:
            async for text in texts:
                if text:
                    await self._send(Form.TEXT, text.encode("utf-8"))
        if not self._data:
            await self._send(Form.TEXT, b"")
        return content_untrusted(Form.TEXT, bytes(self._data))

    async def _send(self, form: Form, data: bytes) -> None:
        self._data += data
        if len(self._data) > self._config.max_answer_bytes:
            raise _TooLong
        size = self._config.part_bytes
        try:
            for start in range(0, max(1, len(data)), size):
                await self._stream.write(Part(form=form, data=data[start : start + size]).framed())
        except PilotError as error:
            raise _Gone from error

    def _end(self, content: Content, reply: Reply) -> End:
        ask = self._ask
        signed = endorse(
            self._needs.keys,
            content,
            key=question_key(ask.content, capability=ask.capability, group=ask.group),
            group=ask.group,
            issued_ms=int(self._needs.unix_time() * 1000),
            ttl_s=int(min(reply.ttl_s, self._config.max_ttl_s)),
        )
        return End(issued_ms=signed.issued_ms, ttl_s=signed.ttl_s, signature=signed.signature)


async def _texts(value: AsyncIterator[object] | Iterator[object]) -> AsyncGenerator[str, None]:
    """Return the texts of an iterator, and of the async iterators in it.

    Raises:
        InvalidArgument: something in it is neither.
    """
    if isinstance(value, AsyncIterator):
        async with _closing(value):
            async for item in value:
                if not isinstance(item, str):
                    raise InvalidArgument(f"a streamed answer consists of texts, not {type(item).__name__}")
                yield item
        return
    for item in value:
        if isinstance(item, AsyncIterator):
            async with contextlib.aclosing(_texts(item)) as inner:
                async for text in inner:
                    yield text
        elif isinstance(item, str):
            yield item
        else:
            raise InvalidArgument(f"a streamed answer consists of texts, not {type(item).__name__}")
        await asyncio.sleep(0)  # others work in between, and cancelling gets through


@contextlib.asynccontextmanager
async def _closing(value: AsyncIterator[object]) -> AsyncIterator[None]:
    """Close an async generator at the end, so that its own clean-up runs now; other iterators have nothing to close."""
    try:
        yield
    finally:
        close = getattr(value, "aclose", None)
        if close is not None:
            await cast("Callable[[], Awaitable[None]]", close)()
