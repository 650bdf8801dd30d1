"""The real socket on loopback: both families, trains, bad endpoints, full buffers, failing receivers."""

from __future__ import annotations

import asyncio
import errno
import random
import socket
from typing import Any, cast

import pytest

from pilotdht.config.net import NetConfig
from pilotdht.errors import ConfigError
from pilotdht.net.doors import Batch, DatagramSocket
from pilotdht.net.socket import UdpNetwork, UdpSocket
from pilotdht.net.socket_transport import TransportSocket
from pilotdht.wire.endpoint import Endpoint
from tests.support.leak import leaves_nothing
from tests.support.net_nodes import needs_ipv6

pytestmark = [pytest.mark.integration, pytest.mark.asyncio]

ANY_IPV4 = Endpoint("127.0.0.1", 0)
ALL_OF_IPV4 = "0.0.0.0"  # noqa: S104 - compared, never bound


class Inbox:
    """Collects what a socket delivers."""

    def __init__(self) -> None:
        self.datagrams: list[tuple[bytes, Endpoint]] = []
        self.batches = 0
        self._changed = asyncio.Event()

    def receive(self, batch: Batch) -> None:
        """Take in one batch."""
        self.batches += 1
        self.datagrams.extend(batch)
        self._changed.set()

    async def wait_for(self, count: int) -> list[tuple[bytes, Endpoint]]:
        """Return what came, once ``count`` datagrams are there."""
        async with asyncio.timeout(10):
            while len(self.datagrams) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.datagrams


async def open_udp(inbox: Inbox, listen: Endpoint = ANY_IPV4, *, has_offload: bool = True) -> UdpSocket:
    """Open a real socket on a loop that watches file descriptors."""
    opened = await UdpNetwork(has_offload=has_offload).open(listen, inbox.receive)
    assert isinstance(opened, UdpSocket)
    return opened


