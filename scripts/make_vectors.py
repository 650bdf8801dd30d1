"""Write the test vectors of the wire format: ``python scripts/make_vectors.py > tests/vectors/wire.json``.

All inputs are fixed, so the file changes only when the wire format does. Another implementation can read each vector by
itself: bytes are hex, and what they mean stands beside them.
"""

from __future__ import annotations

import json
import sys

from pilotdht.identity.certificate import make_certificate
from pilotdht.identity.keys import KeyPair
from pilotdht.wire.broadcast_messages import (
    Announce,
    Events,
    FetchEvents,
    FetchStreams,
    Graft,
    Grafted,
    LinkState,
    Neighbour,
    Neighbourhood,
    Position,
    Push,
    Pushed,
    PushOutcome,
    Relink,
    Streams,
    Walk,
    WalkKind,
    Wish,
)
from pilotdht.wire.certificates import Chain, Role, chain_untrusted, issue
from pilotdht.wire.contact import Contact
from pilotdht.wire.dht_messages import (
    FindEntries,
    FindNode,
    FindRecord,
    FoundEntries,
    FoundRecord,
    Nodes,
    Ping,
    Pong,
    Store,
    StoreCode,
    Stored,
    StoreEntry,
)
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.envelope import Envelope
from pilotdht.wire.events import EventBody, sign_event
from pilotdht.wire.gossip_messages import (
    Facts,
    FetchFacts,
    Gossip,
    Probe,
    ProbeAck,
    ProbeFor,
    ProbeOutcome,
    Summaries,
    Summarise,
)
from pilotdht.wire.group_records import GroupEntry, GroupNotice, group_entry_key, group_notice_key
from pilotdht.wire.group_tokens import token_group_keys
from pilotdht.wire.groups import keyed_group_id, open_group_id
from pilotdht.wire.invitations import Invitation, KeyedKind, invite
from pilotdht.wire.letter import letter_id, seal_letter
from pilotdht.wire.letter_messages import Collect, Leave, LeaveResult, Left, Letters, LettersWait
from pilotdht.wire.membership import FactKind, MemberFact, Suspicion, sign_fact, sign_suspicion
from pilotdht.wire.message import Flags, Message, Reply
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
from pilotdht.wire.renewal_messages import Renew, Renewed
from pilotdht.wire.revocations import revoke
from pilotdht.wire.rotations import rotate
from pilotdht.wire.seal import Sealer, network_salt
from pilotdht.wire.traversal_messages import (
    Attach,
    Attached,
    Call,
    Called,
    CallResult,
    HangUp,
    KnockFor,
    Knocking,
    Meet,
    Met,
    NatMapping,
    Ring,
    Rung,
    SendKnocks,
)

ALICE = KeyPair.from_seed(bytes(range(32)))
BOB = KeyPair.from_seed(bytes(range(32, 64)))
GROUP = KeyPair.from_seed(bytes(range(64, 96)))
INVITER_SEED = bytes(range(96, 128))
EPHEMERAL_SEED = bytes(range(128, 160))
ISSUED_S = 1_790_000_000
EXPIRES_S = 1_800_000_000
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
        "group entry, open": (
            ALICE,
            GroupEntry(public_key=key, issued_ms=ISSUED_MS, ttl_s=3600, group=open_group_id("research"), shard=3),
        ),
        "group entry, keyed": (
            ALICE,
            GroupEntry(
                public_key=key,
                issued_ms=ISSUED_MS,
                ttl_s=3600,
                group=keyed_group_id(GROUP.public_key),
                chain=chains()["admin"],
            ),
        ),
        "group notice, revocation by an admin": (
            ALICE,
            GroupNotice(
                public_key=key,
                issued_ms=ISSUED_MS,
                ttl_s=3600,
                notice=revoke(
                    ALICE,
                    chains()["admin"],
                    holder=BOB.public_key,
                    issued_ms=ISSUED_MS,
                    until_s=EXPIRES_S,
                    reason="key lost",
                ),
            ),
        ),
        "group notice, rotation": (
            ALICE,
            GroupNotice(
                public_key=key,
                issued_ms=ISSUED_MS,
                ttl_s=3600,
                notice=rotate(GROUP, successor=BOB.public_key, issued_ms=ISSUED_MS, until_s=EXPIRES_S),
                chain=chains()["admin"],
            ),
        ),
    }


def certified(keys: KeyPair, above: Chain | None, holder: KeyPair, role: Role, hostname: str = "") -> Chain:
    """Return a chain with one link more."""
    wire = issue(
        keys,
        above,
        holder=holder.public_key,
        role=role,
        issued_s=ISSUED_S,
        expires_s=EXPIRES_S,
        hostname=hostname,
    )
    return chain_untrusted(wire, GROUP.public_key)


