"""What comes of a request, and who it came from: the values that callers and handlers of requests see.

Treat them as frozen: a frozen dataclass costs three times as much to make, and each request makes three.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from pilotdht.values import dataclass
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.message import Reply


@dataclass(slots=True, unsafe_hash=True)
class Sender:
    """Whoever sent a request: the key is proven, the endpoint only when ``is_validated``."""

    contact: Contact
    """Key, and endpoint it came from."""
    is_validated: bool
    """The request carried our token for that endpoint and key, so whoever sent it receives there."""
    is_client: bool
    """It says that it is not known to be reachable from outside: not for routing tables."""


class Deferred:
    """What a handler returns when its reply takes a while: the reply is given later, once, or never."""

    __slots__ = ("_send",)

    def __init__(self) -> None:
        self._send: Callable[[Reply], None] | None = None

    def bind(self, send: Callable[[Reply], None]) -> None:
        """Send the reply through ``send``: for whoever called the handler."""
        self._send = send

    def reply(self, message: Reply) -> None:
        """Give the reply; a second one, or one to a request that nobody wants answered any more, is not sent."""
        send, self._send = self._send, None
        if send is not None:
            send(message)


@dataclass(slots=True, unsafe_hash=True)
class Answer:
    """A reply to a request of ours, from the key and endpoint that were asked."""

    message: Reply
    """What was answered."""
    observed: Endpoint
    """Our own endpoint as the peer says it saw it: a claim."""
    rtt_s: float
    """Seconds from the first transmission to the reply."""
    contact: Contact
    """Who was asked."""
    is_client: bool
    """The peer says that it is not known to be reachable from outside."""


@dataclass(slots=True, unsafe_hash=True)
class Answered:
    """The contact answered; final."""

    contact: Contact
    """Who was asked."""
    answer: Answer
    """What it said."""


@dataclass(slots=True, unsafe_hash=True)
class Slow:
    """The adaptive time-out passed and the request was sent again; another outcome follows. The slot may be reused."""

    contact: Contact
    """Who was asked."""


@dataclass(slots=True, unsafe_hash=True)
class Silent:
    """The contact did not answer either transmission in time; final."""

    contact: Contact
    """Who was asked."""


Outcome: TypeAlias = Answered | Slow | Silent
"""Each request ends in exactly one ``Answered`` or ``Silent``, with at most one ``Slow`` before it."""
