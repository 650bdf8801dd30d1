"""Any bytes are a message or a BadMessage; any value reads back; shortened replies really are shorter."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotdht.errors import BadMessage
from pilotdht.identity.ids import NODE_ID_BYTES, NodeId, PublicKey
from pilotdht.identity.keys import KeyPair
from pilotdht.wire.codec import decode_list_untrusted, encode
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
from pilotdht.wire.envelope import Envelope, envelope_untrusted
from pilotdht.wire.message import Flags, Message, Reply
from pilotdht.wire.records import (
    MAX_RECORD_BYTES,
    NameClaim,
    NodeFlags,
    NodeRecord,
    RecordKey,
    Revocation,
    Service,
    TagEntry,
    sign_record,
    signed_record_untrusted,
)
from pilotdht.wire.seal import Sealer, network_salt

pytestmark = pytest.mark.property

ALICE, BOB = (KeyPair.from_seed(bytes([number]) * 32) for number in (1, 2))

ports = st.integers(1, 65535)
ipv4 = st.ip_addresses(v=4).filter(lambda a: 0 < int(a) >> 24 < 224)
nowhere = ipaddress.IPv6Network("100::/64")
ipv6 = st.ip_addresses(v=6).filter(
    lambda a: (
        isinstance(a, ipaddress.IPv6Address)
        and a.ipv4_mapped is None
        and int(a) != 0
        and int(a) >> 120 != 0xFF
        and a not in nowhere
    )
)
endpoints = st.builds(lambda address, port: Endpoint(str(address), port), st.one_of(ipv4, ipv6), ports)
public_keys = st.binary(min_size=32, max_size=32).map(PublicKey)
contacts = st.builds(Contact, public_keys, endpoints)
contact_lists = st.lists(contacts, max_size=20).map(tuple)
tokens = st.binary(max_size=8)
record_bytes = st.binary(max_size=MAX_RECORD_BYTES)
keys = st.binary(min_size=NODE_ID_BYTES, max_size=NODE_ID_BYTES)

requests: st.SearchStrategy[Message] = st.one_of(
    st.just(Ping()),
    st.builds(FindNode, keys.map(NodeId)),
    st.builds(FindRecord, keys.map(RecordKey), st.none() | public_keys),
    st.builds(FindEntries, keys.map(RecordKey), st.integers(0, 2**16)),
    st.builds(Store, keys.map(RecordKey), tokens, record_bytes),
    st.builds(StoreEntry, keys.map(RecordKey), tokens, record_bytes),
)
replies: st.SearchStrategy[Reply] = st.one_of(
    st.just(Pong()),
    st.builds(Nodes, contact_lists, tokens),
    st.builds(FoundRecord, st.none() | record_bytes, contact_lists, tokens),
    st.builds(
        FoundEntries, st.lists(record_bytes, max_size=8).map(tuple), st.integers(0, 2**16), contact_lists, tokens
    ),
    st.builds(Stored, st.sampled_from(StoreCode)),
)

hostnames = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
tags = st.from_regex(r"[a-z0-9][a-z0-9._:-]{0,10}", fullmatch=True)
dates = st.integers(1, 2**53)
networks = st.integers(0, 65535)
records = st.one_of(
    st.builds(
        NodeRecord,
        public_key=st.just(ALICE.public_key),
        network=networks,
        issued_ms=dates,
        ttl_s=st.integers(1, 7200),
        hostname=st.just("") | hostnames,
        tags=st.lists(tags, max_size=8).map(tuple),
        endpoints=st.lists(endpoints, max_size=8).map(tuple),
        introducers=st.lists(contacts, max_size=1).map(tuple),
        relays=st.lists(contacts, max_size=1).map(tuple),
        services=st.lists(st.builds(Service, name=tags, port=ports), max_size=3).map(tuple),
        flags=st.sampled_from(NodeFlags),
    ),
    st.builds(
        NameClaim,
        public_key=st.just(ALICE.public_key),
        network=networks,
        issued_ms=dates,
        ttl_s=st.integers(1, 3600),
        hostname=hostnames,
    ),
    st.builds(
        TagEntry,
        public_key=st.just(ALICE.public_key),
        network=networks,
        issued_ms=dates,
        ttl_s=st.integers(1, 3600),
        tag=tags,
        shard=st.integers(0, 255),
    ),
    st.builds(
        Revocation,
        public_key=st.just(ALICE.public_key),
        network=networks,
        issued_ms=dates,
        ttl_s=st.integers(1, 7200),
        reason=st.text(max_size=120).filter(str.isprintable),
        successor=st.none() | public_keys,
    ),
)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.binary(max_size=40) | st.text(max_size=40),
    lambda children: st.lists(children, max_size=6),
    max_leaves=20,
)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """No bytes make a decoder raise anything but BadMessage."""
    sealer = Sealer(BOB, salt=network_salt(0, b""), capacity=2)
    for read in (
        lambda: decode_list_untrusted(data),
        lambda: envelope_untrusted(data),
        lambda: envelope_untrusted(len(data).to_bytes(2, "big") + data),
        lambda: signed_record_untrusted(data),
        lambda: sealer.open_untrusted(b"\x20" + data, unix_time=1e9),
    ):
        try:
            read()
        except BadMessage:
            continue


@settings(deadline=None)
@given(st.lists(plain, max_size=9), st.integers(0, 40))
def test_any_values_in_a_message_are_read_or_refused(values: list[object], code: int) -> None:
    """Well-formed lists of wrong things are refused as cleanly as garbage."""
    for fields in ([code, bytes(8), 0, b"", *values], [code, bytes(8), 0, b"\x01" * 6, b"", *values], values):
        body = encode(fields)
        try:
            envelope_untrusted(len(body).to_bytes(2, "big") + body)
        except BadMessage:
            continue


@settings(deadline=None)
@given(st.lists(plain, max_size=9), st.integers(0, 6))
def test_any_values_in_a_record_are_read_or_refused(values: list[object], kind: int) -> None:
    """Rightly signed nonsense is nonsense."""
    body = encode([1, kind, 0, ALICE.public_key, 1, 1, *values])
    try:
        signed_record_untrusted(encode([body, ALICE.sign(b"pilotdht/1 record" + body)]))
    except BadMessage:
        return


@settings(deadline=None)
@given(st.lists(plain, max_size=9))
def test_list_reads_back(values: list[object]) -> None:
    """The codec loses nothing."""
    assert values == decode_list_untrusted(encode(values))


@settings(deadline=None)
@given(
    st.one_of(requests, replies),
    st.binary(min_size=8, max_size=8),
    st.sampled_from(Flags),
    tokens,
    endpoints,
    st.integers(0, 1200),
)
def test_envelope_reads_back(
    message: Message, request_id: bytes, flags: Flags, token: bytes, observed: Endpoint, size_bytes: int
) -> None:
    """What is written is read, padded or not."""
    envelope = Envelope(message, request_id, flags, token, observed if isinstance(message, Reply) else None)
    data = envelope.encoded(size_bytes=size_bytes)
    assert len(data) >= size_bytes
    assert envelope == envelope_untrusted(data)


@settings(deadline=None)
@given(replies, st.integers(-5, 3000))
def test_shortened_reply_is_short_enough_or_minimal(reply: Reply, excess_bytes: int) -> None:
    """A reply loses at least the excess, or all that it can lose; and never what it need not."""
    shorter = reply.shortened(excess_bytes)
    before, after = len(encode(reply.fields())), len(encode(shorter.fields()))
    assert type(shorter) is type(reply)
    assert after <= before
    if before - after < excess_bytes:
        assert shorter == shorter.shortened(10_000), "nothing is left that could go"
    if excess_bytes <= 0:
        assert shorter == reply
    kept = getattr(shorter, "contacts", ())
    assert kept == getattr(reply, "contacts", ())[: len(kept)], "the nearest stay"


@settings(deadline=None)
@given(records)
def test_record_reads_back(record: NodeRecord | NameClaim | TagEntry | Revocation) -> None:
    """What is signed is read, with the bytes that were signed."""
    try:
        signed = sign_record(ALICE, record)
    except ValueError:
        assert len(record.body()) > MAX_RECORD_BYTES - 72
        return
    assert signed == signed_record_untrusted(signed.wire)


@settings(deadline=None, max_examples=50)
@given(st.binary(max_size=1200), st.binary(min_size=12, max_size=12), st.integers(0, 2**32))
def test_sealed_opens(plaintext: bytes, nonce: bytes, unix_time: int) -> None:
    """What is sealed opens, on any day."""
    salt = network_salt(0, b"")
    datagram = Sealer(ALICE, salt=salt, capacity=1).seal(BOB.public_key, plaintext, nonce=nonce, unix_time=unix_time)
    opened = Sealer(BOB, salt=salt, capacity=1).open_untrusted(datagram, unix_time=unix_time)
    assert (ALICE.public_key, plaintext) == opened
