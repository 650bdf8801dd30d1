"""Whatever bytes arrive and whatever is answered: nothing raises, nothing amplifies."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from pilotdht.config.net import NetConfig
from pilotdht.errors import BadMessage
from pilotdht.identity.ids import NodeId, PublicKey
from pilotdht.net.answering import Answerer
from pilotdht.net.datagrams import HELLO, HELLO_REPLY, MAX_DATAGRAM_BYTES
from pilotdht.net.doors import Batch, Doors, Receive
from pilotdht.net.metrics import NetMetrics
from pilotdht.net.outcomes import Sender
from pilotdht.net.reachability import Reachability
from pilotdht.net.sealing import SealedSender
from pilotdht.net.tokens import Purpose, TokenMint
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
)
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.envelope import Envelope, envelope_untrusted
from pilotdht.wire.message import Reply, Request
from pilotdht.wire.records import RecordKey
from pilotdht.wire.seal import SEALED, Sealer
from simulations.engine.streams import stream
from simulations.engine.virtual_loop import run_virtually
from tests.support.net_nodes import SALT, NetNode, key_pair

pytestmark = pytest.mark.property

UNIX_TIME = 1_800_000_000.0
KEY = RecordKey(b"k" * 20)

hosts = st.sampled_from(["203.0.113.7", "10.1.2.3", "2001:db8::7"])
endpoints = st.builds(Endpoint, hosts, st.integers(1, 65_535))
contacts = st.builds(Contact, st.binary(min_size=32, max_size=32).map(PublicKey), endpoints)
many_contacts = st.lists(contacts, max_size=20).map(tuple)
tokens = st.sampled_from([b"", b"s" * 8])
records = st.binary(max_size=700)
replies: st.SearchStrategy[Reply] = st.one_of(
    st.just(Pong()),
    st.builds(Stored, st.sampled_from(StoreCode)),
    st.builds(Nodes, many_contacts, tokens),
    st.builds(FoundRecord, st.none() | records, many_contacts, tokens),
    st.builds(FoundEntries, st.lists(records, max_size=8).map(tuple), st.integers(0, 65_536), many_contacts, tokens),
)
REQUESTS: dict[type[Reply], Request] = {
    Pong: Ping(),
    Stored: Store(KEY, b"", b"r"),
    Nodes: FindNode(NodeId(b"t" * 20)),
    FoundRecord: FindRecord(KEY),
    FoundEntries: FindEntries(KEY),
}


def answer(reply: Reply, source: Endpoint, *, size_bytes: int, is_validated: bool) -> list[bytes]:
    """Let a node answer ``reply`` to a request in a datagram of ``size_bytes``; return the plaintexts' datagrams."""
    sent: list[bytes] = []
    keys = key_pair(1)
    sender = SealedSender(Sealer(keys, salt=SALT, capacity=4), unix_time=lambda: UNIX_TIME)
    sender.transmit = lambda datagram, _endpoint: sent.append(datagram)
    minted: list[bytes] = []

    def fixed_bytes(count: int) -> bytes:
        return bytes(count)

    config, metrics = NetConfig(), NetMetrics(CollectorRegistry())
    answerer = Answerer(sender, Reachability(config), config, metrics, token_bytes=fixed_bytes, now=lambda: 0.0)
    request = REQUESTS[type(reply)]
    contact = Contact(key_pair(2).public_key, source)
    if is_validated:
        answerer.serve(Ping, lambda _request, _sender: Pong())
        answerer.receive_untrusted(Envelope(Ping(), b"i" * 8), Ping(), contact, MAX_DATAGRAM_BYTES)
        minted.append(opened(sent.pop()).token)

    def handler(_request: Request, _sender: Sender) -> Reply:
        return reply

    answerer.serve(type(request), handler)
    token = minted[0] if minted else b""
    with suppress(BadMessage):  # no reply fits
        answerer.receive_untrusted(Envelope(request, b"i" * 8, token=token), request, contact, size_bytes)
    return sent


def opened(datagram: bytes) -> Envelope:
    """Return what a datagram of the node says."""
    _, plaintext = Sealer(key_pair(2), salt=SALT, capacity=4).open_untrusted(datagram, unix_time=UNIX_TIME)
    return envelope_untrusted(plaintext)


@given(replies, endpoints, st.integers(61, 1200))
def test_reply_to_unvalidated_request_is_never_longer_than_it(reply: Reply, source: Endpoint, size_bytes: int) -> None:
    """Forging a sender makes no more bytes than it costs."""
    for datagram in answer(reply, source, size_bytes=size_bytes, is_validated=False):
        assert len(datagram) <= size_bytes
        assert type(reply) is type(opened(datagram).message)


@given(replies, endpoints)
def test_reply_to_padded_or_validated_request_always_fits_and_is_sent(reply: Reply, source: Endpoint) -> None:
    """Whatever a handler returns, some of it goes out in one datagram."""
    padded = answer(reply, source, size_bytes=MAX_DATAGRAM_BYTES, is_validated=False)
    validated = answer(reply, source, size_bytes=160, is_validated=True)
    assert [1, 1] == [len(padded), len(validated)]
    assert max(map(len, padded + validated)) <= MAX_DATAGRAM_BYTES


