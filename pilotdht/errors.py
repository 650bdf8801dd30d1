"""Every error a caller can meet, as one small tree that says whose fault it was.

::

    PilotError
    ├── UsageError               this caller asked for something that cannot be done
    │   ├── ConfigError          a setting is unknown, malformed or out of range
    │   ├── InvalidArgument      an argument is malformed (address, hostname, port, tag)
    │   ├── KeyFileError         the identity file is unreadable, too open, or needs its passphrase
    │   ├── AlreadyExists        the thing is there already (a listener, a trusted peer, a file)
    │   ├── NodeClosed           the node was closed, or was never started
    │   └── NoDaemon             no daemon answers on the control socket
    ├── RemoteError              the peer or the network did not do what was asked
    │   ├── NotFound             nobody holds a live record under that name, tag or address
    │   ├── Ambiguous            several keys claim the same name
    │   ├── KeyChanged           a pinned name now belongs to another key
    │   ├── Unreachable          the peer is known, and none of its endpoints answers
    │   ├── NotTrusted           the peer refuses because no trust was given
    │   ├── Refused              the peer refuses: nothing listens there, or it is full
    │   ├── LinkClosed           the link or stream ended before the work was done
    │   ├── Overloaded           a bound on this side or that side was reached
    │   ├── TimedOut             no answer within the time given
    │   ├── AnswerFailed         the program that should have answered a question failed
    │   ├── NoQuorum             too few members gave the same answer
    │   └── BadMessage           bytes from outside that do not obey the protocol
    └── InternalError            a bug in pilotdht

Each class has a stable ``code`` (what programs compare) and a ``hint`` (what a person tries next).
"""

from __future__ import annotations

from typing import ClassVar


class PilotError(Exception):
    """Base of every error raised on purpose by this package."""

    code: ClassVar[str] = "error"
    """Stable identifier; part of the public API."""

    default_hint: ClassVar[str] = "run the command again with --verbose"
    """What to try next when the raiser knows nothing better."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = self.default_hint if hint is None else hint


class UsageError(PilotError):
    """This caller asked for something that cannot be done."""

    code = "usage"
    default_hint = "see --help"


class ConfigError(UsageError):
    """A setting is unknown, malformed or out of range."""

    code = "config"
    default_hint = "run 'pilotdht config show --origin' to see where each value comes from"


class InvalidArgument(UsageError):
    """An argument is malformed: an address, a hostname, a port, a tag."""

    code = "invalid_argument"
    default_hint = "see --help for the expected form"


class KeyFileError(UsageError):
    """The identity file is unreadable, too open, or needs its passphrase."""

    code = "key_file"
    default_hint = "run 'pilotdht key show' to inspect the identity file"


class AlreadyExists(UsageError):
    """The thing is there already: a listener, a trusted peer, a file."""

    code = "already_exists"
    default_hint = "choose another one, or remove the existing one first"


class NodeClosed(UsageError):
    """The node was closed, or was never started."""

    code = "closed"
    default_hint = "use the node inside 'async with Node(...) as node:'"


class NoDaemon(UsageError):
    """No daemon answers on the control socket."""

    code = "not_running"
    default_hint = "start one with 'pilotdht daemon start'"


class RemoteError(PilotError):
    """The peer or the network did not do what was asked."""

    code = "remote"
    default_hint = "try again; 'pilotdht status' shows how well this node is connected"


class NotFound(RemoteError):
    """Nobody holds a live record under that name, tag or address."""

    code = "not_found"
    default_hint = "check the spelling; a peer that just started may need some seconds to be published"


class Ambiguous(RemoteError):
    """Several keys claim the same name."""

    code = "ambiguous"
    default_hint = "use the address or did:key of the peer you mean"

    def __init__(self, message: str, *, claims: tuple[str, ...] = (), hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.claims = claims


class KeyChanged(RemoteError):
    """A pinned name now belongs to another key."""

    code = "key_changed"
    default_hint = "if the peer really has a new key, run 'pilotdht untrust NAME' and try again"


class Unreachable(RemoteError):
    """The peer is known, and none of its endpoints answers."""

    code = "unreachable"
    default_hint = "the peer may be offline; 'pilotdht find NAME' shows its published endpoints"


class NotTrusted(RemoteError):
    """The peer refuses because no trust was given."""

    code = "not_trusted"
    default_hint = "ask for trust with 'pilotdht handshake NAME \"reason\"' and have the peer approve it"


class Refused(RemoteError):
    """The peer refuses: nothing listens on that port, or it is full."""

    code = "refused"
    default_hint = "check the port; the peer must listen on it"


class LinkClosed(RemoteError):
    """The link or stream ended before the work was done."""

    code = "link_closed"
    default_hint = "try again; links are dialled anew when needed"


class Overloaded(RemoteError):
    """A bound on this side or on that side was reached."""

    code = "overloaded"
    default_hint = "slow down, or raise the bound in the configuration"


class TimedOut(RemoteError):
    """No answer within the time given."""

    code = "timeout"
    default_hint = "try again with a longer --timeout"


class AnswerFailed(RemoteError):
    """The program that should have answered a question failed."""

    code = "answer_failed"
    default_hint = "ask another member, or look at the log of the one that answered"


class NoQuorum(RemoteError):
    """Too few members gave the same answer.

    ``split`` tells how the answers that came split: pairs of a short form of the answer and how many gave it.
    """

    code = "no_quorum"
    default_hint = "ask again with a smaller quorum, or read each member's answer with 'query' to see who differs"

    def __init__(self, message: str, *, split: tuple[tuple[str, int], ...] = (), hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.split = split


class BadMessage(RemoteError):
    """Bytes from outside that do not obey the protocol.

    ``reason`` is a short constant string, used as a counter's label.
    """

    code = "bad_message"
    default_hint = "the sender is broken, hostile, or speaks another version"

    def __init__(self, reason: str, *, hint: str | None = None) -> None:
        super().__init__(reason, hint=hint)
        self.reason = reason


class InternalError(PilotError):
    """A bug in pilotdht."""

    code = "internal"
    default_hint = "please report this, with the output of the command under --verbose"
