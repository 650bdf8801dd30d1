"""Any calls, moves, frames, farewells and pauses: bounds hold, and frames go to the other end or nowhere."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from prometheus_client import CollectorRegistry

from pilotdht.config.relay import RelayConfig
from pilotdht.identity.ids import PublicKey
from pilotdht.net.prefixes import group_of
from pilotdht.traversal.relay.channel import Channel
from pilotdht.traversal.relay.channels import CLIENTS_A_CHANNEL, FRAME_COST_BYTES, Channels
from pilotdht.traversal.relay.metrics import RelayMetrics
from pilotdht.wire.contact import Contact
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.traversal_messages import CallResult

pytestmark = pytest.mark.property

CONFIG = dataclasses.replace(
    RelayConfig(),
    max_channels=5,
    max_unproven=2,
    channels_per_client=3,
    channels_per_prefix=4,
    channels_per_target=3,
    client_bytes_per_s=1000.0,
    client_burst_bytes=65_536.0,
    total_bytes_per_s=2000.0,
    total_burst_bytes=100_000.0,
)
KEYS = [PublicKey(bytes([number]) * 32) for number in range(1, 6)]
PLACES = [Endpoint(f"203.0.{prefix}.{host}", 4000) for prefix in (1, 2) for host in (1, 2, 3)]

keys = st.sampled_from(KEYS)
places = st.sampled_from(PLACES)


class ChannelsMachine(RuleBasedStateMachine):
    """Beside the channels: who has shown where it is, and what passed."""

    def __init__(self) -> None:
        super().__init__()
        self.metrics = RelayMetrics(CollectorRegistry())
        self.channels = Channels(CONFIG, self.metrics)
        self.now = 0.0
        self.made: list[bytes] = []
        self.proven: dict[tuple[PublicKey, Endpoint], None] = {}
        self.cost: dict[PublicKey, float] = {}

    @rule(caller=keys, at=places, called=keys, called_at=places, is_validated=st.booleans())
    def call(self, caller: PublicKey, at: Endpoint, called: PublicKey, called_at: Endpoint, is_validated: bool) -> None:
        """Somebody calls somebody who is attached, so whose place is known."""
        self.proven[called, called_at] = None
        if is_validated:
            self.proven[caller, at] = None
        channel_id = len(self.made).to_bytes(8, "big")
        before = self.channels.between(caller, called)
        found = self.channels.call(
            channel_id, Contact(caller, at), Contact(called, called_at), is_validated=is_validated, now=self.now
        )
        if not isinstance(found, Channel):
            assert found is not CallResult.OK
            return
        assert before in (None, found)
        assert (at, called_at) == (found.there.source, found.there.target)
        if found.channel_id == channel_id:
            self.made.append(channel_id)

    @rule(key=keys, old=places, new=places)
    def move(self, key: PublicKey, old: Endpoint, new: Endpoint) -> None:
        """An attached node is heard elsewhere."""
        self.proven[key, new] = None
        self.channels.move(key, old, new)

    @rule(data=st.data(), source=places, size=st.integers(0, 30_000), count=st.integers(1, 4))
    def send(self, data: st.DataObject, source: Endpoint, size: int, count: int) -> None:
        """Frames of some channel, from anywhere."""
        channel_id = data.draw(st.sampled_from([*self.made, b"unknown!"]))
        frames = [b"\x23" + channel_id + bytes([number]) * size for number in range(count)]
        channel = self.channels.find(channel_id)
        dropped = sum(self.metrics.dropped.values())
        forwarded = self.channels.forward([(frame, source) for frame in frames], self.now)
        passed = [frame for train, _ in forwarded.trains for frame in train]
        lost = sum(self.metrics.dropped.values()) - dropped
        assert count == len(passed) + len(forwarded.rest) + lost, "every frame is accounted for"
        assert frames[: len(passed)] == passed, "whole frames, the first ones"
        if channel is None:
            assert len(forwarded.rest) == count
            return
        assert not forwarded.rest
        for _, endpoint in forwarded.trains:
            way = channel.there if source == channel.there.source else channel.back
            assert (source, endpoint) == (way.source, way.target)
            if way is channel.there:
                self.proven[channel.caller.public_key, source] = None  # it knows the id, so it received it there
            receiver = channel.target if way is channel.there else channel.caller
            assert (receiver.public_key, endpoint) in self.proven, "nobody is sent anything who has not shown itself"
            cost = sum(map(len, passed)) + FRAME_COST_BYTES * len(passed)
            key = way.sender.public_key
            self.cost[key] = self.cost.get(key, 0.0) + cost

    @rule(data=st.data())
    def hang_up(self, data: st.DataObject) -> None:
        """A channel ends, maybe for the second time."""
        channel = self.channels.find(data.draw(st.sampled_from([*self.made, b"unknown!"])))
        if channel is not None:
            self.channels.end(channel)
            self.channels.end(channel)

    @rule(seconds=st.sampled_from([0.5, 3.0, 30.0, 61.0]))
    def pause(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds
        for channel in self.channels.expire(self.now):
            assert self.channels.find(channel.channel_id) is None

    @invariant()
    def bounds_hold(self) -> None:
        """In all, a client, a prefix, a called node; unproven ones; bytes."""
        every = [found for one in self.made if (found := self.channels.find(one)) is not None]
        assert len(self.channels) == len(every) <= CONFIG.max_channels
        assert sum(not channel.is_proven for channel in every) <= CONFIG.max_unproven
        assert self.channels.clients <= CLIENTS_A_CHANNEL * CONFIG.max_channels
        for key in KEYS:
            assert sum(channel.caller.public_key == key for channel in every) <= CONFIG.channels_per_client
            assert sum(channel.target.public_key == key for channel in every) <= CONFIG.channels_per_target
            assert self.cost.get(key, 0) <= CONFIG.client_burst_bytes + self.now * CONFIG.client_bytes_per_s + 1
        for group in {group_of(place.host, KEYS[0]): None for place in PLACES}:
            assert sum(channel.group == group for channel in every) <= CONFIG.channels_per_prefix
        total = CONFIG.total_burst_bytes + self.now * CONFIG.total_bytes_per_s
        assert sum(self.cost.values()) <= total + 1
        assert self.metrics.bytes <= total

    def teardown(self) -> None:
        """Nothing is left when all have gone."""
        self.channels.clear()
        self.channels.expire(self.now + 1e6)
        assert (0, 0) == (len(self.channels), self.channels.clients)


TestChannelsMachine = ChannelsMachine.TestCase
TestChannelsMachine.settings = settings(deadline=None, max_examples=60, stateful_step_count=40)
