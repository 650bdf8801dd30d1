"""What messages to a group need of the rest of the node. Pure: declarations only."""

from __future__ import annotations

from collections.abc import Callable, Container
from random import Random
from typing import Protocol, TypeVar

from pilotdht.identity.ids import PublicKey
from pilotdht.net.outcomes import Deferred, Sender
from pilotdht.net.pending import Deliver, Pending
from pilotdht.net.rtt import Waits
from pilotdht.wire.contact import Contact
from pilotdht.wire.gossip_messages import GroupRequest
from pilotdht.wire.groups import GroupId
from pilotdht.wire.message import Reply, Request

GroupRequestT = TypeVar("GroupRequestT", bound=GroupRequest)


class Post(Protocol):
    """Carries messages between members."""

    def serve(
        self,
        group: GroupId,
        kind: type[GroupRequestT],
        handler: Callable[[GroupRequestT, Sender], Reply | Deferred | None],
    ) -> None:
        """Answer a group's requests of a type with what ``handler`` returns."""
        ...

    def begin(
        self, contact: Contact, message: Request, deliver: Deliver, *, waits: Waits | None = None
    ) -> Pending | None:
        """Send a request and call ``deliver`` with each of its outcomes; raises ``Overloaded`` and ``NodeClosed``."""
        ...

    def abandon(self, pending: Pending) -> None:
        """Deliver no outcome of a request any more."""
        ...

    def tell(self, contact: Contact, message: Request) -> bool:
        """Send a message that nobody answers; return whether it went out."""
        ...

    def rtt_of(self, contact: Contact) -> float | None:
        """Return the smoothed round-trip time in seconds; absent for a contact that never answered there."""
        ...


class Membership(Protocol):
    """Knows who is in the group."""

    def is_member(self, public_key: PublicKey) -> bool:
        """Return whether somebody is admitted, and neither dead nor gone nor expelled."""
        ...

    def contact_of(self, public_key: PublicKey) -> Contact | None:
        """Return where to reach a member; absent when that is not known."""
        ...

    def sample(self, count: int, random: Random, *, without: Container[PublicKey] = ()) -> list[Contact]:
        """Return up to ``count`` members that are alive, not this one."""
        ...
