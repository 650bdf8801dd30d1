"""A contact: a node's key and one endpoint where it is said to answer.

Whether it really does is for whoever uses it to find out; a contact from the network is a hint, never a fact.
"""

from __future__ import annotations

from functools import lru_cache

from pilotdht.errors import BadMessage
from pilotdht.identity.ids import NodeId, PublicKey, node_id_of
from pilotdht.identity.keys import public_key_untrusted
from pilotdht.wire.endpoint import Endpoint, unpack_endpoint_untrusted

INTERNED = 16_384
"""Contacts that are made only once: datagrams come from the same ones, and name them, over and over. 4 MB at most."""


class Contact:
    """A public key and an endpoint; compared and hashed by both. Treat it as frozen.

    A plain class with slots: lookups make thousands of these, and a frozen dataclass costs three times as much.
    """

    __slots__ = ("_packed", "endpoint", "node_id", "point", "public_key")

    def __init__(self, public_key: PublicKey, endpoint: Endpoint) -> None:
        self.public_key = public_key
        """32 bytes."""
        self.endpoint = endpoint
        """Where it is said to answer."""
        self.node_id: NodeId = node_id_of(public_key)
        """Derived from the key: nobody chooses an id without owning its key."""
        self.point = int.from_bytes(self.node_id, "big")
        """The id as a number: distances are XORs of these."""
        self._packed: list[bytes] | None = None

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
        """Return the wire form, made once: key, packed endpoint. Treat it as frozen: a reply names twenty contacts."""
        packed = self._packed
        if packed is None:
            packed = self._packed = [self.public_key, self.endpoint.packed()]
        return packed


def contact_untrusted(data: object) -> Contact:
    """Read what :meth:`Contact.packed` writes.

    Raises:
        BadMessage: malformed key or endpoint.
    """
    if type(data) is not list:
        raise BadMessage("contact")
    return contacts_untrusted([data])[0]


def contacts_untrusted(values: list[object]) -> tuple[Contact, ...]:
    """Read what :meth:`Contact.packed` writes, many times.

    Raises:
        BadMessage: one is malformed.
    """
    known = _known_untrusted
    try:
        return tuple([known(*value) for value in values])  # type: ignore[misc]  # what cannot be passed raises
    except TypeError as error:  # not a list, of another length, or with something that has no hash
        raise BadMessage("contact") from error


@lru_cache(maxsize=INTERNED)
def interned(public_key: PublicKey, endpoint: Endpoint) -> Contact:
    """Return a contact, the same object for the same key and endpoint while it is remembered."""
    return Contact(public_key, endpoint)


@lru_cache(maxsize=INTERNED)
def _known_untrusted(key: object, endpoint: object) -> Contact:
    if type(key) is not bytes or type(endpoint) is not bytes:
        raise BadMessage("contact")
    return interned(public_key_untrusted(key), unpack_endpoint_untrusted(endpoint))
