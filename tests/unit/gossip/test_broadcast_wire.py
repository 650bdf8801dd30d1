"""Events and the messages that carry them: what is signed, what is refused, what fits in a datagram."""

from __future__ import annotations

from hashlib import sha256

import pytest

from pilotdht.errors import BadMessage
from pilotdht.identity.ids import NodeId, PublicKey
from pilotdht.identity.keys import KeyPair
from pilotdht.wire.broadcast_messages import (
    MAX_ANNOUNCED,
    MAX_CONTACTS,
    MAX_POSITIONS,
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
from pilotdht.wire.codec import decode_list_untrusted, encode
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.envelope import REPLY_OF, Envelope, envelope_untrusted
from pilotdht.wire.events import (
    MAX_EVENT_BYTES,
    MAX_SEQUENCE,
    MAX_UNIX_MS,
    EventBody,
    EventId,
    SignedEvent,
    claimed_event_untrusted,
    event_id_untrusted,
    sign_event,
    signed_event_untrusted,
)
from pilotdht.wire.groups import open_group_id
from pilotdht.wire.message import Message, Reply

GROUP = open_group_id("birds")
KEYS = KeyPair.from_seed(bytes(32))
MOST_PLAINTEXT_BYTES = 1_139
OBSERVED = Endpoint("2001:db8::1", 4433)
EVENT_ID = EventId(NodeId(b"s" * 20), MAX_UNIX_MS, MAX_SEQUENCE)
CONTACTS = tuple(
    Contact(PublicKey(bytes([number]) * 32), Endpoint(f"2001:db8::{number}", 4433)) for number in range(1, 9)
)


def _event(**changes: object) -> SignedEvent:
    fields: dict[str, object] = {
        "group": GROUP,
        "topic": "prices.eur",
        "sender": KEYS.public_key,
        "epoch_ms": 1_700_000_000_000,
        "sequence": 9,
        "sent_ms": 1_700_000_000_001,
        "data": b"1.08",
        **changes,
    }
    return sign_event(KEYS, EventBody(**fields))  # type: ignore[arg-type]  # fields of the right types


def test_event_reads_back() -> None:
    """Short content travels in it, long content by its size and hash."""
    for event in (_event(), _event(data=b"", size_bytes=2**20, digest=b"h" * 32)):
        read = signed_event_untrusted(event.item)
        assert (read.body, read.item, read.event_id) == (event.body, event.item, event.event_id)
        assert read.event_id == (KEYS.node_id, 1_700_000_000_000, 9)


def test_event_changed_anywhere_is_refused() -> None:
    """Every byte is signed, or is the signature."""
    item = _event().item
    for position in range(len(item)):
        changed = item[:position] + bytes([item[position] ^ 1]) + item[position + 1 :]
        with pytest.raises(BadMessage):
            signed_event_untrusted(changed)


def test_event_is_read_without_its_signature_where_that_is_enough() -> None:
    """To find out whether it is known costs no cryptography."""
    body, signature = decode_list_untrusted(_event().item)
    assert isinstance(signature, bytes)
    forged = claimed_event_untrusted(encode([body, bytes(64)]))
    assert forged.event_id.sequence == 9
    assert not forged.is_genuine()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"topic": "Prices"}, "event_topic"),
        ({"topic": "a" * 129}, "text"),
        ({"sequence": 0}, "integer"),
        ({"sequence": 2**32}, "integer"),
        ({"epoch_ms": 1_700_000_000_002}, "event_epoch"),
        ({"sent_ms": 2**48}, "integer"),
        ({"size_bytes": 2**20 + 1, "digest": bytes(32)}, "integer"),
        ({"size_bytes": 5, "digest": bytes(31)}, "bytes"),
        ({"group": b"short"}, "bytes"),
        ({"data": bytes(1000)}, "event_size"),
    ],
)
def test_event_out_of_bounds_is_refused_though_it_is_signed(changes: dict[str, object], reason: str) -> None:
    """A liar signs what it likes."""
    with pytest.raises(BadMessage) as caught:
        claimed_event_untrusted(_event(**changes).item)
    assert caught.value.reason == reason


def test_event_of_a_later_version_is_refused() -> None:
    """Its fields may mean something else."""
    values = decode_list_untrusted(_event().body.encoded())
    body = encode([2, *values[1:]])
    with pytest.raises(BadMessage) as caught:
        claimed_event_untrusted(encode([body, bytes(64)]))
    assert caught.value.reason == "event_version"