def chains() -> dict[str, Chain]:
    """Return certificates of each role, and the longest way from a group's key to a member."""
    admin = certified(GROUP, None, ALICE, Role.ADMIN, "alice")
    inviter = certified(ALICE, admin, KeyPair.from_seed(INVITER_SEED), Role.INVITER, "bob")
    return {
        "admin": admin,
        "inviter": inviter,
        "member": certified(GROUP, None, BOB, Role.MEMBER),
        "member by a bearer invitation of an admin": certified(
            KeyPair.from_seed(INVITER_SEED), inviter, BOB, Role.MEMBER
        ),
    }


def invitations() -> dict[str, Invitation]:
    """Return an invitation for whoever has it, and one for a certain key."""
    return {
        "bearer": invite(
            ALICE,
            chains()["admin"],
            name="research",
            kind=KeyedKind.INVITE,
            seed=INVITER_SEED,
            issued_s=ISSUED_S,
            expires_s=EXPIRES_S,
            hostname="bob",
            hints=("192.0.2.7:4433",),
        ),
        "for a key": invite(
            GROUP,
            None,
            name="acme",
            kind=KeyedKind.ORG,
            role=Role.ADMIN,
            holder=BOB.public_key,
            issued_s=ISSUED_S,
            expires_s=EXPIRES_S,
        ),
    }


def groups() -> dict[str, object]:
    """Return what groups are known by, and what proves who is in one."""
    keyed = keyed_group_id(GROUP.public_key)
    return {
        "group_seed": bytes(range(64, 96)).hex(),
        "group_key": GROUP.public_key.hex(),
        "ids": {
            "open research": open_group_id("research").hex(),
            "open research, network 7": open_group_id("research", network=7).hex(),
            "keyed": keyed.hex(),
            "keyed, network 7": keyed_group_id(GROUP.public_key, network=7).hex(),
        },
        "keys": {
            "open research": group_entry_key(open_group_id("research"), is_keyed=False).hex(),
            "keyed, shard 3": group_entry_key(keyed, is_keyed=True, shard=3).hex(),
            "notice about bob": group_notice_key(keyed, BOB.public_key).hex(),
        },
        "token": {
            "name": "finance",
            "token": "correct horse battery staple",
            "group_key": token_group_keys("finance", "correct horse battery staple").public_key.hex(),
        },
        "chains": {
            name: {"holder": chain.holder.hex(), "role": int(chain.role), "wire": chain.wire.hex()}
            for name, chain in chains().items()
        },
        "invitations": {name: invitation.text() for name, invitation in invitations().items()},
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
        **membership_messages(),
        **broadcast_messages(),
        **traversal_messages(),
        **letter_messages(),
    }


def membership_messages() -> dict[str, Message]:
    """Return each message of membership, with each thing that members say of one another."""
    group = open_group_id("research")
    full = MemberFact(
        group=group,
        public_key=ALICE.public_key,
        incarnation=ISSUED_MS,
        endpoints=(IPV4, IPV6),
        hostname="agent-alpha",
        tags=("finance", "mcp"),
        capabilities=("citations",),
        load=42,
        version="1.0",
        chain=chains()["admin"].wire,
    )
    left = MemberFact(group=group, public_key=BOB.public_key, kind=FactKind.LEFT, incarnation=ISSUED_MS + 1)
    fact, farewell = sign_fact(ALICE, full).item, sign_fact(BOB, left).item
    doubt = Suspicion(group=group, suspect=ALICE.node_id, incarnation=ISSUED_MS, accuser=BOB.public_key)
    suspicion = sign_suspicion(BOB, doubt).item
    return {
        "probe with a suspicion and a fact": Probe(group, (suspicion, fact)),
        "probe": Probe(group),
        "probe ack with a farewell": ProbeAck((farewell,)),
        "probe for": ProbeFor(group, ALICE.node_id, 250),
        "probe outcome, alive": ProbeOutcome(is_alive=True),
        "probe outcome, nack": ProbeOutcome(is_alive=False),
        "gossip": Gossip(group, (fact, farewell)),
        "summarise members, all of them": Summarise(group, 0, ("",)),
        "summarise events, two parts": Summarise(group, 1, ("0", "a1")),
        "summaries, divided and not": Summaries((bytes(range(96)), bytes(range(6)))),
        "fetch facts": FetchFacts(group, "a1", ALICE.node_id),
        "facts, one of them dead": Facts((fact, farewell), (ALICE.node_id,), is_last=False),
        "facts, none": Facts(()),
        "renew": Renew(keyed_group_id(GROUP.public_key), chains()["admin"].wire),
        "renewed": Renewed(chains()["admin"].wire),
        "renewed, not by this member": Renewed(b""),
    }


