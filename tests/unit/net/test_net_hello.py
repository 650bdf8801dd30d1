"""Greetings over a network in memory."""

from __future__ import annotations

import asyncio

import pytest

from pilotdht.config.net import NetConfig
from pilotdht.errors import InvalidArgument, Overloaded, TimedOut
from pilotdht.net.hello import HELLO_BYTES
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.seal import network_salt
from simulations.engine.virtual_loop import run_virtually
from simulations.world.network import MemoryNetwork
from simulations.world.world import virtual_doors
from tests.support.net_nodes import CALM, LosesFirst, NetNode, RawPeer, virtual_node, virtual_pair


def test_hello_to_a_node_gives_its_contact() -> None:
    """Host and port are enough to learn the key."""

    async def main() -> None:
        async with virtual_pair() as (_, asker, answerer):
            assert answerer.contact == await asker.rpc.hello(answerer.endpoint)
            assert ((asker.endpoint, 1),) == asker.rpc.observed.candidates(now=asyncio.get_running_loop().time())

    run_virtually(main())


def test_hello_two_of_three_lost_still_succeeds() -> None:
    """A lost datagram does not isolate a node."""

    async def main() -> None:
        async with virtual_pair() as (network, asker, answerer):
            network.allows = LosesFirst(asker.endpoint.host, 2)
            assert answerer.contact == await asker.rpc.hello(answerer.endpoint)

    run_virtually(main())


def test_hello_to_nobody_times_out_and_leaves_nothing() -> None:
    """Three greetings, then an error."""

    async def main() -> None:
        async with virtual_pair() as (network, asker, _answerer):
            with pytest.raises(TimedOut):
                await asker.rpc.hello(Endpoint("10.0.0.99", 4000))
            assert (3, 0) == (network.sent, len(asker.rpc.greeter))

    run_virtually(main())


def test_hello_to_another_mesh_is_not_answered() -> None:
    """Nodes of another network do not even show their key."""

    async def main() -> None:
        network = MemoryNetwork(seed=1, conditions=CALM)
        doors = virtual_doors(network, seed=1, node=2)
        other = NetNode(doors, seed=2, listen=Endpoint("10.0.0.2", 4000), salt=network_salt(7, b"x"))
        async with virtual_node(network, 1) as asker, other:
            with pytest.raises(TimedOut):
                await asker.rpc.hello(other.endpoint)
            assert {"hello_mac": 3} == other.metrics.dropped

    run_virtually(main())


def test_hello_request_and_reply_have_one_size() -> None:
    """A greeting amplifies nothing."""

    async def main() -> None:
        async with virtual_pair() as (network, asker, answerer):
            await asker.rpc.hello(answerer.endpoint)
            assert (2, 2 * HELLO_BYTES) == (network.sent, network.sent_bytes)

    run_virtually(main())


@pytest.mark.parametrize("position", [0, 1, 20, 40, 60, 100, HELLO_BYTES - 1])
def test_hello_reply_with_a_changed_byte_is_dropped(position: int) -> None:
    """Nonce, addresses, key, signature and MAC are all covered."""

    async def main() -> None:
        network = MemoryNetwork(seed=1, conditions=CALM)
        async with (
            virtual_node(network, 1) as node,
            RawPeer(network, seed=3, listen=Endpoint("10.0.0.3", 4000)) as peer,
            asyncio.TaskGroup() as group,
        ):
            group.create_task(expect_timeout(node, peer.contact.endpoint))
            greeting, source = await peer.received.get()
            reply = bytearray(honest_reply(network, greeting, source))
            reply[position] ^= 0x08
            peer.socket.send(bytes(reply), source)
        assert 1 == sum(node.metrics.dropped.values())

    async def expect_timeout(node: NetNode, endpoint: Endpoint) -> None:
        with pytest.raises(TimedOut):
            await node.rpc.hello(endpoint)

    run_virtually(main())


def honest_reply(network: MemoryNetwork, greeting: bytes, source: Endpoint) -> bytes:
    """Return what a node would answer."""
    return virtual_node(network, 4).rpc.greeter.answer_untrusted(greeting, source, 0.0)


def test_hello_reply_from_elsewhere_is_dropped() -> None:
    """Only the endpoint that was greeted may answer."""

    async def main() -> None:
        network = MemoryNetwork(seed=1, conditions=CALM)
        async with (
            virtual_node(network, 1) as node,
            RawPeer(network, seed=3, listen=Endpoint("10.0.0.3", 4000)) as greeted,
            RawPeer(network, seed=5, listen=Endpoint("10.0.0.5", 4000)) as elsewhere,
            asyncio.TaskGroup() as group,
        ):
            task = group.create_task(node.rpc.hello(greeted.contact.endpoint))
            greeting, source = await greeted.received.get()
            reply = honest_reply(network, greeting, source)
            elsewhere.socket.send(reply, source)
            await asyncio.sleep(0.1)
            assert {"hello_endpoint": 1} == node.metrics.dropped
            greeted.socket.send(reply, source)
            assert virtual_node(network, 4).keys.public_key == (await task).public_key

    run_virtually(main())


def test_hello_flood_is_answered_at_the_configured_rate() -> None:
    """A signature costs much, so strangers get a bounded number of them."""

    async def main() -> None:
        config = NetConfig(hello_signatures_per_s=1.0, hello_signature_burst=5)
        async with virtual_pair(config=config) as (_, asker, answerer):
            async with asyncio.TaskGroup() as group:
                for _ in range(50):
                    group.create_task(try_hello(asker, answerer.endpoint))
            assert answerer.metrics.hellos_answered <= 5 + 3
            assert answerer.metrics.dropped["hello_rate"] >= 100

    async def try_hello(node: NetNode, endpoint: Endpoint) -> None:
        try:
            await node.rpc.hello(endpoint)
        except TimedOut:
            return

    run_virtually(main())


def test_hello_beyond_the_bound_is_refused() -> None:
    """Greetings that wait are bounded."""

    async def main() -> None:
        config = NetConfig(hellos_pending=1)
        async with virtual_pair(config=config) as (_, asker, answerer), asyncio.TaskGroup() as group:
            group.create_task(asker.rpc.hello(answerer.endpoint))
            await asyncio.sleep(0)
            with pytest.raises(Overloaded):
                await asker.rpc.hello(answerer.endpoint)

    run_virtually(main())


def test_hello_to_a_name_is_an_error_of_the_caller() -> None:
    """Names are not resolved here."""

    async def main() -> None:
        async with virtual_pair() as (_, asker, _answerer):
            with pytest.raises(InvalidArgument):
                await asker.rpc.hello(Endpoint("localhost", 4000))

    run_virtually(main())
