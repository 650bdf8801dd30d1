"""Channels through a server: what goes where, who may, how much, how long."""

from __future__ import annotations

import dataclasses

import pytest
from prometheus_client import CollectorRegistry

from pilotdht.config.relay import RelayConfig
from pilotdht.identity.ids import PublicKey
from pilotdht.traversal.relay.channel import ByteBucket, Channel
from pilotdht.traversal.relay.channels import CLIENTS_A_CHANNEL, FRAME_COST_BYTES, Channels
from pilotdht.traversal.relay.metrics import RelayMetrics
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.traversal_messages import CallResult


def contact(number: int, *, prefix: int | None = None, port: int = 4000) -> Contact:
    """Return the client number ``number``, in a prefix of its own unless one is named."""
    host = f"203.0.{number if prefix is None else prefix}.{number}"
    return Contact(PublicKey(number.to_bytes(32, "big")), Endpoint(host, port))


CALLER, TARGET, OTHER = contact(1), contact(2), contact(3)


class Scene:
    """The channels of one server, and a clock."""

    def __init__(self, **config: float | bool) -> None:
        self.config = dataclasses.replace(RelayConfig(), **config)  # type: ignore[arg-type]  # names of its fields
        self.metrics = RelayMetrics(CollectorRegistry())
        self.channels = Channels(self.config, self.metrics)
        self.now = 100.0
        self.made = 0

    def call(self, caller: Contact, target: Contact, *, is_validated: bool = True) -> Channel | CallResult:
        """Call under the next id."""
        self.made += 1
        channel_id = self.made.to_bytes(8, "big")
        return self.channels.call(channel_id, caller, target, is_validated=is_validated, now=self.now)

    def opened(self, caller: Contact = CALLER, target: Contact = TARGET, *, is_validated: bool = True) -> Channel:
        """Call, and return the channel that there must be."""
        channel = self.call(caller, target, is_validated=is_validated)
        assert isinstance(channel, Channel)
        return channel

    def send(self, channel: Channel, source: Contact, *contents: bytes) -> list[tuple[list[bytes], Endpoint]]:
        """Forward frames of one channel."""
        batch = [(frame(channel, content), source.endpoint) for content in contents]
        return self.channels.forward(batch, self.now).trains

    @property
    def dropped(self) -> dict[str, int]:
        """Frames dropped, by reason, without zeros."""
        return {reason: count for reason, count in self.metrics.dropped.items() if count}


def frame(channel: Channel, content: bytes = b"content") -> bytes:
    """Return what travels."""
    return b"\x23" + channel.channel_id + content


def test_frames_go_to_the_other_end_as_they_came() -> None:
    """Both ways, header included, the very same bytes."""
    scene = Scene()
    channel = scene.opened()
    sent = frame(channel)
    ((train, endpoint),) = scene.channels.forward([(sent, CALLER.endpoint)], scene.now).trains
    assert (TARGET.endpoint, True) == (endpoint, train[0] is sent)
    assert [([frame(channel, b"back")], CALLER.endpoint)] == scene.send(channel, TARGET, b"back")
    assert (2, len(sent) + len(frame(channel, b"back"))) == (scene.metrics.frames, scene.metrics.bytes)
    assert (channel.frames, channel.bytes) == (scene.metrics.frames, scene.metrics.bytes)


def test_mixed_batch_becomes_one_train_for_each_way_in_order() -> None:
    """Whatever lies between; frames that are not served here come back untouched."""
    scene = Scene()
    one, two = scene.opened(), scene.opened(OTHER, TARGET)
    alien = (b"\x23" + bytes(8) + b"alien", CALLER.endpoint)
    batch = [
        (frame(one, b"a"), CALLER.endpoint),
        (frame(two, b"b"), OTHER.endpoint),
        alien,
        (frame(one, b"c"), CALLER.endpoint),
        (frame(one, b"d"), TARGET.endpoint),
        (frame(two, b"e"), Endpoint(*OTHER.endpoint)),
        (frame(one, b"f"), CALLER.endpoint),
    ]
    forwarded = scene.channels.forward(batch, scene.now)
    assert [
        ([frame(one, b"a"), frame(one, b"c"), frame(one, b"f")], TARGET.endpoint),
        ([frame(two, b"b"), frame(two, b"e")], TARGET.endpoint),
        ([frame(one, b"d")], CALLER.endpoint),
    ] == forwarded.trains
    assert [alien] == forwarded.rest
    assert {} == scene.dropped


