"""What the rooms of a node know, as values for people and programs."""

from __future__ import annotations

import asyncio

from pilotdht.errors import NodeClosed
from pilotdht.identity.address import Address
from pilotdht.node.facts import ConnectionInfo, PeerInfo
from pilotdht.node.rooms import Rooms
from pilotdht.tunnel.link import Link
from pilotdht.wire.endpoint import Endpoint


def known_peers(rooms: Rooms, *, network: int) -> list[PeerInfo]:
    """Return the contacts of the routing table, with addresses of a mesh."""
    now = asyncio.get_running_loop().time()
    return [
        PeerInfo(
            address=Address.of_node_id(known.contact.node_id, network=network),
            endpoint=known.contact.endpoint,
            rtt_s=rooms.socket.rpc.rtt_of(known.contact),
            last_seen_s=max(0.0, now - known.last_success_s),
        )
        for known in rooms.dht.contacts()
    ]


def live_connections(rooms: Rooms, *, network: int) -> list[ConnectionInfo]:
    """Return the live links, with addresses of a mesh."""
    now = asyncio.get_running_loop().time()
    roads = ((link, road_of(rooms, link, network=network)) for link in rooms.tunnels.links())
    return [
        ConnectionInfo(
            address=Address.of_public_key(link.peer_key, network=network),
            hostname=rooms.book.entry(link.peer_key).hostname or rooms.reach.hostname_of(link.peer_key),
            endpoint=endpoint,
            relay=relay,
            is_outgoing=link.is_dialled,
            is_trusted=rooms.book.is_trusted(link.peer_key),
            rtt_s=link.rtt_s,
            received_bytes=link.bytes_in,
            sent_bytes=link.bytes_out,
            streams=link.stream_count,
            age_s=now - (link.up_at or now),
        )
        for link, (endpoint, relay) in roads
    ]


def road_of(rooms: Rooms, link: Link, *, network: int) -> tuple[Endpoint, Address | None]:
    """Return where a link's datagrams go, and the relay that they go through; absent when the road is direct.

    Raises:
        NodeClosed: the link ended.
    """
    if link.endpoint is None:
        raise NodeClosed("the link ended")
    relay = rooms.traversal.relay_of(link.endpoint)
    address = None if relay is None else Address.of_public_key(relay.public_key, network=network)
    return rooms.traversal.place_of(link.endpoint), address
