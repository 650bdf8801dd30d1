"""One post office for all groups of a node: each type of message is served once, and handed to the group it names.

Requests about groups that this node is not in are dropped without an answer: nobody finds out by asking which groups a
node is in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar, cast

from pilotdht.net.outcomes import Deferred, Sender
from pilotdht.net.pending import Deliver, Pending
from pilotdht.net.rtt import Waits
from pilotdht.wire.contact import Contact
from pilotdht.wire.gossip_messages import GroupRequest
from pilotdht.wire.groups import GroupId
from pilotdht.wire.message import Reply, Request

GroupRequestT = TypeVar("GroupRequestT", bound=GroupRequest)

Handler = Callable[[GroupRequest, Sender], Reply | Deferred | None]
"""Answers one request of a group."""


class Mail(Protocol):
    """What the post office needs of the network: :class:`pilotdht.net.rpc.Rpc`."""

    def begin(
        self, contact: Contact, message: Request, deliver: Deliver, *, waits: Waits | None = None
    ) -> Pending | None:
        """Send a request; absent when its outcome was delivered at once."""
        ...

    def abandon(self, pending: Pending) -> None:
        """Forget a request; its outcome is not delivered."""
        ...

    def tell(self, contact: Contact, message: Request) -> bool:
        """Send what nobody answers."""
        ...

    def serve(
        self, kind: type[GroupRequestT], handler: Callable[[GroupRequestT, Sender], Reply | Deferred | None]
    ) -> None:
        """Answer requests of a type."""
        ...

    def rtt_of(self, contact: Contact) -> float | None:
        """Return the smoothed round-trip time of a contact; absent when it never answered there."""
        ...


class Post:
    """Sends for all groups, and sorts what arrives."""

    def __init__(self, mail: Mail) -> None:
        self._mail = mail
        self._handlers: dict[type[GroupRequest], dict[GroupId, Handler]] = {}
        self.begin = mail.begin
        """Send a request: see :meth:`pilotdht.net.rpc.Rpc.begin`."""
        self.abandon = mail.abandon
        """Forget a request: see :meth:`pilotdht.net.rpc.Rpc.abandon`."""
        self.tell = mail.tell
        """Send what nobody answers: see :meth:`pilotdht.net.rpc.Rpc.tell`."""
        self.rtt_of = mail.rtt_of
        """Smoothed round-trip time of a contact: see :meth:`pilotdht.net.rpc.Rpc.rtt_of`."""

    def serve(
        self,
        group: GroupId,
        kind: type[GroupRequestT],
        handler: Callable[[GroupRequestT, Sender], Reply | Deferred | None],
    ) -> None:
        """Hand requests of a type that name ``group`` to ``handler``; a second one replaces the first."""
        handlers = self._handlers.get(kind)
        if handlers is None:
            handlers = self._handlers[kind] = {}
            self._mail.serve(kind, self._sorted(handlers))
        handlers[group] = cast("Handler", handler)

    def close(self, group: GroupId) -> None:
        """Answer nothing of a group any more."""
        for handlers in self._handlers.values():
            handlers.pop(group, None)

    @staticmethod
    def _sorted(handlers: dict[GroupId, Handler]) -> Handler:
        def hand_on(message: GroupRequest, sender: Sender) -> Reply | Deferred | None:
            handler = handlers.get(message.group)
            return None if handler is None else handler(message, sender)

        return hand_on
