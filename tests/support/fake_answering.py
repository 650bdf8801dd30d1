"""An answer that is read as it comes, without a peer that gives it."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from pilotdht.errors import PilotError
from pilotdht.services.query.values import Answer


class FakeAnswering:
    """An answer in words, one by one."""

    def __init__(self, whole: Answer, failure: PilotError | None) -> None:
        self._whole = whole
        self._failure = failure
        self._words = iter(whole.text.split(" "))
        self._is_first = True

    async def __aenter__(self) -> Self:
        """Begin."""
        if self._failure is not None:
            raise self._failure
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""

    def __aiter__(self) -> Self:
        """Iterate over the words."""
        return self

    async def __anext__(self) -> str:
        """Return the next word, with the blank before it."""
        try:
            word = next(self._words)
        except StopIteration:
            raise StopAsyncIteration from None
        is_first, self._is_first = self._is_first, False
        return word if is_first else f" {word}"

    @property
    def answer(self) -> Answer:
        """The whole answer."""
        return self._whole