@pytest.mark.parametrize("source", [OTHER, contact(1, port=4001), contact(2, port=1)])
def test_frame_from_any_other_source_is_dropped(source: Contact) -> None:
    """Another port of the same host is another source, and it moves nothing."""
    scene = Scene()
    channel = scene.opened()
    assert [] == scene.send(channel, source, b"x", b"y")
    assert {"wrong_source": 2} == scene.dropped
    assert (CALLER.endpoint, TARGET.endpoint) == (channel.there.source, channel.back.source)


def test_frame_from_elsewhere_among_others_of_its_channel_is_dropped() -> None:
    """Whatever came just before it in the batch."""
    scene = Scene()
    channel = scene.opened()
    batch = [(frame(channel, source.public_key), source.endpoint) for source in (CALLER, OTHER, TARGET, OTHER, CALLER)]
    assert [
        ([frame(channel, CALLER.public_key)] * 2, TARGET.endpoint),
        ([frame(channel, TARGET.public_key)], CALLER.endpoint),
    ] == scene.channels.forward(batch, scene.now).trains
    assert {"wrong_source": 2} == scene.dropped


@pytest.mark.parametrize("size", [0, 1, 2, 8])
def test_frame_too_short_for_an_id_is_of_no_channel(size: int) -> None:
    """It comes back as not served here."""
    scene = Scene()
    scene.opened()
    batch = [(b"\x23\0\0\0\0\0\0\0\1"[:size], CALLER.endpoint)]
    assert ([], [], batch) == scene.channels.forward(batch, scene.now)


def test_call_again_gets_the_same_channel() -> None:
    """A repeated request makes nothing new; the other direction is another channel."""
    scene = Scene()
    channel = scene.opened()
    assert channel is scene.opened()
    assert channel is scene.opened(is_validated=False)
    assert channel is not scene.opened(TARGET, CALLER)
    assert 2 == len(scene.channels)


def test_nobody_calls_itself() -> None:
    """It has no use but to double what it sends."""
    assert CallResult.REFUSED is Scene().call(CALLER, contact(1, port=9))


def test_caller_that_moved_takes_its_channels_along_once_it_has_proven_itself() -> None:
    """Before that nothing changes; its channel to somebody else from the same place moves too."""
    scene = Scene()
    one, two = scene.opened(), scene.opened(CALLER, OTHER)
    moved = contact(1, prefix=9, port=5)
    assert CallResult.UNPROVEN is scene.call(moved, TARGET, is_validated=False)
    assert CALLER.endpoint == one.there.source
    assert one is scene.opened(moved, TARGET)
    assert (moved.endpoint, moved.endpoint) == (one.there.source, one.back.target)
    assert (moved.endpoint, moved.endpoint) == (two.there.source, two.back.target)
    assert [([frame(one)], TARGET.endpoint)] == scene.send(one, moved, b"content")
    assert [] == scene.send(one, CALLER, b"content")


def test_client_heard_at_two_places_keeps_both() -> None:
    """A node of both families may call by one and be attached by the other."""
    scene = Scene()
    by_other_family = Contact(CALLER.public_key, Endpoint("2001:db8::1", 4000))
    one, two = scene.opened(), scene.opened(by_other_family, OTHER)
    scene.channels.move(CALLER.public_key, CALLER.endpoint, Endpoint("203.0.1.1", 9))
    assert Endpoint("203.0.1.1", 9) == one.there.source
    assert by_other_family.endpoint == two.there.source


def test_called_node_that_moved_is_sent_to_where_it_is() -> None:
    """By attaching from there, or found at the next call."""
    scene = Scene()
    channel = scene.opened()
    moved = contact(2, port=5)
    scene.channels.move(TARGET.public_key, TARGET.endpoint, moved.endpoint)
    assert [([frame(channel)], moved.endpoint)] == scene.send(channel, CALLER, b"content")
    again = contact(2, port=6)
    assert channel is scene.opened(CALLER, again)
    assert [([frame(channel)], again.endpoint)] == scene.send(channel, CALLER, b"content")
    assert [([frame(channel)], CALLER.endpoint)] == scene.send(channel, again, b"content")


