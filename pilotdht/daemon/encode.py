"""Facts of a node as JSON: each function fills one shape of :mod:`pilotdht.daemon.shapes`."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from enum import Enum

from pilotdht.daemon.shapes import (
    TRUNK_ROAD,
    ConnectionShape,
    ContactShape,
    LookupShape,
    MessageShape,
    NatShape,
    NetCheckShape,
    PeerShape,
    RelayUseShape,
    RoadShape,
    TraceShape,
    TrafficShape,
    TrustShape,
    TunnelShape,
)
from pilotdht.identity.address import Address
from pilotdht.identity.keys import did_of
from pilotdht.names.peer import Peer
from pilotdht.node.facts import (
    Connection,
    ConnectionInfo,
    LookupInfo,
    Message,
    NetCheck,
    PeerInfo,
    Trace,
    Traffic,
)
from pilotdht.traversal.behaviour import NatBehaviour
from pilotdht.traversal.relay.use import RelayUse
from pilotdht.trust.book import TrustEntry


def encode_base64(data: bytes) -> str:
    """Return standard base64 text."""
    return base64.b64encode(data).decode("ascii")


def peer_shape(peer: Peer) -> PeerShape:
    """Encode a resolved peer."""
    return {
        "address": str(peer.address),
        "did": peer.did,
        "hostname": peer.hostname,
        "tags": list(peer.tags),
        "endpoints": [str(endpoint) for endpoint in peer.endpoints],
        "services": [{"name": service.name, "port": service.port} for service in peer.services],
        "issued": peer.issued_s,
        "is_trusted": peer.is_trusted,
        "source": peer.source.value,
    }


def contact_shape(contact: PeerInfo) -> ContactShape:
    """Encode a contact of the routing table."""
    return {
        "address": str(contact.address),
        "endpoint": str(contact.endpoint),
        "rtt_s": contact.rtt_s,
        "last_seen_s": contact.last_seen_s,
    }


def road_shape(tunnel: ConnectionInfo | Connection | Trace | None) -> RoadShape:
    """Encode which road a tunnel takes; one that has just ended was direct, as far as is known."""
    if tunnel is None or tunnel.relay is None:
        road = "lan" if tunnel is not None and tunnel.is_lan else "direct"
        if tunnel is not None and tunnel.trunk is not None:
            road = f"{TRUNK_ROAD}{tunnel.trunk}"
        return {"road": road, "relay": None}
    return {"road": "relayed", "relay": str(tunnel.relay)}


def connection_shape(connection: ConnectionInfo) -> ConnectionShape:
    """Encode a live link."""
    return {
        "address": str(connection.address),
        "hostname": connection.hostname,
        "endpoint": str(connection.endpoint),
        **road_shape(connection),
        "is_outgoing": connection.is_outgoing,
        "is_trusted": connection.is_trusted,
        "rtt_s": connection.rtt_s,
        "lost_share": connection.lost_share,
        "received_bytes": connection.received_bytes,
        "sent_bytes": connection.sent_bytes,
        "streams": connection.streams,
        "age_s": connection.age_s,
    }


def trace_shape(trace: Trace) -> TraceShape:
    """Encode how a peer was reached."""
    return {
        "address": str(trace.address),
        "hostname": trace.hostname,
        "source": trace.source,
        "resolve_s": trace.resolve_s,
        "endpoints": [str(endpoint) for endpoint in trace.endpoints],
        "endpoint": str(trace.endpoint),
        **road_shape(trace),
        "dial_s": trace.dial_s,
        "rtt_s": trace.rtt_s,
        "own_nat": _word(trace.own_nat),
        "peer_nat": _word(trace.peer_nat),
    }


def tunnel_shape(connection: Connection) -> TunnelShape:
    """Encode a tunnel that stands."""
    return {
        "address": str(connection.address),
        "endpoint": str(connection.endpoint),
        **road_shape(connection),
        "setup_s": connection.setup_s,
        "rtt_s": connection.rtt_s,
    }


def netcheck_shape(check: NetCheck) -> NetCheckShape:
    """Encode where a node stands in the network."""
    return {
        "own_addresses": list(check.own_addresses),
        "ipv4": _nat_shape(check.ipv4),
        "ipv6": _nat_shape(check.ipv6),
        "is_server": check.is_server,
        "port_mapping": check.port_mapping,
        "mapped": None if check.mapped is None else str(check.mapped),
        "servers": [{"address": str(address), "endpoint": str(endpoint)} for address, endpoint in check.servers],
        "lan": check.lan,
        "lan_reason": check.lan_reason,
        "neighbours": [
            {"address": str(one.address), "endpoint": str(one.endpoint), "standing": one.standing}
            for one in check.neighbours
        ],
        "findings": [
            {
                "code": finding.code,
                "severity": finding.severity.name.lower(),
                "sentence": finding.sentence,
                "advice": finding.advice,
            }
            for finding in check.findings
        ],
    }


def _nat_shape(behaviour: NatBehaviour) -> NatShape:
    return {
        "mapping": _word(behaviour.mapping),
        "filtering": _word(behaviour.filtering),
        "are_ports_kept": behaviour.are_ports_kept,
        "public": None if behaviour.public is None else str(behaviour.public),
        "public_host": behaviour.public_host,
        "samples": behaviour.samples,
        "prefixes": behaviour.prefixes,
        "confidence": round(behaviour.confidence, 3),
    }


def _word(value: Enum) -> str:
    return value.name.lower().replace("_", "-")


def traffic_shape(traffic: Traffic) -> TrafficShape:
    """Encode what went through the socket."""
    return {
        "received_bytes": traffic.received_bytes,
        "sent_bytes": traffic.sent_bytes,
        "at_s": round(traffic.at_s, 3),
    }


def relay_use_shape(use: RelayUse) -> RelayUseShape:
    """Encode what is carried for others, and by others."""
    return {
        "is_serving": use.is_serving,
        "is_relay": use.is_relay,
        "attached": use.attached,
        "max_attached": use.max_attached,
        "channels": use.channels,
        "max_channels": use.max_channels,
        "forwarded_frames": use.forwarded_frames,
        "forwarded_bytes": use.forwarded_bytes,
        "dropped_frames": use.dropped_frames,
        "total_bytes_per_s": use.total_bytes_per_s,
        "own_channels": use.own_channels,
    }


def message_shape(message: Message) -> MessageShape:
    """Encode a message from a peer."""
    return {
        "peer": did_of(message.peer),
        "address": str(message.address),
        "hostname": message.hostname,
        "port": message.port,
        "data_base64": encode_base64(message.data),
    }


def trust_shape(entry: TrustEntry) -> TrustShape:
    """Encode an entry of the trust book."""
    return {
        "address": str(entry.address),
        "did": did_of(entry.public_key),
        "hostname": entry.hostname,
        "state": entry.state.value,
        "reason": entry.reason,
        "since": entry.since,
        "owed": None if entry.standing.owed is None else _word(entry.standing.owed),
        "letter_holders": entry.letter_holders,
    }


def lookup_shape(lookup: LookupInfo, *, network: int) -> LookupShape:
    """Encode a walk through the DHT made on mesh ``network``."""
    return {
        "target": lookup.target.hex(),
        "contacts": [
            {
                "address": str(Address.of_node_id(contact.node_id, network=network)),
                "did": did_of(contact.public_key),
                "endpoint": str(contact.endpoint),
            }
            for contact in lookup.contacts
        ],
        "requests": lookup.requests,
        "hops": lookup.hops,
        "duration_s": lookup.duration_s,
    }


def plain(value: object) -> object:
    """Return ``value`` in types that JSON has: bytes as hex, tuples as lists, everything else as text."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (bytes, bytearray)):
        return value.hex()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [plain(item) for item in value]
    return str(value)
