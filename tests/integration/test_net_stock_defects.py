"""Weaknesses known from other implementations of such networks, each shown to be absent here, on real sockets.

About the socket and its requests: remote kill, reflection, fixed time-outs, leaking and misdirected replies, unhandled
errors, closing under load, one family only. Those about tables, lookups and stores stand with the DHT.
"""

from __future__ import annotations

import asyncio
import time

import pytest

from pilotdht.config.net import NetConfig
from pilotdht.errors import NodeClosed, TimedOut
from pilotdht.identity.ids import NodeId, PublicKey
from pilotdht.net.outcomes import Sender, Silent, Slow
from pilotdht.net.socket import UdpNetwork
from pilotdht.wire.contact import Contact
from pilotdht.wire.dht_messages import FindNode, Nodes, Ping, Pong
from pilotdht.wire.endpoint import Endpoint
from pilotdht.wire.envelope import Envelope
from tests.support.leak import leaves_nothing
from tests.support.net_nodes import NetNode, RawPeer, key_pair, needs_ipv6, real_node, reply_to, request_of

pytestmark = [pytest.mark.integration, pytest.mark.asyncio]

TARGET = NodeId(b"t" * 20)
SILENT = Contact(key_pair(99).public_key, Endpoint("127.0.0.1", 9))
"""Nobody listens on the discard port here."""


async def ping_works(one: NetNode, other: NetNode) -> bool:
    """Return whether a node answers another."""
    return isinstance((await one.rpc.request(other.contact, Ping())).message, Pong)


@pytest.mark.parametrize("port", [0, 65_536, 99_999, -1])
async def test_remote_kill_contact_with_impossible_port_leaves_the_socket_open(port: int) -> None:
    """Asking a contact with a port that cannot exist neither raises nor closes anything."""
    async with real_node(1, config=NetConfig(first_timeout_s=0.02, min_timeout_s=0.01)) as node, real_node(2) as other:
        hostile = Contact(key_pair(3).public_key, Endpoint("127.0.0.1", port))
        with pytest.raises(TimedOut):
            await node.rpc.request(hostile, Ping())
        assert await ping_works(node, other)
        assert await ping_works(other, node)


async def test_remote_kill_reply_with_hostile_contacts_is_dropped_and_the_socket_stays_open() -> None:
    """A contact with port 0 makes the whole reply malformed; it is counted, and the node goes on."""
    network = UdpNetwork()
    async with real_node(1) as node, real_node(2) as other, RawPeer(network, seed=3) as hostile:
        async with node.rpc.calls() as calls:
            calls.start(hostile.contact, FindNode(TARGET))
            request, _, source = await hostile.take(unix_time=time.time())
            contacts = tuple(Contact(key_pair(4).public_key, Endpoint("127.0.0.1", port)) for port in (4000, 0))
            reply = reply_to(request, Nodes(contacts), seen=source)
            hostile.socket.send(hostile.sealed(node, reply, unix_time=time.time()), source)
            await node.metrics.dropped_at_least(1, reason="endpoint_port")
        assert await ping_works(node, other)
        assert await ping_works(other, node)


async def test_reflection_unvalidated_request_draws_no_more_bytes_than_it_has() -> None:
    """A small request from an address that was never validated is answered shortly; nothing is pushed to it."""
    contacts = tuple(Contact(key_pair(100 + n).public_key, Endpoint("127.0.0.1", 4000 + n)) for n in range(20))
    async with real_node(1) as node, RawPeer(UdpNetwork(), seed=3) as forger:
        node.rpc.serve(FindNode, lambda _request, _sender: Nodes(contacts, b"s" * 8))
        request = forger.sealed(node, request_of(FindNode(TARGET)), unix_time=time.time(), size_bytes=200)
        forger.socket.send(request, node.endpoint)
        reply, datagram, _ = await forger.take(unix_time=time.time())
        assert isinstance(reply.message, Nodes)
        assert len(datagram) <= len(request)
        assert 0 < len(reply.message.contacts) < 20
        assert (1, 0) == (node.metrics.datagrams_out, forger.received.qsize())


