"""What a member says of itself, what is remembered of items, and who gets which message."""

from __future__ import annotations

from typing import cast

import pytest

from pilotdht.errors import BadMessage
from pilotdht.gossip.items import ItemReader
from pilotdht.gossip.post import Mail, Post
from pilotdht.gossip.voice import Description, Voice
from pilotdht.net.outcomes import Sender
from pilotdht.wire.certificates import MAX_CHAIN_BYTES
from pilotdht.wire.codec import decode_list_untrusted
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.gossip_messages import Gossip, GroupRequest, Probe, ProbeAck
from pilotdht.wire.groups import GroupId, open_group_id
from pilotdht.wire.membership import (
    FactKind,
    SignedFact,
    SignedSuspicion,
    signed_fact_untrusted,
)
from tests.support.gossip_town import NOW_MS, TOWN, fact_of, suspicion_of
from tests.support.net_nodes import key_pair


def test_incarnation_is_the_time_where_it_rises() -> None:
    """A member that lost its memory is heard at once."""
    voice = Voice(key_pair(1), TOWN)
    said = [voice.say(Description(), unix_ms=NOW_MS + late).fact.incarnation for late in (0, 0, -5000, 10)]
    assert [NOW_MS, NOW_MS + 1, NOW_MS + 2, NOW_MS + 10] == said
    assert NOW_MS + 501 == voice.say(Description(), unix_ms=NOW_MS, above=NOW_MS + 500).fact.incarnation


def test_what_is_said_reads_back_and_is_signed() -> None:
    """The first three endpoints are told."""
    endpoints = tuple(Endpoint(f"10.0.0.{number}", 4000) for number in range(1, 6))
    description = Description(
        endpoints=endpoints, hostname="agent", tags=("a",), capabilities=("b", "c"), load=50, version="1.0", chain=b"x"
    )
    signed = Voice(key_pair(1), TOWN).say(description, unix_ms=NOW_MS, kind=FactKind.LEFT)
    fact = signed_fact_untrusted(signed.item).fact
    assert signed.fact == fact
    assert (endpoints[:3], 50, FactKind.LEFT, b"x") == (fact.endpoints, fact.load, fact.kind, fact.chain)


def test_servers_of_a_member_behind_a_nat_are_told() -> None:
    """Two of them; a member with none says it in not one byte more than before there were any."""
    servers = tuple(Contact(key_pair(seed).public_key, Endpoint(f"45.{seed}.0.1", 4433)) for seed in (5, 6, 7))
    signed = Voice(key_pair(1), TOWN).say(Description(introducers=servers), unix_ms=NOW_MS)
    fact = signed_fact_untrusted(signed.item).fact
    assert (servers[:2], True) == (fact.introducers, fact.is_somewhere)
    assert not Voice(key_pair(1), TOWN).say(Description(), unix_ms=NOW_MS).fact.is_somewhere
    assert 12 == len(decode_list_untrusted(Voice(key_pair(1), TOWN).say(Description(), unix_ms=NOW_MS).fact.body()))


def test_what_is_too_long_is_an_error() -> None:
    """A fact fits in one datagram."""
    tags = tuple(f"{number:0>32}" for number in range(16))
    with pytest.raises(ValueError, match="at most 960 bytes"):
        Voice(key_pair(1), TOWN).say(
            Description(hostname="h" * 63, tags=tags[:8], capabilities=tags, chain=bytes(MAX_CHAIN_BYTES)), unix_ms=1
        )


def test_reader_verifies_an_item_once_and_remembers_only_good_ones() -> None:
    """Who sends garbage is asked for each time."""
    asked = 0

    def admit() -> bool:
        nonlocal asked
        asked += 1
        return True

    reader = ItemReader(2)
    fact, suspicion = fact_of(1).item, suspicion_of(1, 2).item
    for _ in range(3):
        assert isinstance(reader.read_untrusted(fact, admit), SignedFact)
        assert isinstance(reader.read_untrusted(suspicion, admit), SignedSuspicion)
    assert 2 == asked
    for _ in range(3):
        with pytest.raises(BadMessage):
            reader.read_untrusted(fact[:-1] + bytes([fact[-1] ^ 1]), admit)
    assert 5 == asked
    assert reader.read_untrusted(b"\3other", admit) is None
    reader.read_untrusted(fact_of(3).item, admit)
    assert (None, True) == (reader.known(fact), reader.known(suspicion) is not None)
    reader.set_capacity(1)
    assert reader.known(suspicion) is None


def test_reader_reads_nothing_new_that_is_not_admitted() -> None:
    """What costs is bounded."""
    reader = ItemReader()
    with pytest.raises(BadMessage, match="rate"):
        reader.read_untrusted(fact_of(1).item, lambda: False)


class Box:
    """A network that only registers."""

    def __init__(self) -> None:
        self.served: dict[type[GroupRequest], object] = {}

    def begin(self, *_: object, **__: object) -> None:
        """Send nothing."""

    abandon = tell = rtt_of = begin

    def serve(self, kind: type[GroupRequest], handler: object) -> None:
        """Note a handler."""
        assert kind not in self.served
        self.served[kind] = handler


def test_post_hands_each_message_to_the_group_it_names() -> None:
    """About groups that we are not in nothing is answered."""
    box = Box()
    post = Post(cast("Mail", box))
    other = open_group_id("village")
    heard: list[tuple[GroupId, GroupRequest]] = []

    def handler_of(group: GroupId) -> object:
        def handle(message: Probe, _sender: Sender) -> ProbeAck:
            heard.append((group, message))
            return ProbeAck()

        return handle

    for group in (TOWN, other):
        post.serve(group, Probe, handler_of(group))  # type: ignore[arg-type]  # made for any group
    post.serve(TOWN, Gossip, lambda _message, _sender: None)
    deliver = box.served[Probe]
    assert callable(deliver)
    assert ProbeAck() == deliver(Probe(TOWN), None)
    assert ProbeAck() == deliver(Probe(other), None)
    assert deliver(Probe(open_group_id("city")), None) is None
    post.close(TOWN)
    assert deliver(Probe(TOWN), None) is None
    assert [(TOWN, Probe(TOWN)), (other, Probe(other))] == heard
    assert {Probe, Gossip} == set(box.served)