def test_unproven_caller_is_sent_nothing_until_its_first_frame() -> None:
    """Only who received the id can send one, so nobody is flooded by forged calls."""
    scene = Scene()
    channel = scene.opened(is_validated=False)
    assert [] == scene.send(channel, TARGET, b"flood")
    assert {"unproven": 1} == scene.dropped
    forwarded = scene.channels.forward([(frame(channel), CALLER.endpoint)], scene.now)
    assert ([channel], 1) == (forwarded.proven, len(forwarded.trains))
    assert [] == scene.channels.forward([(frame(channel), CALLER.endpoint)], scene.now).proven
    assert [([frame(channel)], CALLER.endpoint)] == scene.send(channel, TARGET, b"content")


def test_caller_that_attaches_from_elsewhere_has_shown_itself() -> None:
    """Its channel goes where it is now, and carries both ways."""
    scene = Scene()
    channel = scene.opened(is_validated=False)
    moved = contact(1, port=5)
    scene.channels.move(CALLER.public_key, CALLER.endpoint, moved.endpoint)
    assert [([frame(channel)], moved.endpoint)] == scene.send(channel, TARGET, b"content")


def test_unproven_channels_are_few_and_short_lived() -> None:
    """Beyond a few, callers must prove themselves first; those who do are served."""
    scene = Scene(max_unproven=2, unproven_s=5.0)
    one, two = scene.opened(contact(11), is_validated=False), scene.opened(contact(12), is_validated=False)
    assert CallResult.UNPROVEN is scene.call(contact(13), TARGET, is_validated=False)
    three = scene.opened(contact(13))
    scene.send(one, contact(11), b"first")
    four = scene.opened(contact(14), is_validated=False)
    scene.now += 5
    assert [two, four] == scene.channels.expire(scene.now)
    assert {one, three} == {channel for channel in (one, two, three, four) if scene.channels.find(channel.channel_id)}
    for number in (15, 16):
        scene.opened(contact(number), is_validated=False)
    assert CallResult.UNPROVEN is scene.call(contact(17), TARGET, is_validated=False)


def test_bounds_of_channels_hold_and_are_given_back() -> None:
    """In all, for a caller, for a called node, for a prefix."""
    for bound, calls, result in (
        ({"max_channels": 2}, [(contact(n), contact(n + 50)) for n in (1, 2, 3)], CallResult.FULL),
        ({"channels_per_client": 2}, [(CALLER, contact(n)) for n in (11, 12, 13)], CallResult.QUOTA),
        ({"channels_per_target": 2}, [(contact(n), TARGET) for n in (11, 12, 13)], CallResult.QUOTA),
        ({"channels_per_prefix": 2}, [(contact(n, prefix=7), contact(n + 50)) for n in (1, 2, 3)], CallResult.QUOTA),
    ):
        scene = Scene(**bound)
        first = scene.opened(*calls[0])
        scene.opened(*calls[1])
        assert result is scene.call(*calls[2]), bound
        assert first is scene.opened(*calls[0]), "what is there is given again"
        scene.channels.end(first)
        scene.channels.end(first)
        scene.opened(*calls[2])


def test_idle_channels_end_and_used_ones_do_not() -> None:
    """A frame either way, or another call, is use."""
    scene = Scene(channel_idle_s=60.0)
    idle, used, called = scene.opened(), scene.opened(CALLER, OTHER), scene.opened(OTHER, TARGET)
    scene.now += 30
    scene.send(used, OTHER, b"x")
    scene.opened(OTHER, TARGET)
    scene.now += 30
    assert [idle] == scene.channels.expire(scene.now)
    assert (None, None) == (
        scene.channels.find(idle.channel_id),
        scene.channels.between(CALLER.public_key, TARGET.public_key),
    )
    scene.now += 30
    assert [used, called] == scene.channels.expire(scene.now)
    assert (0, 0) == (len(scene.channels), scene.channels.clients)


