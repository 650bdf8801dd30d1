"""JSON answers of the control API back into the facts that a node gives."""

from __future__ import annotations

import base64

from pilotdht.daemon.shapes import (
    TRUNK_ROAD,
    ConnectionShape,
    ContactShape,
    InfoShape,
    LookupShape,
    MessageShape,
    NatShape,
    NetCheckShape,
    PeerShape,
    TraceShape,
    TrustShape,
    TunnelShape,
)
from pilotdht.identity.address import Address
from pilotdht.identity.keys import parse_did
from pilotdht.names.peer import Peer, Source
from pilotdht.node.facts import (
    Connection,
    ConnectionInfo,
    LookupInfo,
    Message,
    NeighbourInfo,
    NetCheck,
    NodeInfo,
    PeerInfo,
    Trace,
)
from pilotdht.traversal.advice import Finding, Severity
from pilotdht.traversal.behaviour import Filtering, NatBehaviour
from pilotdht.trust.book import TrustEntry
from pilotdht.trust.standing import Standing
from pilotdht.trust.states import TrustState
from pilotdht.trust.words import WordKind
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint, parse_endpoint
from pilotdht.wire.records import Service
from pilotdht.wire.traversal_messages import NatMapping


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
        trunk=None if shape["trunk"] is None else Address.parse(shape["trunk"]),
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
        relay=None if shape["relay"] is None else Address.parse(shape["relay"]),
        is_lan=shape["road"] == "lan",
        trunk=_trunk(shape["road"]),
        is_outgoing=shape["is_outgoing"],
        is_trusted=shape["is_trusted"],
        rtt_s=shape["rtt_s"],
        lost_share=shape["lost_share"],
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
        relay=None if shape["relay"] is None else Address.parse(shape["relay"]),
        is_lan=shape["road"] == "lan",
        trunk=_trunk(shape["road"]),
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
        relay=None if shape["relay"] is None else Address.parse(shape["relay"]),
        is_lan=shape["road"] == "lan",
        trunk=_trunk(shape["road"]),
        dial_s=shape["dial_s"],
        rtt_s=shape["rtt_s"],
        own_nat=_mapping(shape["own_nat"]),
        peer_nat=_mapping(shape["peer_nat"]),
    )


def netcheck(shape: NetCheckShape) -> NetCheck:
    """Decode where a node stands in the network."""
    return NetCheck(
        own_addresses=tuple(shape["own_addresses"]),
        ipv4=_behaviour(shape["ipv4"]),
        ipv6=_behaviour(shape["ipv6"]),
        is_server=shape["is_server"],
        port_mapping=shape["port_mapping"],
        mapped=None if shape["mapped"] is None else parse_endpoint(shape["mapped"]),
        servers=tuple((Address.parse(one["address"]), parse_endpoint(one["endpoint"])) for one in shape["servers"]),
        lan=shape["lan"],
        lan_reason=shape["lan_reason"],
        neighbours=tuple(
            NeighbourInfo(
                address=Address.parse(one["address"]),
                endpoint=parse_endpoint(one["endpoint"]),
                standing=one["standing"],
            )
            for one in shape["neighbours"]
        ),
        findings=tuple(
            Finding(
                code=one["code"],
                severity=Severity[one["severity"].upper()],
                sentence=one["sentence"],
                advice=one["advice"],
            )
            for one in shape["findings"]
        ),
    )


def _trunk(road: str) -> Address | None:
    return Address.parse(road.removeprefix(TRUNK_ROAD)) if road.startswith(TRUNK_ROAD) else None


def _behaviour(shape: NatShape) -> NatBehaviour:
    return NatBehaviour(
        mapping=_mapping(shape["mapping"]),
        filtering=Filtering[shape["filtering"].upper().replace("-", "_")],
        are_ports_kept=shape["are_ports_kept"],
        public=None if shape["public"] is None else parse_endpoint(shape["public"]),
        public_host=shape["public_host"],
        samples=shape["samples"],
        prefixes=shape["prefixes"],
        confidence=shape["confidence"],
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
        standing=Standing(
            state=TrustState(shape["state"]),
            owed=None if shape["owed"] is None else WordKind[shape["owed"].upper()],
        ),
        letter_holders=shape["letter_holders"],
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


def _mapping(word: str) -> NatMapping:
    return NatMapping[word.upper().replace("-", "_")]
