"""Streams as their users see them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from pilotdht.config.tunnel import TunnelConfig
from pilotdht.errors import (
    AlreadyExists,
    InvalidArgument,
    LinkClosed,
    NodeClosed,
    NotTrusted,
    Overloaded,
    Refused,
    TimedOut,
    UsageError,
)
from pilotdht.tunnel.link import Link
from pilotdht.tunnel.stream import Stream
from tests.support.tunnel_nodes import ECHO_PORT, TunnelNode, read_all, serve_echo, virtual_node
from tests.support.tunnel_virtual_time import Wire, run_virtually

PORT = 1000


def _run(
    work: Callable[[TunnelNode, TunnelNode, Link], Awaitable[None]], *, config: TunnelConfig | None = None
) -> None:
    async def scenario() -> None:
        wire = Wire()
        async with virtual_node(wire, 1, config=config) as one, virtual_node(wire, 2, config=config) as two:
            serve_echo(one, two)
            await work(one, two, await one.tunnels.dial(two.key, [two.endpoint]))

    run_virtually(scenario())


def test_stream_of_either_side_reaches_the_other() -> None:
    """The side that was dialled opens streams as well."""

    async def work(one: TunnelNode, two: TunnelNode, link: Link) -> None:
        await link.ping()
        back = two.tunnels.link_to(one.key)
        assert back is not None
        async with await back.open_stream(ECHO_PORT) as stream:
            await stream.write(b"hello")
            await stream.write_eof()

            assert b"hello" == await read_all(stream)
            assert one.key == stream.peer

    _run(work)


def test_stream_hands_options_and_trace_to_the_handler() -> None:
    """What the opener says besides the port arrives."""

    async def work(one: TunnelNode, two: TunnelNode, link: Link) -> None:
        seen: list[object] = []

        async def note(stream: Stream) -> None:
            seen.extend((stream.peer, stream.port, dict(stream.options), stream.traceparent))

        two.tunnels.listen(PORT, note)
        trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        async with await link.open_stream(PORT, options={"name": "a"}, traceparent=trace) as stream:
            assert b"" == await stream.read()

        assert [one.key, PORT, {"name": "a"}, trace] == seen

    _run(work)


def test_open_of_port_where_nobody_listens_is_refused() -> None:
    """The error is typed, and counted at the other side."""

    async def work(one: TunnelNode, two: TunnelNode, link: Link) -> None:
        with pytest.raises(Refused, match="nothing listens on port 1000"):
            await link.open_stream(PORT)

        assert 1 == two.count("streams_refused_total", reason="not_listening")
        await asyncio.sleep(1)
        assert 0 == link.stream_count

    _run(work)


def test_open_of_port_that_the_gate_refuses_is_not_trusted() -> None:
    """The gate is asked with the proved key and the port."""

    async def work(one: TunnelNode, two: TunnelNode, link: Link) -> None:
        two.gate.refused.add((one.key, ECHO_PORT))
        with pytest.raises(NotTrusted):
            await link.open_stream(ECHO_PORT)

        assert [(one.key, ECHO_PORT)] == two.gate.asked
        assert 1 == two.count("streams_refused_total", reason="not_trusted")

    _run(work)


def test_open_beyond_the_bound_of_handlers_is_overloaded() -> None:
    """Handlers are bounded; those that end make room."""

    async def work(one: TunnelNode, two: TunnelNode, link: Link) -> None:
        first = await link.open_stream(ECHO_PORT)
        second = await link.open_stream(ECHO_PORT)
        with pytest.raises(Overloaded):
            await link.open_stream(ECHO_PORT)
        await first.close()
        await asyncio.sleep(1)
        third = await link.open_stream(ECHO_PORT)
        for stream in (second, third):
            await stream.close()

    _run(work, config=TunnelConfig(max_handlers=2))


def test_optimistic_open_raises_the_refusal_at_the_first_read() -> None:
    """Data may follow the header at once; a refusal is not lost."""

    async def work(one: TunnelNode, two: TunnelNode, link: Link) -> None:
        stream = await link.open_stream(PORT, is_optimistic=True)
        await stream.write(b"x" * 100_000)
        with pytest.raises(Refused):
            await stream.read()

    _run(work)


def test_optimistic_open_delivers_data_behind_the_header() -> None:
    """One round trip from opening to the answer."""

    async def work(one: TunnelNode, two: TunnelNode, link: Link) -> None:
        started = asyncio.get_running_loop().time()
        stream = await link.open_stream(ECHO_PORT, is_optimistic=True)
        await stream.write(b"hello")
        await stream.write_eof()

        assert b"hello" == await read_all(stream)
        assert asyncio.get_running_loop().time() - started < 0.0205
        await stream.close()

    _run(work)


def test_read_while_another_task_reads_is_a_usage_error() -> None:
    """Bytes for two readers would be split at random."""

    async def work(one: TunnelNode, two: TunnelNode, link: Link) -> None:
        stream = await link.open_stream(ECHO_PORT)
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(stream.read())
            await asyncio.sleep(0.1)
            with pytest.raises(UsageError):
                await stream.read()
            await stream.write(b"x")
        assert b"x" == reading.result()
        await stream.close()

    _run(work)


def test_read_that_was_cancelled_loses_nothing() -> None:
    """Bytes that come after a cancelled read are there for the next one."""

    async def work(one: TunnelNode, two: TunnelNode, link: Link) -> None:
        stream = await link.open_stream(ECHO_PORT)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await stream.read()
        await stream.write(b"abc")
        assert b"ab" == await stream.read_exactly(2)
        assert b"c" == await stream.read(10)
        await stream.close()

    _run(work)


def test_read_exactly_of_more_than_there_is_fails() -> None:
    """A stream that ends early is an error, not a short result."""

    async def work(one: TunnelNode, two: TunnelNode, link: Link) -> None:
        stream = await link.open_stream(ECHO_PORT)
        await stream.write(b"abc")
        await stream.write_eof()
        with pytest.raises(LinkClosed, match="1 bytes early"):
            await stream.read_exactly(4)
        with pytest.raises(UsageError):
            await stream.write(b"more")
        with pytest.raises(UsageError):
            await stream.read(0)
        await stream.close()

    _run(work)


def test_stream_that_the_peer_aborts_ends_reads_and_writes() -> None:
    """Both sides of the stream fail with LinkClosed; the link stays."""

    async def work(one: TunnelNode, two: TunnelNode, link: Link) -> None:
        async def abort(stream: Stream) -> None:
            await stream.read()
            raise LinkClosed("enough")

        two.tunnels.listen(PORT, abort)
        stream = await link.open_stream(PORT)
        await stream.write(b"x")
        with pytest.raises(LinkClosed, match="the peer aborted the stream"):
            await stream.read()
        with pytest.raises(LinkClosed):
            await stream.write(b"y")
        stream.abort()
        assert link.is_up
        assert 0 < await link.ping()

    _run(work)


def test_handler_that_returns_early_stops_the_writer() -> None:
    """A handler that reads no more is no reason to wait for ever."""

    async def work(one: TunnelNode, two: TunnelNode, link: Link) -> None:
        async def leave(stream: Stream) -> None:
            await stream.read(1)

        two.tunnels.listen(PORT, leave)
        stream = await link.open_stream(PORT)
        with pytest.raises(LinkClosed, match="the peer stopped reading"):
            await stream.write(bytes(10_000_000))
        assert b"" == await stream.read()
        await stream.close()

    _run(work)


def test_drain_waits_until_everything_was_acknowledged() -> None:
    """After a drain nothing is on its way any more."""

    async def work(one: TunnelNode, two: TunnelNode, link: Link) -> None:
        stream = await link.open_stream(ECHO_PORT)
        await stream.write(bytes(50_000))
        assert not link.is_delivered(stream.stream_id)
        await stream.drain()
        assert link.is_delivered(stream.stream_id)
        stream.abort()

    _run(work)


def test_close_of_link_delivers_what_was_written() -> None:
    """A one-way message is not cut off by closing right behind it."""

    async def work(one: TunnelNode, two: TunnelNode, link: Link) -> None:
        received: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def note(stream: Stream) -> None:
            received.set_result(await read_all(stream))

        two.tunnels.listen(PORT, note)
        async with await link.open_stream(PORT) as stream:
            await stream.write(bytes(300_000))
        await link.close()
        assert 300_000 == len(await received)

    _run(work)


def test_thousand_parallel_streams_are_all_served() -> None:
    """Streams over the peer's limit wait for their turn."""

    async def work(one: TunnelNode, two: TunnelNode, link: Link) -> None:
        async def ask(number: int) -> bytes:
            async with await link.open_stream(ECHO_PORT) as stream:
                await stream.write(b"%d" % number)
                await stream.write_eof()
                return await read_all(stream)

        async with asyncio.TaskGroup() as group:
            asking = [group.create_task(ask(number)) for number in range(1000)]

        assert [b"%d" % number for number in range(1000)] == [task.result() for task in asking]
        await asyncio.sleep(1)
        assert 0 == link.stream_count

    _run(work, config=TunnelConfig(max_streams_per_link=256))


