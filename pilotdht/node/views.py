"""What the rooms of a node know, as values for people and programs."""

from __future__ import annotations

import asyncio

from pilotdht.errors import NodeClosed
from pilotdht.identity.address import Address
from pilotdht.node.facts import ConnectionInfo, PeerInfo
from pilotdht.node.rooms import Rooms
from pilotdht.traversal.lan.telling import is_same_link
from pilotdht.tunnel.link import Link
from pilotdht.values import dataclass
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
            endpoint=road.endpoint,
            relay=road.relay,
            is_lan=road.is_lan,
            trunk=road.trunk,
            is_outgoing=link.is_dialled,
            is_trusted=rooms.book.is_trusted(link.peer_key),
            rtt_s=link.rtt_s,
            lost_share=link.connection.lost_share,
            received_bytes=link.bytes_in,
            sent_bytes=link.bytes_out,
            streams=link.stream_count,
            age_s=now - (link.up_at or now),
        )
        for link, road in roads
    ]


@dataclass(frozen=True, slots=True)
class RoadInfo:
    """The road that a link takes."""

    endpoint: Endpoint
    """Where its datagrams go: the peer's endpoint, or the relay's."""
    relay: Address | None
    """The node that relays; absent when the road is direct."""
    is_lan: bool
    """Whether it stays on the local network."""
    trunk: Address | None
    """The server through whose trunk it goes; absent when it goes over UDP, or through a relay first."""


def road_of(rooms: Rooms, link: Link, *, network: int) -> RoadInfo:
    """Return the road that a link takes.

    Raises:
        NodeClosed: the link ended.
    """
    if link.endpoint is None:
        raise NodeClosed("the link ended")
    relay = rooms.traversal.relay_of(link.endpoint)
    address = None if relay is None else Address.of_public_key(relay.public_key, network=network)
    endpoint = rooms.traversal.place_of(link.endpoint)
    own = rooms.traversal.local_hosts()
    is_lan = relay is None and is_same_link(endpoint.host, own=own, networks=rooms.lan.networks)
    is_on_trunk = relay is None and not is_lan and rooms.trunks.takes(endpoint)
    return RoadInfo(endpoint, address, is_lan, trunk_server(rooms, network=network) if is_on_trunk else None)


def trunk_server(rooms: Rooms, *, network: int) -> Address | None:
    """Return the server through whose trunk the node reaches the mesh; absent when it does so over UDP."""
    trunk = rooms.trunks.trunk
    return None if trunk is None else Address.of_public_key(trunk.server, network=network)
