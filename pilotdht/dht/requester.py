"""What the DHT needs of the room that carries requests: a Protocol that :class:`pilotdht.net.rpc.Rpc` fulfils."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self, TypeVar

from pilotdht.net.outcomes import Outcome, Sender
from pilotdht.wire.contact import Contact
from pilotdht.wire.message import Reply, Request

RequestT = TypeVar("RequestT", bound=Request)


class Calls(Protocol):
    """Several requests of one operation."""

    async def __aenter__(self) -> Self:
        """Begin."""
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Abandon what is outstanding."""
        ...

    @property
    def outstanding(self) -> int:
        """Requests whose last outcome has not been taken."""
        ...

    def start(self, contact: Contact, message: Request) -> None:
        """Send a request.

        Raises:
            Overloaded: too many requests wait already.
            NodeClosed: the node is closed.
        """
        ...

    async def next(self) -> Outcome:
        """Return the next outcome.

        Raises:
            NodeClosed: the node was closed.
        """
        ...


class Requester(Protocol):
    """Asks other nodes, and lets handlers answer them."""

    is_client: bool
    """Said of ourselves in each message."""

    def calls(self) -> Calls:
        """Return a group of requests."""
        ...

    def rtt_of(self, contact: Contact) -> float | None:
        """Return the smoothed round-trip time of a contact in seconds; absent when it was never measured."""
        ...

    def serve(self, kind: type[RequestT], handler: Callable[[RequestT, Sender], Reply | None]) -> None:
        """Answer requests of a type with what ``handler`` returns."""
        ...

    def on_heard(self, callback: Callable[[Sender], None]) -> None:
        """Call back after each request from a validated sender that is not a client."""
        ...

    def store_token(self, sender: Sender) -> bytes:
        """Return the token that ``sender`` must send back with a write."""
        ...

    def check_store_token(self, sender: Sender, token: bytes) -> bool:
        """Return whether ``token`` was given to ``sender`` lately."""
        ...
