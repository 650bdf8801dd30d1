"""A contact: a node's key and one endpoint where it is said to answer.

Whether it really does is for whoever uses it to find out; a contact from the network is a hint, never a fact.
"""

from __future__ import annotations

from functools import lru_cache

from pilotdht.errors import BadMessage
from pilotdht.identity.ids import NodeId, PublicKey, node_id_of
from pilotdht.identity.keys import public_key_untrusted
from pilotdht.wire.endpoint import Endpoint, unpack_endpoint_untrusted

INTERNED = 8192
"""Contacts from the network that are made only once: replies name the same ones over and over. 4 MB at most."""


class Contact:
    """A public key and an endpoint; compared and hashed by both. Treat it as frozen.

    A plain class with slots: lookups make thousands of these, and a frozen dataclass costs three times as much.
    """

    __slots__ = ("endpoint", "node_id", "point", "public_key")

    def __init__(self, public_key: PublicKey, endpoint: Endpoint) -> None:
        self.public_key = public_key
        """32 bytes."""
        self.endpoint = endpoint
        """Where it is said to answer."""
        self.node_id: NodeId = node_id_of(public_key)
        """Derived from the key: nobody chooses an id without owning its key."""
        self.point = int.from_bytes(self.node_id, "big")
        """The id as a number: distances are XORs of these."""

    def __eq__(self, other: object) -> bool:
        """Compare key and endpoint."""
        return isinstance(other, Contact) and self.public_key == other.public_key and self.endpoint == other.endpoint

    def __hash__(self) -> int:
        """Hash key and endpoint."""
        return hash((self.public_key, self.endpoint))

    def __repr__(self) -> str:
        """Show the start of the node id and the endpoint."""
        return f"<Contact {self.node_id.hex()[:8]} {self.endpoint}>"

    def packed(self) -> list[bytes]:
        """Return the wire form: key, packed endpoint."""
        return [self.public_key, _packed(self.endpoint)]


def contact_untrusted(data: object) -> Contact:
    """Read what :meth:`Contact.packed` writes.

    Raises:
        BadMessage: malformed key or endpoint.
    """
    key, endpoint = data if type(data) is list and len(data) == 2 else (None, None)
    if type(key) is not bytes or type(endpoint) is not bytes:
        raise BadMessage("contact")
    return _interned_untrusted(key, endpoint)


@lru_cache(maxsize=INTERNED)
def _packed(endpoint: Endpoint) -> bytes:
    return endpoint.packed()


@lru_cache(maxsize=INTERNED)
def _interned_untrusted(key: bytes, endpoint: bytes) -> Contact:
    return Contact(public_key_untrusted(key), unpack_endpoint_untrusted(endpoint))
