"""The life of links: one a peer, dialled and redialled, lost and found again."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from pilotdht.config.tunnel import TunnelConfig
from pilotdht.errors import ConfigError, LinkClosed, NodeClosed, NotTrusted, TimedOut, Unreachable, UsageError
from pilotdht.tunnel.link import Link
from pilotdht.tunnel.link_state import LinkState
from pilotdht.tunnel.stream import Stream
from pilotdht.wire.endpoint import Endpoint
from tests.support.tunnel_nodes import ECHO_PORT, TunnelNode, read_all, serve_echo, virtual_node
from tests.support.tunnel_virtual_time import Wire, run_virtually

NOWHERE = Endpoint("10.8.8.8", 1)


async def _ask(stream: Stream, question: bytes) -> bytes:
    async with stream:
        await stream.write(question)
        await stream.write_eof()
        return await read_all(stream)


async def _ask_peer(node: TunnelNode, peer: TunnelNode, question: bytes = b"hello") -> bytes:
    return await _ask(await node.tunnels.open_stream(peer.key, [peer.endpoint], ECHO_PORT), question)


def test_dials_at_the_same_time_share_one_link() -> None:
    """Concurrent callers are joined: one handshake."""

    async def scenario() -> None:
        wire = Wire()
        async with virtual_node(wire, 1) as one, virtual_node(wire, 2) as two:
            async with asyncio.TaskGroup() as group:
                dials = [group.create_task(one.tunnels.dial(two.key, [two.endpoint])) for _ in range(10)]

            assert 1 == len({id(task.result()) for task in dials})
            assert 1 == one.count("handshakes_total", side="out", result="ok")
            assert dials[0].result() is await one.tunnels.dial(two.key)

    run_virtually(scenario())


def test_link_is_there_after_one_round_trip_and_the_first_stream_after_two() -> None:
    """Nobody waits to hear that the peer has checked who dials; on the peer's side it is checked all the same."""

    async def scenario() -> None:
        wire = Wire(delay_s=0.1)
        async with virtual_node(wire, 1) as one, virtual_node(wire, 2) as two:
            serve_echo(two)
            begun = wire.loop.time()
            await one.tunnels.dial(two.key, [two.endpoint])
            assert pytest.approx(0.2, abs=0.001) == wire.loop.time() - begun
            assert [] == list(two.tunnels.links())
            stream = await one.tunnels.open_stream(two.key, [two.endpoint], ECHO_PORT)
            assert pytest.approx(0.4, abs=0.001) == wire.loop.time() - begun
            assert [one.key] == [link.peer_key for link in two.tunnels.links()]
            stream.abort()

    run_virtually(scenario())


def test_dial_whose_first_caller_gave_up_goes_on_for_the_others() -> None:
    """Cancelling one caller does not take the link from another."""

    async def scenario() -> None:
        wire = Wire()
        async with virtual_node(wire, 1) as one, virtual_node(wire, 2) as two:
            with pytest.raises(TimedOut):
                await one.tunnels.dial(two.key, [two.endpoint], timeout_s=0.001)
            link = await one.tunnels.dial(two.key)
            assert link.is_up

    run_virtually(scenario())


def test_dial_of_nobody_is_unreachable_within_the_timeout() -> None:
    """Silence ends in an error that names the endpoints."""

    async def scenario() -> None:
        wire = Wire()
        async with virtual_node(wire, 1) as one, virtual_node(wire, 2) as two:
            started = wire.loop.time()
            with pytest.raises(Unreachable, match=r"10\.8\.8\.8:1"):
                await one.tunnels.dial(two.key, [NOWHERE])
            assert wire.loop.time() - started < 10.1
            with pytest.raises(Unreachable, match="no endpoint"):
                await one.tunnels.dial(two.key, [])
            with pytest.raises(UsageError):
                await one.tunnels.dial(one.key, [one.endpoint])

    run_virtually(scenario())


def test_dial_of_several_endpoints_takes_the_one_that_answers() -> None:
    """A silent endpoint costs one stagger, a wrong one nothing."""

    async def scenario() -> None:
        wire = Wire()
        async with virtual_node(wire, 1) as one, virtual_node(wire, 2) as two, virtual_node(wire, 3) as three:
            started = wire.loop.time()
            link = await one.tunnels.dial(two.key, [NOWHERE, three.endpoint, two.endpoint])
            assert two.endpoint == link.endpoint
            assert wire.loop.time() - started < 0.4

    run_virtually(scenario())