def test_over_its_rate_a_client_loses_the_rest_and_nobody_else_does() -> None:
    """Whole frames pass in their order; what was lost is not kept; with time there is more."""
    burst, cost = 65_536, 1000 + FRAME_COST_BYTES
    scene = Scene(client_burst_bytes=burst, client_bytes_per_s=cost)
    one, two = scene.opened(), scene.opened(OTHER, TARGET)
    contents = [bytes([number]) * 991 for number in range(100)]
    ((passed, _),) = scene.send(one, CALLER, *contents)
    assert [frame(one, content) for content in contents[: burst // cost]] == passed
    assert {"client_rate": 100 - burst // cost} == scene.dropped
    assert 10 == len(scene.send(two, OTHER, *contents[:10])[0][0]), "others are served"
    assert 10 == len(scene.send(one, TARGET, *contents[:10])[0][0]), "who answers pays for itself"
    assert [] == scene.send(one, CALLER, contents[0])
    scene.now += 3
    assert 3 <= len(scene.send(one, CALLER, *contents[:10])[0][0]) <= 4


def test_over_the_rate_of_all_everybody_loses() -> None:
    """However many clients there are."""
    burst, cost = 65_536, 1000 + FRAME_COST_BYTES
    scene = Scene(total_burst_bytes=burst, client_burst_bytes=burst, total_bytes_per_s=1, client_bytes_per_s=1)
    passed = 0
    for number in range(11, 21):
        channel = scene.opened(contact(number), TARGET)
        trains = scene.send(channel, contact(number), *[bytes(991)] * 10)
        passed += sum(len(train) for train, _ in trains)
    assert (burst // cost, {"total_rate": 100 - burst // cost}) == (passed, scene.dropped)


def test_hanging_up_and_calling_again_brings_no_fresh_allowance() -> None:
    """What a client used is remembered until it would be whole again."""
    scene = Scene(client_burst_bytes=65_536, client_bytes_per_s=65_536)
    for _ in range(3):
        channel = scene.opened()
        scene.send(channel, CALLER, *[bytes(991)] * 100)
        scene.channels.end(channel)
        scene.channels.expire(scene.now)
    assert 65_536 // (1000 + FRAME_COST_BYTES) == scene.metrics.frames
    scene.now += 1.01
    scene.channels.expire(scene.now)
    assert 0 == scene.channels.clients


def test_clients_remembered_are_bounded() -> None:
    """Many keys that each used something are refused at last, until what they used has come back."""
    scene = Scene(max_channels=2, client_bytes_per_s=1)
    refused = 0
    for number in range(1, 31):
        found = scene.call(contact(number), contact(100 + number))
        if isinstance(found, Channel):
            scene.send(found, contact(number), b"x")
            scene.send(found, contact(100 + number), b"x")
            scene.channels.end(found)
        else:
            assert CallResult.FULL is found
            refused += 1
        assert scene.channels.clients <= CLIENTS_A_CHANNEL * 2
    assert refused
    scene.now += 1000
    assert isinstance(scene.call(CALLER, TARGET), Channel)


def test_server_that_only_introduces_carries_a_little_and_no_more() -> None:
    """Enough to meet, in both directions together."""
    scene = Scene(is_relay=False, introduction_bytes=2500)
    channel = scene.opened()
    assert scene.send(channel, CALLER, bytes(991))
    assert scene.send(channel, TARGET, bytes(991))
    assert [] == scene.send(channel, CALLER, bytes(991))
    assert {"introduction": 1} == scene.dropped
    scene.now += 1000
    assert [] == scene.send(channel, TARGET, bytes(991))


def test_frames_over_the_rate_still_keep_the_channel() -> None:
    """A link that sends too much is alive."""
    scene = Scene(is_relay=False, introduction_bytes=0, channel_idle_s=60.0)
    channel = scene.opened()
    scene.now += 59
    assert [] == scene.send(channel, CALLER, b"x")
    scene.now += 59
    assert [] == scene.channels.expire(scene.now)


def test_bucket_fills_up_to_its_burst() -> None:
    """Not beyond, however long nothing passes."""
    bucket = ByteBucket(rate_per_s=10, burst=100, now=0)
    assert 100 == bucket.available(1000)
    bucket.spend(60)
    assert (40, 50, 100) == (bucket.available(1000), bucket.available(1001), bucket.available(2000))
    assert bucket.is_full(2000)


def test_channels_cleared_are_gone_without_a_trace() -> None:
    """All counts are back at nothing."""
    scene = Scene()
    made = [scene.opened(contact(number), TARGET, is_validated=number % 2 == 0) for number in range(10, 20)]
    assert made == scene.channels.clear()
    scene.channels.expire(scene.now)
    assert (0, 0) == (len(scene.channels), scene.channels.clients)
    assert [] == scene.channels.clear()
