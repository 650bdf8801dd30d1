"""What arrives is what was sent: over loss, reordering, key changes and every combination of fast and slow paths."""

from __future__ import annotations

import asyncio
import hashlib
import random

import pytest

from pilotdht.config.tunnel import TunnelConfig
from pilotdht.tunnel.link import Link
from tests.support.tunnel_nodes import ECHO_PORT, read_all, serve_echo, virtual_node
from tests.support.tunnel_virtual_time import Wire, run_virtually


async def _echo(link: Link, content: bytes) -> str:
    async with await link.open_stream(ECHO_PORT) as stream:

        async def write() -> None:
            view = memoryview(content)
            for start in range(0, len(content), 70_001):
                await stream.write(bytes(view[start : start + 70_001]))
            await stream.write_eof()

        async with asyncio.TaskGroup() as group:
            group.create_task(write())
            received = await read_all(stream)
    return hashlib.sha256(received).hexdigest()


@pytest.mark.parametrize("congestion_control", ["bbr", "cubic"])
@pytest.mark.parametrize(("is_fast_here", "is_fast_there"), [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_streams_over_a_bad_wire_arrive_unchanged(
    seed: int, is_fast_here: bool, is_fast_there: bool, congestion_control: str
) -> None:
    """Four streams at once and then two in turn, with 3 % loss, reordering and a key change after every 150 packets."""

    async def scenario() -> None:
        wire = Wire(seed=seed, loss=0.03, jitter_s=0.004)
        here = TunnelConfig(has_fast_paths=is_fast_here, key_update_packets=150, congestion_control=congestion_control)
        there = TunnelConfig(has_fast_paths=is_fast_there, congestion_control=congestion_control)
        source = random.Random(seed)
        contents = [source.randbytes(200_000 + 12_345 * number) for number in range(6)]
        async with virtual_node(wire, 1, config=here) as one, virtual_node(wire, 2, config=there) as two:
            serve_echo(two)
            link = await one.tunnels.dial(two.key, [two.endpoint])
            async with asyncio.TaskGroup() as group:
                echoes = [group.create_task(_echo(link, content)) for content in contents[:4]]
            digests = [task.result() for task in echoes] + [await _echo(link, content) for content in contents[4:]]

            assert [hashlib.sha256(content).hexdigest() for content in contents] == digests
            [accepted] = two.tunnels.links()
            for end, is_fast in ((link, is_fast_here), (accepted, is_fast_there)):
                assert is_fast == (end.connection.bulk_packets_sent > 30)
                assert is_fast == (end.connection.fast_packets_received > 30)
                assert end.connection.key_changes >= 3
            assert 0 == one.metrics.dropped["internal"] + two.metrics.dropped["internal"]

    run_virtually(scenario())


def test_fast_paths_on_a_good_wire_carry_nearly_everything() -> None:
    """The short ways are taken, not only there."""

    async def scenario() -> None:
        wire = Wire()
        async with virtual_node(wire, 1) as one, virtual_node(wire, 2) as two:
            serve_echo(two)
            link = await one.tunnels.dial(two.key, [two.endpoint])
            await _echo(link, bytes(2_000_000))
            [accepted] = two.tunnels.links()
            packets = 2_000_000 / 1320

            assert link.connection.bulk_packets_sent > 0.9 * packets
            assert accepted.connection.fast_packets_received > 0.9 * packets

    run_virtually(scenario())


@pytest.mark.parametrize("number", [(1 << 16) - 40, (1 << 30) - 40, (1 << 32) - 40])
def test_packet_numbers_that_wrap_are_understood(number: int) -> None:
    """Two bytes of a packet number are enough on both paths, wherever they wrap."""

    async def scenario() -> None:
        wire = Wire(loss=0.02)
        config = TunnelConfig(key_update_packets=1 << 22)
        async with virtual_node(wire, 1, config=config) as one, virtual_node(wire, 2, config=config) as two:
            serve_echo(two)
            link = await one.tunnels.dial(two.key, [two.endpoint])
            await asyncio.sleep(1)
            [accepted] = two.tunnels.links()
            link.connection._packet_number = link.connection._keys_changed_at_packet = number
            space = list(accepted.connection._spaces.values())[2]
            space.expected_packet_number = number
            content = random.Random(3).randbytes(300_000)

            assert hashlib.sha256(content).hexdigest() == await _echo(link, content)

    run_virtually(scenario())


def test_offsets_beyond_what_four_bytes_hold_are_sent_in_eight() -> None:
    """A stream of more than a gigabyte goes on."""

    async def scenario() -> None:
        wire = Wire()
        async with virtual_node(wire, 1) as one, virtual_node(wire, 2) as two:
            serve_echo(two)
            link = await one.tunnels.dial(two.key, [two.endpoint])
            stream = await link.open_stream(ECHO_PORT)
            await stream.write(b"x")
            assert b"x" == await stream.read()
            await asyncio.sleep(1)
            [accepted] = two.tunnels.links()
            start = (1 << 30) - 20_000
            sending, receiving = link.connection._streams[0], accepted.connection._streams[0]
            for stream_end in (sending, receiving):
                stream_end.max_stream_data_local += start
                stream_end.max_stream_data_remote += start
            sending.sender._buffer_start = sending.sender._buffer_stop = sending.sender.highest_offset = start
            receiving.receiver._buffer_start = receiving.receiver.highest_offset = start
            content = random.Random(3).randbytes(100_000)
            await stream.write(content)
            assert content == await stream.read_exactly(len(content))
            stream.abort()

    run_virtually(scenario())