def test_endpoints_of_a_later_caller_join_the_dial() -> None:
    """Who knows a better endpoint helps those who wait already."""

    async def scenario() -> None:
        wire = Wire()
        async with virtual_node(wire, 1) as one, virtual_node(wire, 2) as two, asyncio.TaskGroup() as group:
            first = group.create_task(one.tunnels.dial(two.key, [NOWHERE, Endpoint("10.8.8.8", 2)]))
            await asyncio.sleep(0.1)
            second = await one.tunnels.dial(two.key, [two.endpoint])
            assert second is await first

    run_virtually(scenario())


@pytest.mark.parametrize("offset_s", [0.0, 0.003, 0.012, 0.019, 0.021, 0.03, 0.041])
@pytest.mark.parametrize("loss", [0.0, 0.1])
def test_simultaneous_dials_end_in_one_link_and_lose_no_stream(offset_s: float, loss: float) -> None:
    """Both sides choose the same link, whatever the order of events; streams opened meanwhile are served."""

    async def scenario() -> None:
        wire = Wire(loss=loss, seed=int(offset_s * 1000) + 1)
        async with virtual_node(wire, 1) as one, virtual_node(wire, 2) as two:
            serve_echo(one, two)

            async def talk(node: TunnelNode, peer: TunnelNode, delay_s: float) -> None:
                await asyncio.sleep(delay_s)
                for number in range(20):
                    assert b"%d" % number == await _ask_peer(node, peer, b"%d" % number)

            async with asyncio.TaskGroup() as group:
                group.create_task(talk(one, two, 0.0))
                group.create_task(talk(two, one, offset_s))
            await asyncio.sleep(10)
            [left], [right] = list(one.tunnels.links()), list(two.tunnels.links())

            assert left.is_dialled != right.is_dialled
            assert left.is_up
            assert LinkState.UP == left.state == right.state
            assert 0 < await left.ping()

    run_virtually(scenario())


def test_idle_link_closes_and_the_next_dial_redials() -> None:
    """Unused links are given up by themselves, and nobody notices."""

    async def scenario() -> None:
        wire = Wire()
        config = TunnelConfig(idle_close_s=60)
        async with virtual_node(wire, 1, config=config) as one, virtual_node(wire, 2, config=config) as two:
            serve_echo(two)
            assert b"hello" == await _ask_peer(one, two)
            await asyncio.sleep(55)
            assert 1 == len(list(two.tunnels.links()))
            await asyncio.sleep(20)
            assert [] == list(one.tunnels.links()) == list(two.tunnels.links())
            assert b"hello" == await _ask_peer(one, two)

    run_virtually(scenario())


def test_link_with_a_quiet_stream_stays_open() -> None:
    """A link is idle when it has no streams; keepalives keep the way open."""

    async def scenario() -> None:
        wire = Wire()
        config = TunnelConfig(idle_close_s=5)
        async with virtual_node(wire, 1, config=config) as one, virtual_node(wire, 2, config=config) as two:
            serve_echo(two)
            stream = await one.tunnels.open_stream(two.key, [two.endpoint], ECHO_PORT)
            await asyncio.sleep(600)
            await stream.write(b"still there")
            assert b"still there" == await stream.read()
            await stream.close()

    run_virtually(scenario())


def test_peer_that_vanished_is_noticed_by_silence() -> None:
    """Reads end with LinkClosed when nothing was heard for the configured time, and callbacks are told."""

    async def scenario() -> None:
        wire = Wire()
        down: list[Link] = []
        async with virtual_node(wire, 1) as one, virtual_node(wire, 2) as two:
            serve_echo(two)
            one.tunnels.on_link_down(down.append)
            stream = await one.tunnels.open_stream(two.key, [two.endpoint], ECHO_PORT)
            wire.is_blocked = lambda source, destination: True
            started = wire.loop.time()
            with pytest.raises(LinkClosed, match="not heard"):
                await stream.read()
            assert wire.loop.time() - started < 45
            assert 1 == one.count("links_closed_total", cause="idle")
            assert 1 == len(down)
            assert one.tunnels.link_to(two.key) is None

    run_virtually(scenario())