async def test_reflection_token_of_one_address_is_worth_nothing_at_another() -> None:
    """A token that an attacker got at its own address does not validate the address of a victim."""
    contacts = tuple(Contact(key_pair(100 + n).public_key, Endpoint("127.0.0.1", 4000 + n)) for n in range(20))
    senders: list[Sender] = []

    def handler(_request: FindNode, sender: Sender) -> Nodes:
        senders.append(sender)
        return Nodes(contacts)

    network = UdpNetwork()
    async with real_node(1) as node, RawPeer(network, seed=3) as attacker, RawPeer(network, seed=3) as victim:
        node.rpc.serve(FindNode, handler)
        token = b""
        for place in (attacker, attacker, victim):
            request = place.sealed(node, request_of(FindNode(TARGET), token=token), unix_time=time.time())
            place.socket.send(request, node.endpoint)
            reply, datagram, _ = await place.take(unix_time=time.time())
            token = reply.token or token
        assert [False, True, False] == [sender.is_validated for sender in senders]
        assert len(datagram) <= len(request)


async def test_fixed_timeout_dead_contact_frees_its_slot_within_milliseconds_of_a_fast_network() -> None:
    """After some round trips on loopback a dead contact is slow well before and silent before half a second."""
    async with real_node(1) as node, real_node(2) as other:
        for _ in range(20):
            await ping_works(node, other)
        loop = asyncio.get_running_loop()
        started = loop.time()
        async with node.rpc.calls() as calls:
            calls.start(SILENT, Ping())
            first, slow_after_s = await calls.next(), loop.time() - started
            second, silent_after_s = await calls.next(), loop.time() - started
        assert [Slow(SILENT), Silent(SILENT)] == [first, second]
        assert slow_after_s < 0.3
        assert silent_after_s < 1.0


async def test_leak_cancelled_requests_leave_no_entries_and_late_replies_no_errors() -> None:
    """Fifty cancelled requests are gone from the table; their replies are counted as unasked."""
    async with real_node(1) as node, RawPeer(UdpNetwork(), seed=3) as peer:
        tasks = [asyncio.ensure_future(node.rpc.request(peer.contact, Ping())) for _ in range(50)]
        requests = [await peer.take(unix_time=time.time()) for _ in range(50)]
        assert 50 == len(node.rpc)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert 0 == len(node.rpc)
        for request, _, source in requests:
            reply = reply_to(request, Pong(), seen=source)
            peer.socket.send(peer.sealed(node, reply, unix_time=time.time()), source)
        await node.metrics.dropped_at_least(50, reason="reply_unasked")
        assert 0 == node.metrics.handler_failures


async def test_leak_requests_that_time_out_in_the_callers_hands_leave_no_entries() -> None:
    """A time-out around the call is as good as one inside."""
    async with real_node(1) as node:
        for _ in range(20):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.001):
                    await node.rpc.request(SILENT, Ping())
        assert 0 == len(node.rpc)


async def test_misdirected_reply_from_another_address_is_refused() -> None:
    """The right key and the right id from the wrong address answer nothing; the right address still does."""
    network = UdpNetwork()
    node, asked, elsewhere = real_node(1), RawPeer(network, seed=3), RawPeer(network, seed=3)
    async with node, asked, elsewhere, node.rpc.calls() as calls:
        calls.start(asked.contact, Ping())
        request, _, source = await asked.take(unix_time=time.time())
        reply = asked.sealed(node, reply_to(request, Pong(), seen=source), unix_time=time.time())
        elsewhere.socket.send(reply, source)
        await node.metrics.dropped_at_least(1, reason="reply_endpoint")
        assert 1 == len(node.rpc)
        asked.socket.send(reply, source)
        assert asked.contact == (await calls.next()).contact


async def test_misdirected_reply_from_another_key_is_refused() -> None:
    """The right id and the right address under another key answer nothing."""
    async with real_node(1) as node, RawPeer(UdpNetwork(), seed=3) as asked:
        other = RawPeer(UdpNetwork(), seed=4)
        async with node.rpc.calls() as calls:
            calls.start(asked.contact, Ping())
            request, _, source = await asked.take(unix_time=time.time())
            reply = reply_to(request, Pong(), seen=source)
            asked.socket.send(other.sealed(node, reply, unix_time=time.time()), source)
            await node.metrics.dropped_at_least(1, reason="reply_key")
            assert 1 == len(node.rpc)


async def test_misdirected_reply_of_another_type_is_refused() -> None:
    """A question for contacts is not answered by a pong."""
    async with real_node(1) as node, RawPeer(UdpNetwork(), seed=3) as asked, node.rpc.calls() as calls:
        calls.start(asked.contact, FindNode(TARGET))
        request, _, source = await asked.take(unix_time=time.time())
        asked.socket.send(asked.sealed(node, reply_to(request, Pong(), seen=source), unix_time=time.time()), source)
        await node.metrics.dropped_at_least(1, reason="reply_type")
        assert 1 == len(node.rpc)


