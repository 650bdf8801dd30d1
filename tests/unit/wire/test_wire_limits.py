"""Each field at and beyond its extremes; sizes that must fit; endpoints and contacts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pilotdht.errors import BadMessage, InvalidArgument
from pilotdht.identity.ids import NODE_ID_BYTES, NodeId, PublicKey
from pilotdht.identity.keys import KeyPair
from pilotdht.wire.codec import decode_list_untrusted, encode
from pilotdht.wire.contact import Contact, contact_untrusted
from pilotdht.wire.dht_messages import (
    MAX_CONTACTS,
    MAX_ENTRIES,
    FindNode,
    FoundEntries,
    FoundRecord,
    Nodes,
    Ping,
    Store,
    StoreCode,
)
from pilotdht.wire.endpoint import Endpoint, parse_endpoint, unpack_endpoint_untrusted
from pilotdht.wire.envelope import Envelope, envelope_untrusted
from pilotdht.wire.records import (
    CLOCK_SKEW_S,
    FINAL_SEQUENCE,
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
from pilotdht.wire.seal import SEAL_OVERHEAD_BYTES

ALICE = KeyPair.from_seed(b"\x01" * 32)
KEY = ALICE.public_key
IPV6 = Endpoint("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", 65535)
CONTACT = Contact(KEY, IPV6)
ID = b"\x01" * 8
TOKEN = b"\x02" * 8
NODE_BODY: list[object] = [1, 1, 0, KEY, 1, 1, "", [], [], [], [], [], 0]


def signed(body: list[object]) -> bytes:
    """Return a rightly signed record with this body."""
    encoded = encode(body)
    return encode([encoded, ALICE.sign(b"pilotdht/1 record" + encoded)])


@pytest.mark.parametrize(
    ("at", "value", "is_good"),
    [
        (0, 2, False),
        (0, True, False),
        (1, 0, False),
        (1, 5, False),
        (1, 256, False),
        (2, 65535, True),
        (2, 65536, False),
        (2, -1, False),
        (3, b"", False),
        (3, KEY[:31], False),
        (3, KEY.hex(), False),
        (4, 0, False),
        (4, 2**53, True),
        (4, 2**53 + 1, False),
        (4, 1.0, False),
        (5, 0, False),
        (5, 7200, True),
        (5, 7201, False),
        (6, "h" * 63, True),
        (6, "h" * 64, False),
        (6, "H", False),
        (6, None, False),
        (7, ["t" * 32] * 8, True),
        (7, ["t"] * 9, False),
        (7, ["t" * 33], False),
        (7, [b"t"], False),
        (7, "t", False),
        (8, [IPV6.packed()] * 8, True),
        (8, [IPV6.packed()] * 9, False),
        (8, [IPV6.packed()[:-1]], False),
        (9, [CONTACT.packed()] * 3, True),
        (9, [CONTACT.packed()] * 4, False),
        (9, [[KEY]], False),
        (10, [CONTACT.packed()] * 3, True),
        (10, [CONTACT.packed()] * 4, False),
        (11, [["s" * 32, 65535]] * 8, True),
        (11, [["s", 1]] * 9, False),
        (11, [["s", 0]], False),
        (11, [["s", 65536]], False),
        (11, [["s"]], False),
        (11, [["s", 1, 1]], False),
        (11, [["", 1]], False),
        (12, 255, True),
        (12, 256, False),
        (12, -1, False),
        (12, None, False),
    ],
)
def test_node_record_field_at_its_extremes(at: int, value: object, is_good: bool) -> None:
    """The largest value is taken and the next one refused, rightly signed as it may be."""
    wire = signed([*NODE_BODY[:at], value, *NODE_BODY[at + 1 :]])
    if is_good:
        assert wire == signed_record_untrusted(wire).wire
    else:
        with pytest.raises(BadMessage):
            signed_record_untrusted(wire)


@pytest.mark.parametrize(
    ("kind", "fields", "is_good"),
    [
        (2, ["host"], True),
        (2, [""], False),
        (2, ["host", "from a later version"], True),
        (3, ["tag", 255], True),
        (3, ["tag", 256], False),
        (3, ["tag"], False),
        (3, ["", 0], False),
        (4, ["r" * 120, None], True),
        (4, ["r" * 121, None], False),
        (4, ["\x1b[2J", None], False),
        (4, ["two\nlines", None], False),
        (4, ["r", KEY], True),
        (4, ["r", KEY[:5]], False),
    ],
)
def test_other_record_field_at_its_extremes(kind: int, fields: list[object], is_good: bool) -> None:
    """As above, for claims, entries and revocations."""
    wire = signed([1, kind, 0, KEY, 1, 3600, *fields])
    if is_good:
        signed_record_untrusted(wire)
    else:
        with pytest.raises(BadMessage):
            signed_record_untrusted(wire)


def test_record_signed_by_another_key_is_refused() -> None:
    """The signer is the key that the record names."""
    other = KeyPair.from_seed(b"\x02" * 32)
    record = NameClaim(public_key=KEY, issued_ms=1, ttl_s=1, hostname="a")
    with pytest.raises(ValueError, match="signed by the key"):
        sign_record(other, record)
    body = record.body()
    for signature in (other.sign(b"pilotdht/1 record" + body), ALICE.sign(body), bytes(64)):
        with pytest.raises(BadMessage, match="record_signature"):
            signed_record_untrusted(encode([body, signature]))


def test_record_of_700_bytes_fits_and_more_does_not() -> None:
    """The bound is exact, for writers and readers."""
    record = NodeRecord(public_key=KEY, issued_ms=2**53, ttl_s=7200, flags=NodeFlags.SERVER)
    record = replace(record, endpoints=(IPV6,) * 8, relays=(CONTACT,) * 3)
    while len(sign_record(ALICE, record).wire) < MAX_RECORD_BYTES:
        try:
            grown = replace(record, hostname=record.hostname + "h") if len(record.hostname) < 63 else None
            grown = grown or replace(record, services=(*record.services, Service(name="s", port=1)))
            sign_record(ALICE, grown)
        except ValueError:
            break
        record = grown
    assert MAX_RECORD_BYTES - 4 <= len(sign_record(ALICE, record).wire) <= MAX_RECORD_BYTES
    with pytest.raises(ValueError, match="at most 700"):
        sign_record(ALICE, replace(record, tags=("t" * 32,)))
    with pytest.raises(BadMessage, match="record_size"):
        signed_record_untrusted(bytes(MAX_RECORD_BYTES + 1))


def test_largest_record_fits_in_a_datagram_with_contacts() -> None:
    """A reply with a full record still has room for the replicas' contacts in 1,200 bytes."""
    reply = FoundRecord(bytes(MAX_RECORD_BYTES), (CONTACT,) * 5, TOKEN)
    size = len(Envelope(reply, ID, token=TOKEN, observed=IPV6).encoded())
    assert size + SEAL_OVERHEAD_BYTES <= 1200
    store = Store(RecordKey(bytes(NODE_ID_BYTES)), TOKEN, bytes(MAX_RECORD_BYTES))
    assert len(Envelope(store, ID, token=TOKEN).encoded()) + SEAL_OVERHEAD_BYTES <= 1200