def test_open_of_too_many_streams_is_overloaded() -> None:
    """What waits for its turn is bounded as well."""

    async def work(one: TunnelNode, two: TunnelNode, link: Link) -> None:
        streams = [await link.open_stream(ECHO_PORT, is_optimistic=True) for _ in range(8)]
        with pytest.raises(Overloaded):
            await link.open_stream(ECHO_PORT)
        for stream in streams:
            stream.abort()

    _run(work, config=TunnelConfig(max_streams_per_link=2))


def test_stream_aborted_while_it_waits_for_its_turn_harms_nothing() -> None:
    """A reset never mentions a stream that the peer does not allow yet."""

    async def work(one: TunnelNode, two: TunnelNode, link: Link) -> None:
        streams = [await link.open_stream(ECHO_PORT, is_optimistic=True) for _ in range(6)]
        for stream in streams[3:]:
            stream.abort()
        await asyncio.sleep(1)
        for stream in streams[:3]:
            await stream.write_eof()
            assert b"" == await stream.read()
            await stream.close()
        await asyncio.sleep(1)
        assert link.is_up
        assert 0 == link.stream_count

    _run(work, config=TunnelConfig(max_streams_per_link=2))


def test_open_that_nobody_answers_times_out() -> None:
    """The wait for the answer is bounded."""

    async def work(one: TunnelNode, two: TunnelNode, link: Link) -> None:
        with pytest.raises(TimedOut):
            await link.open_stream(ECHO_PORT, timeout_s=0.001)

    _run(work)


