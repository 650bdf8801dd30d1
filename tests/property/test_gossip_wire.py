"""Membership on the wire: any value reads back, any bytes are an item or a BadMessage, and no change goes unseen."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotdht.errors import BadMessage
from pilotdht.identity.ids import NodeId
from pilotdht.wire.codec import encode
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.envelope import Envelope, envelope_untrusted
from pilotdht.wire.gossip_messages import (
    FAN_OUT,
    HASH_BYTES,
    MAX_ITEM_BYTES,
    MAX_ITEMS,
    MAX_PREFIX_DIGITS,
    MAX_PREFIXES,
    Facts,
    FetchFacts,
    Gossip,
    Probe,
    ProbeAck,
    ProbeFor,
    ProbeOutcome,
    Summaries,
    Summarise,
    fewer_items,
)
from pilotdht.wire.groups import GroupId
from pilotdht.wire.membership import (
    MAX_FACT_BYTES,
    MAX_INCARNATION,
    FactKind,
    MemberFact,
    SignedFact,
    SignedSuspicion,
    Suspicion,
    sign_fact,
    sign_suspicion,
    signed_fact_untrusted,
    signed_suspicion_untrusted,
)
from pilotdht.wire.message import Message, Reply
from tests.support.net_nodes import key_pair

pytestmark = pytest.mark.property

ALICE, BOB = key_pair(1), key_pair(2)

groups = st.binary(min_size=20, max_size=20).map(GroupId)
ids = st.binary(min_size=20, max_size=20).map(NodeId)
items = st.lists(st.binary(max_size=60), max_size=MAX_ITEMS).map(tuple)
prefixes = st.text("0123456789abcdef", max_size=MAX_PREFIX_DIGITS)
hashes = st.sampled_from([HASH_BYTES, FAN_OUT * HASH_BYTES]).flatmap(
    lambda size: st.binary(min_size=size, max_size=size)
)

requests: st.SearchStrategy[Message] = st.one_of(
    st.builds(Probe, groups, items),
    st.builds(ProbeFor, groups, ids, st.integers(0, 60_000)),
    st.builds(Gossip, groups, items),
    st.builds(Summarise, groups, st.integers(0, 255), st.lists(prefixes, max_size=MAX_PREFIXES).map(tuple)),
    st.builds(FetchFacts, groups, prefixes, st.just(b"") | ids),
)
replies: st.SearchStrategy[Reply] = st.one_of(
    st.builds(ProbeAck, items),
    st.builds(ProbeOutcome, st.booleans()),
    st.builds(Summaries, st.lists(hashes, max_size=MAX_PREFIXES).map(tuple)),
    st.builds(Facts, items, st.lists(ids, max_size=MAX_ITEMS).map(tuple), st.booleans()),
)

words = st.from_regex(r"[a-z0-9][a-z0-9._:-]{0,20}", fullmatch=True)
endpoints = st.builds(Endpoint, st.sampled_from(["192.0.2.1", "10.1.2.3", "2001:db8::7"]), st.integers(1, 65_535))
member_facts = st.builds(
    MemberFact,
    group=groups,
    public_key=st.just(ALICE.public_key),
    kind=st.sampled_from(FactKind),
    incarnation=st.integers(1, MAX_INCARNATION),
    endpoints=st.lists(endpoints, max_size=3).map(tuple),
    hostname=st.just("") | st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True),
    tags=st.lists(words, max_size=8).map(tuple),
    capabilities=st.lists(words, max_size=16).map(tuple),
    load=st.none() | st.integers(0, 100),
    version=st.text("0123456789.abc", max_size=16),
    chain=st.binary(max_size=200),
)
suspicions = st.builds(
    Suspicion,
    group=groups,
    suspect=ids,
    incarnation=st.integers(1, MAX_INCARNATION),
    accuser=st.just(ALICE.public_key),
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
    anything = st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.binary(max_size=30) | st.text(max_size=30),
        lambda inner: st.lists(inner, max_size=4),
        max_leaves=10,
    )
    changed = list(fields)
    changed[data.draw(st.integers(0, len(fields) - 1))] = data.draw(anything)
    for candidate in (changed, fields[:-1], [*fields, data.draw(anything)]):
        with suppress(BadMessage):
            type(message).from_fields_untrusted(candidate)
    assert message == type(message).from_fields_untrusted([*fields, b"of a later version"])


@given(replies, st.integers(1, 2000))
def test_shortened_reply_is_shorter_or_as_short_as_can_be(reply: Reply, excess_bytes: int) -> None:
    """And what is left is the beginning."""
    before = len(encode(reply.fields()))
    shorter = reply.shortened(excess_bytes)
    after = len(encode(shorter.fields()))
    assert after <= before
    if isinstance(reply, (ProbeAck, Facts)) and isinstance(shorter, (ProbeAck, Facts)):
        assert reply.items[: len(shorter.items)] == shorter.items
        assert not shorter.items or before - after >= excess_bytes
    if isinstance(shorter, Facts):
        assert not shorter.is_last


@given(items, st.integers(-10, 5000))
def test_fewer_items_are_as_many_less_as_needed(given_items: tuple[bytes, ...], excess_bytes: int) -> None:
    """Not one item more is left out."""
    kept = fewer_items(given_items, excess_bytes)
    left_out = given_items[len(kept) :]
    assert not kept or sum(map(len, left_out)) >= excess_bytes
    assert not left_out or sum(map(len, left_out[1:])) < excess_bytes


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (Probe, [b"g" * 20, [b""] * (MAX_ITEMS + 1)]),
        (Probe, [b"g" * 20, [bytes(MAX_ITEM_BYTES + 1)]]),
        (Probe, [b"g" * 19, []]),
        (ProbeFor, [b"g" * 20, b"t" * 20, 60_001]),
        (ProbeFor, [b"g" * 20, b"t" * 20, -1]),
        (Summarise, [b"g" * 20, 0, [""] * (MAX_PREFIXES + 1)]),
        (Summarise, [b"g" * 20, 0, ["0" * (MAX_PREFIX_DIGITS + 1)]]),
        (Summarise, [b"g" * 20, 0, ["G"]]),
        (Summarise, [b"g" * 20, 0, ["A"]]),
        (Summarise, [b"g" * 20, 256, []]),
        (Summaries, [[bytes(7)]]),
        (Summaries, [[b""]]),
        (FetchFacts, [b"g" * 20, "0", b"short"]),
        (Facts, [[], [b"short"], 1]),
        (Facts, [[], [], 2]),
        (Facts, [[], [], True]),
        (ProbeOutcome, [2]),
    ],
)
def test_field_beyond_its_bound_is_refused(kind: type[Message], fields: list[object]) -> None:
    """Each bound of the format."""
    with pytest.raises(BadMessage):
        kind.from_fields_untrusted(fields)


@given(member_facts)
def test_fact_reads_back(fact: MemberFact) -> None:
    """With its exact bytes and its order."""
    signed = _signed(fact)
    read = signed_fact_untrusted(signed.item)
    assert (signed.fact, signed.item, signed.order, ALICE.node_id) == (read.fact, read.item, read.order, read.node_id)


@given(suspicions)
def test_suspicion_reads_back(suspicion: Suspicion) -> None:
    """With its exact bytes."""
    signed = sign_suspicion(ALICE, suspicion)
    read = signed_suspicion_untrusted(signed.item)
    assert (suspicion, signed.item, ALICE.node_id) == (read.suspicion, read.item, read.accuser_id)


@given(member_facts.map(lambda fact: _signed(fact)) | suspicions.map(lambda one: sign_suspicion(ALICE, one)), st.data())
def test_item_changed_anywhere_is_refused(signed: SignedFact | SignedSuspicion, data: st.DataObject) -> None:
    """A byte changed, cut off or added; in the wrapping too, which no signature covers."""
    item = signed.item
    position = data.draw(st.integers(0, len(item) - 1))
    changed = bytearray(item)
    changed[position] ^= data.draw(st.integers(1, 255))
    for candidate in (bytes(changed), item[:position], item + b"\0", item[:position] + item[position + 1 :]):
        for read in (signed_fact_untrusted, signed_suspicion_untrusted):
            with pytest.raises(BadMessage):
                read(candidate)


@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda data: b"\1\x92" + data))
def test_noise_is_no_item(data: bytes) -> None:
    """Whatever it begins with."""
    for read in (signed_fact_untrusted, signed_suspicion_untrusted):
        with pytest.raises(BadMessage):
            read(data)


@given(member_facts, suspicions)
def test_signature_of_one_kind_proves_nothing_of_another(fact: MemberFact, suspicion: Suspicion) -> None:
    """The type is signed with the body."""
    for item, read in (
        (_signed(fact).item, signed_suspicion_untrusted),
        (sign_suspicion(ALICE, suspicion).item, signed_fact_untrusted),
    ):
        for kind in (b"\1", b"\2"):
            if kind != item[:1]:
                with pytest.raises(BadMessage):
                    read(kind + item[1:])


@given(member_facts)
def test_fact_in_the_name_of_another_is_not_signed_and_not_believed(fact: MemberFact) -> None:
    """Nobody says a fact about another member."""
    with pytest.raises(ValueError, match="signed by the member"):
        sign_fact(BOB, fact)
    body = fact.body()
    forged = b"\1" + encode([body, BOB.sign(b"pilotdht/1 member\1" + body)])
    with pytest.raises(BadMessage):
        signed_fact_untrusted(forged)


@pytest.mark.parametrize(
    "change",
    [
        {0: 2},
        {0: True},
        {1: b"g" * 19},
        {2: bytes(31)},
        {3: 0},
        {3: 3},
        {4: 0},
        {4: MAX_INCARNATION + 1},
        {4: "1"},
        {5: [b"\1\2"]},
        {5: [Endpoint("192.0.2.1", 1).packed()] * 4},
        {6: "Not A Name"},
        {6: 7},
        {6: None},
        {7: ["UPPER"]},
        {7: ["tag"] * 9},
        {8: ["word"] * 17},
        {9: 101},
        {9: -1},
        {9: "busy"},
        {10: "v" * 17},
        {10: "\x1b[2J"},
        {11: bytes(401)},
        {11: "chain"},
    ],
)
def test_fact_that_is_well_signed_but_malformed_is_refused(change: dict[int, object]) -> None:
    """A member may sign whatever it likes."""
    fact = MemberFact(group=GroupId(b"g" * 20), public_key=ALICE.public_key, incarnation=1)
    values: list[object] = [1, fact.group, fact.public_key, 1, 1, [], "", [], [], None, "", b""]
    assert fact.body() == encode(values)
    for place, value in change.items():
        values[place] = value
    body = encode(values)
    with pytest.raises(BadMessage):
        signed_fact_untrusted(b"\1" + encode([body, ALICE.sign(b"pilotdht/1 member\1" + body)]))


def test_fact_of_a_later_version_with_more_fields_is_read() -> None:
    """Later versions add fields at the end."""
    values = [1, b"g" * 20, ALICE.public_key, 1, 1, [], "", [], [], None, "", b"", [], b"more"]
    body = encode(values)
    item = b"\1" + encode([body, ALICE.sign(b"pilotdht/1 member\1" + body)])
    assert 1 == signed_fact_untrusted(item).fact.incarnation
    assert item == signed_fact_untrusted(item).item


def _signed(fact: MemberFact) -> SignedFact:
    """Sign a fact; one that is too long loses what makes it long."""
    try:
        return sign_fact(ALICE, fact)
    except ValueError:
        short = MemberFact(
            group=fact.group, public_key=fact.public_key, kind=fact.kind, incarnation=fact.incarnation, tags=fact.tags
        )
        signed = sign_fact(ALICE, short)
        assert len(signed.item) <= MAX_FACT_BYTES
        return signed
