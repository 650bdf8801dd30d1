"""Links that change the road their datagrams take, while streams go on: QUIC does not notice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pilotdht.tunnel.link import Link
from pilotdht.wire.endpoint import Endpoint
from tests.support.tunnel_nodes import TunnelNode, serve_echo, virtual_node
from tests.support.tunnel_virtual_time import Wire, run_virtually

ECHO_PORT = 7
ELSEWHERE = Endpoint("10.7.7.7", 999)


class Watcher:
    """Writes down what it is told, and moves links when it is asked to follow."""

    def __init__(self, *, follows: bool) -> None:
        self.strays: list[Endpoint] = []
        self.doubts = 0
        self.on_doubt: Callable[[Link], None] = lambda link: None
        self._follows = follows

    def astray(self, link: Link, endpoint: Endpoint) -> None:
        """Take in that a datagram came from elsewhere."""
        self.strays.append(endpoint)
        if self._follows:
            link.move(endpoint)

    def in_doubt(self, link: Link) -> None:
        """Take in that nothing is answered."""
        self.doubts += 1
        self.on_doubt(link)


def add_road(wire: Wire, node: TunnelNode, endpoint: Endpoint) -> None:
    """Let a node be reached at a second endpoint as well; what it sends still comes from the first."""
    wire.receivers[endpoint] = node.tunnels.datagrams_received


def come_from(wire: Wire, node: TunnelNode, endpoint: Endpoint) -> None:
    """Let what a node sends come from another endpoint, where it is reached alone from now on."""
    wire.receivers[endpoint] = wire.receivers.pop(node.endpoint)
    send = wire.send
    wire.send = lambda datagram, source, destination: send(  # type: ignore[method-assign]  # it moved
        datagram, endpoint if source == node.endpoint else source, destination
    )


def test_accepting_side_that_moves_keeps_the_link_when_the_watcher_follows() -> None:
    """QUIC alone knows no way for that: a server that moves is lost."""

    async def scenario() -> None:
        wire = Wire()
        async with virtual_node(wire, 1) as one, virtual_node(wire, 2) as two:
            serve_echo(two)
            watcher = Watcher(follows=True)
            one.tunnels.watch_roads(watcher)
            stream = await one.tunnels.open_stream(two.key, [two.endpoint], ECHO_PORT)
            await stream.write(b"before")
            assert b"before" == await stream.read_exactly(6)
            come_from(wire, two, ELSEWHERE)
            await two.tunnels.link_to(one.key).ping()  # type: ignore[union-attr]  # it is up
            await stream.write(bytes(300_000))
            assert bytes(300_000) == await stream.read_exactly(300_000)
            [link] = one.tunnels.links()
            assert ELSEWHERE == link.endpoint
            assert ELSEWHERE in watcher.strays

    run_virtually(scenario())


def test_datagrams_from_elsewhere_move_nothing_by_themselves() -> None:
    """Only the watcher decides: what comes unasked does not change where we send."""

    async def scenario() -> None:
        wire = Wire()
        async with virtual_node(wire, 1) as one, virtual_node(wire, 2) as two:
            serve_echo(two)
            watcher = Watcher(follows=False)
            two.tunnels.watch_roads(watcher)
            stream = await one.tunnels.open_stream(two.key, [two.endpoint], ECHO_PORT)
            wire.captured = []
            come_from(wire, one, ELSEWHERE)
            wire.receivers[one.endpoint] = wire.receivers[ELSEWHERE]
            await stream.write(b"hello")
            assert b"hello" == await stream.read_exactly(5)
            [link] = two.tunnels.links()
            assert one.endpoint == link.endpoint
            assert {ELSEWHERE} == set(watcher.strays)
            assert all(target != ELSEWHERE for _, source, target in wire.captured if source == two.endpoint)

    run_virtually(scenario())


def test_forged_and_replayed_datagrams_from_elsewhere_tell_the_watcher_nothing() -> None:
    """Whoever saw a connection id, or a whole datagram, cannot make us look elsewhere."""

    async def scenario() -> None:
        wire = Wire()
        async with virtual_node(wire, 1) as one, virtual_node(wire, 2) as two:
            serve_echo(two)
            watcher = Watcher(follows=True)
            two.tunnels.watch_roads(watcher)
            wire.captured = []
            stream = await one.tunnels.open_stream(two.key, [two.endpoint], ECHO_PORT)
            await stream.write(b"hello")
            await stream.read_exactly(5)
            seen = [datagram for datagram, source, _ in wire.captured if source == one.endpoint]
            short = [datagram for datagram in seen if not datagram[0] & 0x80]
            assert short
            for datagram in seen:
                wire.send(datagram, ELSEWHERE, two.endpoint)
            for datagram in short:
                wire.send(datagram[:-1] + bytes((datagram[-1] ^ 1,)), ELSEWHERE, two.endpoint)
            await asyncio.sleep(1)
            assert [] == watcher.strays

    run_virtually(scenario())


def test_silent_road_is_doubted_and_another_one_carries_on() -> None:
    """A transfer goes on where it stopped, with nothing lost and nothing doubled."""

    async def scenario() -> None:
        wire = Wire()
        async with virtual_node(wire, 1) as one, virtual_node(wire, 2) as two:
            serve_echo(two)
            add_road(wire, two, ELSEWHERE)
            watcher = Watcher(follows=False)
            watcher.on_doubt = lambda link: link.move(ELSEWHERE)
            one.tunnels.watch_roads(watcher)
            two.tunnels.watch_roads(Watcher(follows=True))
            stream = await one.tunnels.open_stream(two.key, [two.endpoint], ECHO_PORT)
            data = bytes(range(256)) * 4000
            read = asyncio.ensure_future(stream.read_exactly(len(data)))
            await stream.write(data[:500_000])
            wire.is_blocked = lambda source, destination: destination == two.endpoint
            began = asyncio.get_running_loop().time()
            await stream.write(data[500_000:])
            assert data == await read
            assert asyncio.get_running_loop().time() - began < 3
            assert watcher.doubts
            [link] = one.tunnels.links()
            assert ELSEWHERE == link.endpoint

    run_virtually(scenario())


def test_moved_link_measures_its_new_road() -> None:
    """The round trip of the old road is forgotten at once."""

    async def scenario() -> None:
        wire = Wire(delay_s=0.1)
        async with virtual_node(wire, 1) as one, virtual_node(wire, 2) as two:
            serve_echo(two)
            add_road(wire, two, ELSEWHERE)
            one.tunnels.watch_roads(Watcher(follows=False))
            link = await one.tunnels.dial(two.key, [two.endpoint])
            await link.ping()
            assert link.rtt_s is not None
            assert link.rtt_s > 0.19
            wire.delay_s = 0.01
            link.move(ELSEWHERE)
            await link.ping()
            assert link.rtt_s is not None
            assert link.rtt_s < 0.05

    run_virtually(scenario())
