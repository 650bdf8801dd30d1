"""The controller of our own: fast under random loss, and decent at a full queue."""

from __future__ import annotations

import asyncio

import pytest

from pilotdht.config.tunnel import TunnelConfig
from pilotdht.tunnel.quic.congestion import BottleneckControl, Phase
from pilotdht.tunnel.quic.pacer import BURST_S, Pacer
from pilotdht.tunnel.quic.recovery import BulkPacket, NodeRecovery
from pilotdht.tunnel.stream import Stream
from tests.support.tunnel_nodes import virtual_node
from tests.support.tunnel_virtual_time import Wire, run_virtually

PACKET = 1350


def _config(congestion_control: str) -> TunnelConfig:
    return TunnelConfig(congestion_control=congestion_control)


def _transfer(size: int, congestion_control: str, **wire_options: float) -> tuple[float, float]:
    """Return bytes per second of one bulk stream, and the part of datagrams that overflowed the queue."""

    async def scenario() -> tuple[float, float]:
        wire = Wire(delay_s=0.02, **wire_options)  # type: ignore[arg-type]  # numbers
        config = _config(congestion_control)
        done: asyncio.Future[float] = asyncio.get_running_loop().create_future()

        async def sink(stream: Stream) -> None:
            async for _ in stream:
                pass
            done.set_result(wire.loop.time())

        async with virtual_node(wire, 1, config=config) as one, virtual_node(wire, 2, config=config) as two:
            two.tunnels.listen(9, sink)
            stream = await one.tunnels.open_stream(two.key, [two.endpoint], 9)
            started = wire.loop.time()
            await stream.write(bytes(size))
            await stream.write_eof()
            return size / (await done - started), wire.overflowed / wire.sent

    result: tuple[float, float] = run_virtually(scenario())
    return result


@pytest.mark.parametrize("loss", [0.0, 0.01, 0.05])
def test_rate_at_40_ms_with_random_loss_stays_above_ten_megabytes(loss: float) -> None:
    """What cubic loses to random loss is kept."""
    rate, _ = _transfer(10_000_000, "bbr", loss=loss)

    assert rate > 10e6


def test_rate_with_one_percent_loss_is_many_times_that_of_cubic() -> None:
    """The reason to have a controller of our own."""
    ours, _ = _transfer(2_000_000, "bbr", loss=0.01)
    cubic, _ = _transfer(2_000_000, "cubic", loss=0.01)

    assert ours > 5 * cubic


@pytest.mark.parametrize("queue_bytes", [50_000, 200_000, 1_000_000])
def test_rate_at_a_bottleneck_fills_it_without_flooding_it(queue_bytes: int) -> None:
    """At least three quarters of the bottleneck's rate, and little overflow, for shallow and deep queues."""
    rate, overflow = _transfer(10_000_000, "bbr", rate_bytes_s=5e6, queue_bytes=queue_bytes)

    assert rate > 0.75 * 5e6
    assert overflow < 0.1


@pytest.mark.parametrize("rate", [20_000.0, 200_000.0])
def test_rate_at_a_narrow_bottleneck_is_used(rate: float) -> None:
    """A slow uplink is neither flooded nor left idle."""
    achieved, overflow = _transfer(int(10 * rate), "bbr", rate_bytes_s=rate, queue_bytes=30_000)

    assert achieved > 0.6 * rate
    assert overflow < 0.2


def test_two_flows_at_one_bottleneck_both_get_a_fair_part() -> None:
    """Neither of two senders is starved by the other."""

    async def scenario() -> list[int]:
        wire = Wire(delay_s=0.02, rate_bytes_s=4e6, queue_bytes=200_000)
        config = _config("bbr")
        counts = [0, 0]
        # One source, as the bottleneck is shared by what leaves one endpoint.
        async with (
            virtual_node(wire, 1, config=config) as one,
            virtual_node(wire, 2, config=config) as two,
            virtual_node(wire, 3, config=config) as three,
        ):

            def count(index: int) -> object:
                async def sink(stream: Stream) -> None:
                    async for chunk in stream:
                        counts[index] += len(chunk)

                return sink

            two.tunnels.listen(9, count(0))  # type: ignore[arg-type]  # a handler
            three.tunnels.listen(9, count(1))  # type: ignore[arg-type]  # a handler
            streams = [await one.tunnels.open_stream(node.key, [node.endpoint], 9) for node in (two, three)]
            async with asyncio.TaskGroup() as group:
                writers = [group.create_task(stream.write(bytes(60_000_000))) for stream in streams]
                await asyncio.sleep(10)
                for writer in writers:
                    writer.cancel()
            for stream in streams:
                stream.abort()
        return counts

    counts: list[int] = run_virtually(scenario())

    assert sum(counts) > 0.7 * 40e6
    assert min(counts) > 0.2 * sum(counts)