async def open_transport(inbox: Inbox) -> TransportSocket:
    """Open the fallback for loops that cannot."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bound.setblocking(False)
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        bound.setsockopt(socket.SOL_SOCKET, option, 4 << 20)
    bound.bind(("127.0.0.1", 0))
    return await TransportSocket.open(asyncio.get_running_loop(), bound, inbox.receive)


async def open_any(kind: str, inbox: Inbox) -> DatagramSocket:
    """Open one of the three ways to have a socket."""
    if kind == "transport":
        return await open_transport(inbox)
    return await open_udp(inbox, has_offload=kind == "offload")


KINDS = pytest.mark.parametrize("kind", ["offload", "plain", "transport"])


@KINDS
async def test_socket_sends_and_receives_with_the_senders_endpoint(kind: str) -> None:
    """What is sent arrives, and can be answered."""
    async with leaves_nothing():
        inbox, other_inbox = Inbox(), Inbox()
        one, other = await open_any(kind, inbox), await open_any(kind, other_inbox)
        one.send(b"question", other.local_endpoints[0])
        [(datagram, source)] = await other_inbox.wait_for(1)
        other.send(b"answer", source)
        assert (b"question", one.local_endpoints[0]) == (datagram, source)
        assert [(b"answer", other.local_endpoints[0])] == await inbox.wait_for(1)
        await one.close()
        await other.close()


TRAINS = {
    "equal sizes": [1200] * 20,
    "a shorter one closes": [1200] * 7 + [300],
    "a shorter one inside": [1200] * 3 + [300] + [1200] * 3,
    "a longer one inside": [300] * 3 + [1200] + [300] * 3,
    "more than 64": [100] * 150,
    "more than 65,000 bytes": [1400] * 100,
    "one": [1200],
    "none": [],
    "all sizes": list(range(1, 90)),
}


@KINDS
@pytest.mark.parametrize("sizes", TRAINS.values(), ids=TRAINS.keys())
async def test_train_arrives_whole_and_in_order(kind: str, sizes: list[int]) -> None:
    """Cutting into segments on one side and splitting on the other leaves each datagram as it was."""
    generator = random.Random(1)
    train = [generator.randbytes(size) for size in sizes]
    inbox = Inbox()
    sender, receiver = await open_any(kind, Inbox()), await open_any(kind, inbox)
    sender.send_train(train, receiver.local_endpoints[0])
    sender.send(b"end", receiver.local_endpoints[0])
    arrived = await inbox.wait_for(len(train) + 1)
    assert [*train, b"end"] == [datagram for datagram, _ in arrived]
    await sender.close()
    await receiver.close()


@pytest.mark.parametrize("has_offload", [True, False])
async def test_train_with_empty_datagrams_arrives_whole(has_offload: bool) -> None:
    """An empty datagram is one, and ends a train."""
    train = [b"", b"a" * 100, b"", b"", b"b" * 100, b"c" * 100]
    inbox = Inbox()
    sender, receiver = await open_udp(Inbox(), has_offload=has_offload), await open_udp(inbox, has_offload=has_offload)
    sender.send_train(train, receiver.local_endpoints[0])
    assert train == [datagram for datagram, _ in await inbox.wait_for(len(train))]
    await sender.close()
    await receiver.close()


async def test_train_takes_one_system_call_each_way_where_the_kernel_can() -> None:
    """Fifty datagrams are one write, and few reads."""
    inbox = Inbox()
    sender, receiver = await open_udp(Inbox()), await open_udp(inbox)
    sender.send_train([bytes(1200)] * 50, receiver.local_endpoints[0])
    await inbox.wait_for(50)
    if not (sender.has_gso and receiver.has_gro):
        pytest.skip("the kernel has no UDP segmentation offload")
    assert (1, 1, 1) == (sender.writes, receiver.reads, inbox.batches)
    await sender.close()
    await receiver.close()


async def test_train_refused_by_the_kernel_goes_out_one_by_one() -> None:
    """Where offload is refused it is given up, and nothing is lost."""
    inbox = Inbox()
    sender, receiver = await open_udp(Inbox()), await open_udp(inbox)

    class Refuses:
        """The socket, but refusing what offload needs."""

        def sendmsg(self, *_: object) -> int:
            """Refuse as a driver without checksum offload does."""
            raise OSError(errno.EIO, "refused")

        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

    real = sender._socket
    sender._socket = cast("socket.socket", Refuses())
    sender.has_gso = True
    sender.send_train([bytes(100)] * 5, receiver.local_endpoints[0])
    assert 5 == len(await inbox.wait_for(5))
    assert not sender.has_gso
    await sender.close()
    await receiver.close()


@needs_ipv6
async def test_socket_of_both_families_talks_to_both_and_shows_no_mapped_address() -> None:
    """One socket on ``::`` serves IPv4 and IPv6 peers under the names they know themselves by."""
    inboxes = Inbox(), Inbox(), Inbox()
    both = await open_udp(inboxes[0], Endpoint("::", 0))
    port = both.local_endpoints[0].port
    ipv4, ipv6 = await open_udp(inboxes[1]), await open_udp(inboxes[2], Endpoint("::1", 0))
    ipv4.send(b"4", Endpoint("127.0.0.1", port))
    ipv6.send(b"6", Endpoint("::1", port))
    arrived = await inboxes[0].wait_for(2)
    assert {(b"4", ipv4.local_endpoints[0]), (b"6", ipv6.local_endpoints[0])} == set(arrived)
    for datagram, source in arrived:
        both.send_train([datagram] * 3, source)
    assert [(b"4", Endpoint("127.0.0.1", port))] * 3 == await inboxes[1].wait_for(3)
    assert [(b"6", Endpoint("::1", port))] * 3 == await inboxes[2].wait_for(3)
    assert (Endpoint("::", port), Endpoint(ALL_OF_IPV4, port)) == both.local_endpoints
    for opened in (both, ipv4, ipv6):
        await opened.close()


async def test_socket_without_ipv6_listens_on_ipv4_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    """``::`` means everything there is."""
    real_socket = socket.socket

    def without_ipv6(family: int, kind: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "no IPv6")
        return real_socket(family, kind)

    monkeypatch.setattr("pilotdht.net.socket.socket.socket", without_ipv6)
    opened = await UdpNetwork().open(Endpoint("::", 0), Inbox().receive)
    monkeypatch.undo()
    assert [ALL_OF_IPV4] == [endpoint.host for endpoint in opened.local_endpoints]
    await opened.close()


async def test_port_in_use_is_a_config_error_and_leaves_nothing() -> None:
    """The user learns what to change."""
    async with leaves_nothing():
        first = await open_udp(Inbox())
        with pytest.raises(ConfigError, match="cannot listen"):
            await open_udp(Inbox(), first.local_endpoints[0])
        await first.close()


async def test_address_of_another_machine_is_a_config_error() -> None:
    """An address that is not ours cannot be bound."""
    with pytest.raises(ConfigError):
        await open_udp(Inbox(), Endpoint("203.0.113.1", 0))


@KINDS
@pytest.mark.parametrize(
    "endpoint",
    [
        Endpoint("127.0.0.1", 99_999),
        Endpoint("127.0.0.1", 0),
        Endpoint("127.0.0.1", -5),
        Endpoint("127.0.0.1", cast("int", "4000")),
        Endpoint("example.invalid", 4000),
        Endpoint(cast("str", None), 4000),
        Endpoint(cast("str", []), 4000),
        Endpoint("::1", 4000),
        cast("Endpoint", None),
    ],
    ids=repr,
)
async def test_sending_to_a_malformed_endpoint_is_counted_and_the_socket_lives(kind: str, endpoint: Endpoint) -> None:
    """No endpoint whatever closes a socket or raises."""
    inbox = Inbox()
    sender, receiver = await open_any(kind, Inbox()), await open_any(kind, inbox)
    sender.send(b"lost", endpoint)
    sender.send_train([b"lost", b"lost"], endpoint)
    sender.send(b"good", receiver.local_endpoints[0])
    assert [b"good"] == [datagram for datagram, _ in await inbox.wait_for(1)]
    assert isinstance(sender, UdpSocket | TransportSocket)
    assert sender.lost["endpoint"] >= 2
    await sender.close()
    await receiver.close()


async def test_datagram_that_cannot_be_sent_is_counted_as_lost() -> None:
    """A datagram longer than UDP allows is an error of the operating system, not of the node."""
    inbox = Inbox()
    sender, receiver = await open_udp(Inbox()), await open_udp(inbox)
    sender.send(bytes(70_000), receiver.local_endpoints[0])
    sender.send(b"good", receiver.local_endpoints[0])
    assert ({"emsgsize": 1}, 1) == (sender.lost, len(await inbox.wait_for(1)))
    await sender.close()
    await receiver.close()


@KINDS
async def test_receiver_that_raises_is_counted_and_the_socket_lives(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The next batch is delivered."""
    inbox, calls = Inbox(), 0

    def receive(batch: Batch) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            inbox._changed.set()
            raise ZeroDivisionError
        inbox.receive(batch)

    failing = Inbox()
    failing.receive = receive  # type: ignore[method-assign]  # the receiver is what fails here
    sender, receiver = await open_any(kind, Inbox()), await open_any(kind, failing)
    sender.send(b"bad", receiver.local_endpoints[0])
    await inbox._changed.wait()
    sender.send(b"good", receiver.local_endpoints[0])
    assert [b"good"] == [datagram for datagram, _ in await inbox.wait_for(1)]
    assert isinstance(receiver, UdpSocket | TransportSocket)
    assert (1, 1) == (receiver.receiver_failures, len(caplog.records))
    await sender.close()
    await receiver.close()


