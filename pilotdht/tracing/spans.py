"""What rooms know of tracing: a span is a stretch of work with a name, and most nodes record none.

Whoever does something worth seeing wraps it: ``with tracer.span("dial", port=80) as span: … span.set("hops", 3)``.
Spans nest by the task that runs them, and travel to other nodes as W3C trace context in the headers of streams. What
records them is :mod:`pilotdht.tracing.opentelemetry`; :data:`OFF` records nothing, and costs a call.

Source: W3C Trace Context, level 1.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from enum import Enum
from types import TracebackType
from typing import Protocol, TypeAlias

Value: TypeAlias = str | bool | int | float
"""What can be said of a span."""


class Kind(Enum):
    """What part other nodes have in a span."""

    INSIDE = "inside"
    """None, or a part that is recorded below it."""
    ASKS = "asks"
    """Another node is asked for something."""
    ANSWERS = "answers"
    """Another node has asked for it."""


class Span(Protocol):
    """A stretch of work that is under way."""

    def set(self, name: str, value: Value) -> None:
        """Say something of it; the name is ``snake_case``, without a prefix."""
        ...


class Tracer(Protocol):
    """Whatever records spans."""

    def span(
        self, name: str, *, traceparent: str | None = None, kind: Kind = Kind.INSIDE, **attributes: Value
    ) -> AbstractContextManager[Span]:
        """Record what happens inside the ``with``; an error that leaves it is noted.

        Args:
            name: few words, the same for all work of a kind.
            traceparent: the span of another node that this one is part of; absent: the task's own current one.
            kind: whether other nodes have a part in it.
            attributes: what is known of it from the start.
        """
        ...

    def traceparent(self) -> str | None:
        """Return the current span as W3C trace context, for other nodes; absent when nothing is recorded."""
        ...

    async def close(self) -> None:
        """Hand over what was recorded, which may take seconds; nothing is recorded afterwards."""
        ...


class _NoSpan:
    """A span that nobody records, and its own context manager: there is one for all."""

    def set(self, name: str, value: Value) -> None:
        """Forget it."""

    def __enter__(self) -> _NoSpan:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class _Off:
    """Records nothing."""

    def span(
        self, name: str, *, traceparent: str | None = None, kind: Kind = Kind.INSIDE, **attributes: Value
    ) -> AbstractContextManager[Span]:
        """Return the span that nobody records."""
        return _NO_SPAN

    def traceparent(self) -> str | None:
        """Return nothing."""
        return None

    async def close(self) -> None:
        """Do nothing."""


_NO_SPAN = _NoSpan()
OFF: Tracer = _Off()
"""Records nothing."""