def test_control_after_steady_delivery_knows_bandwidth_and_delay() -> None:
    """Packets acknowledged 40 ms later, 100 a round trip: the estimate is what was delivered."""
    control = BottleneckControl(max_datagram_size=PACKET)
    now, number, flight = 0.0, 0, []
    for _ in range(100):
        for _ in range(10):
            packet = BulkPacket(number, now, PACKET, None, 0, 0, control.mark(now, PACKET))  # type: ignore[arg-type]
            flight.append(packet)
            number += 1
        while flight and flight[0].sent_time <= now - 0.04:
            control.on_acked(now, [flight.pop(0)], 0.04)
        now += 0.004

    assert pytest.approx(10 * PACKET / 0.004, rel=0.1) == control.bandwidth
    assert pytest.approx(0.04) == control.min_rtt_s
    assert control.phase in (Phase.CRUISE, Phase.DRAIN)


def test_pacer_releases_its_rate_and_a_bounded_burst() -> None:
    """Over time the rate, at once a few milliseconds' worth."""
    pacer = Pacer(max_datagram_size=PACKET)
    assert pacer.next_send_time(0.0) is None
    pacer.set_rate(20e6)
    sent, now = 0, 0.0
    while now < 1.0:
        while pacer.next_send_time(now) is None:
            pacer.spend(PACKET)
            sent += PACKET
        at = pacer.next_send_time(now)
        assert at is not None
        assert at > now
        now = at
    assert pytest.approx(20e6, rel=0.02) == sent
    assert pacer.allowance(now + 10) <= 20e6 * BURST_S


def test_pacer_of_a_stock_controller_takes_window_over_round_trip() -> None:
    """RFC 9002, section 7.7."""
    pacer = Pacer(max_datagram_size=PACKET)
    pacer.update_rate(congestion_window=100_000, smoothed_rtt=0.1)

    assert pytest.approx(1.25e6) == pacer.rate


def _sent(control: BottleneckControl, first: int, count: int, now: float) -> list[BulkPacket]:
    return [
        BulkPacket(first + index, now, PACKET, None, 0, 0, control.mark(now, PACKET))  # type: ignore[arg-type]
        for index in range(count)
    ]


def test_control_on_a_new_path_learns_nothing_from_what_is_on_the_old_one() -> None:
    """Neither acknowledgements nor losses of packets of the old path count, and they take no room."""
    control = BottleneckControl(max_datagram_size=PACKET)
    old = _sent(control, 0, 500, 1.0)
    control.on_acked(1.04, old[:100], 0.04)
    control.begin_path()
    window, rate = control.congestion_window, control.pacing_rate

    control.on_packets_lost(now=1.1, packets=old[100:400])
    control.on_acked(1.2, old[400:450], 0.2)
    control.on_packets_expired(packets=old[450:])

    assert 0 == control.bytes_in_flight
    assert 0.0 == control.bandwidth
    assert (window, rate, Phase.STARTUP) == (control.congestion_window, control.pacing_rate, control.phase)

    new = _sent(control, 500, 10, 1.3)
    control.on_acked(1.32, [*old[450:], *new], 0.02)
    assert 0 == control.bytes_in_flight
    assert pytest.approx(10 * PACKET / 0.02) == control.bandwidth
    assert 0.02 == control.min_rtt_s


def test_transfer_after_losing_a_whole_window_on_an_old_path_is_fast_again() -> None:
    """A path that dies under full load takes megabytes with it; on the next one the rate doubles as on a first one."""

    async def scenario() -> float:
        wire = Wire(delay_s=0.02, rate_bytes_s=20e6, queue_bytes=2_000_000)
        config = _config("bbr")
        loop, seen = asyncio.get_running_loop(), [0]
        async with virtual_node(wire, 1, config=config) as one, virtual_node(wire, 2, config=config) as two:

            async def sink(stream: Stream) -> None:
                async for chunk in stream:
                    seen[0] += len(chunk)

            two.tunnels.listen(9, sink)
            stream = await one.tunnels.open_stream(two.key, [two.endpoint], 9)
            async with asyncio.TaskGroup() as group:
                writer = group.create_task(stream.write(bytes(400_000_000)))
                await asyncio.sleep(2)
                wire.loss = 1.0
                await asyncio.sleep(1)
                wire.loss = 0.0
                link = one.tunnels.link_to(two.key)
                assert link is not None
                link.connection.begin_path()  # as a move does; nobody watches roads here
                link.driver.touch(link)
                began, before = loop.time(), seen[0]
                while seen[0] < before + 10_000_000:  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.01)
                took_s = loop.time() - began
                writer.cancel()
            stream.abort()
            return took_s

    took_s: float = run_virtually(scenario())

    assert took_s < 1.0


def test_round_trips_of_a_standing_queue_do_not_count_as_spread() -> None:
    """RFC 9002, section 5.3: deviation is from the smoothed round trip; a full queue delays all packets alike."""
    recovery = NodeRecovery(
        is_loss_tolerant=True,
        max_datagram_size=PACKET,
        congestion_control_algorithm="reno",
        initial_rtt=0.1,
        peer_completed_address_validation=True,
        send_probe=lambda: None,
    )
    recovery._see_rtt(0.02, 0.0, 0.0)
    for number in range(200):
        recovery._see_rtt(0.3, 0.0, float(number))

    assert pytest.approx(0.3, abs=0.001) == recovery._rtt_smoothed
    assert recovery.get_probe_timeout() < 0.31 + recovery.max_ack_delay