def test_record_lives_from_issue_to_expiry() -> None:
    """Neither expired nor too far ahead; nothing outranks a revocation."""
    entry = TagEntry(public_key=KEY, issued_ms=10_000_000, ttl_s=60, tag="t")
    issued_s = 10_000.0
    assert [False, True, True, False] == [
        entry.is_live(at)
        for at in (issued_s - CLOCK_SKEW_S - 0.001, issued_s - CLOCK_SKEW_S, issued_s + 59.999, issued_s + 60)
    ]
    revocation = Revocation(public_key=KEY, issued_ms=1, ttl_s=1)
    assert FINAL_SEQUENCE == revocation.sequence
    assert NodeRecord(public_key=KEY, issued_ms=1, ttl_s=1).key == revocation.key


@pytest.mark.parametrize(
    "values",
    [
        [],
        [1, ID, 0],
        [99, ID, 0, b""],
        [True, ID, 0, b""],
        [1, ID[:7], 0, b""],
        [1, ID, 256, b""],
        [1, ID, -1, b""],
        [1, ID, 0, b"x" * 9],
        [1, ID, 0, None],
        [2, ID, 0, b""],
        [2, ID, 0, b"", b"x" * 19],
        [3, ID, 0, b"", bytes(20), b"short"],
        [4, ID, 0, b"", bytes(20), 2**16 + 1],
        [5, ID, 0, b"", bytes(20), TOKEN, bytes(701)],
        [33, ID, 0, b"\x00" * 6, b""],
        [33, ID, 0, None, b""],
        [33, ID, 0, b""],
        [34, ID, 0, Endpoint("192.0.2.1", 1).packed(), b"", b"", [CONTACT.packed()] * 21],
        [36, ID, 0, Endpoint("192.0.2.1", 1).packed(), b"", b"", [b""] * 9, 0, []],
        [37, ID, 0, Endpoint("192.0.2.1", 1).packed(), b"", max(StoreCode) + 1],
    ],
)
def test_envelope_malformed_is_refused(values: list[object]) -> None:
    """Unknown types, and fields out of range, are bad messages."""
    body = encode(values)
    with pytest.raises(BadMessage):
        envelope_untrusted(len(body).to_bytes(2, "big") + body)


