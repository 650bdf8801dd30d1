"""What a node does about trust: asking for it, giving it, taking it back."""

from __future__ import annotations

from pilotdht.errors import NotFound
from pilotdht.identity.address import Address
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import parse_did
from pilotdht.names.peer import Peer
from pilotdht.node.reach import Target
from pilotdht.node.rooms import Rooms
from pilotdht.trust.book import TrustEntry


class TrustVerbs:
    """The verbs of :class:`pilotdht.node.node.Node` that are about trust."""

    @property
    def rooms(self) -> Rooms:
        """The running node."""
        raise NotImplementedError

    async def handshake(self, target: Target, reason: str = "") -> TrustEntry:
        """Ask a peer for trust; returns where it stands: pending until the peer approves, trusted when it asked before.

        A peer that is offline gets the request when it is back: it is left with other nodes in a sealed letter, and
        said directly when both are there. Such a peer must be named by its did:key, or by a name that this node knows.

        Raises:
            NotFound: nobody live is found under that name, and this node does not know whose it is.
            PilotError: the peer cannot be resolved.
        """
        key, hostname = await self._key_to_ask(target)
        return await self.rooms.handshakes.request(key, reason, hostname=hostname)

    async def approve(self, target: Target) -> TrustEntry:
        """Trust a peer that asked.

        Raises:
            NotFound: it did not ask.
        """
        return await self.rooms.handshakes.approve(await self._known_key(target))

    async def reject(self, target: Target, reason: str = "") -> TrustEntry:
        """Refuse a peer that asked.

        Raises:
            NotFound: it did not ask.
        """
        return await self.rooms.handshakes.reject(await self._known_key(target), reason)

    async def untrust(self, target: Target) -> TrustEntry:
        """Take trust back: the peer's links are cut at once, and its name is not pinned any more."""
        key = await self._known_key(target)
        self.rooms.reach.forget_peer(key)
        return await self.rooms.handshakes.untrust(key)

    def pending(self) -> list[TrustEntry]:
        """Return whose requests wait for an answer, oldest first."""
        return self.rooms.book.pending()

    def trusted(self) -> list[TrustEntry]:
        """Return whom this node trusts, oldest first."""
        return self.rooms.book.trusted()

    # Inside.

    async def _key_to_ask(self, target: Target) -> tuple[PublicKey, str]:
        """Return the key that a target means, and the hostname that its record has; the record need not be live."""
        try:
            peer = await self.rooms.reach.peer(target)
        except NotFound as error:
            key = self._remembered_key(target)
            if key is None:
                raise NotFound(
                    error.message,
                    hint="the peer is offline, or the name is wrong; who is offline can be asked by its did:key",
                ) from error
            return key, ""
        return peer.public_key, peer.hostname

    def _remembered_key(self, target: Target) -> PublicKey | None:
        """Return the key that a target means without asking anybody: a key, an alias, a pinned or a trusted name."""
        if isinstance(target, Peer):
            return target.public_key
        if isinstance(target, bytes):
            return target
        if target.startswith("did:"):
            return parse_did(target)
        book = self.rooms.book
        known = [*book.keys_at(Address.parse(target))] if ":" in target else []
        known += [entry.public_key for entry in book.find(target)]
        unique = list(dict.fromkeys(known))
        return unique[0] if len(unique) == 1 else None

    async def _known_key(self, target: Target) -> PublicKey:
        """Return the key of somebody in the trust book, without asking the network when the book knows."""
        if isinstance(target, Peer):
            return target.public_key
        if isinstance(target, bytes):
            return target
        if target.startswith("did:"):
            return parse_did(target)
        known = self.rooms.book.find(target)
        if len(known) == 1:
            return known[0].public_key
        return (await self.rooms.reach.peer(target)).public_key