class Blocks:
    """A socket whose send buffer is full until it is told otherwise."""

    def __init__(self, real: socket.socket) -> None:
        self.real = real
        self.is_full = True

    def sendto(self, datagram: bytes, address: object) -> int:
        """Refuse, or send."""
        if self.is_full:
            raise BlockingIOError(errno.EAGAIN, "full")
        return self.real.sendto(datagram, cast("tuple[str, int]", address))

    def sendmsg(self, *_: object) -> int:
        """Refuse."""
        raise BlockingIOError(errno.EAGAIN, "full")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


async def test_full_send_buffer_keeps_a_bounded_backlog_in_order() -> None:
    """What fits into the backlog goes out later, the rest is lost and counted."""
    inbox = Inbox()
    opened = await UdpNetwork(NetConfig(send_backlog=10)).open(ANY_IPV4, Inbox().receive)
    assert isinstance(opened, UdpSocket)
    receiver = await open_udp(inbox)
    blocks = Blocks(opened._socket)
    opened._socket = cast("socket.socket", blocks)
    train = [bytes([number]) * 10 for number in range(12)]
    opened.send_train(train[:6], receiver.local_endpoints[0])
    for datagram in train[6:]:
        opened.send(datagram, receiver.local_endpoints[0])
    assert {"backlog": 2} == opened.lost
    blocks.is_full = False
    assert train[:10] == [datagram for datagram, _ in await inbox.wait_for(10)]
    opened.send(b"direct", receiver.local_endpoints[0])
    assert b"direct" == (await inbox.wait_for(11))[-1][0]
    await opened.close()
    await receiver.close()


@KINDS
async def test_close_twice_is_safe_and_sending_afterwards_does_nothing(kind: str) -> None:
    """Closing is idempotent."""
    async with leaves_nothing():
        opened = await open_any(kind, Inbox())
        await opened.close()
        await opened.close()
        opened.send(b"late", ANY_IPV4)
        opened.send_train([b"late", b"late"], ANY_IPV4)


async def test_flood_of_reads_leaves_the_loop_its_turn() -> None:
    """One readiness event reads a bounded number of datagrams."""
    inbox = Inbox()
    receiver = await UdpNetwork(NetConfig(reads_per_event=8), has_offload=False).open(ANY_IPV4, inbox.receive)
    sender = await open_udp(Inbox(), has_offload=False)
    for _ in range(64):
        sender.send(b"x", receiver.local_endpoints[0])
    await inbox.wait_for(64)
    assert inbox.batches >= 8
    await sender.close()
    await receiver.close()
