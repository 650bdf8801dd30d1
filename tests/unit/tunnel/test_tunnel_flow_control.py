"""Back-pressure: a slow reader holds one window, a slow peer stops the writer, and nothing is leaked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from aioquic.quic.packet import QuicStreamFrame

from pilotdht.config.tunnel import TunnelConfig
from pilotdht.errors import LinkClosed
from pilotdht.tunnel.stream import Stream
from pilotdht.wire.endpoint import Endpoint
from tests.support.tunnel_nodes import keys_of, virtual_node
from tests.support.tunnel_raw import RawPeer, settings_of
from tests.support.tunnel_virtual_time import Wire, run_virtually

WINDOW = 64 * 1024
PORT = 9


def _config(*, high: int = 1 << 20, low: int = 1 << 18, has_fast_paths: bool = True) -> TunnelConfig:
    return TunnelConfig(
        stream_window_bytes=WINDOW,
        link_window_bytes=2 * WINDOW,
        write_high_bytes=high,
        write_low_bytes=low,
        has_fast_paths=has_fast_paths,
    )


async def _settle() -> None:
    await asyncio.sleep(3)


@pytest.mark.parametrize("has_fast_paths", [True, False])
def test_reader_that_stopped_gets_one_window_and_then_everything(has_fast_paths: bool) -> None:
    """Not a byte more than the window arrives before it is read; afterwards all of it does."""

    async def scenario() -> None:
        wire = Wire()
        config = TunnelConfig(stream_window_bytes=WINDOW, link_window_bytes=2 * WINDOW, has_fast_paths=has_fast_paths)
        accepted: asyncio.Future[Stream] = asyncio.get_running_loop().create_future()
        done = asyncio.Event()

        async def keep(stream: Stream) -> None:
            accepted.set_result(stream)
            await done.wait()

        async with virtual_node(wire, 1, config=config) as one, virtual_node(wire, 2, config=config) as two:
            two.tunnels.listen(PORT, keep)
            link = await one.tunnels.dial(two.key, [two.endpoint])
            stream = await link.open_stream(PORT)
            sent = bytes(range(256)) * 4096

            async def write() -> None:
                await stream.write(sent)
                await stream.write_eof()

            async with asyncio.TaskGroup() as group:
                group.create_task(write())
                reader = await accepted
                await _settle()
                assert WINDOW - 64 <= reader.buffered_bytes <= WINDOW
                received = b"".join([chunk async for chunk in reader])

            assert sent == received
            done.set()

    run_virtually(scenario())


def test_write_to_a_reader_that_stopped_waits_at_the_high_mark() -> None:
    """The writer holds at most the high mark, and goes on when the reader does."""

    async def scenario() -> None:
        wire = Wire()
        config = _config(high=32 * 1024, low=8 * 1024)
        accepted: asyncio.Future[Stream] = asyncio.get_running_loop().create_future()
        done = asyncio.Event()

        async def keep(stream: Stream) -> None:
            accepted.set_result(stream)
            await done.wait()

        async with virtual_node(wire, 1, config=config) as one, virtual_node(wire, 2, config=config) as two:
            two.tunnels.listen(PORT, keep)
            link = await one.tunnels.dial(two.key, [two.endpoint])
            stream = await link.open_stream(PORT)
            async with asyncio.TaskGroup() as group:
                writing = group.create_task(stream.write(bytes(500_000)))
                reader = await accepted
                await _settle()
                assert not writing.done()
                assert link.unacknowledged_bytes(stream.stream_id) <= 32 * 1024
                missing = 500_000
                while missing:
                    missing -= len(await reader.read())
            done.set()

    run_virtually(scenario())


def _once(frame: QuicStreamFrame) -> Callable[[int, int | None], QuicStreamFrame | None]:
    frames = [frame]
    return lambda max_size, max_offset: frames.pop() if frames else None


def test_receiver_of_bytes_at_the_top_of_the_window_stays_at_one_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """One-byte frames at the top of what is allowed do not make the receiver allow more."""

    async def scenario() -> None:
        wire = Wire()
        config = _config()
        async with virtual_node(wire, 2, config=config) as node:
            node.tunnels.listen(PORT, lambda stream: asyncio.sleep(100))
            client = RawPeer(wire, Endpoint("10.9.9.9", 4433))
            connection = client.dial(settings_of(keys_of(5)), node.key, node.endpoint)
            await _settle()
            connection.send_stream_data(0, bytes.fromhex("0004930990c0"))
            client.flush()
            await _settle()
            stream = connection._streams[0]
            moved = 0
            for _ in range(12):
                top = min(stream.max_stream_data_remote, connection._remote_max_data) - 1
                moved += top + 1 > stream.sender.highest_offset
                monkeypatch.setattr(stream.sender, "get_frame", _once(QuicStreamFrame(data=b"x", offset=top)))
                stream.sender.highest_offset = top + 1
                stream.sender.buffer_is_empty = False
                connection._ready[0] = stream
                client.flush()
                await _settle()

            link = next(node.tunnels.links())
            assert 1 == moved
            assert link.connection.received_unconsumed_bytes <= 2 * WINDOW
            assert len(link.connection._streams[0].receiver._buffer) <= WINDOW
            client.close()

    run_virtually(scenario())


def test_streams_that_were_aborted_do_not_wear_away_the_window() -> None:
    """Credit of bytes that nobody will read comes back: the link's window is as large as before."""

    async def scenario() -> None:
        wire = Wire(loss=0.05, seed=3)
        config = _config(high=WINDOW, low=WINDOW // 4)

        async def ignore(stream: Stream) -> None:
            await stream.read(1)
            stream.abort()

        async with virtual_node(wire, 1, config=config) as one, virtual_node(wire, 2, config=config) as two:
            two.tunnels.listen(PORT, ignore)
            link = await one.tunnels.dial(two.key, [two.endpoint])
            for _ in range(12):
                stream = await link.open_stream(PORT)
                with pytest.raises(LinkClosed):
                    await stream.write(bytes(10 * WINDOW))
                stream.abort()
            await _settle()
            accepted = two.tunnels.link_to(one.key)

            assert accepted is not None
            assert 0 == accepted.connection.received_unconsumed_bytes
            assert 0 == accepted.stream_count
            assert 0 == link.stream_count

    run_virtually(scenario())


def test_unread_streams_together_hold_one_link_window() -> None:
    """Many streams share the link's window: a peer cannot multiply it by opening more."""

    async def scenario() -> None:
        wire = Wire()
        config = _config()
        streams: list[Stream] = []

        async def keep(stream: Stream) -> None:
            streams.append(stream)
            await asyncio.sleep(1000)

        async with virtual_node(wire, 1, config=config) as one, virtual_node(wire, 2, config=config) as two:
            two.tunnels.listen(PORT, keep)
            link = await one.tunnels.dial(two.key, [two.endpoint])
            for _ in range(20):
                stream = await link.open_stream(PORT, is_optimistic=True)
                await stream.write(bytes(WINDOW // 2))
                await stream.write_eof()
            await _settle()

            assert sum(stream.buffered_bytes for stream in streams) <= 2 * WINDOW

    run_virtually(scenario())