@given(replies, endpoints)
def test_reply_to_shortest_request_of_ours_is_always_sent(reply: Reply, source: Endpoint) -> None:
    """A request with a stale token is answered, if only with a fresh one."""
    datagrams = answer(reply, source, size_bytes=160, is_validated=False)
    assert [True] == [opened(datagram).token != b"" for datagram in datagrams]


class Inlet:
    """A network that only shows where a node takes in its datagrams; what it sends is kept."""

    def __init__(self) -> None:
        self.receive: Receive = lambda _batch: None
        self.sent: list[bytes] = []

    async def open(self, listen: Endpoint, receive: Receive) -> Inlet:
        """Open."""
        self.receive = receive
        return self

    @property
    def local_endpoints(self) -> tuple[Endpoint, ...]:
        """Some endpoint."""
        return (Endpoint("203.0.113.1", 4000),)

    def send(self, datagram: bytes, endpoint: Endpoint) -> None:
        """Keep a datagram."""
        self.sent.append(datagram)

    def send_train(self, datagrams: object, endpoint: Endpoint) -> None:
        """Send nothing."""

    async def close(self) -> None:
        """Close."""


def fed(make_batch: Callable[[NetNode], Batch]) -> tuple[NetNode, list[bytes]]:
    """Feed a batch into a real node; return it, and what it sent."""
    inlet = Inlet()
    doors = Doors(
        network=inlet,
        unix_time=lambda: UNIX_TIME,
        random=stream(1, "choices"),
        token_bytes=stream(1, "secrets").randbytes,
    )

    async def main() -> NetNode:
        async with NetNode(doors, seed=1) as node:
            inlet.receive(make_batch(node))
            return node

    return run_virtually(main()), inlet.sent


@given(st.lists(st.tuples(st.binary(max_size=1500), endpoints), max_size=8))
def test_node_fed_with_arbitrary_bytes_counts_them_all_and_sends_nothing(batch: list[tuple[bytes, Endpoint]]) -> None:
    """Noise is dropped by reason; no error, no answer."""
    node, sent = fed(lambda _node: batch)
    assert (len(batch), 0, []) == (sum(node.metrics.dropped.values()), node.metrics.handler_failures, sent)


@given(
    st.sampled_from([SEALED, HELLO, HELLO_REPLY]), st.binary(max_size=400), st.sampled_from([0, 60, 61, 100, 167, 200])
)
def test_node_fed_with_our_first_bytes_and_noise_sends_nothing(first: int, noise: bytes, size_bytes: int) -> None:
    """The right kind and the right length are not enough."""
    datagram = bytes([first]) + noise.ljust(size_bytes, b"\0")
    node, sent = fed(lambda _node: [(datagram, Endpoint("203.0.113.9", 5))])
    assert (1, 0, []) == (sum(node.metrics.dropped.values()), node.metrics.handler_failures, sent)


@given(st.integers(0, 159), st.integers(1, 255))
def test_sealed_request_with_one_changed_byte_is_dropped(position: int, change: int) -> None:
    """Header, key, nonce, text and tag are all covered."""

    def make_batch(node: NetNode) -> Batch:
        sealer = Sealer(key_pair(2), salt=SALT, capacity=4)
        plaintext = Envelope(Ping(), b"i" * 8).encoded(size_bytes=99)
        datagram = bytearray(sealer.seal(node.keys.public_key, plaintext, nonce=b"n" * 12, unix_time=UNIX_TIME))
        datagram[position] ^= change
        return [(bytes(datagram), Endpoint("203.0.113.9", 5))]

    node, sent = fed(make_batch)
    assert (1, []) == (sum(node.metrics.dropped.values()), sent)


@given(st.binary(max_size=1139))
def test_sealed_noise_from_a_real_key_is_dropped(plaintext: bytes) -> None:
    """Owning a key entitles nobody to break the decoder."""

    def make_batch(node: NetNode) -> Batch:
        sealer = Sealer(key_pair(2), salt=SALT, capacity=4)
        datagram = sealer.seal(node.keys.public_key, plaintext, nonce=b"n" * 12, unix_time=UNIX_TIME)
        return [(datagram, Endpoint("203.0.113.9", 5))]

    node, sent = fed(make_batch)
    assert (1, 0, []) == (sum(node.metrics.dropped.values()), node.metrics.handler_failures, sent)


@given(st.binary(max_size=8), endpoints)
def test_made_up_token_is_never_accepted(token: bytes, source: Endpoint) -> None:
    """Nobody guesses a token."""
    mint = TokenMint(token_bytes=lambda count: b"\x5a" * count, lifetime_s=600.0)
    standings = {mint.check(token, purpose, source, key_pair(2).public_key, now=0.0).value for purpose in Purpose}
    assert {0} == standings