def broadcast_messages() -> dict[str, Message]:
    """Return each message that spreads events, with a short and a long event."""
    group = open_group_id("research")
    short = EventBody(
        group=group,
        topic="prices.eur",
        sender=ALICE.public_key,
        epoch_ms=ISSUED_MS,
        sequence=1,
        sent_ms=ISSUED_MS + 5,
        data=b"1.0831",
    )
    long = EventBody(
        group=group,
        topic="broadcast",
        sender=BOB.public_key,
        epoch_ms=ISSUED_MS,
        sequence=2,
        sent_ms=ISSUED_MS + 6,
        size_bytes=70_000,
        digest=bytes(range(32)),
    )
    event, other = sign_event(ALICE, short), sign_event(BOB, long)
    ids, contact = (event.event_id, other.event_id), Contact(BOB.public_key, IPV4)
    return {
        "push": Push(group, 0, event.item),
        "push of an event with a long content": Push(group, 3, other.item),
        "pushed, new": Pushed(PushOutcome.NEW, is_neighbour=True),
        "announce": Announce(group, 2, ids),
        "graft": Graft(group, event.event_id),
        "grafted": Grafted(2, event.item),
        "grafted, not kept": Grafted(0, b""),
        "fetch events": FetchEvents(group, ALICE.node_id, ISSUED_MS, 1),
        "events": Events((event.item,), is_last=True),
        "fetch streams": FetchStreams(group, "a1"),
        "streams": Streams((Position(ALICE.node_id, ISSUED_MS, 1, 7),), is_last=False),
        "neighbour": Neighbour(group, Wish.LOW, ids),
        "neighbourhood": Neighbourhood(is_neighbour=True, contacts=(contact,), ids=ids),
        "walk of a newcomer": Walk(group, WalkKind.JOIN, 6, contact),
        "walk of a shuffle, its sender's own": Walk(group, WalkKind.SHUFFLE, 6, None, (contact,)),
        "relink": Relink(group, LinkState.LAZY),
    }


def traversal_messages() -> dict[str, Message]:
    """Return each message about nodes behind NATs."""
    channel_id = bytes.fromhex("c1c2c3c4c5c6c7c8")
    return {
        "attach": Attach(),
        "attached": Attached(CallResult.OK, 60, is_relay=True),
        "not attached, address unproven": Attached(CallResult.UNPROVEN),
        "call": Call(BOB.public_key),
        "called": Called(CallResult.OK, channel_id, is_relay=True),
        "not called, nobody of that key here": Called(CallResult.NOT_ATTACHED),
        "ring": Ring(ALICE.public_key, channel_id),
        "rung": Rung(is_taken=True),
        "meet": Meet((IPV4, IPV6), NatMapping.ENDPOINT_INDEPENDENT),
        "met": Met((IPV6,), NatMapping.ADDRESS_AND_PORT_DEPENDENT),
        "met, nothing known": Met(()),
        "hang up": HangUp(channel_id),
        "send knocks": SendKnocks(),
        "knocking": Knocking(2),
        "knock for": KnockFor(Contact(ALICE.public_key, IPV4)),
    }


def letter(content: bytes = b"a word of trust") -> bytes:
    """Return a letter from Alice to Bob on the public mesh."""
    salt = network_salt(0, b"")
    return seal_letter(ALICE, BOB.public_key, content, salt=salt, ephemeral_seed=EPHEMERAL_SEED, unix_time=ISSUED_S)


def letter_messages() -> dict[str, Message]:
    """Return each message about letters."""
    return {
        "leave": Leave(BOB.public_key, 604_800, letter()),
        "left": Left(LeaveResult.KEPT),
        "collect": Collect((letter_id(letter()),), (bytes(range(8)),)),
        "letters": Letters((letter(),), 2),
        "letters wait": LettersWait(3),
    }


def letters() -> list[dict[str, str]]:
    """Return a letter of each length, from Alice to Bob, with the same ephemeral key, on the public mesh."""
    made = {content: letter(content) for content in (b"a word of trust", bytes(300), bytes(858))}
    return [{"content": text.hex(), "id": letter_id(one).hex(), "letter": one.hex()} for text, one in made.items()]


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
        "groups": groups(),
        "messages": {name: envelope(message).encoded().hex() for name, message in messages().items()},
        "sealed": sealed(),
        "letters": letters(),
    }


if __name__ == "__main__":
    json.dump(vectors(), sys.stdout, indent=1)
    sys.stdout.write("\n")