@pytest.mark.parametrize("dialler", [1, 2])
def test_peer_that_was_restarted_is_reached_again_at_once(dialler: int) -> None:
    """A stateless reset tells the survivor, whoever had dialled; its next stream takes a fresh link."""

    async def scenario() -> None:
        wire = Wire()
        async with virtual_node(wire, 1) as one:
            serve_echo(one)
            async with virtual_node(wire, 2) as two:
                serve_echo(two)
                first, second = (one, two) if dialler == 1 else (two, one)
                assert b"hello" == await _ask_peer(first, second)
                await asyncio.sleep(1)
                wire.receivers.pop(two.endpoint)
                wire.is_blocked = lambda source, destination: source == two.endpoint
            wire.is_blocked = lambda source, destination: False
            async with virtual_node(wire, 2) as again:
                serve_echo(again)
                started = wire.loop.time()
                assert b"hello" == await _ask_peer(one, again)
                assert wire.loop.time() - started < 0.5
                assert 1 == one.count("links_closed_total", cause="reset")
                assert 1 == again.count("stateless_resets_sent_total")

    run_virtually(scenario())


def test_peer_that_was_restarted_and_dials_replaces_the_old_link() -> None:
    """The fresh link counts, the old one is found dead by a ping."""

    async def scenario() -> None:
        wire = Wire()
        async with virtual_node(wire, 1) as one:
            serve_echo(one)
            async with virtual_node(wire, 2) as two:
                serve_echo(two)
                old = await one.tunnels.dial(two.key, [two.endpoint])
                await old.ping()
                wire.receivers.pop(two.endpoint)
                wire.is_blocked = lambda source, destination: source == two.endpoint
            wire.is_blocked = lambda source, destination: False
            async with virtual_node(wire, 2) as again:
                serve_echo(again)
                assert b"hello" == await _ask_peer(again, one)
                assert b"hello" == await _ask_peer(one, again)
                await asyncio.sleep(5)
                [link] = one.tunnels.links()
                assert not link.is_dialled
                assert LinkState.CLOSED == old.state

    run_virtually(scenario())


def test_dialling_side_that_changes_its_address_keeps_the_link() -> None:
    """NAT rebinding: the link moves with its datagrams, and streams go on."""

    async def scenario() -> None:
        wire = Wire()
        moved = Endpoint("10.7.7.7", 999)
        async with virtual_node(wire, 1) as one, virtual_node(wire, 2) as two:
            serve_echo(two)
            stream = await one.tunnels.open_stream(two.key, [two.endpoint], ECHO_PORT)
            await stream.write(b"before")
            assert b"before" == await stream.read_exactly(6)
            receive = wire.receivers.pop(one.endpoint)
            wire.receivers[moved] = receive
            send = wire.send
            wire.send = lambda datagram, source, destination: send(  # type: ignore[method-assign]  # a NAT
                datagram, moved if source == one.endpoint else source, destination
            )
            await stream.write(b"after")
            assert b"after" == await stream.read_exactly(5)
            await stream.write(bytes(200_000))
            assert bytes(200_000) == await stream.read_exactly(200_000)
            [link] = two.tunnels.links()
            assert moved == link.endpoint
            await stream.close()

    run_virtually(scenario())


def test_accepting_side_that_changes_its_address_is_dialled_anew() -> None:
    """A stream to a peer that moved takes the silence of the suspicion time, not of the dead-peer time."""

    async def scenario() -> None:
        wire = Wire()
        moved = Endpoint("10.7.7.7", 999)
        async with virtual_node(wire, 1) as one, virtual_node(wire, 2) as two:
            serve_echo(two)
            assert b"hello" == await _ask_peer(one, two)
            wire.receivers[moved] = wire.receivers.pop(two.endpoint)
            send = wire.send
            wire.send = lambda datagram, source, destination: send(  # type: ignore[method-assign]  # it moved
                datagram, moved if source == two.endpoint else source, destination
            )
            started = wire.loop.time()
            stream = await one.tunnels.open_stream(two.key, [two.endpoint, moved], ECHO_PORT)
            assert b"hello" == await _ask(stream, b"hello")
            assert wire.loop.time() - started < 2.5

    run_virtually(scenario())


def test_drop_peer_cuts_live_links_at_once() -> None:
    """Streams on both sides end with NotTrusted; the peer may be dialled again later."""

    async def scenario() -> None:
        wire = Wire()
        async with virtual_node(wire, 1) as one, virtual_node(wire, 2) as two:
            serve_echo(two)
            stream = await one.tunnels.open_stream(two.key, [two.endpoint], ECHO_PORT)
            assert 1 == two.tunnels.drop_peer(one.key, "untrusted")
            with pytest.raises(NotTrusted):
                await stream.read()
            with pytest.raises(NotTrusted):
                await stream.write(b"x")
            assert [] == list(one.tunnels.links()) == list(two.tunnels.links())
            assert 0 == two.tunnels.drop_peer(one.key)
            assert b"hello" == await _ask_peer(one, two)

    run_virtually(scenario())


