"""What it costs to be watched: tracing that is off, tracing that is on, and a scrape each second.

Processor time of whole processes, in many short rounds of all kinds in turn, as the machine may be busy: medians of the
rounds, and of the ratios within a turn. Both ends of a lookup and of a stream are in the process, and so is what the
nodes do by themselves meanwhile, the same for all kinds.

*Off* is compared with the same nodes in the same process, running the same functions without the statements that
call the tracer: the source of the modules is read, each ``with tracer.span(…)`` becomes its body, ``span.set(…)`` goes,
``traceparent()`` becomes ``None``, and the compiled bodies take turns with those that are shipped. *On* is a second
mesh whose spans are recorded, batched and encoded as OTLP, and then thrown away instead of sent. *Scraped* is a daemon
of its own whose ``/metrics`` is read each second over its control socket, against the same daemon left alone.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import gc
import importlib
import inspect
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

from pilotdht.client.channel import ControlChannel
from pilotdht.config.config import Config
from pilotdht.config.trust import TrustConfig
from pilotdht.net.doors import real_doors
from pilotdht.net.socket import UdpNetwork
from pilotdht.node.node import Node
from pilotdht.services.ports import WellKnownPort
from pilotdht.tracing.spans import OFF, Tracer
from pilotdht.wire.endpoint import Endpoint
from scripts.benchmarks.report import Row, better
from scripts.picture_mesh import Agent

TRACED = ("pilotdht.dht.search", "pilotdht.node.reach", "pilotdht.tunnel.tunnels")
"""Modules whose tracer is called by lookups and streams."""

NODES = 8
LOOKUPS = 60
STREAMS = 100
"""Operations of a round: about 50 ms of processor time each."""

BYTES = b"x" * 256

SPANS = 20_000


def rows(quick: bool) -> Sequence[Row]:
    """Return the figures."""
    pairs, windows, window_s = (8, 4, 2.0) if quick else (60, 12, 5.0)
    return [*asyncio.run(_tracing(pairs)), *_scraping(windows, window_s)]


class _Bare(ast.NodeTransformer):
    """Takes the calls of a tracer out of a module."""

    def __init__(self) -> None:
        self.removed = 0
        self._names: set[str] = set()

    def visit_With(self, node: ast.With) -> ast.AST | list[ast.stmt]:
        """Leave the body of a span alone."""
        spans = [item for item in node.items if _is_tracer_call(item.context_expr, "span")]
        self._names |= {item.optional_vars.id for item in spans if isinstance(item.optional_vars, ast.Name)}
        self.generic_visit(node)
        if not spans:
            return node
        self.removed += len(spans)
        node.items = [item for item in node.items if item not in spans]
        return node if node.items else node.body

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        """Take out what is said of a span."""
        call = node.value
        if (
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Attribute)
            and call.func.attr == "set"
            and isinstance(call.func.value, ast.Name)
            and call.func.value.id in self._names
        ):
            self.removed += 1
            return None
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Take out the question for the current span."""
        if _is_tracer_call(node, "traceparent"):
            self.removed += 1
            return ast.copy_location(ast.Constant(None), node)
        return self.generic_visit(node)


def _is_tracer_call(node: ast.expr, method: str) -> bool:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == method):
        return False
    owner = node.func.value
    return isinstance(owner, ast.Attribute) and owner.attr in ("_tracer", "tracer")


@dataclass(frozen=True, slots=True)
class _Body:
    """A function that calls the tracer, as it is shipped and without the calls."""

    function: FunctionType
    shipped: CodeType
    bare: CodeType


def _bodies() -> list[_Body]:
    """Return every function of the traced modules that differs without the tracer."""
    found: list[_Body] = []
    for name in TRACED:
        module = importlib.import_module(name)
        source = inspect.getsource(module)
        remover = _Bare()
        bare_tree = ast.fix_missing_locations(remover.visit(ast.parse(source)))
        if not remover.removed:
            raise RuntimeError(f"{name} calls no tracer: this measures nothing")
        bare = dict(_functions(compile(bare_tree, module.__file__ or name, "exec", dont_inherit=True)))
        for function in _live(module):
            before, after = function.__code__, bare[function.__code__.co_qualname]
            if before.co_code != after.co_code:
                found.append(_Body(function, before, after))
    return found


def _functions(code: CodeType) -> Iterator[tuple[str, CodeType]]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant.co_qualname, constant
            yield from _functions(constant)


def _live(module: ModuleType) -> Iterator[FunctionType]:
    """Return the functions and methods that a module defines."""
    for owner in (module, *(one for one in vars(module).values() if inspect.isclass(one))):
        if owner is not module and owner.__module__ != module.__name__:
            continue
        for one in vars(owner).values():
            plain = inspect.unwrap(one.__func__ if isinstance(one, (classmethod, staticmethod)) else one)
            if isinstance(plain, FunctionType) and plain.__code__.co_filename == module.__file__:
                yield plain


def _wear(bodies: Sequence[_Body], *, is_bare: bool) -> None:
    for body in bodies:
        body.function.__code__ = body.bare if is_bare else body.shipped


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


async def _cpu_s(work: Callable[[Sequence[Node]], Awaitable[None]], nodes: Sequence[Node]) -> float:
    gc.collect()  # of what the round before left behind
    begun = time.process_time()
    await work(nodes)
    return time.process_time() - begun


async def _tracing(pairs: int) -> list[Row]:
    bodies = _bodies()
    names = ", ".join(body.shipped.co_qualname for body in bodies)
    shown = [_span_row(names)]
    async with _mesh(OFF) as plain, _mesh(_recording()) as traced:
        gc.collect()
        gc.freeze()
        for name, work, count in (("lookup", _lookups, LOOKUPS), ("stream", _streams, STREAMS)):
            times: dict[str, list[float]] = {"off": [], "bare": [], "on": []}
            kinds = ["off", "bare", "on"]
            for turn in range(pairs + 2):
                for kind in kinds if turn % 2 else reversed(kinds):  # who comes first has no advantage
                    _wear(bodies, is_bare=kind == "bare")
                    try:
                        spent = await _cpu_s(work, traced if kind == "on" else plain)
                    finally:
                        _wear(bodies, is_bare=False)
                    if turn >= 2:
                        times[kind].append(1e6 * spent / count)
            shown.append(_compared(f"{name}, tracing off", times["off"], "no tracer in the code", times["bare"]))
            shown.append(_compared(f"{name}, tracing on", times["on"], "tracing off", times["off"]))
        gc.unfreeze()
    return shown


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
