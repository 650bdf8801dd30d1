"""Tunnels beside aioquic's own asyncio API: bulk, requests, handshakes, and memory a link.

Two processes on 127.0.0.1, one for each end; CPU seconds are those of both. aioquic's own API is given the same suite,
datagram size and windows, and no client authentication, which it does not offer.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import resource
import ssl
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

from prometheus_client import CollectorRegistry

from pilotdht.config.tunnel import TunnelConfig
from pilotdht.identity.certificate import make_certificate
from pilotdht.identity.ids import PublicKey
from pilotdht.identity.keys import KeyPair
from pilotdht.net.doors import DatagramSocket, real_doors
from pilotdht.net.socket import UdpNetwork
from pilotdht.tasks import TaskScope
from pilotdht.tunnel.link import Link
from pilotdht.tunnel.metrics import TunnelMetrics
from pilotdht.tunnel.quic.events import CloseCode
from pilotdht.tunnel.stream import Stream
from pilotdht.tunnel.tunnels import Tunnels
from pilotdht.wire.endpoint import Endpoint
from scripts.benchmarks.report import Row, better
from tests.support.tunnel_nodes import virtual_node
from tests.support.tunnel_virtual_time import Wire, run_virtually

STOCK = "aioquic 1.7.2 asyncio API"
SINK_PORT, ECHO_PORT = 9, 7
REQUEST_BYTES = 100
CHUNK = bytes(65536)
DATAGRAM_BYTES = 1350
WINDOW_BYTES = 16 << 20
AT_ONCE = (1, 16, 64)
READY = "ready "
_REQUEST_NOTE = "ours with header, answer, gate and a bounded handler; the baseline with bare streams"


class _Everybody:
    """A gate that lets everybody in."""

    def may_open(self, peer: PublicKey, port: int) -> bool:
        """Return True."""
        return True


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


# Ours.


@asynccontextmanager
async def _node(keys: KeyPair, config: TunnelConfig) -> AsyncIterator[tuple[Tunnels, Endpoint]]:
    network = UdpNetwork()
    tunnels: list[Tunnels] = []
    socket: DatagramSocket = await network.open(
        Endpoint("127.0.0.1", 0), lambda batch: tunnels[0].datagrams_received(batch)
    )
    async with TaskScope("bench") as scope:
        tunnels.append(
            Tunnels(
                keys=keys,
                config=config,
                doors=real_doors(network),
                metrics=TunnelMetrics(CollectorRegistry()),
                send_train=socket.send_train,
                gate=_Everybody(),
                scope=scope,
            )
        )
        try:
            yield tunnels[0], socket.local_endpoints[0]
        finally:
            await tunnels[0].close_all()
            await socket.close()


def _config() -> TunnelConfig:
    return TunnelConfig(
        max_datagram_bytes=DATAGRAM_BYTES,
        accept_per_second=1e6,
        accept_burst=1_000_000,
        retry_above_half_open=60_000,
        max_half_open=60_000,
        max_links=100_000,
        max_streams_per_link=1024,
    )


async def _sink(stream: Stream) -> None:
    size = 0
    async for chunk in stream:
        size += len(chunk)
    await stream.write(b"%d" % size)


async def _echo(stream: Stream) -> None:
    async for chunk in stream:
        await stream.write(chunk)
    await stream.write_eof()


async def _serve_ours() -> None:
    keys = KeyPair.generate()
    async with _node(keys, _config()) as (tunnels, endpoint):
        tunnels.listen(SINK_PORT, _sink)
        tunnels.listen(ECHO_PORT, _echo)
        await _answer_controller(endpoint.port, keys.public_key.hex())


async def _bulk_ours(link: Link, size: int) -> None:
    async with await link.open_stream(SINK_PORT) as stream:
        for _ in range(size // len(CHUNK)):
            await stream.write(CHUNK)
        await stream.write_eof()
        await stream.read()


async def _request_ours(link: Link) -> None:
    stream = await link.open_stream(ECHO_PORT, is_optimistic=True)
    await stream.write(bytes(REQUEST_BYTES))
    await stream.write_eof()
    await stream.read_exactly(REQUEST_BYTES)
    await stream.read()
    await stream.close()


# aioquic's own.


def _stock_configuration(*, is_client: bool) -> Any:  # noqa: ANN401 - aioquic's
    from aioquic import tls
    from aioquic.quic.configuration import QuicConfiguration

    configuration = QuicConfiguration(
        is_client=is_client,
        alpn_protocols=["bench"],
        verify_mode=ssl.CERT_NONE,
        cipher_suites=[tls.CipherSuite.AES_256_GCM_SHA384],
        max_datagram_size=DATAGRAM_BYTES,
        max_data=WINDOW_BYTES,
        max_stream_data=WINDOW_BYTES,
    )
    if not is_client:
        keys = KeyPair.generate()
        configuration.certificate, configuration.private_key = make_certificate(keys), keys.private_key
    return configuration


async def _serve_stock() -> None:
    from aioquic.asyncio.server import serve

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.read(1)
        if first == b"s":
            size = 0
            while chunk := await reader.read(65536):
                size += len(chunk)
            writer.write(b"%d" % size)
        else:
            writer.write(await reader.read())
        writer.write_eof()

    tasks: set[asyncio.Future[None]] = set()

    def stream_handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(handle(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await serve(
        "127.0.0.1", 0, configuration=_stock_configuration(is_client=False), stream_handler=stream_handler
    )
    assert server._transport is not None
    port = server._transport.get_extra_info("sockname")[1]
    await _answer_controller(port, "")


async def _bulk_stock(client: Any, size: int) -> None:  # noqa: ANN401 - aioquic's
    reader, writer = await client.create_stream()
    writer.write(b"s")
    quic, stream_id = client._quic, writer.get_extra_info("stream_id")
    for _ in range(size // len(CHUNK)):
        writer.write(CHUNK)
        # It has no back-pressure of its own: without this it would buffer everything first.
        sender = quic._streams[stream_id].sender
        while sender._buffer_stop - sender._buffer_start > 1 << 20:  # noqa: ASYNC110 - nothing to wait for
            await asyncio.sleep(0.001)
    writer.write_eof()
    await reader.read()


async def _request_stock(client: Any) -> None:  # noqa: ANN401 - aioquic's
    reader, writer = await client.create_stream()
    writer.write(b"e" + bytes(REQUEST_BYTES))
    writer.write_eof()
    if len(await reader.read()) != REQUEST_BYTES:
        raise RuntimeError("the answer is not the question")


# Both.


async def _answer_controller(port: int, key: str) -> None:
    """Say where the server is, then answer each line with the CPU seconds used, until the input ends."""
    _settle_heap()
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print(READY + json.dumps({"port": port, "key": key}), flush=True)
    while await reader.readline():
        print(_cpu_s(), flush=True)


def _settle_heap() -> None:
    """Keep the collector from walking over imported modules again and again: 20 ms each time."""
    gc.collect()
    gc.freeze()


class _Server:
    """The other process."""

    def __init__(self, kind: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "scripts.benchmarks.tunnel", kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        facts = json.loads(line.removeprefix(READY))
        self.endpoint = Endpoint("127.0.0.1", facts["port"])
        self.key = PublicKey(bytes.fromhex(facts["key"]))

    def cpu_s(self) -> float:
        """Return what the process has used so far."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


