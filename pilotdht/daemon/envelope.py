"""The one form of every answer: ``{"status": "ok", "data": …}`` or ``{"status": "error", "code", "message", "hint"}``.

Used by the control API, its client and the command line, so that an error keeps its class on the whole way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, NotRequired, TypedDict

from pilotdht.errors import (
    AlreadyExists,
    Ambiguous,
    BadMessage,
    InternalError,
    KeyChanged,
    NodeClosed,
    NoQuorum,
    NotFound,
    NotTrusted,
    Overloaded,
    PilotError,
    RemoteError,
    TimedOut,
    UsageError,
)

MAX_TEXT_CHARS = 2000
"""Longest message or hint taken from an envelope."""


class OkEnvelope(TypedDict):
    """A result."""

    status: Literal["ok"]
    data: object


class ErrorEnvelope(TypedDict):
    """An error."""

    status: Literal["error"]
    code: str
    message: str
    hint: str
    claims: NotRequired[list[str]]
    split: NotRequired[list[tuple[str, int]]]


_HTTP_STATUS: tuple[tuple[type[PilotError], int], ...] = (  # the first class that fits counts
    (NotFound, 404),
    (NotTrusted, 403),
    (Ambiguous, 409),
    (KeyChanged, 409),
    (AlreadyExists, 409),
    (Overloaded, 503),
    (NodeClosed, 503),
    (TimedOut, 504),
    (UsageError, 400),
    (RemoteError, 502),
    (PilotError, 500),
)


def ok_envelope(data: object) -> OkEnvelope:
    """Wrap a result."""
    return {"status": "ok", "data": data}


def error_envelope(error: PilotError) -> ErrorEnvelope:
    """Wrap an error."""
    envelope: ErrorEnvelope = {
        "status": "error",
        "code": error.code,
        "message": error.message,
        "hint": error.hint,
    }
    if isinstance(error, Ambiguous):
        envelope["claims"] = list(error.claims)
    if isinstance(error, NoQuorum):
        envelope["split"] = list(error.split)
    return envelope


def http_status(error: PilotError) -> int:
    """Return the HTTP status that fits an error."""
    return next(status for kind, status in _HTTP_STATUS if isinstance(error, kind))


def error_classes() -> Iterator[type[PilotError]]:
    """Yield every error class, the tree's root first, in the order of declaration."""
    waiting: list[type[PilotError]] = [PilotError]
    while waiting:
        kind = waiting.pop(0)
        yield kind
        waiting[:0] = kind.__subclasses__()


def parse_error(envelope: Mapping[str, object]) -> PilotError:
    """Return the error that an envelope tells of; one of an unknown code becomes an :class:`InternalError`."""
    code, message, hint = (str(envelope.get(key, ""))[:MAX_TEXT_CHARS] for key in ("code", "message", "hint"))
    kind = next((kind for kind in error_classes() if kind.code == code), InternalError)
    if issubclass(kind, BadMessage):
        return kind(message, hint=hint)
    if issubclass(kind, Ambiguous):
        claims = envelope.get("claims")
        texts = tuple(str(claim) for claim in claims) if isinstance(claims, list) else ()
        return kind(message, claims=texts, hint=hint)
    if issubclass(kind, NoQuorum):
        return kind(message, split=tuple(_split(envelope.get("split"))), hint=hint)
    return kind(message or "the daemon failed without saying why", hint=hint or None)


def _split(value: object) -> Iterator[tuple[str, int]]:
    """Yield the pairs of a text and a number that a list holds."""
    for pair in value if isinstance(value, list) else ():
        if isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) and isinstance(pair[1], int):
            yield pair[0][:MAX_TEXT_CHARS], pair[1]