async def test_replay_of_requests_and_replies_does_no_harm() -> None:
    """A replayed request is answered again, a replayed reply dropped."""
    async with real_node(1) as node, RawPeer(UdpNetwork(), seed=3) as peer, node.rpc.calls() as calls:
        request = peer.sealed(node, request_of(Ping()), unix_time=time.time(), size_bytes=1000)
        for _ in range(3):
            peer.socket.send(request, node.endpoint)
        replies = [await peer.take(unix_time=time.time()) for _ in range(3)]
        assert [Pong()] * 3 == [reply.message for reply, _, _ in replies]
        calls.start(peer.contact, Ping())
        asked, _, source = await peer.take(unix_time=time.time())
        reply = peer.sealed(node, reply_to(asked, Pong(), seen=source), unix_time=time.time())
        for _ in range(3):
            peer.socket.send(reply, source)
        await calls.next()
        await node.metrics.dropped_at_least(2, reason="reply_unasked")
        assert 0 == len(node.rpc)


async def test_unhandled_errors_malformed_datagrams_start_no_task_and_reach_no_handler() -> None:
    """Noise of every kind is counted by reason; no task is made, nothing is logged, the node answers on."""
    loop = asyncio.get_running_loop()
    unhandled: list[dict[str, object]] = []
    loop.set_exception_handler(lambda _loop, context: unhandled.append(context))
    async with real_node(1) as node, real_node(2) as other, RawPeer(UdpNetwork(), seed=3) as peer:
        tasks = asyncio.all_tasks()
        good = peer.sealed(node, request_of(Ping()), unix_time=time.time())
        to_other = peer.sealed(other, request_of(Ping()), unix_time=time.time())
        noise = [
            b"",
            b"\x00",
            b"\x20",
            b"\x21" * 183,
            b"\x22" * 183,
            b"\x23" * 50,
            b"\x20" * 61,
            b"\x20" * 1400,
            good[:-1],
            good + b"x",
            good[:33],
            to_other,
            peer.sealed(node, Envelope(Pong(), b"i" * 8, observed=node.endpoint), unix_time=time.time()),
            peer.sealed(node, request_of(Ping()), unix_time=time.time() - 3 * 86_400),
            bytes([0x20]) + node.keys.public_key + good[33:],
            bytes([0x20]) + bytes(32) + good[33:],
        ]
        for datagram in noise:
            peer.socket.send(datagram, node.endpoint)
        await node.metrics.dropped_at_least(len(noise))
        assert (0, tasks, []) == (node.metrics.handler_failures, asyncio.all_tasks(), unhandled)
        assert await ping_works(other, node)


async def test_stop_while_requests_wait_ends_them_and_leaves_nothing() -> None:
    """Closing ends what waits with a clear error, and what comes afterwards too."""
    async with leaves_nothing():
        node = real_node(1)
        async with node:
            waiting = [asyncio.ensure_future(node.rpc.request(SILENT, Ping())) for _ in range(10)]
            greeting = asyncio.ensure_future(node.rpc.hello(SILENT.endpoint))
            await asyncio.sleep(0)
        results = await asyncio.gather(*waiting, greeting, return_exceptions=True)
        assert [NodeClosed] * 11 == [type(result) for result in results]
        with pytest.raises(NodeClosed):
            await node.rpc.request(SILENT, Ping())
        await node.socket.close()


@needs_ipv6
async def test_one_family_node_on_both_families_is_joined_and_asked_by_either() -> None:
    """A node on ``::`` greets and answers IPv4 and IPv6 peers, and tells each the endpoint it knows itself by."""
    async with (
        real_node(1, listen=Endpoint("::", 0)) as both,
        real_node(2) as ipv4,
        real_node(3, listen=Endpoint("::1", 0)) as ipv6,
    ):
        port = both.endpoint.port
        for peer, host in ((ipv4, "127.0.0.1"), (ipv6, "::1")):
            contact = await peer.rpc.hello(Endpoint(host, port))
            answer = await peer.rpc.request(contact, Ping())
            assert (Endpoint(host, port), peer.endpoint) == (answer.contact.endpoint, answer.observed)
            assert peer.contact == await both.rpc.hello(peer.endpoint)
            assert await ping_works(both, peer)


async def test_unusable_key_in_a_contact_is_silent_and_nothing_else() -> None:
    """A low-order point cannot be agreed with; asking it ends as asking anybody who does not answer."""
    async with real_node(1) as node, real_node(2) as other:
        hostile = Contact(PublicKey(b"\x01" + bytes(31)), other.endpoint)
        with pytest.raises(TimedOut):
            await node.rpc.request(hostile, Ping())
        assert await ping_works(node, other)
