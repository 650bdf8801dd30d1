"""Who a key is, as far as the node knows without asking the network."""

from __future__ import annotations

from pilotdht.daemon.query_shapes import PersonShape
from pilotdht.daemon.verbs import NodeVerbs
from pilotdht.errors import NotFound
from pilotdht.identity.address import Address
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import did_of


def person_of(node: NodeVerbs, key: PublicKey, *, group: str = "") -> PersonShape:
    """Return a key's address, and the hostname it has in a group, or is otherwise known by, or none."""
    address = Address.of_public_key(key, network=node.info().address.network)
    return {"did": did_of(key), "address": str(address), "hostname": _hostname(node, key, address, group)}


def _hostname(node: NodeVerbs, key: PublicKey, address: Address, group: str) -> str:
    if group:
        try:
            member = node.group(group).member(key)
        except NotFound:  # it was left meanwhile
            member = None
        if member is not None and member.hostname:
            return member.hostname
    known = {entry.address: entry.hostname for entry in node.trusted()}
    known |= {connection.address: connection.hostname for connection in node.connections() if connection.hostname}
    return known.get(address, "")