class _Figures:
    """Wall and CPU time of a piece of work, both ends."""

    def __init__(self, wall_s: float, here_s: float, there_s: float) -> None:
        self.wall_s = wall_s
        self.here_s = here_s
        self.there_s = there_s

    @property
    def cpu_s(self) -> float:
        """Both ends together."""
        return self.here_s + self.there_s


async def _measure(server: _Server, work: Callable[[], Awaitable[None]]) -> _Figures:
    there, here, wall = server.cpu_s(), _cpu_s(), time.perf_counter()
    await work()
    wall, here = time.perf_counter() - wall, _cpu_s() - here
    return _Figures(wall, here, server.cpu_s() - there)


async def _requests(one: Callable[[], Awaitable[None]], at_once: int, count: int) -> tuple[float, list[float]]:
    """Return requests per second and each one's seconds, sorted."""
    seconds: list[float] = []
    left = [count]

    async def worker() -> None:
        while left[0] > 0:
            left[0] -= 1
            started = time.perf_counter()
            await one()
            seconds.append(time.perf_counter() - started)

    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(worker())
    return count / (time.perf_counter() - started), sorted(seconds)


async def _handshakes(one: Callable[[], Awaitable[float]], count: int) -> float:
    """Return handshakes per second, one after the other, closing not counted."""
    for _ in range(5):
        await one()
    return count / sum([await one() for _ in range(count)])


_Result = dict[str, Any]


