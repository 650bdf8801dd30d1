"""Exit codes, and which error leads to which."""

from __future__ import annotations

from collections.abc import Mapping

from pilotdht.errors import (
    AlreadyExists,
    KeyFileError,
    LinkClosed,
    NoDaemon,
    NodeClosed,
    NotFound,
    PilotError,
    TimedOut,
    Unreachable,
    UsageError,
)

DONE = 0
FAILED = 1
USAGE = 2
UNREACHABLE = 3
NOT_FOUND = 4
NO_DAEMON = 5
INTERRUPTED = 130

EXIT_CODES: Mapping[int, str] = {
    DONE: "done",
    FAILED: "failed",
    USAGE: "wrong usage, argument or setting",
    UNREACHABLE: "the peer does not answer",
    NOT_FOUND: "nobody is known under that name, tag or address",
    NO_DAEMON: "no daemon answers on the control socket",
    INTERRUPTED: "interrupted",
}
"""What each code means."""

_BY_ERROR: tuple[tuple[type[PilotError], int], ...] = (  # the first class that fits counts
    (NoDaemon, NO_DAEMON),
    (NotFound, NOT_FOUND),
    (Unreachable, UNREACHABLE),
    (TimedOut, UNREACHABLE),
    (LinkClosed, UNREACHABLE),
    (KeyFileError, FAILED),
    (AlreadyExists, FAILED),
    (NodeClosed, FAILED),
    (UsageError, USAGE),
    (PilotError, FAILED),
)


def exit_code(error: type[PilotError]) -> int:
    """Return the exit code that an error class leads to."""
    return next(code for kind, code in _BY_ERROR if issubclass(error, kind))