def test_envelope_of_a_later_version_is_read() -> None:
    """More fields and unknown flags are ignored, so that later versions can add them."""
    body = encode([1, ID, 0xFF, b"", "new field"])
    read = envelope_untrusted(len(body).to_bytes(2, "big") + body)
    assert (Ping(), 1) == (read.message, int(read.flags))


def test_message_lists_at_their_bounds_are_read() -> None:
    """The largest replies read back as they were."""
    for reply in (
        Nodes((CONTACT,) * MAX_CONTACTS, TOKEN),
        FoundEntries((b"e",) * MAX_ENTRIES, 2**16, (CONTACT,) * MAX_CONTACTS, TOKEN),
    ):
        envelope = Envelope(reply, ID, token=TOKEN, observed=IPV6)
        assert envelope == envelope_untrusted(envelope.encoded())
    assert (
        FindNode(NodeId(bytes(20))) == envelope_untrusted(Envelope(FindNode(NodeId(bytes(20))), ID).encoded()).message
    )


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("127.0.0.1:4000", Endpoint("127.0.0.1", 4000)),
        ("[::1]:65535", Endpoint("::1", 65535)),
        ("[2001:DB8:0::7]:1", Endpoint("2001:db8::7", 1)),
        ("[::ffff:192.0.2.1]:5", Endpoint("192.0.2.1", 5)),
    ],
)
def test_endpoint_text_has_one_spelling(text: str, endpoint: Endpoint) -> None:
    """Whatever is written, one endpoint comes out, and travels unchanged."""
    parsed = parse_endpoint(text)
    assert endpoint == parsed == parse_endpoint(str(parsed)) == unpack_endpoint_untrusted(parsed.packed())


@pytest.mark.parametrize(
    "text", ["", ":1", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", "host:1", "::1", "1.2.3:4", "[::1]"]
)
def test_endpoint_text_malformed_is_refused(text: str) -> None:
    """No names, no port 0, no guessing."""
    with pytest.raises(InvalidArgument):
        parse_endpoint(text)


@pytest.mark.parametrize(
    "data",
    [
        None,
        "x" * 6,
        b"",
        b"x" * 5,
        b"x" * 7,
        b"\x01\x01\x01\x01\0\0",
        b"\0\x01\x01\x01\0\1",
        b"\xe0\0\0\x01\0\1",
        b"\xff\xff\xff\xff\0\1",
        bytes(16) + b"\0\1",
        b"\xff\x02" + bytes(14) + b"\0\1",
        bytes(10) + b"\xff\xff\xc0\0\x02\x01\0\1",
    ],
)
def test_endpoint_bytes_that_lead_nowhere_are_refused(data: object) -> None:
    """Multicast, unspecified, mapped and broadcast addresses are not taken from the network."""
    with pytest.raises(BadMessage):
        unpack_endpoint_untrusted(data)


def test_contact_is_compared_by_key_and_endpoint() -> None:
    """A contact reads back equal, and its id follows from its key."""
    assert CONTACT == contact_untrusted(CONTACT.packed())
    assert hash(CONTACT) == hash(contact_untrusted(CONTACT.packed()))
    assert CONTACT != Contact(KEY, Endpoint("192.0.2.1", 1))
    assert CONTACT != Contact(PublicKey(bytes(32)), IPV6)
    for data in (None, [], [KEY], [KEY, IPV6.packed(), 1], [IPV6.packed(), KEY], (KEY, IPV6.packed())):
        with pytest.raises(BadMessage):
            contact_untrusted(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80",
        b"\x91",
        b"\x01",
        b"\x91\x01\x01",
        b"\x91\xa1\xff",
        b"\x91\x81\x01\x02",
        b"\xdd\xff\xff\xff\xff",
        b"\x91" * 2000,
    ],
)
def test_codec_of_anything_but_one_list_is_refused(data: bytes) -> None:
    """Empty, cut, extended, wrong, too long and too deep."""
    with pytest.raises(BadMessage):
        decode_list_untrusted(data)
