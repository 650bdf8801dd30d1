"""Write the test vectors of the wire format: ``python scripts/make_vectors.py > tests/vectors/wire.json``.

All inputs are fixed, so the file changes only when the wire format does. Another implementation can read each vector by
itself: bytes are hex, and what they mean stands beside them.
"""

from __future__ import annotations

import json
import sys

from pilotdht.identity.certificate import make_certificate
from pilotdht.identity.keys import KeyPair
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.messages import (
    Envelope,
    FindEntries,
    FindNode,
    FindRecord,
    Flags,
    FoundEntries,
    FoundRecord,
    Message,
    Nodes,
    Ping,
    Pong,
    Reply,
    Store,
    StoreCode,
    Stored,
    StoreEntry,
)
from pilotdht.wire.records import (
    NameClaim,
    NodeFlags,
    NodeRecord,
    Record,
    Revocation,
    Service,
    TagEntry,
    name_key,
    node_key,
    sign_record,
    tag_key,
)
from pilotdht.wire.seal import Sealer, network_salt

ALICE = KeyPair.from_seed(bytes(range(32)))
BOB = KeyPair.from_seed(bytes(range(32, 64)))
ISSUED_MS = 1_790_000_000_000
IPV4 = Endpoint("192.0.2.7", 4433)
IPV6 = Endpoint("2001:db8::7", 4433)
REQUEST_ID = bytes.fromhex("0102030405060708")
TOKEN = bytes.fromhex("a1a2a3a4a5a6a7a8")


def records() -> dict[str, tuple[KeyPair, Record]]:
    """Return one record of each kind, and the fullest and barest NODE records."""
    key = ALICE.public_key
    return {
        "node": (
            ALICE,
            NodeRecord(
                public_key=key,
                issued_ms=ISSUED_MS,
                ttl_s=7200,
                hostname="agent-alpha",
                tags=("mcp", "finance"),
                endpoints=(IPV4, IPV6),
                introducers=(Contact(BOB.public_key, IPV4),),
                relays=(Contact(BOB.public_key, IPV6),),
                services=(Service(name="mcp", port=80),),
                flags=NodeFlags.SERVER,
            ),
        ),
        "node, bare, network 7": (ALICE, NodeRecord(public_key=key, issued_ms=ISSUED_MS, network=7, ttl_s=1)),
        "name claim": (ALICE, NameClaim(public_key=key, issued_ms=ISSUED_MS, ttl_s=3600, hostname="agent-alpha")),
        "tag entry": (ALICE, TagEntry(public_key=key, issued_ms=ISSUED_MS, ttl_s=3600, tag="mcp", shard=3)),
        "revocation": (
            ALICE,
            Revocation(public_key=key, issued_ms=ISSUED_MS, ttl_s=7200, reason="key lost", successor=BOB.public_key),
        ),
        "revocation, no successor": (ALICE, Revocation(public_key=key, issued_ms=ISSUED_MS, ttl_s=7200)),
    }


def messages() -> dict[str, Message]:
    """Return each message at least once."""
    signed = {name: sign_record(keys, record) for name, (keys, record) in records().items()}
    node, tag = signed["node"], signed["tag entry"]
    contacts = (Contact(BOB.public_key, IPV4), Contact(ALICE.public_key, IPV6))
    return {
        "ping": Ping(),
        "pong": Pong(),
        "find node": FindNode(ALICE.node_id),
        "nodes": Nodes(contacts, TOKEN),
        "nodes, none, holder full": Nodes(()),
        "find record": FindRecord(node.record.key, ALICE.public_key),
        "find record of any signer": FindRecord(node.record.key),
        "found record": FoundRecord(node.wire, contacts, TOKEN),
        "found no record": FoundRecord(None, contacts, TOKEN),
        "find entries": FindEntries(tag.record.key, 8),
        "found entries": FoundEntries((tag.wire,), 9, contacts, TOKEN),
        "store": Store(node.record.key, TOKEN, node.wire),
        "store entry": StoreEntry(tag.record.key, TOKEN, tag.wire),
        "stored": Stored(StoreCode.STORED),
        "not stored, revoked": Stored(StoreCode.REVOKED),
    }


def envelope(message: Message) -> Envelope:
    """Return a message as it travels."""
    observed = IPV4 if isinstance(message, Reply) else None
    return Envelope(message, REQUEST_ID, Flags.CLIENT if observed is None else Flags.NONE, TOKEN, observed)


def sealed() -> list[dict[str, object]]:
    """Return sealed datagrams, on the public mesh and on a private one."""
    made = []
    for network, network_key in ((0, b""), (7, b"a shared secret")):
        for day in (0, 20_717):
            nonce = bytes(range(12))
            plaintext = envelope(Ping()).encoded(size_bytes=48)
            sealer = Sealer(ALICE, salt=network_salt(network, network_key), capacity=4)
            datagram = sealer.seal(BOB.public_key, plaintext, nonce=nonce, unix_time=day * 86_400 + 43_200)
            made.append(
                {
                    "network": network,
                    "network_key": network_key.hex(),
                    "day": day,
                    "sender_seed": bytes(range(32)).hex(),
                    "receiver_seed": bytes(range(32, 64)).hex(),
                    "nonce": nonce.hex(),
                    "plaintext": plaintext.hex(),
                    "datagram": datagram.hex(),
                }
            )
    return made


def vectors() -> dict[str, object]:
    """Return all vectors."""
    return {
        "identity": [
            {
                "seed": seed.hex(),
                "public_key": keys.public_key.hex(),
                "node_id": keys.node_id.hex(),
                "address": str(keys.address),
                "did": keys.did,
                "certificate_der_bytes": len(make_certificate(keys).tbs_certificate_bytes),
            }
            for seed, keys in ((bytes(range(32)), ALICE), (bytes(range(32, 64)), BOB))
        ],
        "agreement": {
            "seed": bytes(range(32)).hex(),
            "peer_seed": bytes(range(32, 64)).hex(),
            "secret": ALICE.agree(BOB.public_key).hex(),
        },
        "keys": {
            "node": node_key(ALICE.address).hex(),
            "name agent-alpha": name_key("agent-alpha").hex(),
            "name agent-alpha, network 7": name_key("agent-alpha", network=7).hex(),
            "tag mcp": tag_key("mcp").hex(),
            "tag mcp, shard 3": tag_key("mcp", shard=3).hex(),
        },
        "records": {
            name: {"key": record.key.hex(), "body": record.body().hex(), "wire": sign_record(keys, record).wire.hex()}
            for name, (keys, record) in records().items()
        },
        "messages": {name: envelope(message).encoded().hex() for name, message in messages().items()},
        "sealed": sealed(),
    }


if __name__ == "__main__":
    json.dump(vectors(), sys.stdout, indent=1)
    sys.stdout.write("\n")
