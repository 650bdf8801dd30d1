"""An answer read as it comes: ``async with node.ask(…) as answering: async for text in answering``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, AsyncExitStack
from types import TracebackType
from typing import Self

from pilotdht.errors import NotFound, PilotError, UsageError
from pilotdht.identity.ids import PublicKey
from pilotdht.services.query.asking import Asked, Asker, Conversation
from pilotdht.services.query.assembly import Given
from pilotdht.services.query.values import Answer


class Ending:
    """How a question ended, to be counted."""

    __slots__ = ("is_abandoned",)

    def __init__(self) -> None:
        self.is_abandoned = False
        """Whether it was taken back."""


class Answering:
    """The texts of one answer, in order; leaving the block early takes the question back.

    What was read before the end is not verified yet: the signature comes last. :attr:`answer` is there once it was.
    """

    def __init__(
        self,
        *,
        asker: Asker,
        begin: Callable[[], Awaitable[tuple[Asked, Iterator[PublicKey]]]],
        rtt_of: Callable[[PublicKey], float | None],
        counted: Callable[[], AbstractContextManager[Ending]],
        answer: Callable[[Given, float], Answer],
        max_attempts: int,
    ) -> None:
        """Make it.

        Args:
            asker: asks one peer.
            begin: returns the question and whom to ask, best first.
            rtt_of: returns the round-trip time to a peer, when it is known.
            counted: bounds and counts questions.
            answer: makes what programs get; told the answer and when it was begun.
            max_attempts: peers asked, as each fails before it begins.
        """
        self._asker = asker
        self._begin = begin
        self._rtt_of = rtt_of
        self._counted = counted
        self._make_answer = answer
        self._max_attempts = max_attempts
        self._stack = AsyncExitStack()
        self._ending = Ending()
        self._conversation: Conversation | None = None
        self._first: str | None = None
        self._begun_at = 0.0
        self._answer: Answer | None = None

    async def __aenter__(self) -> Self:
        """Put the question, and wait until an answer begins.

        Raises:
            PilotError: everybody that was asked failed.
        """
        self._begun_at = asyncio.get_running_loop().time()
        async with AsyncExitStack() as stack:
            self._ending = stack.enter_context(self._counted())
            asked, order = await self._begin()
            self._conversation = await self._first_to_begin(stack, asked, order)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.is_abandoned = self._answer is None
        await self._stack.__aexit__(kind, error, trace)

    def __aiter__(self) -> Self:
        """Iterate over the texts."""
        return self

    async def __anext__(self) -> str:
        """Return the next text.

        Raises:
            PilotError: the peer failed or broke the protocol, or time is up.
        """
        while True:
            text = await self._next()
            if text is None:
                raise StopAsyncIteration
            if text:
                return text

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
        while await self._next() is not None:
            pass
        return self.answer

    async def _next(self) -> str | None:
        if self._conversation is None:
            raise UsageError("the question was not asked", hint="use 'async with'")
        text, self._first = self._first, None
        if text is None:
            text = await self._conversation.next_text()
        if text is None and self._answer is None and self._conversation.given is not None:
            self._answer = self._make_answer(self._conversation.given, self._begun_at)
        return text

    async def _first_to_begin(self, stack: AsyncExitStack, asked: Asked, order: Iterator[PublicKey]) -> Conversation:
        failure: PilotError = NotFound("nobody can be asked")
        for peer, _ in zip(order, range(self._max_attempts), strict=False):
            conversation = Conversation(self._asker, peer, asked, rtt_s=self._rtt_of(peer))
            try:
                async with AsyncExitStack() as trial:
                    await trial.enter_async_context(conversation)
                    self._first = await conversation.next_text()
                    stack.push_async_exit(trial.pop_all())
            except PilotError as error:
                failure = error
                continue
            return conversation
        raise failure
