"""JSON answers of the control API back into the facts that a node gives."""

from __future__ import annotations

import base64

from pilotdht.daemon.shapes import (
    ConnectionShape,
    ContactShape,
    InfoShape,
    LookupShape,
    MessageShape,
    PeerShape,
    TraceShape,
    TrustShape,
    TunnelShape,
)
from pilotdht.identity.address import Address
from pilotdht.identity.keys import parse_did
from pilotdht.names.peer import Peer, Source
from pilotdht.node.facts import Connection, ConnectionInfo, LookupInfo, Message, NodeInfo, PeerInfo, Trace
from pilotdht.trust.book import TrustEntry
from pilotdht.trust.standing import Standing
from pilotdht.trust.states import TrustState
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint, parse_endpoint
from pilotdht.wire.records import Service


def _endpoints(texts: list[str]) -> tuple[Endpoint, ...]:
    return tuple(parse_endpoint(text, allow_port_zero=True) for text in texts)


def node_info(shape: InfoShape) -> NodeInfo:
    """Decode what a node tells about itself."""
    return NodeInfo(
        address=Address.parse(shape["address"]),
        did=shape["did"],
        hostname=shape["hostname"],
        tags=tuple(shape["tags"]),
        listen=_endpoints(shape["listen"]),
        endpoints=_endpoints(shape["endpoints"]),
        is_joined=shape["is_joined"],
        is_server=shape["is_server"],
        uptime_s=shape["uptime_s"],
        peers=shape["peers"],
        connections=shape["connections"],
        records=shape["records"],
        version=shape["version"],
    )


def peer(shape: PeerShape) -> Peer:
    """Decode a resolved peer."""
    return Peer(
        public_key=parse_did(shape["did"]),
        network=Address.parse(shape["address"]).network,
        hostname=shape["hostname"],
        tags=tuple(shape["tags"]),
        endpoints=_endpoints(shape["endpoints"]),
        services=tuple(Service(name=service["name"], port=service["port"]) for service in shape["services"]),
        issued_s=shape["issued"],
        is_trusted=shape["is_trusted"],
        source=Source(shape["source"]),
    )


def peer_info(shape: ContactShape) -> PeerInfo:
    """Decode a contact of the routing table."""
    return PeerInfo(
        address=Address.parse(shape["address"]),
        endpoint=parse_endpoint(shape["endpoint"]),
        rtt_s=shape["rtt_s"],
        last_seen_s=shape["last_seen_s"],
    )


def connection_info(shape: ConnectionShape) -> ConnectionInfo:
    """Decode a live link."""
    return ConnectionInfo(
        address=Address.parse(shape["address"]),
        hostname=shape["hostname"],
        endpoint=parse_endpoint(shape["endpoint"]),
        is_outgoing=shape["is_outgoing"],
        is_trusted=shape["is_trusted"],
        rtt_s=shape["rtt_s"],
        received_bytes=shape["received_bytes"],
        sent_bytes=shape["sent_bytes"],
        streams=shape["streams"],
        age_s=shape["age_s"],
    )


def connection(shape: TunnelShape) -> Connection:
    """Decode a tunnel that stands."""
    return Connection(
        address=Address.parse(shape["address"]),
        endpoint=parse_endpoint(shape["endpoint"]),
        setup_s=shape["setup_s"],
        rtt_s=shape["rtt_s"],
    )


def trace(shape: TraceShape) -> Trace:
    """Decode how a peer was reached."""
    return Trace(
        address=Address.parse(shape["address"]),
        hostname=shape["hostname"],
        source=shape["source"],
        resolve_s=shape["resolve_s"],
        endpoints=_endpoints(shape["endpoints"]),
        endpoint=parse_endpoint(shape["endpoint"]),
        dial_s=shape["dial_s"],
        rtt_s=shape["rtt_s"],
    )


def message(shape: MessageShape) -> Message:
    """Decode a message from a peer."""
    return Message(
        peer=parse_did(shape["peer"]),
        address=Address.parse(shape["address"]),
        hostname=shape["hostname"],
        port=shape["port"],
        data=base64.b64decode(shape["data_base64"]),
    )


def trust_entry(shape: TrustShape) -> TrustEntry:
    """Decode an entry of the trust book; what only the node needs of it stays there."""
    return TrustEntry(
        public_key=parse_did(shape["did"]),
        network=Address.parse(shape["address"]).network,
        hostname=shape["hostname"],
        reason=shape["reason"],
        since=shape["since"],
        standing=Standing(state=TrustState(shape["state"])),
    )


def lookup_info(shape: LookupShape) -> LookupInfo:
    """Decode a walk through the DHT."""
    contacts = tuple(
        Contact(parse_did(contact["did"]), parse_endpoint(contact["endpoint"])) for contact in shape["contacts"]
    )
    return LookupInfo(
        target=bytes.fromhex(shape["target"]),
        contacts=contacts,
        requests=shape["requests"],
        hops=shape["hops"],
        duration_s=shape["duration_s"],
    )