async def _run(
    server: _Server,
    bulk: Callable[[int], Awaitable[None]],
    request: Callable[[], Awaitable[None]],
    size: int,
    count: int,
) -> _Result:
    await bulk(size // 10)
    figures = [await _measure(server, lambda: bulk(size)) for _ in range(3)]
    best = min(figures, key=lambda figure: figure.cpu_s)
    result: _Result = {"bulk": best, "median": statistics.median(figure.cpu_s for figure in figures)}
    for at_once in AT_ONCE:
        await _requests(request, at_once, count // 10)
        result[f"requests {at_once}"] = await _requests(request, at_once, count)
    return result


async def _run_ours(size: int, count: int) -> _Result:
    server = _Server("serve-ours")
    try:
        async with _node(KeyPair.generate(), _config()) as (tunnels, _):
            link = await tunnels.dial(server.key, [server.endpoint])
            result = await _run(server, lambda n: _bulk_ours(link, n), lambda: _request_ours(link), size, count)
            await link.close()

            async def handshake() -> float:
                started = time.perf_counter()
                fresh = await tunnels.dial(server.key, [server.endpoint])
                seconds = time.perf_counter() - started
                fresh.close_now(CloseCode.DONE)
                return seconds

            result["handshakes"] = await _handshakes(handshake, max(30, count // 10))
            return result
    finally:
        server.close()


async def _run_stock(size: int, count: int) -> _Result:
    from aioquic.asyncio.client import connect

    server = _Server("serve-stock")
    try:
        configuration = _stock_configuration(is_client=True)
        async with connect("127.0.0.1", server.endpoint.port, configuration=configuration) as client:
            result = await _run(server, lambda n: _bulk_stock(client, n), lambda: _request_stock(client), size, count)

        async def handshake() -> float:
            started = time.perf_counter()
            async with connect("127.0.0.1", server.endpoint.port, configuration=configuration):
                return time.perf_counter() - started

        result["handshakes"] = await _handshakes(handshake, max(30, count // 10))
        return result
    finally:
        server.close()


async def _memory_per_link(count: int) -> float:
    """Return KiB of Python objects that one end of an idle link costs, at ``count`` links."""
    wire = Wire(delay_s=0.001)
    config = _config()
    async with contextlib.AsyncExitStack() as stack:
        hub = await stack.enter_async_context(virtual_node(wire, 0, config=config))
        nodes = [
            await stack.enter_async_context(
                virtual_node(
                    wire, 1 + number, config=config, endpoint=Endpoint(f"10.1.{number >> 8}.{number & 255}", 1)
                )
            )
            for number in range(count)
        ]
        gc.collect()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for node in nodes:
            await hub.tunnels.dial(node.key, [node.endpoint])
        await asyncio.sleep(1)
        gc.collect()
        used = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        return used / count / 2 / 1024


def _row(name: str, value: float, baseline: float, unit: str, *, is_less: bool, note: str = "") -> Row:
    return Row(
        name=name,
        value=value,
        unit=unit,
        baseline_name=STOCK,
        baseline_value=baseline,
        ratio=better(value, baseline, lower_is_better=is_less),
        note=note,
    )


def _at(seconds: list[float], share: float) -> float:
    return seconds[min(len(seconds) - 1, int(len(seconds) * share))]


def rows(quick: bool) -> Sequence[Row]:
    """Run everything."""
    _settle_heap()
    size, count = (20_000_000, 300) if quick else (100_000_000, 3000)
    ours = asyncio.run(_run_ours(size, count))
    stock = asyncio.run(_run_stock(size, count))
    scale = 100e6 / size
    found = [
        _row("bulk CPU, both ends", ours["bulk"].cpu_s * scale, stock["bulk"].cpu_s * scale, "s/100 MB", is_less=True),
        _row("bulk CPU, sender", ours["bulk"].here_s * scale, stock["bulk"].here_s * scale, "s/100 MB", is_less=True),
        _row(
            "bulk CPU, receiver", ours["bulk"].there_s * scale, stock["bulk"].there_s * scale, "s/100 MB", is_less=True
        ),
        _row("bulk", size / 1e6 / ours["bulk"].wall_s, size / 1e6 / stock["bulk"].wall_s, "MB/s", is_less=False),
    ]
    for at_once in AT_ONCE:
        (rate, seconds), (stock_rate, stock_seconds) = ours[f"requests {at_once}"], stock[f"requests {at_once}"]
        name = f"requests, {at_once} in flight"
        found.append(_row(name, rate, stock_rate, "1/s", is_less=False, note=_REQUEST_NOTE))
        for label, share in (("p50", 0.5), ("p99", 0.99)):
            value, baseline = 1000 * _at(seconds, share), 1000 * _at(stock_seconds, share)
            found.append(_row(f"{name}, {label}", value, baseline, "ms", is_less=True))
    found.append(_row("handshakes", ours["handshakes"], stock["handshakes"], "1/s", is_less=False, note="ours mutual"))
    links = 100 if quick else 1000
    memory = run_virtually(_memory_per_link(links))
    found.append(Row(name="memory, one end of an idle link", value=memory, unit="KiB", note=f"at {links} links"))
    return found


def main() -> None:
    """Serve for another process, or run everything and print JSON rows."""
    logging.getLogger("quic").setLevel(logging.CRITICAL)
    if "serve-ours" in sys.argv:
        asyncio.run(_serve_ours())
    elif "serve-stock" in sys.argv:
        asyncio.run(_serve_stock())
    else:
        for row in rows("--quick" in sys.argv):
            print(json.dumps(asdict(row)))


if __name__ == "__main__":
    main()