def test_listen_twice_on_a_port_is_refused() -> None:
    """One handler a port; unlisten makes room."""

    async def work(one: TunnelNode, two: TunnelNode, link: Link) -> None:
        with pytest.raises(AlreadyExists):
            serve_echo(two)
        with pytest.raises(InvalidArgument):
            two.tunnels.listen(0, lambda stream: asyncio.sleep(0))
        two.tunnels.unlisten(ECHO_PORT)
        serve_echo(two)
        assert (ECHO_PORT,) == two.tunnels.ports

    _run(work)


def test_message_arrives_at_the_box_of_its_port() -> None:
    """Unreliable messages carry the sender's proved key and the port."""

    async def work(one: TunnelNode, two: TunnelNode, link: Link) -> None:
        async with two.tunnels.open_messages(PORT) as box:
            link.send_message(PORT, b"hello")
            largest = bytes(link.max_message_bytes)
            link.send_message(PORT, largest)

            assert (one.key, PORT, b"hello") == await box.receive()
            assert largest == (await box.receive()).data
            with pytest.raises(AlreadyExists):
                two.tunnels.open_messages(PORT)
        with pytest.raises(NodeClosed):
            await box.receive()

    _run(work)


def test_message_that_is_too_large_is_refused_before_it_is_queued() -> None:
    """An oversized message must not block the ones behind it."""

    async def work(one: TunnelNode, two: TunnelNode, link: Link) -> None:
        async with two.tunnels.open_messages(PORT) as box:
            with pytest.raises(InvalidArgument):
                link.send_message(PORT, bytes(link.max_message_bytes + 1))
            link.send_message(PORT, b"small")
            assert b"small" == (await box.receive()).data

    _run(work)


def test_messages_over_the_bound_drop_the_oldest() -> None:
    """Both queues keep the newest, and count."""

    async def work(one: TunnelNode, two: TunnelNode, link: Link) -> None:
        async with two.tunnels.open_messages(PORT) as box:
            for number in range(6):
                link.send_message(PORT, b"%d" % number)
            await asyncio.sleep(1)
            assert 2 == one.count("messages_dropped_total", reason="queue_full")
            for number in range(6, 8):
                link.send_message(PORT, b"%d" % number)
            await asyncio.sleep(1)

            assert [b"4", b"5", b"6", b"7"] == [(await box.receive()).data for _ in range(4)]
            assert 2 == box.dropped
            assert 2 == two.count("messages_dropped_total", reason="queue_full")

    _run(work, config=TunnelConfig(max_messages_queued=4))


def test_message_that_is_not_wanted_is_dropped_by_reason() -> None:
    """No box, or no trust: counted, and nothing else happens."""

    async def work(one: TunnelNode, two: TunnelNode, link: Link) -> None:
        link.send_message(PORT, b"x")
        two.gate.refused.add((one.key, 444))
        link.send_message(444, b"x")
        await asyncio.sleep(1)

        assert 1 == two.count("messages_dropped_total", reason="not_listening")
        assert 1 == two.count("messages_dropped_total", reason="not_trusted")

    _run(work)
