"""Spans recorded by OpenTelemetry. The only place that imports it, and only when a node is told to trace.

An application that has set up OpenTelemetry itself gets the node's spans among its own. Otherwise they go by OTLP over
HTTP to the collector of the configuration, or the one that the standard variables (``OTEL_EXPORTER_OTLP_ENDPOINT`` and
its kin) name.

Source: OpenTelemetry specification 1.x, trace API; W3C Trace Context.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Generator

from pilotdht.errors import ConfigError, PilotError
from pilotdht.tracing.spans import Kind, Span, Tracer, Value

try:
    from opentelemetry import trace
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
    from opentelemetry.trace import SpanKind, StatusCode
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError as error:
    raise ConfigError(
        f"tracing needs OpenTelemetry, and {error.name} is not installed", hint="pip install 'pilotdht[otel]'"
    ) from error

PREFIX = "pilotdht."
"""What the names of spans and attributes begin with."""

EXPORT_S = 2.0
"""For handing a batch to the collector, repetitions included; then it is lost."""

CLOSE_S = 3.0
"""For handing over what was recorded when a node stops."""

_KINDS = {Kind.INSIDE: SpanKind.INTERNAL, Kind.ASKS: SpanKind.CLIENT, Kind.ANSWERS: SpanKind.SERVER}
_HEADER = "traceparent"
_contexts = TraceContextTextMapPropagator()


def open_telemetry_tracer(
    *, endpoint: str = "", share: float = 1.0, instance: str = "", version: str = "", provider: object = None
) -> Tracer:
    """Return a tracer that records with OpenTelemetry.

    Args:
        endpoint: URL of an OTLP/HTTP collector's traces, such as ``http://127.0.0.1:4318/v1/traces``; empty: as the
            environment says.
        share: which share of the traces that begin here is recorded, 0..1; those that others began are as they say.
        instance: which node this is, for ``service.instance.id``.
        version: of this software.
        provider: records the spans instead; absent: the application's own, or a new one.

    Raises:
        ConfigError: the exporter is not installed.
    """
    own = provider if provider is not None else trace.get_tracer_provider()
    if isinstance(own, TracerProvider):
        return _OpenTelemetry(own, is_ours=False, version=version)
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError as error:
        raise ConfigError("the exporter of traces is not installed", hint="pip install 'pilotdht[otel]'") from error
    resource = Resource.create(
        {"service.name": "pilotdht", "service.instance.id": instance, "service.version": version}
    )
    made = TracerProvider(resource=resource, sampler=ParentBased(TraceIdRatioBased(share)))
    made.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint or None, timeout=EXPORT_S)))
    return _OpenTelemetry(made, is_ours=True, version=version)


class _Recorded:
    """A span of OpenTelemetry."""

    __slots__ = ("_span",)

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def set(self, name: str, value: Value) -> None:
        """Say something of it."""
        self._span.set_attribute(PREFIX + name, value)


class _OpenTelemetry:
    """Records spans with a provider."""

    def __init__(self, provider: TracerProvider, *, is_ours: bool, version: str) -> None:
        self._provider = provider
        self._is_ours = is_ours
        self._tracer = provider.get_tracer("pilotdht", version)

    @contextlib.contextmanager
    def span(
        self, name: str, *, traceparent: str | None = None, kind: Kind = Kind.INSIDE, **attributes: Value
    ) -> Generator[Span]:
        """Record what happens inside; see :meth:`pilotdht.tracing.spans.Tracer.span`."""
        context = None if traceparent is None else _contexts.extract({_HEADER: traceparent})
        with self._tracer.start_as_current_span(
            PREFIX + name,
            context=context,
            kind=_KINDS[kind],
            attributes={PREFIX + key: value for key, value in attributes.items()},
            record_exception=False,
            set_status_on_exception=False,
        ) as recorded:
            try:
                yield _Recorded(recorded)
            except PilotError as error:  # expected: the code says what it was, and no text of a peer gets in
                recorded.set_attribute("error.type", error.code)
                recorded.set_status(StatusCode.ERROR, error.code)
                raise
            except BaseException as error:
                recorded.set_attribute("error.type", type(error).__name__)
                recorded.set_status(StatusCode.ERROR, type(error).__name__)
                raise

    def traceparent(self) -> str | None:
        """Return the current span for other nodes."""
        carrier: dict[str, str] = {}
        _contexts.inject(carrier)
        return carrier.get(_HEADER)

    async def close(self) -> None:
        """Hand over what was recorded; the application's own provider stays open."""
        if self._is_ours:
            with contextlib.suppress(TimeoutError):  # a collector that hangs keeps nobody from stopping
                async with asyncio.timeout(CLOSE_S):
                    await asyncio.to_thread(self._provider.shutdown)