def test_close_all_ends_links_and_leaves_nothing_behind() -> None:
    """No task, no timer and no route is left; the peer is told."""

    async def scenario() -> None:
        wire = Wire()
        async with virtual_node(wire, 1) as one:
            async with virtual_node(wire, 2) as two:
                serve_echo(one, two)
                for _ in range(3):
                    assert b"hello" == await _ask_peer(one, two)
                two.tunnels.listen(9, lambda stream: asyncio.sleep(1000))
                stream = await one.tunnels.open_stream(two.key, [two.endpoint], 9)
                box = one.tunnels.open_messages(5)
            with pytest.raises(LinkClosed):
                await stream.read()
            assert [] == list(one.tunnels.links())
            with pytest.raises(NodeClosed):
                await two.tunnels.dial(one.key, [one.endpoint])
            with pytest.raises(NodeClosed):
                two.tunnels.listen(5, lambda stream: asyncio.sleep(0))
            await two.tunnels.close_all()
        with pytest.raises(NodeClosed):
            await box.receive()
        with pytest.raises(NodeClosed):
            await one.tunnels.dial(two.key, [two.endpoint])
        await asyncio.sleep(1)
        assert 1 == len(asyncio.all_tasks())
        assert [] == [handle for handle in wire.loop._scheduled if not handle.cancelled()]  # type: ignore[attr-defined]

    run_virtually(scenario())


def test_closed_links_are_forgotten_after_their_closing_time() -> None:
    """Routes and timers of links that ended do not pile up."""

    async def scenario() -> None:
        wire = Wire()
        async with virtual_node(wire, 1) as one, virtual_node(wire, 2) as two:
            serve_echo(two)
            for _ in range(20):
                assert b"hello" == await _ask_peer(one, two)
                [link] = one.tunnels.links()
                await link.close()
            await asyncio.sleep(10)
            assert (0, 0) == one.tunnels.footprint
            assert (0, 0) == two.tunnels.footprint

    run_virtually(scenario())


def test_callbacks_are_told_about_links_on_both_sides() -> None:
    """Who asked is told of each link that comes up and goes down."""

    async def scenario() -> None:
        wire = Wire()
        async with virtual_node(wire, 1) as one, virtual_node(wire, 2) as two:
            told: list[tuple[str, bytes]] = []
            for node in (one, two):
                node.tunnels.on_link_up(lambda link: told.append(("up", link.peer_key)))
                node.tunnels.on_link_down(lambda link: told.append(("down", link.peer_key)))
            link = await one.tunnels.dial(two.key, [two.endpoint])
            await link.ping()
            await link.close()
            await asyncio.sleep(1)
            assert {("up", one.key), ("up", two.key)} == set(told[:2])
            assert {("down", one.key), ("down", two.key)} == set(told[2:])

    run_virtually(scenario())


def test_ping_measures_the_round_trip() -> None:
    """A ping is answered at once, not after the delay of acknowledgements."""

    async def scenario() -> None:
        wire = Wire(delay_s=0.015)
        async with virtual_node(wire, 1) as one, virtual_node(wire, 2) as two:
            link = await one.tunnels.dial(two.key, [two.endpoint])
            await asyncio.sleep(1)
            assert pytest.approx(0.03, abs=0.0002) == await link.ping()
            assert pytest.approx(0.03, abs=0.003) == link.rtt_s
            wire.is_blocked = lambda source, destination: True
            with pytest.raises(TimedOut):
                await link.ping(0.5)

    run_virtually(scenario())


def test_same_seed_gives_the_same_trace() -> None:
    """Times and sizes of all datagrams are the same in two runs."""

    async def scenario() -> object:
        wire = Wire(seed=5, loss=0.05, jitter_s=0.004)
        wire.trace = []
        async with virtual_node(wire, 1) as one, virtual_node(wire, 2) as two:
            serve_echo(one, two)
            for _ in range(3):
                await _ask_peer(one, two, bytes(50_000))
                await _ask_peer(two, one, bytes(50_000))
        return wire.trace

    assert run_virtually(scenario()) == run_virtually(scenario())


def test_config_out_of_order_is_refused() -> None:
    """Values that do not fit each other are found when they are set."""
    with pytest.raises(ConfigError):
        TunnelConfig(congestion_control="vegas")
    with pytest.raises(ConfigError):
        TunnelConfig(write_low_bytes=2**20, write_high_bytes=2**20)
    with pytest.raises(ConfigError):
        TunnelConfig(keepalive_s=30, dead_peer_s=30)
    with pytest.raises(ConfigError):
        dataclasses.replace(TunnelConfig(), max_links=0)
