"""Traces to OpenTelemetry: the extra ``otel`` of this package, imported only where ``APP_TRACES`` is on.

Where spans go and which are kept is the SDK's own configuration, by its environment variables
(``OTEL_EXPORTER_OTLP_ENDPOINT``, ``OTEL_EXPORTER_OTLP_HEADERS``, ``OTEL_TRACES_SAMPLER``,
``OTEL_SERVICE_NAME``). Exceptions are never recorded: their texts and frames are not ours to tell.
"""

from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.metadata import version
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from fintech_kernel.observability.tracing import (
    NO_TRACING,
    Attribute,
    RequestSpan,
    Span,
    TraceParent,
    read_parent,
)

SERVICE: Final = "fintech"
DISTRIBUTION: Final = "fintech-kernel"


def exporting() -> "OpenTelemetryTracing":
    """Return tracing that sends spans over OTLP, in batches, from a thread of its own."""
    ours = Resource({"service.name": SERVICE, "service.version": version(DISTRIBUTION)})
    provider = TracerProvider(
        resource=ours.merge(OTELResourceDetector().detect()), shutdown_on_exit=False
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return OpenTelemetryTracing(provider)


class OpenTelemetryTracing:
    """Opens spans of a provider, which is this application's own: none is set globally."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer(DISTRIBUTION, version(DISTRIBUTION))

    @contextmanager
    def request(self, given: Sequence[str]) -> Generator[RequestSpan]:
        """Open the span of a request, below the caller's where its header names one."""
        parent = read_parent(given)
        with self._tracer.start_as_current_span(
            "request",
            context=Context() if parent is None else _remote(parent),
            kind=SpanKind.SERVER,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            yield _Open(span)

    @contextmanager
    def span(self, name: str) -> Generator[Span]:
        """Open a span, below the one that is open or as a trace of its own."""
        with self._tracer.start_as_current_span(
            name, record_exception=False, set_status_on_exception=False
        ) as span:
            one = _Open(span)
            try:
                yield one
            except Exception as error:
                one.failed(type(error).__name__)
                raise

    def child(self, name: str) -> AbstractContextManager[Span]:
        """Open a span below the one that is open; where none is, open nothing."""
        if trace.get_current_span().is_recording():
            return self.span(name)
        return NO_TRACING.child(name)

    def close(self) -> None:
        """Send what was collected, and stop."""
        self._provider.shutdown()


class _Open:
    """An open span."""

    __slots__ = ("_span",)

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    @property
    def place(self) -> TraceParent:
        context = self._span.get_span_context()
        return TraceParent(
            trace_id=trace.format_trace_id(context.trace_id),
            span_id=trace.format_span_id(context.span_id),
            flags=f"{context.trace_flags:02x}",
        )

    def rename(self, name: str) -> None:
        self._span.update_name(name)

    def note(self, name: str, value: Attribute) -> None:
        self._span.set_attribute(name, value)

    def failed(self, reason: str) -> None:
        self._span.set_attribute("error.type", reason)
        self._span.set_status(Status(StatusCode.ERROR))


def _remote(parent: TraceParent) -> Context:
    place = SpanContext(
        trace_id=int(parent.trace_id, 16),
        span_id=int(parent.span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(int(parent.flags, 16)),
    )
    return set_span_in_context(NonRecordingSpan(place), Context())
