"""Messages about nodes behind NATs: any value reads back, any bytes are a message or a BadMessage."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotdht.errors import BadMessage
from pilotdht.identity.ids import PublicKey
from pilotdht.net.sealing import LEAST_BYTES
from pilotdht.wire.codec import encode
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.envelope import Envelope, envelope_untrusted
from pilotdht.wire.message import Message, Reply
from pilotdht.wire.traversal_messages import (
    MAX_KNOCKS,
    MAX_LIFETIME_S,
    MAX_MEETING_ENDPOINTS,
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

pytestmark = pytest.mark.property

keys = st.binary(min_size=32, max_size=32).map(PublicKey)
channel_ids = st.binary(min_size=8, max_size=8)
refusals = st.sampled_from([result for result in CallResult if result is not CallResult.OK])
endpoints = st.builds(Endpoint, st.sampled_from(["192.0.2.1", "10.1.2.3", "2001:db8::7"]), st.integers(1, 65_535))
meetings = st.lists(endpoints, max_size=MAX_MEETING_ENDPOINTS).map(tuple)
mappings = st.sampled_from(NatMapping)
named = st.lists(st.builds(Contact, keys, endpoints), max_size=3).map(tuple)

requests: st.SearchStrategy[Message] = st.one_of(
    st.just(Attach()),
    st.builds(Call, keys),
    st.builds(Ring, keys, channel_ids),
    st.builds(Meet, meetings, mappings, named),
    st.builds(HangUp, channel_ids),
    st.just(SendKnocks()),
    st.builds(KnockFor, st.builds(Contact, keys, endpoints)),
)
replies: st.SearchStrategy[Reply] = st.one_of(
    st.builds(Attached, st.sampled_from(CallResult), st.integers(0, MAX_LIFETIME_S), st.booleans()),
    st.builds(Called, st.just(CallResult.OK), channel_ids, st.booleans()) | st.builds(Called, refusals),
    st.builds(Rung, st.booleans()),
    st.builds(Met, meetings, mappings, named),
    st.builds(Knocking, st.integers(0, MAX_KNOCKS)),
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.binary(max_size=40) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=10,
)


def travelling(message: Message) -> Envelope:
    """Return a message as it travels."""
    observed = Endpoint("192.0.2.9", 9) if isinstance(message, Reply) else None
    return Envelope(message, b"i" * 8, token=b"t" * 8, observed=observed)


@given(requests | replies)
def test_message_reads_back(message: Message) -> None:
    """Decoding and encoding are each other's inverse."""
    envelope = travelling(message)
    assert envelope == envelope_untrusted(envelope.encoded(size_bytes=500))


@given(requests | replies, st.integers(0, 5000), st.integers(1, 255))
def test_changed_message_is_a_message_or_a_bad_message(message: Message, position: int, change: int) -> None:
    """Nothing but BadMessage leaves a decoder, and what it returns can be written again."""
    data = bytearray(travelling(message).encoded())
    data[position % len(data)] ^= change
    with suppress(BadMessage):
        envelope_untrusted(bytes(data)).encoded()


@given(requests | replies, st.data())
def test_message_with_any_field_replaced_is_a_message_or_a_bad_message(message: Message, data: st.DataObject) -> None:
    """Every field may be of every type, or missing, or one too many."""
    fields = message.fields()
    candidates = [[*fields, data.draw(anything)]]
    if fields:
        changed = list(fields)
        changed[data.draw(st.integers(0, len(fields) - 1))] = data.draw(anything)
        candidates += [changed]
        with pytest.raises(BadMessage):
            type(message).from_fields_untrusted(fields[:-1])
    for candidate in candidates:
        with suppress(BadMessage):
            type(message).from_fields_untrusted(candidate)
    assert message == type(message).from_fields_untrusted([*fields, b"of a later version"])


@given(replies, st.integers(-5, 500))
def test_shortened_reply_is_shorter_or_as_short_as_can_be(reply: Reply, excess_bytes: int) -> None:
    """What is left is the beginning; nothing is left out without need."""
    shorter = reply.shortened(excess_bytes)
    saved = len(encode(reply.fields())) - len(encode(shorter.fields()))
    if isinstance(reply, Met) and isinstance(shorter, Met):
        assert reply.endpoints[: len(shorter.endpoints)] == shorter.endpoints
        assert saved >= excess_bytes or not shorter.endpoints
        assert excess_bytes > 0 or shorter == reply
    else:
        assert (reply, 0) == (shorter, saved)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (Attached, [7, 0, 0]),
        (Attached, [-1, 0, 0]),
        (Attached, [False, 0, 0]),
        (Attached, [0, MAX_LIFETIME_S + 1, 0]),
        (Attached, [0, 60, 2]),
        (Call, [bytes(31)]),
        (Called, [0, b"", 0]),
        (Called, [0, bytes(7), 0]),
        (Called, [0, bytes(9), 0]),
        (Called, [0, bytes(8), 2]),
        (Called, [0, bytes(8)]),
        (Called, [1, bytes(8), 0]),
        (Ring, [bytes(33), bytes(8)]),
        (Ring, [bytes(32), bytes(7)]),
        (Rung, [True]),
        (Meet, [[Endpoint("192.0.2.1", 1).packed()] * 9, 0, []]),
        (Meet, [[b"\x01\x00" + bytes(15) + b"\x01"], 0, []]),
        (Meet, [[], 5, []]),
        (Meet, [[], 0, [[b"k" * 32, Endpoint("192.0.2.1", 1).packed()]] * 4]),
        (Meet, [[], 0, [[b"k" * 31, Endpoint("192.0.2.1", 1).packed()]]]),
        (Meet, [[], 0, 7]),
        (Met, [[bytes(5)], 0]),
        (HangUp, ["channel!"]),
        (Knocking, [MAX_KNOCKS + 1]),
        (KnockFor, [[bytes(32), Endpoint("0.0.0.0", 1).packed()]]),  # noqa: S104 - refused
    ],
)
def test_field_beyond_its_bound_is_refused(kind: type[Message], fields: list[object]) -> None:
    """Each bound of the format; an address that nobody can have is none to meet at."""
    with pytest.raises(BadMessage):
        kind.from_fields_untrusted(fields)


@given(requests | replies)
def test_reply_to_a_short_request_fits(message: Message) -> None:
    """Answers need no more room than the shortest request has, so that nobody has to ask twice; but for a meeting."""
    if isinstance(message, Reply) and not message.may_be_cut:
        observed = Endpoint("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", 65_535)
        plaintext = Envelope(message, b"i" * 8, token=b"t" * 8, observed=observed).encoded()
        assert len(plaintext) <= LEAST_BYTES
