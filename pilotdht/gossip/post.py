"""One post office for all groups of a node: each type of message is served once, and handed to the group it names.

Requests about groups that this node is not in are dropped without an answer: nobody finds out by asking which groups a
node is in.

Members whose endpoints do not answer strangers have no endpoint in this room: everywhere it is
:data:`pilotdht.net.switchboard.HIDDEN`, and only here it is replaced by the road that leads to them now: where they
were heard a moment ago, or through one of the servers that they name.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar, cast

from pilotdht.errors import NodeClosed
from pilotdht.identity.ids import PublicKey
from pilotdht.net.outcomes import Answered, Deferred, Outcome, Sender, Silent, Slow
from pilotdht.net.pending import Deliver, Pending
from pilotdht.net.rtt import Waits
from pilotdht.net.switchboard import HIDDEN, is_virtual
from pilotdht.wire.contact import Contact, interned
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.gossip_messages import GroupRequest
from pilotdht.wire.groups import GroupId
from pilotdht.wire.message import Reply, Request

GroupRequestT = TypeVar("GroupRequestT", bound=GroupRequest)

Handler = Callable[[GroupRequest, Sender], Reply | Deferred | None]
"""Answers one request of a group."""

HEARD_S = 20.0
"""So long a member is answered where it was heard: below the 30 s after which many NATs forget."""

HEARD_KEPT = 16_384
"""Members behind NATs whose place is remembered; about 200 bytes each."""


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


class Roads(Protocol):
    """What leads to nodes behind NATs: :class:`pilotdht.traversal.traversal.Traversal`."""

    def road(self, key: PublicKey, introducers: Sequence[Contact]) -> Endpoint | None:
        """Return an endpoint, virtual or not, that leads to a node; absent when nothing does.

        Args:
            key: whom.
            introducers: servers through which it says that it is called, the one to take first.
        """
        ...


class Directory(Protocol):
    """What one group knows of where its members are."""

    def contact_of(self, public_key: PublicKey) -> Contact | None:
        """Return where a member is reached; absent when it is not known, or does not say where it is."""
        ...

    def introducers_of(self, public_key: PublicKey) -> tuple[Contact, ...]:
        """Return through whom a member says that it is called."""
        ...


class _Place:
    """Where a member behind a NAT was heard, and which of its servers is tried."""

    __slots__ = ("endpoint", "heard_at", "turn")

    def __init__(self) -> None:
        self.endpoint: Endpoint | None = None
        self.heard_at = 0.0
        self.turn = 0


class Post:
    """Sends for all groups, and sorts what arrives."""

    def __init__(self, mail: Mail, roads: Roads | None = None) -> None:
        """Make it.

        Args:
            mail: the node's requests.
            roads: leads to members behind NATs; absent where there are none.
        """
        self._mail = mail
        self._roads = roads
        self._handlers: dict[type[GroupRequest], dict[GroupId, Handler]] = {}
        self._directories: dict[GroupId, Directory] = {}
        self._places: OrderedDict[PublicKey, _Place] = OrderedDict()  # heard longest ago first
        self.abandon = mail.abandon
        """Forget a request: see :meth:`pilotdht.net.rpc.Rpc.abandon`."""

    def begin(
        self, contact: Contact, message: Request, deliver: Deliver, *, waits: Waits | None = None
    ) -> Pending | None:
        """Send a request: see :meth:`pilotdht.net.rpc.Rpc.begin`."""
        if contact.endpoint != HIDDEN:
            return self._mail.begin(contact, message, deliver, waits=waits)
        road = self._road(contact.public_key)
        if road is None:
            deliver(Silent(contact))
            return None

        def hand_back(outcome: Outcome | NodeClosed) -> None:
            if type(outcome) is Answered:
                deliver(Answered(contact, outcome.answer))
            elif type(outcome) is Slow:
                deliver(Slow(contact))
            elif type(outcome) is Silent:
                self._silent(contact.public_key, road)
                deliver(Silent(contact))
            else:
                deliver(outcome)

        return self._mail.begin(interned(contact.public_key, road), message, hand_back, waits=waits)

    def tell(self, contact: Contact, message: Request) -> bool:
        """Send what nobody answers: see :meth:`pilotdht.net.rpc.Rpc.tell`."""
        if contact.endpoint == HIDDEN:
            road = self._road(contact.public_key)
            if road is None:
                return False
            contact = interned(contact.public_key, road)
        return self._mail.tell(contact, message)

    def rtt_of(self, contact: Contact) -> float | None:
        """Smoothed round-trip time of a contact: see :meth:`pilotdht.net.rpc.Rpc.rtt_of`."""
        if contact.endpoint == HIDDEN:
            road = self._road(contact.public_key)
            return None if road is None else self._mail.rtt_of(interned(contact.public_key, road))
        return self._mail.rtt_of(contact)

    def know(self, group: GroupId, directory: Directory) -> None:
        """Take in who knows where the members of a group are; :meth:`close` forgets it."""
        self._directories[group] = directory

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
        self._directories.pop(group, None)
        for handlers in self._handlers.values():
            handlers.pop(group, None)

    def _sorted(self, handlers: dict[GroupId, Handler]) -> Handler:
        def hand_on(message: GroupRequest, sender: Sender) -> Reply | Deferred | None:
            handler = handlers.get(message.group)
            if handler is None:
                return None
            return handler(message, sender if self._roads is None else self._seen(message.group, sender))

        return hand_on

    # Members behind NATs.

    def _seen(self, group: GroupId, sender: Sender) -> Sender:
        """Return a sender as the group knows it: where it was heard is only kept here when it is no lasting place."""
        key, endpoint = sender.contact.public_key, sender.contact.endpoint
        directory = self._directories.get(group)
        known = None if directory is None else directory.contact_of(key)
        if not is_virtual(endpoint) and (known is None or known.endpoint != HIDDEN):
            return sender
        if sender.is_validated:
            place = self._place(key)
            place.endpoint, place.heard_at = endpoint, asyncio.get_running_loop().time()
        return Sender(known or interned(key, HIDDEN), is_validated=False, is_client=sender.is_client)

    def _road(self, key: PublicKey) -> Endpoint | None:
        place = self._places.get(key)
        if place is not None and place.endpoint is not None:
            if asyncio.get_running_loop().time() - place.heard_at < HEARD_S:
                return place.endpoint
            place.endpoint = None
        for directory in self._directories.values():
            introducers = directory.introducers_of(key)
            if introducers and self._roads is not None:
                turn = 0 if place is None else place.turn % len(introducers)
                return self._roads.road(key, introducers[turn:] + introducers[:turn])
        return None

    def _silent(self, key: PublicKey, road: Endpoint) -> None:
        """Take another road next time."""
        place = self._place(key)
        if place.endpoint == road:
            place.endpoint = None
        else:
            place.turn += 1

    def _place(self, key: PublicKey) -> _Place:
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = _Place()
            if len(self._places) > HEARD_KEPT:
                self._places.popitem(last=False)
        else:
            self._places.move_to_end(key)
        return place