def test_event_is_signed_by_its_sender() -> None:
    """Nobody signs for others."""
    with pytest.raises(ValueError, match="signed by its sender"):
        sign_event(KeyPair.from_seed(b"x" * 32), _event().body)


def test_event_content_is_told_by_its_hash() -> None:
    """Nothing else passes, not even of the same size."""
    event = _event(data=b"", size_bytes=3, digest=sha256(b"abc").digest())
    assert event.is_content(b"abc")
    assert not event.is_content(b"abd")
    assert not event.is_content(b"abcd")


def test_event_ids_read_back() -> None:
    """Thirty bytes; number 0 does not exist."""
    assert event_id_untrusted(EVENT_ID.packed()) == EVENT_ID
    for wrong in (EVENT_ID.packed()[:-1], EVENT_ID.packed()[:-4] + bytes(4), "x", None):
        with pytest.raises(BadMessage):
            event_id_untrusted(wrong)


LARGEST: tuple[Message, ...] = (
    Push(GROUP, 255, bytes(MAX_EVENT_BYTES)),
    Pushed(PushOutcome.REFUSED, True),
    Announce(GROUP, 255, (EVENT_ID,) * MAX_ANNOUNCED),
    Graft(GROUP, EVENT_ID),
    Grafted(255, bytes(MAX_EVENT_BYTES)),
    FetchEvents(GROUP, EVENT_ID.sender, MAX_UNIX_MS, MAX_SEQUENCE),
    Events((bytes(MAX_EVENT_BYTES),), False),
    FetchStreams(GROUP, "0123456789", bytes(20)),
    Streams((Position(EVENT_ID.sender, MAX_UNIX_MS, MAX_SEQUENCE + 1, MAX_SEQUENCE),) * MAX_POSITIONS, True),
    Neighbour(GROUP, Wish.REFRESH, (EVENT_ID,) * MAX_ANNOUNCED),
    Neighbourhood(True, CONTACTS[:6], (EVENT_ID,) * 20),
    Walk(GROUP, WalkKind.SHUFFLE, 16, CONTACTS[0], CONTACTS[:MAX_CONTACTS]),
    Walk(GROUP, WalkKind.SHUFFLED, 0, None, ()),
    Relink(GROUP, LinkState.EAGER),
)


@pytest.mark.parametrize("message", LARGEST, ids=lambda message: type(message).__name__)
def test_message_reads_back_and_fits_in_a_datagram(message: Message) -> None:
    """The largest of each type, with the longest addresses."""
    envelope = Envelope(message, bytes(8), token=bytes(8), observed=OBSERVED if isinstance(message, Reply) else None)
    plaintext = envelope.encoded()
    assert envelope_untrusted(plaintext) == envelope
    assert len(plaintext) <= MOST_PLAINTEXT_BYTES


@pytest.mark.parametrize("message", LARGEST, ids=lambda message: type(message).__name__)
def test_message_with_a_field_missing_or_of_another_type_is_refused(message: Message) -> None:
    """No field is taken for granted."""
    fields = message.fields()
    for position in range(len(fields)):
        with pytest.raises(BadMessage):
            type(message).from_fields_untrusted(fields[:position])
        with pytest.raises(BadMessage):
            type(message).from_fields_untrusted([*fields[:position], 1.5, *fields[position + 1 :]])


@pytest.mark.parametrize(
    "reply", [one for one in LARGEST if isinstance(one, Reply) and one.fields() != one.shortened(1).fields()]
)
@pytest.mark.parametrize("excess_bytes", [1, 40, 400, 1000])
def test_reply_shortened_is_shorter(reply: Reply, excess_bytes: int) -> None:
    """What is cut off is at least what was asked for, as far as there is something to cut."""
    shorter = reply.shortened(excess_bytes)
    saved_bytes = len(encode(reply.fields())) - len(encode(shorter.fields()))
    left = sum(len(field) for field in shorter.fields() if isinstance(field, list | bytes))
    assert saved_bytes >= excess_bytes or left == 0


def test_messages_are_answered_or_told() -> None:
    """One-way messages have no reply."""
    assert [REPLY_OF[kind] for kind in (Push, Graft, Neighbour)] == [Pushed, Grafted, Neighbourhood]
    assert [REPLY_OF[kind] for kind in (Announce, Walk, Relink)] == [None, None, None]
