"""One trace over three nodes: a question whose answerer asks somebody else, exported by OTLP to a real collector."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from pilotdht.config.config import Config
from pilotdht.config.tracing import TracingConfig
from pilotdht.node.node import Node
from pilotdht.services.query.values import Question
from tests.support.nodes import LOOPBACK, befriend

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs the extra 'otel'")

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

pytestmark = [pytest.mark.timeout(60)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A span that the collector got."""

    name: str
    node: str
    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    is_error: bool


class Collector:
    """Takes spans as a collector of OpenTelemetry does."""

    def __init__(self) -> None:
        self.spans: list[Seen] = []
        self.url = ""

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Listen on loopback."""
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = ExportTraceServiceRequest()
                request.ParseFromString(self.rfile.read(int(self.headers["Content-Length"])))
                collector.take(request)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_address[1]}/v1/traces"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def take(self, request: ExportTraceServiceRequest) -> None:
        """Keep what came."""
        for resource in request.resource_spans:
            values = {one.key: one.value.string_value for one in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += [
                    Seen(
                        name=span.name,
                        node=values["service.instance.id"],
                        trace_id=span.trace_id,
                        span_id=span.span_id,
                        parent_id=span.parent_span_id,
                        is_error=span.status.code == 2,
                    )
                    for span in scope.spans
                ]


async def _three(collector: Collector, stack: contextlib.AsyncExitStack) -> list[Node]:
    nodes: list[Node] = []
    for name in ("alice", "bob", "carol"):
        config = Config(
            hostname=name,
            listen=LOOPBACK,
            bootstrap=tuple(str(node.endpoints[0]) for node in nodes),
            tracing=TracingConfig(is_enabled=True, endpoint=collector.url),
        )
        nodes.append(await stack.enter_async_context(Node(config)))
    return nodes


def test_question_that_leads_to_another_question_is_one_trace_over_three_nodes() -> None:
    """Each span but the first has its parent in the trace, across both borders between nodes."""
    collector = Collector()

    async def main() -> list[str]:
        async with contextlib.AsyncExitStack() as stack:
            alice, bob, carol = await _three(collector, stack)
            await befriend(alice, bob)
            await befriend(bob, carol)

            @carol.on_query()
            async def last(question: Question) -> str:
                return f"carol heard {question.text}"

            @bob.on_query()
            async def middle(question: Question) -> str:
                return (await bob.query("carol", question.text)).text

            answer = await alice.query("bob", "who is there?")
            assert answer.text == "carol heard who is there?"
            return [str(node.address) for node in (alice, bob, carol)]

    with collector.running():
        addresses = asyncio.run(main())
    (root,) = [span for span in collector.spans if span.name == "pilotdht.query" and span.node == addresses[0]]
    trace = [span for span in collector.spans if span.trace_id == root.trace_id]
    assert set(addresses) == {span.node for span in trace}
    ids = {span.span_id for span in trace}
    assert [root] == [span for span in trace if span.parent_id not in ids]
    names = {(addresses.index(span.node), span.name.removeprefix("pilotdht.")) for span in trace}
    assert {(0, "query"), (0, "ask"), (1, "serve"), (1, "query"), (1, "ask"), (2, "serve")} <= names
    lookups = [span for span in collector.spans if span.name == "pilotdht.lookup"]
    assert lookups


def test_failed_dial_is_recorded_as_what_it_was() -> None:
    """The error's code, and no text that somebody else wrote."""
    collector = Collector()

    async def main() -> None:
        tracing = TracingConfig(is_enabled=True, endpoint=collector.url)
        async with Node(Config(listen=LOOPBACK, tracing=tracing)) as node:
            with contextlib.suppress(Exception):
                await node.connect("nobody")

    with collector.running():
        asyncio.run(main())
    failed = {span.name for span in collector.spans if span.is_error}
    assert {"pilotdht.dial", "pilotdht.resolve"} <= failed


def test_collector_that_is_not_there_keeps_nobody_from_working_or_stopping() -> None:
    """Spans are lost; that is all."""

    async def main() -> float:
        tracing = TracingConfig(is_enabled=True, endpoint="http://127.0.0.1:9/v1/traces")
        loop = asyncio.get_running_loop()
        node = Node(Config(hostname="alone", listen=LOOPBACK, tracing=tracing))
        async with node:
            with contextlib.suppress(Exception):
                await node.connect("nobody")
            begun = loop.time()
        return loop.time() - begun

    assert asyncio.run(main()) < 8
