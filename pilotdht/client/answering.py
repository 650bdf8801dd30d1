"""An answer read as it comes, through the daemon."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Self, cast

from pilotdht.client.channel import ControlChannel
from pilotdht.client.group_decode import answer
from pilotdht.daemon.query_shapes import AnswerPartShape
from pilotdht.errors import LinkClosed, UsageError
from pilotdht.services.query.values import Answer


class ClientAnswering:
    """The texts of one answer, in order: ``async with client.ask(…) as answering: async for text in answering``.

    What was read before the end is not verified yet: the signature comes last. :attr:`answer` is there once it was.
    """

    def __init__(self, channel: ControlChannel, fields: dict[str, object]) -> None:
        self._channel = channel
        self._fields = fields
        self._lines: AsyncGenerator[dict[str, object], None] | None = None
        self._first: dict[str, object] | None = None
        self._answer: Answer | None = None

    async def __aenter__(self) -> Self:
        """Put the question, and wait until an answer begins.

        Raises:
            PilotError: whoever was asked failed.
        """
        self._lines = self._channel.lines("/v1/query/stream", self._fields)
        try:
            self._first = await anext(self._lines)
        except BaseException:
            await self._lines.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the question back when the answer was not read to its end."""
        if self._lines is not None:
            await self._lines.aclose()

    def __aiter__(self) -> Self:
        """Iterate over the texts."""
        return self

    async def __anext__(self) -> str:
        """Return the next text.

        Raises:
            PilotError: the peer failed or broke the protocol, or time is up.
        """
        if self._lines is None:
            raise UsageError("the question was not asked", hint="use 'async with'")
        if self._answer is not None:
            raise StopAsyncIteration
        line, self._first = self._first, None
        if line is None:
            line = await anext(self._lines, None)
        if line is None:
            raise LinkClosed("the daemon closed the stream")
        part = cast("AnswerPartShape", line)
        if "answer" in part:
            self._answer = answer(part["answer"])
            raise StopAsyncIteration
        return part["part"]

    @property
    def answer(self) -> Answer:
        """The whole answer, verified.

        Raises:
            UsageError: it was not read to its end.
        """
        if self._answer is None:
            raise UsageError("the answer was not read to its end", hint="iterate to the end, or await rest()")
        return self._answer

    async def rest(self) -> Answer:
        """Read to the end, and return the whole answer.

        Raises:
            PilotError: as iterating.
        """
        async for _ in self:
            pass
        return self.answer
