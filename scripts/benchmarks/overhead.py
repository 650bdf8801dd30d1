"""What it costs to be watched: tracing that is off, tracing that is on, and a scrape each second.

Processor time of whole processes, in many short rounds of all kinds in turn, as the machine may be busy: medians of the
rounds, and of the ratios within a turn. Both ends of a lookup and of a stream are in the process, and so is what the
nodes do by themselves meanwhile, the same for all kinds.

*Off* is compared with the same nodes in the same process running the same functions without the statements that call
the tracer, or count for a metric; see :mod:`scripts.benchmarks.bare_code`. *On* is a second mesh whose spans are
recorded, batched and encoded as OTLP, and then thrown away instead of sent. *Scraped* is a daemon of its own whose
``/metrics`` is read each second over its control socket, against the same daemon left alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pilotdht.client.channel import ControlChannel
from pilotdht.config.config import Config
from pilotdht.config.trust import TrustConfig
from pilotdht.net.doors import real_doors
from pilotdht.net.socket import UdpNetwork
from pilotdht.node.node import Node
from pilotdht.services.ports import WellKnownPort
from pilotdht.tracing.spans import OFF, Tracer
from pilotdht.wire.endpoint import Endpoint
from scripts.benchmarks.bare_code import Body, MetricsRemover, TracerRemover, bodies_without, worn
from scripts.benchmarks.report import Row, better
from scripts.picture_mesh import Agent

TRACED = ("pilotdht.dht.search", "pilotdht.node.reach", "pilotdht.tunnel.tunnels")
"""Modules whose tracer is called by lookups and streams."""

COUNTING = ("pilotdht.net.", "pilotdht.dht.", "pilotdht.tunnel.", "pilotdht.names.", "pilotdht.node.")
"""Rooms whose metrics lookups and tunnels count."""

NODES = 8
LOOKUPS = 30
STREAMS = 50
"""Operations of a round: about 40 ms of processor time each. Rounds are short and many: what disturbs a shared machine
lasts longer, so it is in all rounds of a turn."""

CHUNKS = 16
"""Written and read back in a round, one after the other, through one stream."""

WARM_UP_TURNS = 2
"""Not counted."""

BYTES = b"x" * 256
CHUNK = b"x" * 65536

SPANS = 20_000


def rows(quick: bool) -> Sequence[Row]:
    """Return the figures."""
    turns, windows, window_s = (32, 4, 2.0) if quick else (240, 12, 5.0)
    return [*asyncio.run(_watched(turns)), *_scraping(windows, window_s)]


def _recording() -> Tracer:
    """Return a tracer that does all but send."""
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    from pilotdht.tracing.opentelemetry import open_telemetry_tracer

    class Encoder(SpanExporter):
        """Encodes spans and forgets them."""

        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            """Encode."""
            encode_spans(spans).SerializeToString()
            return SpanExportResult.SUCCESS

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Encoder(), schedule_delay_millis=50))
    return open_telemetry_tracer(provider=provider)


@contextlib.asynccontextmanager
async def _mesh(tracer: Tracer) -> AsyncIterator[list[Node]]:
    """Yield nodes that know and trust each other, a link from the first to each of the others."""
    async with contextlib.AsyncExitStack() as stack:
        nodes: list[Node] = []
        for number in range(NODES):
            config = Config(
                hostname=f"agent-{number}",
                listen=Endpoint("127.0.0.1", 0),
                bootstrap=tuple(str(node.endpoints[0]) for node in nodes[:3]),
                trust=TrustConfig(is_auto_approving=True),
            )
            doors = replace(real_doors(UdpNetwork()), tracer=tracer)
            nodes.append(await stack.enter_async_context(Node(config, doors=doors)))
        for other in nodes[1:]:
            await nodes[0].handshake(other.did)
        yield nodes


async def _lookups(nodes: Sequence[Node]) -> None:
    for number in range(LOOKUPS):
        await nodes[0].dht_lookup(nodes[1 + number % (NODES - 1)].did)


async def _streams(nodes: Sequence[Node]) -> None:
    for number in range(STREAMS):
        async with await nodes[0].dial(nodes[1 + number % (NODES - 1)].did, WellKnownPort.ECHO) as stream:
            await stream.write(BYTES)
            await stream.write_eof()
            await stream.read_exactly(len(BYTES))


async def _bulk(nodes: Sequence[Node]) -> None:
    async with await nodes[0].dial(nodes[1].did, WellKnownPort.ECHO) as stream:
        for _ in range(CHUNKS):
            await stream.write(CHUNK)
            await stream.read_exactly(len(CHUNK))


async def _cpu_s(work: Callable[[Sequence[Node]], Awaitable[None]], nodes: Sequence[Node]) -> float:
    gc.collect()  # of what the round before left behind
    begun = time.process_time()
    await work(nodes)
    return time.process_time() - begun


async def _watched(turns: int) -> list[Row]:
    """Return what lookups, streams and bulk cost with metrics and tracing, and without."""
    untraced = bodies_without(TRACED, TracerRemover)
    uncounted = bodies_without(_counting_modules(), MetricsRemover)
    names = ", ".join(body.shipped.co_qualname for body in untraced)
    shown = [_span_row(names)]
    async with _mesh(OFF) as plain, _mesh(_recording()) as traced:
        kinds = {
            "shipped": _Kind(plain, ()),
            "no tracer": _Kind(plain, untraced),
            "no metrics": _Kind(plain, uncounted),
            "traced": _Kind(traced, ()),
        }
        gc.collect()
        gc.freeze()
        for name, work, count in (("lookup", _lookups, LOOKUPS), ("stream", _streams, STREAMS)):
            times = await _in_turn(kinds, work, count, turns)
            ours = times["shipped"]
            shown.append(_compared(f"{name}, metrics", ours, "no metrics in the code", times["no metrics"]))
            shown.append(_compared(f"{name}, tracing off", ours, "no tracer in the code", times["no tracer"]))
            shown.append(_compared(f"{name}, tracing on", times["traced"], "tracing off", ours))
        counting = {name: kinds[name] for name in ("shipped", "no metrics")}  # a stream's bytes have no span
        times = await _in_turn(counting, _bulk, CHUNKS, turns)
        shown.append(_compared("bulk, metrics", times["shipped"], "no metrics in the code", times["no metrics"]))
        gc.unfreeze()
    return shown


@dataclass(frozen=True, slots=True)
class _Kind:
    """What is compared: nodes, and functions that have something taken out."""

    nodes: Sequence[Node]
    bodies: Sequence[Body]


async def _in_turn(
    kinds: Mapping[str, _Kind], work: Callable[[Sequence[Node]], Awaitable[None]], count: int, turns: int
) -> dict[str, list[float]]:
    """Return the microseconds of processor time that an operation took, by kind, for each turn."""
    times: dict[str, list[float]] = {name: [] for name in kinds}
    for turn in range(turns + WARM_UP_TURNS):
        for name in kinds if turn % 2 else reversed(kinds):  # who comes first has no advantage
            with worn(kinds[name].bodies):
                spent_s = await _cpu_s(work, kinds[name].nodes)
            if turn >= WARM_UP_TURNS:
                times[name].append(1e6 * spent_s / count)
    return times


def _counting_modules() -> list[str]:
    """Return the modules of the rooms that carry lookups and tunnels; all are loaded with the node."""
    return sorted(name for name in sys.modules if name.startswith(COUNTING) and not name.endswith(".metrics"))


def _span_row(names: str) -> Row:
    """Return what one span costs that nobody records: exact, where differences of rounds drown in what else happens."""

    def once() -> float:
        begun = time.process_time()
        for _ in range(SPANS):
            with OFF.span("lookup", purpose="FindNode") as span:
                span.set("hops", 3)
                span.set("requests", 9)
                span.set("ending", "found")
        return time.process_time() - begun

    def empty() -> float:
        begun = time.process_time()
        for _ in range(SPANS):
            pass
        return time.process_time() - begun

    cost = min(once() - empty() for _ in range(9))
    return Row(
        name="a lookup's span, tracing off", value=1e6 * cost / SPANS, unit="us", note=f"taken out below: {names}"
    )


def _compared(name: str, ours: Sequence[float], baseline_name: str, baseline: Sequence[float]) -> Row:
    ratios = [one / other for one, other in zip(ours, baseline, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    value, base = statistics.median(ours), statistics.median(baseline)
    return Row(
        name=f"{name}, processor, p50 of {len(ours)} rounds",
        value=value,
        unit="us",
        baseline_name=baseline_name,
        baseline_value=base,
        ratio=better(value, base, lower_is_better=True),
        note=f"ratios within a turn: p25 {low:.3f}, p50 {middle:.3f}, p75 {high:.3f}",
    )


def _scraping(windows: int, window_s: float) -> list[Row]:
    """Return what a scrape each second costs a daemon, per second of its life."""
    with tempfile.TemporaryDirectory() as folder:
        agents = [Agent(name, Path(folder) / name) for name in ("scraped", "other")]
        try:
            first = agents[0].run("daemon", "start", "--hostname", "scraped", "--listen", "127.0.0.1:0")
            agents[1].run("daemon", "start", "--listen", "127.0.0.1:0", "--bootstrap", first["endpoints"][0])
            socket = agents[0].run("config", "path")["socket"]
            times: dict[bool, list[float]] = {True: [], False: []}
            for turn in range(windows + 1):
                for is_scraped in (True, False) if turn % 2 else (False, True):
                    spent = asyncio.run(_window(int(first["pid"]), socket, window_s, is_scraped=is_scraped))
                    if turn:
                        times[is_scraped].append(1e3 * spent / window_s)
        finally:
            for agent in agents:
                with contextlib.suppress(SystemExit):
                    agent.run("daemon", "stop")
    scraped, alone = statistics.median(times[True]), statistics.median(times[False])
    cost = statistics.median(one - other for one, other in zip(times[True], times[False], strict=True))
    return [
        Row(
            name=f"daemon scraped each second, processor, p50 of {windows} windows of {window_s:g} s",
            value=scraped,
            unit="ms/s",
            baseline_name="never scraped",
            baseline_value=alone,
            ratio=better(scraped, alone, lower_is_better=True),
            note=f"a scrape costs {cost:.2f} ms, {cost / 10:.2f} % of a core at one a second",
        )
    ]


async def _window(process_id: int, socket: str, window_s: float, *, is_scraped: bool) -> float:
    """Return the seconds of processor time that a daemon uses within a window."""
    loop = asyncio.get_running_loop()
    before, end = _used_s(process_id), loop.time() + window_s
    async with ControlChannel(socket) as channel:
        while (left := end - loop.time()) > 0:
            if is_scraped:
                await channel.text("/metrics")
            await asyncio.sleep(min(1.0, left))
    return _used_s(process_id) - before


def _used_s(process_id: int) -> float:
    """Return the processor time of a process, all threads, in nanoseconds' resolution where Linux tells it."""
    threads = Path(f"/proc/{process_id}/task")
    return sum(int((one / "schedstat").read_text().split()[0]) for one in threads.iterdir()) / 1e9
