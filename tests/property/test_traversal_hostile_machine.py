"""A whole node that relays, among peers that send anything from anywhere: bounds hold, and others are served on.

Whatever is sent as from an endpoint that never proved itself, nobody sends more bytes there than came from there. That
holds for all messages of this part of the protocol but KNOCK_FOR and MEET, by which a peer names others' endpoints; how
these are bounded stands in ``tests/simulation/test_traversal_hostile_names.py``.

The liars even know the id of the honest pair's channel, as if they had guessed it.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pilotdht.config.config import Config
from pilotdht.config.relay import RelayConfig
from pilotdht.errors import PilotError
from pilotdht.identity.ids import PublicKey
from pilotdht.net.datagrams import RELAYED
from pilotdht.net.sealing import LEAST_BYTES, PADDED_BYTES
from pilotdht.node.node import Node
from pilotdht.tasks import TaskScope
from pilotdht.wire.contact import Contact
from pilotdht.wire.dht_messages import Ping
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.message import Request
from pilotdht.wire.traversal_messages import (
    Attach,
    Call,
    HangUp,
    KnockFor,
    Meet,
    NatMapping,
    Ring,
    Rung,
    SendKnocks,
)
from simulations.engine.virtual_loop import VirtualLoop
from simulations.world.network import MemoryNetwork
from simulations.world.world import virtual_doors
from tests.support.net_nodes import CALM, key_pair
from tests.support.relay_nodes import RelayNode, virtual_relay_node
from tests.support.traversal_liars import Liars, Spot

pytestmark = pytest.mark.property

RELAY = dataclasses.replace(
    RelayConfig(),
    max_attached=5,
    attached_per_prefix=3,
    max_channels=7,
    max_unproven=3,
    channels_per_client=4,
    channels_per_prefix=5,
    channels_per_target=5,
    client_bytes_per_s=20_000.0,
    client_burst_bytes=65_536.0,
)
SERVER = Endpoint("203.0.9.1", 4000)
OWN = tuple(Endpoint(f"198.51.{prefix}.{host}", 5000) for prefix in (1, 2) for host in (1, 2))
VICTIMS = (Endpoint("198.51.1.99", 5000), Endpoint("192.88.7.1", 53), Endpoint("192.88.8.1", 4433))
HONEST = (Endpoint("203.0.1.1", 4000), Endpoint("203.0.2.1", 4000))
TALK_EVERY_S = 5.0
LIARS = 3

spots = st.integers(0, len(OWN) + len(VICTIMS) - 1)
own_spots = st.integers(0, len(OWN) - 1)
liars = st.integers(0, LIARS - 1)
tokens = st.sampled_from(["right", "right", "none", "of another", "made up"])
endpoints = st.sampled_from([*OWN, *VICTIMS, *HONEST, SERVER])
contents = st.sampled_from([b"", b"\x40" + bytes(40), b"\xc0" + bytes(1199), b"\x21" + bytes(150), b"\x23" + bytes(60)])


class HostileMachine(RuleBasedStateMachine):
    """One server, two honest nodes with a channel through it, and liars."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=VirtualLoop)
        self.stack = contextlib.AsyncExitStack()
        self.silences: list[str] = []
        self.answers = 0
        self.runner.run(self._build())

    async def _build(self) -> None:
        self.failures: list[dict[str, object]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: self.failures.append(context))
        network = MemoryNetwork(seed=1, conditions=CALM)
        doors = virtual_doors(network, seed=1, node=9)
        self.node = Node(Config(hostname="server", listen=SERVER, relay=RELAY), keys=key_pair(9), doors=doors)
        await self.stack.enter_async_context(self.node)
        self.server = Contact(self.node.public_key, SERVER)
        self.caller, self.target = [
            await self.stack.enter_async_context(virtual_relay_node(network, seed, host=place.host))
            for seed, place in enumerate(HONEST, 1)
        ]
        scope = await self.stack.enter_async_context(TaskScope("honest"))
        self.target.candidates = [self.server]
        await self.target.attachments.look()
        scope.start(self.target.attachments.run(), name="attachments")
        road = await self.caller.client.call(self.server, self.target.keys.public_key)
        scope.start(self._talk(self.caller, self.caller.tuned(self.target, road)), name="talk")
        self.liars = Liars(network, range(11, 11 + LIARS), unix_time=doors.unix_time)
        self.victims = [self.liars.victim(endpoint) for endpoint in VICTIMS]
        self.spots: list[Spot] = [*(self.liars.own_spot(endpoint) for endpoint in OWN), *self.victims]
        await asyncio.sleep(1)
        found = self.caller.client.channel_to(self.server, self.target.keys.public_key)
        assert found is not None
        self.liars.channel_ids.append(found.channel_id)

    async def _talk(self, caller: RelayNode, peer: Contact) -> None:
        """Have the honest pair talk through its channel, for ever."""
        while True:
            try:
                await caller.rpc.request(peer, Ping())
                self.answers += 1
            except PilotError as error:
                self.silences.append(error.code)
            await asyncio.sleep(TALK_EVERY_S)

    def teardown(self) -> None:
        """The pair still talks, and everything ends."""
        self._wait(2 * TALK_EVERY_S)
        try:
            assert [] == self.silences
            assert self.answers >= 2
        finally:
            self.runner.run(self.stack.aclose())
            self.runner.close()

    def _wait(self, seconds: float) -> None:
        self.runner.run(asyncio.sleep(seconds))

    @initialize(is_taken=st.booleans(), count=st.integers(1, 4))
    def begin_in_order(self, is_taken: bool, count: int) -> None:
        """Some liars attach and call as honest nodes do: what is there can be turned against somebody."""
        for liar, spot, called in [(0, 0, 1), (1, 2, 0), (2, 3, 1), (2, 1, 0)][:count]:
            self._say(liar, spot, Attach(), "none", is_padded=False)
            self._say(liar, spot, Attach(), "right", is_padded=False)
            self._call_in_order(liar, spot, self.liars.keys[called].public_key)
            self.answer_calls(is_taken)
            self._flood(spot, 1)

    def _say(self, liar: int, spot: int, message: Request, token: str, *, is_padded: bool, count: int = 1) -> None:
        keys, place = self.liars.keys[liar], self.spots[spot]
        known = {
            "right": self.liars.token_for(keys, place, self.server),
            "none": b"",
            "of another": next(iter(self.liars.tokens.values()), b""),
            "made up": os.urandom(8),
        }[token]
        for _ in range(count):
            size_bytes = PADDED_BYTES if is_padded else LEAST_BYTES
            self.liars.say(keys, place, self.server, message, token=known, size_bytes=size_bytes)
        self._wait(0.1)

    @rule(victim=st.integers(len(OWN), len(OWN) + len(VICTIMS) - 1), liar=liars, count=st.sampled_from([1, 20]))
    def have_a_victim_attached(self, victim: int, liar: int, count: int) -> None:
        """A liar attaches in a victim's name, another one calls it and sends as much as it can."""
        other = (liar + 1) % LIARS
        for token in ("none", "of another"):
            self._say(liar, victim, Attach(), token, is_padded=False)
        self._call_in_order(other, 3, self.liars.keys[liar].public_key)
        self._flood(3, count)

    @rule(victim=st.integers(len(OWN), len(OWN) + len(VICTIMS) - 1), liar=liars, count=st.sampled_from([1, 20]))
    def have_a_victim_answered(self, victim: int, liar: int, count: int) -> None:
        """A liar that has a channel calls again in a victim's name; the one that it called sends as much as it can."""
        other = (liar + 1) % LIARS
        self._say(other, 0, Attach(), "none", is_padded=False)
        self._say(other, 0, Attach(), "right", is_padded=False)
        called = self.liars.keys[other].public_key
        if count > 1:
            self._call_in_order(liar, 3, called)
        self._say(liar, victim, Call(called), "none", is_padded=False)
        self._flood(0, count)

    def _call_in_order(self, liar: int, spot: int, called: PublicKey) -> None:
        self._say(liar, spot, Ping(), "none", is_padded=False)
        self._say(liar, spot, Call(called), "right", is_padded=False)

    def _flood(self, spot: int, count: int) -> None:
        """Send frames of all channels that the liars know of."""
        for channel_id in self.liars.channel_ids:
            for _ in range(count):
                self.spots[spot].send(self.liars.frame(channel_id, b"\xc0" + bytes(1199)), SERVER)
        self._wait(0.1)

    @rule(liar=liars, spot=spots, token=tokens, is_padded=st.booleans(), count=st.sampled_from([1, 1, 1, 60]))
    def attach(self, liar: int, spot: int, token: str, is_padded: bool, count: int) -> None:
        """A liar attaches, or says so in somebody else's name, or very often."""
        self._say(liar, spot, Attach(), token, is_padded=is_padded, count=count)

    @rule(
        liar=liars, spot=spots, token=tokens, called=st.integers(-2, LIARS - 1), count=st.sampled_from([1, 1, 60]),
    )  # fmt: skip
    def call(self, liar: int, spot: int, token: str, called: int, count: int) -> None:
        """A liar calls another one, an honest node, or nobody."""
        honest = {-1: self.target.keys.public_key, -2: PublicKey(os.urandom(32))}
        key = honest[called] if called < 0 else self.liars.keys[called].public_key
        self._say(liar, spot, Call(key), token, is_padded=False, count=count)

    @rule(liar=liars, spot=own_spots, called=st.integers(-1, LIARS - 1))
    def attach_and_call_in_order(self, liar: int, spot: int, called: int) -> None:
        """As an honest node would, so that the tables fill."""
        self._say(liar, spot, Attach(), "none", is_padded=False)
        self._say(liar, spot, Attach(), "right", is_padded=False)
        key = self.target.keys.public_key if called < 0 else self.liars.keys[called].public_key
        self._say(liar, spot, Call(key), "right", is_padded=False)

    @rule(is_taken=st.booleans())
    def answer_calls(self, is_taken: bool) -> None:
        """Those that were called take the calls, or do not."""
        calls, self.liars.calls = self.liars.calls, []
        for keys, spot, source, request_id in calls:
            if source == SERVER:
                self.liars.say(keys, spot, self.server, Rung(is_taken), request_id=request_id, observed=source)
        self._wait(0.1)

    @rule(spot=spots, number=st.integers(-1, 80), content=contents, count=st.sampled_from([1, 1, 30, 300]))
    def send_frames(self, spot: int, number: int, content: bytes, count: int) -> None:
        """Frames of channels that the liars know of, from wherever, and guesses."""
        known = self.liars.channel_ids
        for _ in range(count):
            channel_id = known[number % len(known)] if known and number >= 0 else os.urandom(8)
            self.spots[spot].send(self.liars.frame(channel_id, content), SERVER)
        self._wait(0.1)

    @rule(liar=liars, spot=spots, token=tokens, number=st.integers(-1, 80))
    def hang_up(self, liar: int, spot: int, token: str, number: int) -> None:
        """A farewell about a channel of anybody."""
        known = self.liars.channel_ids
        channel_id = known[number % len(known)] if known and number >= 0 else os.urandom(8)
        self._say(liar, spot, HangUp(channel_id), token, is_padded=False)

    @rule(
        liar=liars, spot=spots, token=tokens, named=st.lists(endpoints, max_size=8), mapping=st.sampled_from(NatMapping)
    )
    def meet(self, liar: int, spot: int, token: str, named: list[Endpoint], mapping: NatMapping) -> None:
        """Wants to meet at others' endpoints, with no link and through no channel."""
        servers = tuple(Contact(self.liars.keys[0].public_key, endpoint) for endpoint in named[:3])
        self._say(liar, spot, Meet(tuple(named), mapping, servers), token, is_padded=True)

    @rule(liar=liars, spot=spots, token=tokens, caller=liars, channel_id=st.binary(min_size=8, max_size=8))
    def ring(self, liar: int, spot: int, token: str, caller: int, channel_id: bytes) -> None:
        """Says that somebody calls, though nobody is attached to it; to the server and to an honest node."""
        message = Ring(self.liars.keys[caller].public_key, channel_id)
        self._say(liar, spot, message, token, is_padded=False)
        self.liars.say(self.liars.keys[liar], self.spots[spot], self.target.contact, message)
        self._wait(0.1)

    @rule(
        liar=liars, spot=spots, token=tokens, is_asking=st.booleans(), knocked=own_spots, count=st.sampled_from([1, 30])
    )
    def knock(self, liar: int, spot: int, token: str, is_asking: bool, knocked: int, count: int) -> None:
        """Asks for knocks, or tells the server to knock at a liar's."""
        contact = Contact(self.liars.keys[liar].public_key, OWN[knocked])
        message: Request = SendKnocks() if is_asking else KnockFor(contact)
        self._say(liar, spot, message, token, is_padded=False, count=count)

    @rule(
        spot=spots,
        first=st.sampled_from([0x20, 0x21, 0x22, RELAYED, 0x24, 0x25, 0x40, 0xFF]),
        data=st.binary(max_size=80),
    )
    def send_anything(self, spot: int, first: int, data: bytes) -> None:
        """Bytes without a meaning."""
        for target in (SERVER, self.target.endpoint):
            self.spots[spot].send(bytes((first,)) + data, target)
        self._wait(0.05)

    @rule(seconds=st.sampled_from([1.0, 6.0, 25.0, 70.0]))
    def time_passes(self, seconds: float) -> None:
        """Lifetimes end."""
        self._wait(seconds)

    @invariant()
    def victims_get_no_more_than_was_sent_in_their_name(self) -> None:
        """From no node, however it was asked."""
        assert [{}] * len(VICTIMS) == [victim.excess() for victim in self.victims]

    @invariant()
    def tables_keep_their_bounds(self) -> None:
        """All that the server holds for others, and what honest nodes hold."""
        use = self.node.rooms.traversal.relay_use()
        assert use.attached <= RELAY.max_attached
        assert use.channels <= RELAY.max_channels
        assert use.own_channels == 0
        assert len(self.target.client) <= 8
        assert len(self.node.rooms.socket.rpc) <= 64

    @invariant()
    def nothing_fails(self) -> None:
        """Neither a handler, nor a callback."""
        assert [] == self.failures
        assert 0 == self.node.rooms.socket.metrics.handler_failures
        assert 0 == self.target.metrics.handler_failures

    @invariant()
    def the_honest_pair_is_served(self) -> None:
        """Whatever the liars do."""
        assert [] == self.silences


HostileMachine.TestCase.settings = settings(
    max_examples=15,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestHostileMachine = HostileMachine.TestCase
